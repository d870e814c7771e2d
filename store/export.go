package store

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"linehaul/fault"
)

// What a line of an export is.
const (
	LineExport     = "export" // the first line: of what it is
	LineRun        = "run"
	LineFile       = "file" // of the run before, beyond those in its record
	LineAttachment = "attachment"
	LinePause      = "pause"
	LineEnd        = "end" // the last line: how many there were of each
)

// ExportLine is one line of an export.
type ExportLine struct {
	Line string `json:"line"`

	// Of the first.
	Version string     `json:"version,omitempty"` // of linehaul
	Schema  int        `json:"schema,omitempty"`
	At      *time.Time `json:"at,omitempty"`

	Run        *Run            `json:"run,omitempty"`
	Of         string          `json:"of,omitempty"` // the run that a file or an attachment is of, the job that is paused
	File       *File           `json:"file,omitempty"`
	Name       string          `json:"name,omitempty"` // of an attachment
	Attachment json.RawMessage `json:"attachment,omitempty"`
	Pause      *Pause          `json:"pause,omitempty"`

	// Of the last.
	Counts map[string]int `json:"counts,omitempty"`
}

// Export writes the runs that a filter lets through, the newest first, with their
// files and attachments, and the pauses of jobs, as JSON lines. The last one says how
// many there were: an export without it was cut off. A record that cannot be read is
// left out and described in warnings.
func (s *Store) Export(ctx context.Context, w io.Writer, f Filter) (counts map[string]int, warnings []error, err error) {
	step, err := s.db.Schema(ctx)
	if err != nil {
		return nil, nil, s.readFault(err)
	}
	buffered := bufio.NewWriterSize(w, 64<<10)
	e := exporter{s: s, to: json.NewEncoder(buffered), counts: map[string]int{LineRun: 0}}
	e.to.SetEscapeHTML(false)
	now := s.place.Now()
	if err := e.write(ExportLine{Line: LineExport, Version: s.place.Version, Schema: step, At: &now}); err != nil {
		return nil, nil, err
	}
	var failed error
	warnings, err = s.Each(f, func(r Run) bool {
		if failed = context.Cause(ctx); failed == nil {
			failed = e.run(ctx, r)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = e.pauses(ctx, f.Job)
	}
	counts = e.counts
	if err == nil {
		err = e.to.Encode(ExportLine{Line: LineEnd, Counts: counts})
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return counts, warnings, fmt.Errorf("export the record: %w", err)
	}
	return counts, warnings, nil
}

type exporter struct {
	s      *Store
	to     *json.Encoder
	counts map[string]int
}

func (e *exporter) write(l ExportLine) error {
	if l.Line != LineExport {
		e.counts[l.Line]++
	}
	if err := e.to.Encode(l); err != nil {
		return fault.New(fault.LocalDisk, "%w", err)
	}
	return nil
}

func (e *exporter) run(ctx context.Context, r Run) error {
	if err := e.write(ExportLine{Line: LineRun, Run: &r}); err != nil {
		return err
	}
	if r.more != nil {
		if err := r.more(func(f File) error { return e.write(ExportLine{Line: LineFile, Of: r.ID, File: &f}) }); err != nil {
			return err
		}
	}
	var lines []ExportLine
	err := e.s.db.Each(ctx, "SELECT name, content FROM lh_attachment WHERE run = $1 ORDER BY name", []any{r.ID}, func(scan func(...any) error) error {
		l := ExportLine{Line: LineAttachment, Of: r.ID}
		var content string
		err := scan(&l.Name, &content)
		if !json.Valid([]byte(content)) {
			return fault.New(fault.LocalDisk, "%q of run %s is damaged", l.Name, r.ID)
		}
		l.Attachment = json.RawMessage(content)
		lines = append(lines, l)
		return err
	})
	for _, l := range lines {
		if err == nil {
			err = e.write(l)
		}
	}
	return err
}

func (e *exporter) pauses(ctx context.Context, job string) error {
	var lines []ExportLine
	err := e.s.db.Each(ctx, "SELECT job, content FROM lh_pause ORDER BY job", nil, func(scan func(...any) error) error {
		l := ExportLine{Line: LinePause, Pause: &Pause{}}
		var content string
		if err := scan(&l.Of, &content); err != nil || job != "" && job != l.Of {
			return err
		}
		if err := json.Unmarshal([]byte(content), l.Pause); err != nil {
			return fault.New(fault.LocalDisk, "the pause of %q is damaged: %w", l.Of, err)
		}
		lines = append(lines, l)
		return nil
	})
	for _, l := range lines {
		if err == nil {
			err = e.write(l)
		}
	}
	return err
}
