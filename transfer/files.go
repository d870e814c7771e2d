package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"time"

	"linehaul/fault"
)

// Field names of log records, as docs/LOGGING.md has them.
const (
	keyName     = "name"
	keySource   = "source"
	keyTarget   = "target"
	keyBytes    = "bytes"
	keySeconds  = "seconds"
	keyRate     = "rate"
	keySHA256   = "sha256"
	keyResumed  = "resumed"
	keyKept     = "kept"
	keyVerified = "verified"
	keyError    = "error"
)

// SharedSize is the size in bytes from which on a file is large: it is moved over
// several sessions.
const SharedSize = 16 << 20

const (
	// tries is how often a file is begun that changes while it is read.
	tries = 3
	// largeAtOnce is how many of those are under way at a time: while one is
	// given its name, the next begins.
	largeAtOnce = 2
	// smallAtOnce and orderedAtOnce are how many files are under way at a time
	// where a small file takes few round trips, and elsewhere.
	smallAtOnce, orderedAtOnce = 64, 4
	// putAtOnce is how many that are put, as the server does more for each: what
	// waits there keeps it at work. farAtOnce is how many, where a round trip
	// takes farAway or more. Of both it is fewer where files are larger than
	// farSize, in bytes, as each is held in memory.
	putAtOnce = 2 * smallAtOnce
	farAtOnce = 512
	farAway   = 20 * time.Millisecond
	farSize   = 64 << 10
	// wholeKept is up to which size the memory for a file that is moved in one go
	// is used again, in bytes.
	wholeKept = 32 << 10
)

// Result is what became of one item.
type Result struct {
	Item     Item
	Bytes    int64 // of the file; 0 on failure
	Resumed  int64 // of these, what an earlier attempt had moved
	Kept     int64 // on failure: what of it the next attempt need not move again
	Took     time.Duration
	Verified string // how it was held against its source: "size", or by whom the SHA-256 was said
	SHA256   string // hexadecimal, of what was moved; empty for a folder and on failure
	Err      error  // nil: the target is whole and durable
	Number   int    // of the item in a Stream, from 0
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

// A ResumedProgress is a FileProgress that tells what was moved before from what
// is moved now.
type ResumedProgress interface {
	// Resumed says how many bytes of the file were there already.
	Resumed(n int64)
}

// A VerifyFunc says whether a copy is what its source is, before the copy gets
// its final name: path is the remote file that must have this size in bytes
// and this SHA-256 (hexadecimal), the source of a get, the temporary file of a
// put. It returns how it found out, for the record. Its error is of kind
// fault.Verify if the copy is not what its source is. Calls may run
// concurrently.
type VerifyFunc func(ctx context.Context, path string, size int64, sha256 string) (how string, err error)

// An engine is what getting and putting have in common.
type engine struct {
	did      string // "fetched", "stored"
	run      string
	host     string
	log      *slog.Logger
	progress Progress // may be nil
	now      func() time.Time
	verify   VerifyFunc // may be nil
	noSum    bool
	bad      bool                                   // copies that are not what their sources are stay
	limit    func(ctx context.Context, n int) error // may be nil
	pace     func() int64                           // may be nil
	moved    func(Result)                           // may be nil
	atOnce   int
	asked    bool          // it is what was asked for
	total    int           // of the files, if it is known
	large    chan struct{} // has room for the large files that may be under way
	lanes    *lanes
	buffers  buffers // of the pieces that the lanes move
	wholes   buffers // of files that are moved in one go
	// paths are what the log calls an item's source and target.
	paths func(Item) (source, target string)
}

// moved is what was moved of one item.
type moved struct {
	size    int64
	resumed int64 // what was there before
	kept    int64 // after a failure, what is there to go on with

	verified string // how it was held against its source
	sum      string
}

// mover moves one item once.
type mover func(ctx context.Context, item Item, p FileProgress) (moved, error)

// atOnce is how many files are under way at a time, of those that a server
// nearby is given near: n, unless it is 0.
func atOnce(n int, r Remote, near int) int {
	_, whole := r.(WholeRemote)
	far, ok := r.(RoundTripper)
	switch {
	case n > 0:
		return n
	case whole && ok && far.RoundTrip() >= farAway:
		return farAtOnce
	case whole:
		return near
	}
	return orderedAtOnce
}

// errStopped is why files that are under way are given up when another one's
// failure concerns all.
type errStopped struct{ err error }

func (e *errStopped) Error() string { return e.err.Error() }
func (e *errStopped) Unwrap() error { return e.err }

// files moves items, several at a time. emit is told what became of each, one
// at a time, by its number.
func (e *engine) files(ctx context.Context, items iter.Seq2[Item, error], move mover, emit func(int, Result)) error {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	var mu sync.Mutex
	var failed tally
	var ended error // what ended all of it
	count, done := 0, 0
	finish := func(i int, res Result) {
		mu.Lock()
		defer mu.Unlock()
		var after *errStopped
		switch err := res.Err; {
		case err == nil:
			done++
			if e.moved != nil {
				e.moved(res)
			}
		case ended != nil || errors.As(err, &after):
			// It is an effect of what ended all.
		case stopsAll(err) || outer.Err() != nil:
			ended = err
			cancel(&errStopped{err})
		default:
			failed.add(err)
			source, target := e.paths(res.Item)
			e.log.Warn("failed", keyName, res.Item.Entry.Name, keySource, source, keyTarget, target, keyError, err)
		}
		emit(i, res)
	}
	slots := make(chan struct{}, e.atOnce)
	take := func(n int) {
		for range n {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
	// A goroutine takes on one file after the other, as long as there are any:
	// its stack has grown by then.
	idle := make(chan func())
	begin := func(f func()) {
		select {
		case idle <- f:
		default:
			work.Go(func() {
				for ; f != nil; f = <-idle {
					f()
				}
			})
		}
	}
	var planErr error
	for item, err := range items {
		if err != nil {
			planErr = err
			break
		}
		n := e.weight(item)
		if take(n); ctx.Err() != nil {
			break
		}
		i := count
		count++
		begin(func() {
			finish(i, e.file(ctx, item, move))
			for range n {
				<-slots
			}
		})
	}
	close(idle)
	if planErr != nil && stopsAll(planErr) {
		cancel(&errStopped{planErr})
	}
	work.Wait()
	switch {
	case ended == nil && outer.Err() != nil:
		ended = sorted(outer, fault.Interrupted, "", context.Cause(outer))
	case ended == nil && planErr != nil:
		return planErr
	}
	switch {
	case ended != nil && done > 0:
		return fmt.Errorf("after %d of %d files: %w", done, max(count, e.total), ended)
	case ended != nil:
		return ended
	case failed.n == count:
		return failed.all("file")
	}
	return failed.partial(count)
}

// weight is how many places an item takes of those that are under way.
func (e *engine) weight(item Item) int {
	if e.asked || e.atOnce <= smallAtOnce || item.Entry.Size < farSize {
		return 1
	}
	return int(min(item.Entry.Size, maxRequest)/farSize) + 1
}

// collect gives each of the items its result, in their order, whatever became
// of the transfer.
func collect(items []Item, p Progress, stream func(emit func(int, Result)) error) ([]Result, error) {
	if p != nil {
		p.Begin(len(items), planned(items))
	}
	results := make([]Result, len(items))
	have := make([]bool, len(items))
	err := stream(func(i int, r Result) { results[i], have[i] = r, true })
	for i, item := range items {
		if !have[i] {
			results[i] = Result{Item: item, Err: notBegun(err)}
		}
	}
	return results, err
}

// none is the result of a transfer that failed before its first file.
func none(items []Item, err error) ([]Result, error) {
	return collect(items, nil, func(func(int, Result)) error { return err })
}

func sliceItems(items []Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// chain goes on after some items, which it lets go of, with those that follow them.
func chain(first []Item, rest iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for i := range first {
			if !yield(first[i], nil) {
				return
			}
			first[i] = Item{}
		}
		rest(yield)
	}
}

// known are the items that are known before the first is moved.
type known struct {
	items []Item
	all   bool // there are no others
}

// total is how many there are, if that is known.
func (k known) total() int {
	if k.all {
		return len(k.items)
	}
	return 0
}

// enter waits until one more large file may be under way. The caller leaves.
func (e *engine) enter(ctx context.Context) error {
	select {
	case e.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *engine) leave() { <-e.large }

// wait waits until n bytes more may be moved.
func (e *engine) wait(ctx context.Context, n int) error {
	if e.limit == nil || n == 0 {
		return nil
	}
	return e.limit(ctx, n)
}

// piece is how much of a file that goes in order is moved at a time: less under
// a limit, so that it goes evenly.
func (e *engine) piece() int {
	if e.pace != nil && e.pace() > 0 {
		return minRequest
	}
	return orderedSize
}

// sumOf is the SHA-256 of a small file, if sums are wanted: of what is behind
// so many bytes in each piece.
func (e *engine) sumOf(headroom int, pieces ...[]byte) string {
	if e.noSum {
		return ""
	}
	sum := sha256.New()
	for _, piece := range pieces {
		sum.Write(piece[headroom:])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// verified asks whether the copy is what its source is, and notes how that was
// found out.
func (e *engine) verified(ctx context.Context, path string, m *moved) error {
	m.verified = "size"
	if e.verify == nil {
		return nil
	}
	how, err := e.verify(ctx, path, m.size, m.sum)
	if err != nil {
		return sorted(ctx, fault.Verify, path, err)
	}
	m.verified = cmp.Or(how, m.verified)
	return nil
}

// noteBad looks after a copy that is not what its source is. keep leaves it where
// it can be looked at, and returns what that place is called.
func (e *engine) noteBad(item Item, err error, keep func() (string, error)) {
	if !e.bad || !fault.Is(err, fault.Verify) {
		return
	}
	source, target := e.paths(item)
	kept, keepErr := keep()
	if keepErr != nil {
		e.log.Warn("the bad copy could not be kept", keySource, source, keyTarget, target, keyError, keepErr)
		return
	}
	e.log.Warn("kept the bad copy", keyName, item.Entry.Name, keySource, source, keyTarget, target, keyKept, kept)
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
		var m moved
		m, res.Err = move(ctx, item, p)
		res.Bytes, res.Resumed, res.Kept, res.SHA256, res.Verified = m.size, m.resumed, m.kept, m.sum, m.verified
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
		res.Bytes, res.Resumed, res.SHA256, res.Verified = 0, 0, "", ""
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
		fields = append(fields, keyRate, int64(float64(res.Bytes-res.Resumed)/res.Took.Seconds()))
	}
	if res.Resumed > 0 {
		fields = append(fields, keyResumed, res.Resumed)
	}
	if res.SHA256 != "" {
		fields = append(fields, keySHA256, res.SHA256)
	}
	if res.Verified != "size" && res.Verified != "" {
		fields = append(fields, keyVerified, res.Verified)
	}
	e.log.Info(e.did, fields...)
	return res
}

// notBegun is the error of an item that another one's failure kept from being
// begun.
func notBegun(cause error) error { return fmt.Errorf("not begun: %w", cause) }

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
