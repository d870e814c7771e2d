package store

import (
	"encoding/json"
	"fmt"
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

// SetProgress notes how far a run is, in place of what was noted before. It is
// gone when the run has ended.
func (s *Store) SetProgress(id, job string, p Progress) error {
	if err := (Run{ID: id, Job: job, State: Running}).check(); err != nil {
		return fault.New(fault.Internal, "note progress: %w", err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fault.New(fault.Internal, "note progress: %w", err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	if _, err := s.db.Exec(ctx, "INSERT INTO lh_progress (run, content) VALUES ($1, $2) ON CONFLICT (run) DO UPDATE SET content = excluded.content", id, string(data)); err != nil {
		return fmt.Errorf("note the progress of run %s: %w", id, err)
	}
	return nil
}

// decodeProgress returns what was noted of a run, nil if there is nothing.
func decodeProgress(text string) *Progress {
	var p Progress
	if text == "" || len(text) > maxNote || json.Unmarshal([]byte(text), &p) != nil {
		return nil
	}
	return &p
}
