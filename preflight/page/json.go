package page

import (
	"encoding/json"
	"fmt"
	"io"

	"linehaul/preflight"
	"linehaul/preflight/plot"
)

// FileVersion is of the form that JSON writes. It goes up when a reader of the
// one before would misread it; fields may be added without.
const FileVersion = 1

// A File is a report as JSON writes it, with what it is shown with.
type File struct {
	Version int               `json:"linehaul_report"` // FileVersion
	Report  preflight.Report  `json:"report"`
	Before  *preflight.Report `json:"before,omitempty"`  // an earlier one to compare with
	History []plot.Night      `json:"history,omitempty"` // the runs before, the oldest first
}

// JSON writes the report for programs, with each sample, and nothing left out.
func JSON(w io.Writer, r preflight.Report, o Options) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	f := File{Version: FileVersion, Report: r, Before: o.Before, History: plot.Sorted(o.History, len(o.History))}
	if f.Report.Findings == nil {
		f.Report.Findings = []preflight.Finding{} // a list is never null
	}
	if err := e.Encode(f); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}
