package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
)

// trailSize is how much is read at a time.
const trailSize = 256 << 10

// A trail sums up a local file behind a transfer that fills or reads it in any
// order: it follows the part that is complete from the beginning, and so finds
// in memory, as a rule, what it reads again. A nil trail sums up nothing.
type trail struct {
	file io.ReaderAt
	hash hash.Hash

	mu      sync.Mutex
	changed *sync.Cond
	reach   int64 // up to here the file is complete
	stopped bool  // reach does not grow any more
	given   bool  // nobody wants the sum any more

	err  error
	done sync.WaitGroup
}

// newTrail begins to follow a file. The caller calls stop in the end.
func newTrail(file io.ReaderAt) *trail {
	t := &trail{file: file, hash: sha256.New()}
	t.changed = sync.NewCond(&t.mu)
	t.done.Go(t.follow)
	return t
}

func (t *trail) follow() {
	buf := make([]byte, trailSize)
	for at := int64(0); ; {
		t.mu.Lock()
		// A little waits for more; the end does not.
		for t.reach-at < trailSize && !t.stopped {
			t.changed.Wait()
		}
		to, stopped := t.reach, t.stopped
		t.mu.Unlock()
		for at < to && t.err == nil && !t.unwanted() {
			piece := buf[:min(trailSize, to-at)]
			if _, err := t.file.ReadAt(piece, at); err != nil && !errors.Is(err, io.EOF) {
				t.err = err
			}
			t.hash.Write(piece)
			at += int64(len(piece))
		}
		if stopped || t.err != nil || t.unwanted() {
			return
		}
	}
}

// advance says how far the file is complete.
func (t *trail) advance(to int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if to >= t.reach+trailSize {
		t.reach = to
		t.changed.Signal()
	}
}

// sum returns the SHA-256 of the first size bytes, hexadecimal. It is empty for
// a nil trail.
func (t *trail) sum(ctx context.Context, size int64) (string, error) {
	if t == nil {
		return "", nil
	}
	stop := context.AfterFunc(ctx, t.giveUp)
	defer stop()
	t.mu.Lock()
	t.reach, t.stopped = max(t.reach, size), true
	t.changed.Signal()
	t.mu.Unlock()
	t.done.Wait()
	if t.err != nil {
		return "", t.err
	}
	return hex.EncodeToString(t.hash.Sum(nil)), ctx.Err()
}

// giveUp ends the following and waits for nothing.
func (t *trail) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped, t.given = true, true
	t.changed.Signal()
}

func (t *trail) unwanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.given
}

// stop ends the following without a sum. It may be called after sum.
func (t *trail) stop() {
	if t != nil {
		t.giveUp()
		t.done.Wait()
	}
}
