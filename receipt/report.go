package receipt

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"linehaul/fault"
)

// ReportVersion is of the form that JSON writes. It goes up when a reader of the
// one before would misread it; fields may be added without.
const ReportVersion = 1

const (
	// maxProblems and maxNotes bound how many findings a Report holds; Options.Found
	// gets all of them.
	maxProblems = 1000
	maxNotes    = 1000
)

// A Finding is one thing that is not as the receipts say, or that could not be
// looked at. Fields without a meaning for its kind are empty.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Problem bool   `json:"problem"` // Kind.Problem
	Seq     int64  `json:"seq,omitempty"`
	Last    int64  `json:"last,omitempty"` // if it is about several receipts: Seq to Last
	Run     string `json:"run,omitempty"`
	Line    int64  `json:"line,omitempty"` // of the list, from 1
	Path    string `json:"path,omitempty"`
	By      int64  `json:"by,omitempty"`    // the later receipt that explains it
	Files   int64  `json:"files,omitempty"` // how many files it is about, if it names none
	Want    string `json:"want,omitempty"`  // what the receipts say
	Got     string `json:"got,omitempty"`   // what is there
	Text    string `json:"text"`            // in words
}

// String is the finding on one line, whatever a path holds.
func (f Finding) String() string {
	var b strings.Builder
	if !f.Problem {
		b.WriteString("note: ")
	}
	b.WriteString(string(f.Kind))
	switch {
	case f.Last > f.Seq:
		fmt.Fprintf(&b, ": receipts %d to %d", f.Seq, f.Last)
	case f.Seq > 0:
		fmt.Fprintf(&b, ": receipt %d", f.Seq)
	}
	if f.Run != "" {
		if f.Seq > 0 {
			b.WriteString(",")
		} else {
			b.WriteString(":")
		}
		fmt.Fprintf(&b, " run %s", bare(f.Run))
	}
	if f.Line > 0 {
		fmt.Fprintf(&b, ", line %d", f.Line)
	}
	if f.Path != "" {
		fmt.Fprintf(&b, ": %q", f.Path)
	}
	fmt.Fprintf(&b, ": %s", bare(f.Text))
	if f.Want != "" || f.Got != "" {
		fmt.Fprintf(&b, " (should be %s, is %s)", bare(f.Want), bare(f.Got))
	}
	return b.String()
}

// bare is a text as it is, or quoted if it would not stay on its line.
func bare(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// Counts are the files of the receipts that were looked through.
type Counts struct {
	Lines      int64 `json:"lines"`         // of the lists
	Same       int64 `json:"same"`          // as they were, by SHA-256 or, without one, by size and time
	Bytes      int64 `json:"bytes"`         // read for it
	Unhashed   int64 `json:"unhashed"`      // of Same, those without a SHA-256
	Wrong      int64 `json:"wrong"`         // files with a problem
	Superseded int64 `json:"superseded"`    // explained by a later receipt
	Failed     int64 `json:"failed"`        // that the run did not move
	Removed    int64 `json:"removed"`       // that the run removed
	NotHere    int64 `json:"not_checkable"` // that cannot be looked at here
	Sources    int64 `json:"sources_same"`  // of NotHere, those whose local source is as it was
}

// A Report is what Verify has found.
type Report struct {
	Version  int            `json:"linehaul_verify"` // ReportVersion
	OK       bool           `json:"ok"`              // there is no problem
	Run      string         `json:"run,omitempty"`   // the one that was asked for; empty: all
	Node     string         `json:"node,omitempty"`  // whose files were looked at; empty: all
	Begin    Place          `json:"begin"`           // the last receipt that retention has removed
	End      Place          `json:"end"`             // the last receipt
	Receipts int64          `json:"receipts"`        // that were read
	Anchored bool           `json:"anchored"`        // the records of runs were compared too
	Files    *Counts        `json:"files,omitempty"` // nil: files were not looked at
	Problems int64          `json:"problems"`
	Notes    int64          `json:"notes"`
	ByKind   map[Kind]int64 `json:"by_kind"`
	Findings []Finding      `json:"findings"` // the first ones
	More     int64          `json:"more"`     // how many there are beside
}

// add counts a finding, and keeps it if there is room.
func (r *Report) add(f Finding) {
	n, most := &r.Notes, int64(maxNotes)
	if f.Problem {
		n, most, r.OK = &r.Problems, maxProblems, false
	}
	*n++
	r.ByKind[f.Kind]++
	if *n > most {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// Err is nil if nothing is wrong, and else an error of kind fault.Verify.
func (r *Report) Err() error {
	if r.OK {
		return nil
	}
	return fault.New(fault.Verify, "%s in the receipts or the files that they name", count(r.Problems, "problem")).AsPermanent().
		WithHint("docs/RECEIPTS.md says of each kind of finding what it means and what to do")
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write what was verified as JSON: %w", err)
	}
	return nil
}

// String is the report for people: a line for each finding, and what it comes to.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %s more\n", count(r.More, "finding"))
	}
	b.WriteString(r.Summary())
	return b.String()
}

// Summary are the last lines of String, without the findings.
func (r *Report) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "chain: %s", count(r.Receipts, "receipt"))
	if r.Receipts > 0 {
		fmt.Fprintf(&b, ", up to number %d with SHA-256 %s", r.End.Seq, r.End.Hash)
	}
	if r.Begin.Seq > 0 {
		fmt.Fprintf(&b, "; up to number %d removed by retention", r.Begin.Seq)
	}
	if !r.Anchored {
		b.WriteString("; not compared with the records of runs")
	}
	b.WriteString("\n")
	if c := r.Files; c != nil {
		fmt.Fprintf(&b, "files: %d as they were", c.Same)
		if c.Unhashed > 0 {
			fmt.Fprintf(&b, " (%d by size and time only)", c.Unhashed)
		}
		fmt.Fprintf(&b, ", %d with a problem; %d superseded, %d removed by their runs, %d never moved, %d not checkable here", c.Wrong, c.Superseded, c.Removed, c.Failed, c.NotHere)
		if c.Sources > 0 {
			fmt.Fprintf(&b, " (%d of them with their source as it was)", c.Sources)
		}
		b.WriteString("\n")
	}
	if r.OK {
		fmt.Fprintf(&b, "verdict: nothing is wrong, %s\n", count(r.Notes, "note"))
	} else {
		fmt.Fprintf(&b, "verdict: %s, %s\n", count(r.Problems, "problem"), count(r.Notes, "note"))
	}
	return b.String()
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
