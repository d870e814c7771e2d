package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"linehaul/fault"
)

// A Pause keeps a job from running by its schedule.
type Pause struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until somebody ends it
	Reason string    `json:"reason,omitempty"`
}

// String says it in words.
func (p Pause) String() string {
	text := "paused since " + p.Since.Format(time.DateTime)
	if !p.Until.IsZero() {
		text += " until " + p.Until.Format(time.DateTime)
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// pausedDir has a file for each job that is paused.
const pausedDir = "paused"

// Pause pauses a job, in place of an earlier pause.
func (s *Store) Pause(job string, p Pause) error {
	err := checkJob(job)
	var data []byte
	if err == nil {
		data, err = json.MarshalIndent(p, "", "  ")
	}
	if err == nil {
		err = s.writePause(job, append(data, '\n'))
	}
	if err != nil {
		return fault.New(fault.LocalDisk, "pause %q in %q: %w", job, s.dir, err)
	}
	return nil
}

func (s *Store) writePause(job string, data []byte) error {
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(pausedDir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	name := path.Join(pausedDir, job+".json")
	if err := writeSynced(root, name+".tmp", data); err != nil {
		return err
	}
	if err := root.Rename(name+".tmp", name); err != nil {
		return err
	}
	return syncDir(root, pausedDir)
}

// Resume ends the pause of a job, and reports whether there was one.
func (s *Store) Resume(job string) (bool, error) {
	if err := checkJob(job); err != nil {
		return false, fault.New(fault.Internal, "resume a job: %w", err)
	}
	root, err := s.root()
	if err == nil {
		defer root.Close()
		if err = root.Remove(path.Join(pausedDir, job+".json")); err == nil {
			err = syncDir(root, pausedDir)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.New(fault.LocalDisk, "resume %q in %q: %w", job, s.dir, err)
	}
	return true, nil
}

// Paused is the pause of a job, if it is paused at an instant.
func (s *Store) Paused(job string, at time.Time) (Pause, bool, error) {
	if err := checkJob(job); err != nil {
		return Pause{}, false, fault.New(fault.Internal, "ask for the pause of a job: %w", err)
	}
	root, err := s.root()
	if err != nil {
		return Pause{}, false, s.readFault(err)
	}
	defer root.Close()
	data, err := readBounded(root, path.Join(pausedDir, job+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Pause{}, false, nil
	}
	var p Pause
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		return Pause{}, false, fault.New(fault.LocalDisk, "read the pause of %q in %q: %w", job, s.dir, err).
			WithHint("`linehaul jobs resume` takes it away")
	}
	return p, p.Until.IsZero() || at.Before(p.Until), nil
}

// maxPause bounds what is read of a pause, in bytes.
const maxPause = 64 << 10

func readBounded(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPause {
		return nil, errors.New("it is too large to be one")
	}
	return root.ReadFile(name)
}
