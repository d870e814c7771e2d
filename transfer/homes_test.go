package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// A session is one of several with a server that moves small files in one go.
type session struct {
	*memRemote
	trip   time.Duration
	before func(n int) error // before each file, from 1
	files  atomic.Int64
}

func (s *session) Separate() bool { return true }

func (s *session) RoundTrip() time.Duration { return s.trip }

func (s *session) begin() error {
	if n := s.files.Add(1); s.before != nil {
		return s.before(int(n))
	}
	return nil
}

func (s *session) ReadWhole(ctx context.Context, p string, b []byte) (int, transfer.Entry, error) {
	if err := s.begin(); err != nil {
		return 0, transfer.Entry{}, err
	}
	f, err := s.Open(ctx, p)
	if err != nil {
		return 0, transfer.Entry{}, err
	}
	defer f.Close()
	n, err := io.ReadFull(f, b)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return n, transfer.Entry{}, err
	}
	e, err := f.Stat(ctx)
	return n, e, err
}

func (s *session) WriteWhole(ctx context.Context, p string, packets [][]byte, attrs transfer.Attrs) (transfer.Entry, error) {
	w, err := s.Create(ctx, p, attrs)
	if err != nil {
		return transfer.Entry{}, err
	}
	defer w.Close()
	for _, packet := range packets {
		if _, err := w.Write(packet[transfer.Headroom:]); err != nil {
			return transfer.Entry{}, err
		}
	}
	if err := s.begin(); err != nil { // and what was written stays
		return transfer.Entry{}, err
	}
	if err := w.Commit(ctx); err != nil {
		return transfer.Entry{}, err
	}
	return s.Stat(ctx, p)
}

// several are sessions with one server. Nothing is moved on the first one before the
// others are there and have moved something.
func several(r *memRemote, n int, trip time.Duration) []*session {
	all := make([]*session, n)
	begun := make(chan struct{})
	var others atomic.Int64
	for i := range all {
		all[i] = &session{memRemote: r, trip: trip}
		all[i].before = func(n int) error {
			switch {
			case i == 0:
				select {
				case <-begun:
				case <-time.After(20 * time.Second):
					return fault.New(fault.Stall, "the others do nothing")
				}
			case n == 1 && others.Add(1) == int64(len(all)-1):
				close(begun)
			}
			return nil
		}
	}
	return all
}

// more hands out all but the first.
func more(all []*session) func(context.Context, bool) (transfer.WritableRemote, error) {
	var given atomic.Int64
	return func(context.Context, bool) (transfer.WritableRemote, error) {
		if n := int(given.Add(1)); n < len(all) {
			return all[n], nil
		}
		return nil, errors.New("no more sessions")
	}
}

// TestHomes: many files that are not large are moved over several sessions, and those of
// a session that breaks in the middle over the others.
func TestHomes(t *testing.T) {
	const many = 1500
	for _, breaks := range []bool{false, true} {
		for _, put := range []bool{false, true} {
			t.Run(fmt.Sprintf("put %t, breaks %t", put, breaks), func(t *testing.T) {
				r, files := newRemote(nil), map[string]string{}
				sessions, size, trip := 3, 40, time.Duration(0)
				if !put { // for so few bytes nobody needs several
					sessions, size, trip = 4, 12<<10, 20*time.Millisecond
				}
				for i := range many {
					files[fmt.Sprintf("d%d/f%d", i%10, i)] = strings.Repeat("0123456789", size/10) + fmt.Sprint(i)
				}
				all := several(r, sessions, trip)
				if breaks {
					first := all[1].before
					all[1].before = func(n int) error {
						if n > 50 {
							return fault.New(fault.SSH, "the server ended the session")
						}
						return first(n)
					}
				}
				root := t.TempDir()
				if put {
					stores(t, all, root, files)
				} else {
					fetches(t, all, root, files)
				}
				sum := int64(0)
				for i, s := range all {
					n := s.files.Load()
					if sum += n; n < 50 {
						t.Errorf("session %d has moved %d files", i, n)
					}
				}
				if again := sum - many; again < 0 || again > 0 != breaks {
					t.Errorf("%d files were begun, of %d", sum, many)
				}
				checkLeaks(t, r)
			})
		}
	}
}

func stores(t *testing.T, all []*session, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		at := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	items, err := transfer.Collect(transfer.Find{Recursive: true}.Local(t.Context(), filepath.ToSlash(root)))
	if err != nil {
		t.Fatal(err)
	}
	items = place(t, items, func(i transfer.Item) (string, error) { return path.Join("/to", i.Rel), nil })
	p := transfer.Put{Remote: all[0], More: more(all), Run: run, AtOnce: 512}
	if _, err := p.Files(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	r, there := all[0].memRemote, 0
	for at, n := range r.nodes {
		if n.mode.IsDir() {
			continue
		}
		name := strings.TrimPrefix(at, "/to/"+filepath.Base(root)+"/")
		if there++; files[name] != string(n.data) {
			t.Errorf("%s: %d bytes", at, len(n.data))
		}
	}
	if there != len(files) {
		t.Errorf("%d files, want %d", there, len(files))
	}
}

func fetches(t *testing.T, all []*session, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		all[0].put("/from/"+name, file(text))
	}
	g := transfer.Get{Remote: all[0], More: more(all), Root: root, Run: run, AtOnce: 512}
	if _, err := g.Files(t.Context(), place(t, found(t, all[0], "/from"), byRel)); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if got, err := os.ReadFile(filepath.Join(root, "from", filepath.FromSlash(name))); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// TestHomesFull: files that wait for room on the sessions do not wait when the transfer
// is ended.
func TestHomesFull(t *testing.T) {
	r := newRemote(nil)
	for i := range 1500 {
		r.put(fmt.Sprintf("/from/f%d", i), file("content"))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	one := &session{memRemote: r}
	one.before = func(n int) error {
		if n == 500 { // as many as one has
			cancel(errors.New("that will do"))
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	g := transfer.Get{Remote: one, Root: t.TempDir(), Run: run, AtOnce: 1000}
	ended := make(chan error, 1)
	items := place(t, found(t, r, "/from"), byRel)
	go func() {
		_, err := g.Files(ctx, items)
		ended <- err
	}()
	select {
	case err := <-ended:
		if !strings.Contains(fmt.Sprint(err), "that will do") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	if n := one.files.Load(); n > 512 {
		t.Errorf("%d files at a time on one session", n)
	}
}
