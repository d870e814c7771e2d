package store

import (
	"encoding/json"
	"io"
	"os"
	"path"
	"time"

	"linehaul/fault"
)

// Progress is how far a run is that is not known to have ended.
type Progress struct {
	At      time.Time `json:"at"`
	Files   int       `json:"files"` // moved by now, of how many
	OfFiles int       `json:"of_files"`
	Failed  int       `json:"failed,omitempty"`
	Bytes   int64     `json:"bytes"` // there by now, of how many
	OfBytes int64     `json:"of_bytes"`
	Rate    int64     `json:"rate"`           // bytes a second of late
	Left    float64   `json:"left,omitempty"` // seconds for the rest at that rate; 0: not known
}

// maxProgress bounds what is read of it, in bytes.
const maxProgress = 4 << 10

func (r record) progress() string { return path.Join(progressDir, r.base()+".json") }

// SetProgress notes how far a run is, in place of what was noted before. It is
// for people who look on: it costs no sync, a crash may lose it, and it is gone
// when the run has ended.
func (s *Store) SetProgress(id, job string, p Progress) error {
	if err := (Run{ID: id, Job: job, State: Running}).check(); err != nil {
		return fault.New(fault.Internal, "note progress: %w", err)
	}
	data, err := json.Marshal(p)
	if err == nil {
		err = s.setProgress(record{id, job}, data)
	}
	if err != nil {
		return fault.New(fault.LocalDisk, "note the progress of run %s in %q: %w", id, s.dir, err)
	}
	return nil
}

func (s *Store) setProgress(rec record, data []byte) error {
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	temp := rec.progress() + ".tmp"
	if err := root.WriteFile(temp, data, 0o640); err != nil {
		return err
	}
	return root.Rename(temp, rec.progress())
}

// readProgress returns what was noted of a run, nil if there is nothing.
func readProgress(root *os.Root, rec record) *Progress {
	f, err := root.Open(rec.progress())
	if err != nil {
		return nil
	}
	defer f.Close()
	var p Progress
	data, err := io.ReadAll(io.LimitReader(f, maxProgress))
	if err != nil || json.Unmarshal(data, &p) != nil {
		return nil
	}
	return &p
}
