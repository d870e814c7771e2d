package transfer_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// An orderedRemote does what it is asked by one reader in the order of the questions,
// each of which takes a while, as OpenSSH far away.
type orderedRemote struct {
	*memRemote
	opened, stats *atomic.Int64
	readers       *sync.Map // those that have read something
	// ahead makes files that are opened before the server has answered; it never
	// opens them.
	ahead  bool
	aheads *atomic.Int64
}

func newOrdered(r *memRemote, ahead bool) *orderedRemote {
	return &orderedRemote{r, new(atomic.Int64), new(atomic.Int64), new(sync.Map), ahead, new(atomic.Int64)}
}

func (r *orderedRemote) RoundTrip() time.Duration { return 40 * time.Millisecond }

func (r *orderedRemote) Open(ctx context.Context, p string) (transfer.Reader, error) {
	f, err := r.memRemote.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	r.opened.Add(1)
	o := &ordered{handle: f.(*handle), r: r}
	o.moved = sync.NewCond(&o.mu)
	return o, nil
}

type ordered struct {
	*handle
	r *orderedRemote

	mu         sync.Mutex
	moved      *sync.Cond
	next, turn int
}

// inTurn does what is asked when all that was asked before is done.
func (o *ordered) inTurn(sent, do func()) {
	o.mu.Lock()
	mine := o.next
	o.next++
	o.mu.Unlock()
	sent()
	time.Sleep(time.Millisecond)
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.turn != mine {
		o.moved.Wait()
	}
	do()
	o.turn++
	o.moved.Broadcast()
}

func (o *ordered) ReadPieceAt(n int, offset int64, room func(int) []byte, sent func()) (buf []byte, got int, err error) {
	o.r.readers.Store(o, true)
	o.inTurn(sent, func() {
		buf = room(n)
		got, err = o.ReadAt(buf, offset)
	})
	return buf, got, err
}

func (o *ordered) Stat(ctx context.Context) (e transfer.Entry, err error) {
	o.r.stats.Add(1)
	o.inTurn(func() {}, func() { e, err = o.handle.Stat(ctx) })
	return e, err
}

// never is a file that was opened ahead, and that the server does not open: what is
// read by it is nothing, and what is written is lost.
type never struct{ transfer.Reader }

var errNever = errors.New("it is not opened")

func (r *orderedRemote) OpenAhead(ctx context.Context, p string) (transfer.AheadReader, error) {
	if !r.ahead {
		return nil, nil
	}
	r.aheads.Add(1)
	f, err := r.memRemote.Open(ctx, p)
	return never{f}, err
}

func (r *orderedRemote) ReopenAhead(ctx context.Context, p string, _ transfer.Attrs) (transfer.AheadWriter, error) {
	if !r.ahead {
		return nil, nil
	}
	r.aheads.Add(1)
	f, err := r.memRemote.Open(ctx, p)
	return neverWritten{f}, err
}

func (n never) ReadAt(b []byte, _ int64) (int, error) { return len(b), nil }

func (n never) ReadPieceAt(size int, _ int64, room func(int) []byte, sent func()) ([]byte, int, error) {
	sent()
	return room(size), size, nil
}

func (n never) Described(context.Context) (transfer.Entry, error) {
	time.Sleep(5 * time.Millisecond)
	return transfer.Entry{}, errNever
}

type neverWritten struct{ transfer.Reader }

func (n neverWritten) Write(b []byte) (int, error)  { return len(b), nil }
func (n neverWritten) Commit(context.Context) error { return nil }
func (n neverWritten) Confirm(context.Context) error {
	time.Sleep(5 * time.Millisecond)
	return errNever
}

func (n neverWritten) WritePacketAt(_ []byte, _ int64, sent func()) error {
	sent()
	return nil
}

// TestLookBehind: a file that was read over several sessions is looked at behind the
// last read of each, and not once more; and a change in the middle is seen.
func TestLookBehind(t *testing.T) {
	for name, change := range map[string]bool{"as it was": false, "changed in the middle": true} {
		t.Run(name, func(t *testing.T) {
			r := newOrdered(newRemote(map[string]string{"/f": string(make([]byte, 40<<20))}), false)
			checkLeaks(t, r.memRemote)
			r.before = func(n int, nodes map[string]*node) error {
				if change && n == 100 {
					nodes["/f"].mtime = epoch().Add(time.Hour)
				}
				return nil
			}
			root := t.TempDir()
			g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}
			g.More = func(context.Context, bool) (transfer.WritableRemote, error) { return r, nil }
			if _, err := g.Files(t.Context(), place(t, found(t, r, "/f"), byRel)); err != nil {
				t.Fatal(err)
			}
			got, err := os.Stat(filepath.Join(root, "f"))
			if err != nil || got.ModTime().Equal(epoch()) == change { // it is read again
				t.Errorf("%v, %v", got, err)
			}
			sessions := int64(0)
			r.readers.Range(func(any, any) bool { sessions++; return true })
			if stats := r.stats.Load(); !change && (sessions < 2 || stats != r.opened.Load()+sessions) {
				t.Errorf("%d readers of %d opened ones, and %d questions what the file is like", sessions, r.opened.Load(), stats)
			}
		})
	}
}

// A leavingRemote describes a file when it is opened, and then says at once that the
// session has ended. What was asked for before still comes, unless the file is closed.
type leavingRemote struct {
	*orderedRemote
	left *atomic.Int64
}

type leaving struct {
	*ordered
	left    *atomic.Int64
	looked  atomic.Bool
	stopped atomic.Bool
}

func (r leavingRemote) Open(ctx context.Context, p string) (transfer.Reader, error) {
	f, err := r.orderedRemote.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	return &leaving{ordered: f.(*ordered), left: r.left}, nil
}

func (f *leaving) Stat(ctx context.Context) (transfer.Entry, error) {
	if f.looked.Swap(true) {
		f.left.Add(1)
		return transfer.Entry{}, fault.New(fault.SSH, "the session has ended")
	}
	return f.ordered.Stat(ctx)
}

func (f *leaving) ReadPieceAt(n int, offset int64, room func(int) []byte, sent func()) ([]byte, int, error) {
	buf, got, err := f.ordered.ReadPieceAt(n, offset, room, sent)
	if f.stopped.Load() {
		return nil, 0, fault.New(fault.RemoteFile, "read: %w", fs.ErrClosed)
	}
	return buf, got, err
}

func (f *leaving) Close() error {
	f.stopped.Store(true)
	return f.ordered.Close()
}

// TestLookFails: where a session cannot say whether a file is as it was, that is no failure
// of the file, and what is under way on the session still counts.
func TestLookFails(t *testing.T) {
	r := newOrdered(newRemote(map[string]string{"/f": string(make([]byte, 40<<20))}), false)
	checkLeaks(t, r.memRemote)
	left := new(atomic.Int64)
	g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1}
	g.More = func(context.Context, bool) (transfer.WritableRemote, error) { return leavingRemote{r, left}, nil }
	if _, err := g.Files(t.Context(), place(t, found(t, r, "/f"), byRel)); err != nil {
		t.Error(err)
	}
	if left.Load() == 0 {
		t.Error("no session was asked, or all before they had ended")
	}
}

// TestNeverOpened: what is moved by files that the server does not open after all is
// moved again over the session that has it open.
func TestNeverOpened(t *testing.T) {
	content := make([]byte, 24<<20)
	for i := range content {
		content[i] = byte(i >> 10 * 7)
	}
	root := t.TempDir()
	for _, put := range []bool{false, true} {
		r := newOrdered(newRemote(map[string]string{"/d/": ""}), true)
		checkLeaks(t, r.memRemote)
		more := func(context.Context, bool) (transfer.WritableRemote, error) { return r, nil }
		var got []byte
		var err error
		if put {
			write(t, filepath.Join(root, "f"), string(content))
			items, findErr := transfer.Collect(transfer.Find{}.Local(t.Context(), filepath.Join(root, "f")))
			if findErr != nil {
				t.Fatal(findErr)
			}
			p := transfer.Put{Remote: r, Run: run, AtOnce: 1, More: more}
			_, err = p.Files(t.Context(), place(t, items, into("/d/")))
			if n := r.nodes["/d/f"]; n != nil {
				got = n.data
			}
		} else {
			r.put("/d/g", file(string(content)))
			g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, More: more}
			_, err = g.Files(t.Context(), place(t, found(t, r, "/d/g"), byRel))
			got, _ = os.ReadFile(filepath.Join(root, "g"))
		}
		if err != nil || string(got) != string(content) {
			t.Errorf("put %t: %d bytes, %v", put, len(got), err)
		}
		if r.aheads.Load() == 0 {
			t.Errorf("put %t: nothing was opened ahead: the test shows nothing", put)
		}
	}
}
