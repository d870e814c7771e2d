package transfer_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/transfer"
)

// A slowRemote is a session whose answers take their time.
type slowRemote struct {
	*memRemote
	take  func(n int) // for an answer of n bytes
	close func()
}

func (r slowRemote) Open(ctx context.Context, path string) (transfer.Reader, error) {
	f, err := r.memRemote.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return slowReader{f, f.(io.ReaderAt), r.take}, nil
}

func (r slowRemote) Close() error { r.close(); return nil }

type slowReader struct {
	transfer.Reader
	io.ReaderAt
	take func(n int)
}

func (f slowReader) ReadAt(b []byte, off int64) (int, error) {
	f.take(len(b))
	return f.ReaderAt.ReadAt(b, off)
}

// atRate waits for its turn on a line, and for as long as n bytes take there at so many a
// second.
func atRate(line chan struct{}, rate, n int) {
	line <- struct{}{}
	time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	<-line
}

// TestGrow: a large file gets more sessions for as long as each makes it faster, and one
// that does not is given back while the file is still under way. It runs by a clock of
// its own.
func TestGrow(t *testing.T) {
	const size, rate = 256 << 20, 32 << 20 // bytes, and bytes a second
	for name, shared := range map[string]bool{"sessions help": false, "they share one line": true} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := newRemote(nil)
				r.put("/f", &node{data: make([]byte, size), mode: 0o640, mtime: epoch()})
				var opened, closed, moved, movedAtClose atomic.Int64
				line := make(chan struct{}, 1)
				session := func() slowRemote {
					own := line
					if !shared {
						own = make(chan struct{}, 1)
					}
					return slowRemote{
						memRemote: r,
						take: func(n int) {
							atRate(own, rate, n)
							moved.Add(int64(n))
						},
						close: func() {
							closed.Add(1)
							movedAtClose.CompareAndSwap(0, moved.Load())
						},
					}
				}
				g := transfer.Get{Remote: session(), Root: root, Run: run, Now: time.Now, NoSum: true}
				g.More = func(context.Context, bool) (transfer.WritableRemote, error) {
					opened.Add(1)
					return session(), nil
				}
				began := time.Now()
				if _, err := g.Files(t.Context(), place(t, found(t, r, "/f"), byRel)); err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				if opened.Load() != closed.Load() {
					t.Errorf("%d sessions were opened, and %d closed", opened.Load(), closed.Load())
				}
				switch {
				case shared && (opened.Load() != 1 || movedAtClose.Load() > size/2):
					t.Errorf("%d sessions more, the first given back after %d bytes", opened.Load(), movedAtClose.Load())
				case !shared && (opened.Load() < 3 || movedAtClose.Load() < size || took > 5*time.Second):
					t.Errorf("%d sessions more, the first given back after %d bytes; %s in all", opened.Load(), movedAtClose.Load(), took)
				}
			})
		})
	}
}

// TestTurns: a file does not wait for a large one that was begun before it, on the same
// session.
func TestTurns(t *testing.T) {
	const large, other, rate = 48 << 20, 8 << 20, 32 << 20
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(nil)
		for name, size := range map[string]int{"/a": large, "/b": other} {
			r.put(name, &node{data: make([]byte, size), mode: 0o640, mtime: epoch()})
		}
		line := make(chan struct{}, 1)
		session := slowRemote{memRemote: r, take: func(n int) { atRate(line, rate, n) }}
		began := time.Now()
		var took time.Duration // of the smaller one
		g := transfer.Get{Remote: session, Root: root, Run: run, AtOnce: 2, Now: time.Now, NoSum: true, Moved: func(res transfer.Result) {
			if res.Item.Entry.Name == "b" {
				took = time.Since(began)
			}
		}}
		if _, err := g.Files(t.Context(), place(t, found(t, r, "/a", "/b"), byRel)); err != nil {
			t.Fatal(err)
		}
		// Half of the line is its own.
		if fair := 2 * other * time.Second / rate; took > fair*3/2 {
			t.Errorf("it took %s, and its share of the line allows %s", took, fair)
		}
	})
}
