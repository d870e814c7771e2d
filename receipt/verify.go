package receipt

import (
	"context"
	"fmt"

	"linehaul/fault"
)

// Options says what is verified.
type Options struct {
	// Run is the one whose list and files are looked at; empty: all. The chain is
	// always walked whole.
	Run string
	// Files has the local files read again.
	Files bool
	// Node is the name of this one: the files of others are not looked at. Empty:
	// all files are taken to be here.
	Node string
	// Found, if there is one, gets each finding at once, also those for which a
	// Report has no room.
	Found func(Finding)
}

// Verify walks the chain, compares it with what runs say, and looks at lists and
// files. It reads and changes nothing, sends nothing, and holds no more than a
// bounded part of anything in memory. Without runs (nil) the end of the chain is
// taken as it is.
//
// An error means that the store could not be read or ctx has ended; what is wrong
// with receipts and files is in the Report alone.
func Verify(ctx context.Context, s Store, runs Runs, o Options) (*Report, error) {
	return verify(ctx, s, runs, o, maxPaths)
}

func verify(ctx context.Context, s Store, runs Runs, o Options, room int64) (*Report, error) {
	v := &verifier{
		store: s, runs: runs, o: o, room: room,
		report: &Report{Version: ReportVersion, OK: true, Run: o.Run, Node: o.Node, Anchored: runs != nil, ByKind: map[Kind]int64{}, Findings: []Finding{}},
		bad:    map[int64]bool{}, started: o.Run == "",
	}
	c := &chain{verifier: v}
	err := c.walk(ctx)
	if err == nil && runs != nil {
		err = v.unnamed(ctx)
	}
	if err == nil && !v.started {
		v.found(Finding{Kind: RunUnknown, Run: o.Run, Text: "no receipt is of this run"})
	}
	if err == nil && o.Files {
		v.report.Files = &Counts{}
		err = v.files(ctx)
	}
	if err != nil {
		return nil, err
	}
	return v.report, nil
}

// maxBad is how many receipts that cannot be believed are remembered. If there are
// more, no file is looked at.
const maxBad = 10_000

// A verifier is what the parts of Verify share.
type verifier struct {
	store  Store
	runs   Runs
	o      Options
	room   int64 // how many paths are held at a time
	report *Report

	started bool           // the run that was asked for was met, or all are
	bad     map[int64]bool // receipts that are not believed, by the number they are stored under
	pages   []int64        // after which numbers the pages of heads begin
	last    int64          // the last receipt that was read is stored under this number
	lines   int64          // of the lists that are believed
}

func (v *verifier) found(f Finding) {
	f.Problem = f.Kind.Problem()
	v.report.add(f)
	if v.o.Found != nil {
		v.o.Found(f)
	}
}

// distrust has a receipt's list and files left alone.
func (v *verifier) distrust(r *row) {
	if len(v.bad) <= maxBad {
		v.bad[r.at] = true
	}
}

// unnamed finds the runs that have no receipt.
func (v *verifier) unnamed(ctx context.Context) error {
	after := ""
	for {
		ids, err := v.runs.Unnamed(ctx, after, pageRuns)
		if err != nil {
			return readError(ctx, "ask which runs have no receipt", err)
		}
		if len(ids) == 0 {
			return nil
		}
		for _, id := range ids {
			if id <= after {
				return fault.New(fault.Internal, "ask which runs have no receipt: run %q came after %q", id, after)
			}
			after = id
			v.found(Finding{Kind: RunWithout, Run: id, Text: "it has ended, and its record names no receipt"})
		}
	}
}

// eachLine calls do for each line of a list, which is numbered from 1.
func (v *verifier) eachLine(ctx context.Context, seq int64, do func(n int64, text string) error) error {
	n := int64(0)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		page, err := v.store.Lines(ctx, seq, n, pageLines)
		if err != nil {
			return readError(ctx, fmt.Sprintf("read the list of receipt %d", seq), err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, text := range page {
			n++
			if err := do(n, text); err != nil {
				return err
			}
		}
	}
}

// readError is the error of a store; of a context that has ended, its cause.
func readError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fault.Wrap(fault.LocalDisk, fmt.Errorf("%s: %w", what, err))
}
