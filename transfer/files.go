package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"linehaul/fault"
)

// Field names of log records, as docs/LOGGING.md has them.
const (
	keyName    = "name"
	keySource  = "source"
	keyTarget  = "target"
	keyBytes   = "bytes"
	keySeconds = "seconds"
	keyRate    = "rate"
	keySHA256  = "sha256"
	keyError   = "error"
)

// tries is how often a file is begun that changes while it is read.
const tries = 3

// Result is what became of one item.
type Result struct {
	Item   Item
	Bytes  int64 // moved; 0 on failure
	Took   time.Duration
	SHA256 string // hexadecimal, of what was moved; empty for a folder and on failure
	Err    error  // nil: the target is whole and durable
}

// Progress is told how a transfer goes on, for a person to watch. Its methods,
// and those of what it returns, must be safe for concurrent use, and fast.
type Progress interface {
	// Begin says what is planned, before the first file.
	Begin(files int, bytes int64)
	// File says that a file is begun. It may return nil.
	File(item Item) FileProgress
}

// FileProgress is told how one file goes on.
type FileProgress interface {
	// Moved says how many bytes of the file are moved by now. It goes back to
	// 0 where a file that changed is begun again.
	Moved(total int64)
	// Done says that the file is finished, or failed.
	Done(err error)
}

// A VerifyFunc says whether a copy is what its source is, before the copy gets
// its final name: path is the remote file that must have this size in bytes
// and this SHA-256 (hexadecimal), the source of a get, the temporary file of a
// put. Its error is of kind fault.Verify if it is not.
type VerifyFunc func(ctx context.Context, path string, size int64, sha256 string) error

// An engine is what getting and putting have in common.
type engine struct {
	did      string // "fetched", "stored"
	run      string
	log      *slog.Logger
	progress Progress // may be nil
	now      func() time.Time
	verify   VerifyFunc // may be nil
	pump     pump
	// paths are what the log calls an item's source and target.
	paths func(Item) (source, target string)
}

// mover moves one item once.
type mover func(ctx context.Context, item Item, p FileProgress) (size int64, sha256 string, err error)

// files moves items one after the other. The results are those of all items,
// in their order, also where it stopped on the way.
func (e *engine) files(ctx context.Context, items []Item, move mover) ([]Result, error) {
	results := make([]Result, len(items))
	if e.progress != nil {
		e.progress.Begin(len(items), planned(items))
	}
	var failed tally
	for i, item := range items {
		results[i] = e.file(ctx, item, move)
		err := results[i].Err
		if err == nil {
			continue
		}
		if stopsAll(err) {
			for j := i + 1; j < len(items); j++ {
				results[j] = Result{Item: items[j], Err: notBegun(err)}
			}
			if done := i - failed.n; done > 0 {
				err = fmt.Errorf("after %d of %d files: %w", done, len(items), err)
			}
			return results, err
		}
		failed.add(err)
		if len(items) > 1 {
			source, target := e.paths(item)
			e.log.Warn("failed", keyName, item.Entry.Name, keySource, source, keyTarget, target, keyError, err)
		}
	}
	if failed.n == len(items) {
		return results, failed.all("file")
	}
	return results, failed.partial(len(items))
}

// file moves one item, from its beginning again if it changed on the way.
func (e *engine) file(ctx context.Context, item Item, move mover) Result {
	began := e.now()
	var p FileProgress = noProgress{}
	if e.progress != nil {
		if q := e.progress.File(item); q != nil {
			p = q
		}
	}
	res := Result{Item: item}
	source, target := e.paths(item)
	for try := 1; ; try++ {
		p.Moved(0)
		res.Bytes, res.SHA256, res.Err = move(ctx, item, p)
		var again *againError
		if ctx.Err() != nil || !errors.As(res.Err, &again) {
			break
		}
		if try == tries {
			res.Err = again.err.AsTransient()
			break
		}
		e.log.Warn("starting again", keyName, item.Entry.Name, keySource, source, keyError, again.err)
	}
	res.Took = e.now().Sub(began)
	if res.Err != nil {
		res.Bytes, res.SHA256 = 0, ""
		res.Err = sorted(ctx, fault.Internal, item.Source, res.Err)
		p.Done(res.Err)
		return res
	}
	p.Done(nil)
	if item.Entry.Mode.IsDir() {
		e.log.Info("made folder", keyName, item.Entry.Name, keySource, source, keyTarget, target)
		return res
	}
	fields := []any{keyName, item.Entry.Name, keySource, source, keyTarget, target,
		keyBytes, res.Bytes, keySeconds, res.Took.Round(time.Millisecond).Seconds()}
	if res.Bytes > 0 && res.Took > 0 {
		fields = append(fields, keyRate, int64(float64(res.Bytes)/res.Took.Seconds()))
	}
	e.log.Info(e.did, append(fields, keySHA256, res.SHA256)...)
	return res
}

// notBegun is the error of an item that another one's failure kept from being
// begun.
func notBegun(cause error) error { return fmt.Errorf("not begun: %w", cause) }

// none is the result of a transfer that failed before its first file.
func none(items []Item, err error) ([]Result, error) {
	results := make([]Result, len(items))
	for i, item := range items {
		results[i] = Result{Item: item, Err: notBegun(err)}
	}
	return results, err
}

// planned is the sum of the sizes. They are a peer's word: it stops at the
// largest number instead of wrapping.
func planned(items []Item) int64 {
	var sum int64
	for _, item := range items {
		sum = addSize(sum, item.Entry)
	}
	return sum
}

func addSize(sum int64, e Entry) int64 {
	if e.Mode.IsDir() || e.Size <= 0 {
		return sum
	}
	if e.Size > math.MaxInt64-sum {
		return math.MaxInt64
	}
	return sum + e.Size
}

// An againError is a failure after which the file is begun anew.
type againError struct{ err *fault.Error }

func (a *againError) Error() string { return a.err.Error() }
func (a *againError) Unwrap() error { return a.err }

// changed is the failure of a file that did not hold still.
func changed(kind fault.Kind, path string, was, is int64) error {
	how := fmt.Sprintf("from %d to %d bytes", was, is)
	if was == is {
		how = "to other content of the same size"
	}
	return &againError{fault.New(kind, "%q changed while it was read, %s", path, how).
		WithHint("take it when its writer is done; a writer that renames the finished file into place is safe at any time")}
}

// stopsAll reports whether an error concerns more than one file: the network,
// the clock, or a disk that is full or read-only.
func stopsAll(err error) bool {
	switch fault.KindOf(err) {
	case fault.RemoteFile, fault.Verify, fault.Config:
		return false
	case fault.LocalDisk:
		return isFull(err) || isReadOnly(err)
	default:
		return true
	}
}

// sorted gives an error its kind. Once ctx has ended, that is the reason for
// whatever fails.
func sorted(ctx context.Context, kind fault.Kind, path string, err error) error {
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if e := (*fault.Error)(nil); !errors.As(cause, &e) && !errors.Is(cause, ctx.Err()) {
			cause = fmt.Errorf("%w: %w", ctx.Err(), cause)
		}
		return fmt.Errorf("%q: %w", clip(path), cause)
	}
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return err
	}
	return fault.New(kind, "%q: %w", clip(path), err)
}

// A tally sums up the failures of single files.
type tally struct {
	n         int
	first     error
	mixed     bool // not all of one kind
	transient bool // trying again can help with one of them
}

func (t *tally) add(err error) {
	if t.n++; t.n == 1 {
		t.first = err
	}
	t.mixed = t.mixed || fault.KindOf(err) != fault.KindOf(t.first)
	t.transient = t.transient || fault.Transient(err)
}

// all is the error of a transfer of which nothing succeeded, nil if there was
// nothing.
func (t *tally) all(noun string) error {
	switch {
	case t.n <= 1:
		return t.first
	case t.mixed:
		return t.partial(t.n)
	}
	return fmt.Errorf("all %d %ss failed, first: %w", t.n, noun, t.first)
}

// partial is the error of a transfer of which something succeeded.
func (t *tally) partial(total int) error {
	if t.n == 0 {
		return nil
	}
	err := fault.New(fault.Partial, "%d of %d files failed, first: %w", t.n, total, t.first)
	if !t.transient {
		err = err.AsPermanent()
	}
	return err
}

type noProgress struct{}

func (noProgress) Moved(int64) {}
func (noProgress) Done(error)  {}

func orDiscard(log *slog.Logger) *slog.Logger {
	return cmp.Or(log, slog.New(slog.DiscardHandler))
}

// closeWhenDone closes c when ctx ends, which frees whoever waits in it. The
// caller calls release before it returns.
func closeWhenDone(ctx context.Context, c io.Closer) (release func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		c.Close()
	})
	return func() {
		if !stop() {
			<-closed
		}
	}
}

// localPath is a local path for messages and the log.
func localPath(root, target string) string { return filepath.Join(root, filepath.FromSlash(target)) }
