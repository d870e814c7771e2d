package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"linehaul/fault"
)

// A Ledger knows which files were moved before. It is used by one goroutine at a
// time.
type Ledger interface {
	// Known reports of each of some items, at most ledgerBatch, whether it was
	// moved before as it is now.
	Known(ctx context.Context, items []Item) ([]bool, error)
	// Recognise is asked of an item that is not known, and whose target has its
	// size and time. It reports whether that is a copy of it, and remembers it
	// then: somebody died between moving the file and entering it.
	Recognise(ctx context.Context, item Item) (bool, error)
}

// ledgerBatch is how many items are looked up together. So many are held in
// memory.
const ledgerBatch = 500

// byLedger leaves out items that a ledger knows, and those that it recognises in
// the target. Folders are as in onlyNew.
func byLedger(ctx context.Context, items iter.Seq2[Item, error], ledger Ledger, look lookup, left leaver) iter.Seq2[Item, error] {
	l := ledgerFilter{ledger: ledger, look: look, left: left}
	return func(yield func(Item, error) bool) {
		var batch []Item
		for item, err := range items {
			if err != nil { // what comes before it comes first
				if !l.release(ctx, batch, yield) || !yield(item, err) {
					return
				}
				batch = batch[:0]
				continue
			}
			if batch = append(batch, item); len(batch) == ledgerBatch {
				if !l.release(ctx, batch, yield) {
					return
				}
				batch = batch[:0]
			}
		}
		l.release(ctx, batch, yield)
	}
}

type ledgerFilter struct {
	ledger Ledger
	look   lookup
	left   leaver
}

// release gives those of a batch on that are new, and reports whether to go on.
func (l ledgerFilter) release(ctx context.Context, batch []Item, yield func(Item, error) bool) bool {
	if len(batch) == 0 {
		return true
	}
	var files []Item
	for _, item := range batch {
		if item.Entry.Mode.IsRegular() {
			files = append(files, item)
		}
	}
	known, err := l.ledger.Known(ctx, files)
	if err == nil && len(known) != len(files) {
		err = fault.New(fault.Internal, "the ledger answers %d of %d questions", len(known), len(files))
	}
	if err != nil {
		yield(Item{}, err)
		return false
	}
	at := 0
	for _, item := range batch {
		if item.Entry.Mode.IsRegular() {
			if at++; known[at-1] {
				l.left.quietly(item, WhyLedger)
				continue
			}
		}
		there, err := l.there(ctx, item)
		if err != nil {
			yield(Item{}, err)
			return false
		}
		if there {
			l.left.quietly(item, WhyUpToDate)
			continue
		}
		if !yield(item, nil) {
			return false
		}
	}
	return true
}

// there reports whether the target has an item that is not known. A target that
// cannot be looked at is tried: moving tells what is wrong.
func (l ledgerFilter) there(ctx context.Context, item Item) (bool, error) {
	there, err := l.look(ctx, item.Target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		err = sorted(ctx, fault.RemoteFile, item.Target, err)
	case !UpToDate(item, there):
		return false, nil
	case !item.Entry.Mode.IsRegular():
		return true, nil
	default:
		var same bool
		if same, err = l.ledger.Recognise(ctx, item); err == nil {
			return same, nil
		}
	}
	if ctx.Err() != nil || stopsAll(err) {
		return false, err
	}
	return false, nil
}

// PathMatcher returns what tells whole paths that match one of some patterns, which
// are those of Select: one without a slash is held against the name, one with a
// slash against the whole path, and one that matches a folder stands for all that
// is in it.
func PathMatcher(patterns ...string) (func(path string) bool, error) {
	all, err := globs("pattern", patterns, false)
	if err != nil {
		return nil, err
	}
	return func(path string) bool {
		path = strings.TrimPrefix(filepath.ToSlash(path), "/")
		return slices.ContainsFunc(all, func(g glob) bool { return g.matchesUp(path, false) })
	}, nil
}
