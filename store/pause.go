package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"linehaul/fault"
	"linehaul/store/db"
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

// maxNote bounds what is read of a small note, in bytes.
const maxNote = 64 << 10

// Pause pauses a job, in place of an earlier pause.
func (s *Store) Pause(job string, p Pause) error {
	data, err := json.Marshal(p)
	if err = errors.Join(checkJob(job), err); err != nil {
		return fault.New(fault.Internal, "pause a job: %w", err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	if _, err := s.db.Exec(ctx, "INSERT INTO lh_pause (job, content) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET content = excluded.content", job, string(data)); err != nil {
		return fmt.Errorf("pause %q: %w", job, err)
	}
	return nil
}

// Resume ends the pause of a job, and reports whether there was one.
func (s *Store) Resume(job string) (bool, error) {
	if err := checkJob(job); err != nil {
		return false, fault.New(fault.Internal, "resume a job: %w", err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	n, err := s.db.Exec(ctx, "DELETE FROM lh_pause WHERE job = $1", job)
	if err != nil {
		return false, fmt.Errorf("resume %q: %w", job, err)
	}
	return n > 0, nil
}

// Paused is the pause of a job, if it is paused at an instant.
func (s *Store) Paused(job string, at time.Time) (Pause, bool, error) {
	if err := checkJob(job); err != nil {
		return Pause{}, false, fault.New(fault.Internal, "ask for the pause of a job: %w", err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	var p Pause
	var text string
	found, err := db.One(ctx, s.db, "SELECT substr(content, 1, $2) FROM lh_pause WHERE job = $1", []any{job, maxNote}, &text)
	if err != nil {
		return Pause{}, false, fmt.Errorf("read the pause of %q: %w", job, err)
	}
	if !found {
		return Pause{}, false, nil
	}
	p, err = decodePause(job, text)
	return p, err == nil && p.in(at), err
}

func decodePause(job, text string) (p Pause, err error) {
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return Pause{}, fault.New(fault.LocalDisk, "read the pause of %q: %w", job, err).
			WithHint("`linehaul jobs resume` takes it away")
	}
	return p, nil
}

// in reports whether an instant is in the pause.
func (p Pause) in(at time.Time) bool { return p.Until.IsZero() || at.Before(p.Until) }
