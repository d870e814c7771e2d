package remote_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// readHalf reads the first part of a file, so that the rest is under way.
func readHalf(t *testing.T, r io.Reader) {
	t.Helper()
	if _, err := io.ReadFull(r, make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
}

// until waits for a call to end, for no longer than limit.
func until(t *testing.T, limit time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- f() }()
	select {
	case err := <-done:
		t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
		return err
	case <-time.After(limit):
		t.Fatalf("still there after %v", limit)
		return nil
	}
}

// drain reads to the end.
func drain(r io.Reader) func() error {
	return func() error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
}

// TestStalls: a server of which a part still moves.
func TestStalls(t *testing.T) {
	for name, tt := range map[string]struct {
		faults remotetest.Faults
		want   string
	}{
		// Its SSH server still answers keepalives.
		"the session": {remotetest.Faults{StallSession: 500000}, "answers, but its file session has made no progress for 600ms"},
		"the line":    {remotetest.Faults{StallConn: 500000}, "no byte from hk1"},
	} {
		for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
			t.Run(name+" "+protocol.String(), func(t *testing.T) {
				noLeftovers(t, func() {
					root := t.TempDir()
					if err := os.WriteFile(filepath.Join(root, "big"), pattern(4<<20), 0o600); err != nil {
						t.Fatal(err)
					}
					s, h := startServer(t, remotetest.Options{Root: root, Faults: tt.faults})
					h.Protocol, h.StallTimeout, h.Keepalive = protocol, 600*time.Millisecond, 50*time.Millisecond
					files, c := openFiles(t, h)
					r, err := files.Open(t.Context(), "/big")
					if err != nil {
						t.Fatal(err)
					}
					err = until(t, 1200*time.Millisecond, drain(r))
					check(t, err, fault.Stall, tt.want)
					c.Close()
					s.Close()
				})
			})
		}
	}
}

// A line is a connection that a test can make slow, or cut without a word.
type line struct {
	net.Conn
	slow, cut atomic.Bool
	closed    chan struct{}
	once      sync.Once
}

func (l *line) Read(p []byte) (int, error) {
	if l.slow.Load() {
		time.Sleep(50 * time.Millisecond)
		p = p[:min(len(p), 100)]
	}
	n, err := l.Conn.Read(p)
	if l.cut.Load() {
		<-l.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// overLine connects by way of a line.
func overLine(t *testing.T, h remote.Host) (*remote.Conn, *line) {
	t.Helper()
	l := &line{closed: make(chan struct{})}
	c, err := remote.Dial(t.Context(), dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		var err error
		l.Conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return l, err
	}), h, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, l
}

// TestStalledWrite: a line that dies under an upload.
func TestStalledWrite(t *testing.T) {
	t.Parallel()
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			_, h := startServer(t, remotetest.Options{})
			h.Protocol, h.StallTimeout, h.Keepalive = protocol, 800*time.Millisecond, 100*time.Millisecond
			c, l := overLine(t, h)
			files, err := c.Files(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w, err := files.Create(t.Context(), "/up", transfer.Attrs{Size: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(pattern(1 << 20)); err != nil {
				t.Fatal(err)
			}
			rest := pattern(63 << 20)
			l.cut.Store(true)
			check(t, until(t, 5*time.Second, func() error {
				_, err := w.Write(rest)
				return err
			}), fault.Stall, `write "/up" on hk1: no byte from`)
			check(t, w.Commit(t.Context()), fault.Stall)
			until(t, time.Second, w.Close)
		})
	}
}

// TestIdleDies: a server that goes away while nothing is asked of it is
// noticed by keepalives.
func TestIdleDies(t *testing.T) {
	t.Parallel()
	_, h := startServer(t, remotetest.Options{})
	h.StallTimeout, h.Keepalive = 400*time.Millisecond, 50*time.Millisecond
	c, l := overLine(t, h)
	files, err := c.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(800 * time.Millisecond)
	if _, err := files.Stat(t.Context(), "/"); err != nil {
		t.Fatal("a good server that nothing was asked of: ", err)
	}
	l.cut.Store(true)
	time.Sleep(800 * time.Millisecond)
	err = until(t, 100*time.Millisecond, func() error { _, err := files.Stat(t.Context(), "/"); return err })
	check(t, err, fault.Stall, "no byte from hk1")
}

// TestSlowIsNoStall: 2 KB a second is slow, and no stall, although a packet of
// 32 KiB takes 16 seconds then.
func TestSlowIsNoStall(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "f"), pattern(4000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, h := startServer(t, remotetest.Options{Root: root})
	h.StallTimeout, h.Keepalive = 700*time.Millisecond, 100*time.Millisecond
	c, l := overLine(t, h)
	files, err := c.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.slow.Store(true)
	began := time.Now()
	data, err := getFile(t.Context(), files, "/f")
	if err != nil || len(data) != 4000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("took only %v: nothing was slow", took)
	}
}

// TestCancel: a context that ends, or a reader that is closed, ends a call at
// once, also if the server says nothing; and nothing is left after Close.
func TestCancel(t *testing.T) {
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			noLeftovers(t, func() {
				root := t.TempDir()
				if err := os.WriteFile(filepath.Join(root, "big"), pattern(4<<20), 0o600); err != nil {
					t.Fatal(err)
				}
				s, h := startServer(t, remotetest.Options{Root: root, Faults: remotetest.Faults{StallConn: 500000}})
				h.Protocol = protocol
				files, c := openFiles(t, h)
				r, err := files.Open(t.Context(), "/big")
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(200*time.Millisecond, func() { r.Close() })
				if err := until(t, time.Second, drain(r)); !errors.Is(err, fs.ErrClosed) {
					t.Errorf("closed reader: %v", err)
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("enough")) })
				var wg sync.WaitGroup
				for _, f := range []func() error{
					func() error { _, err := files.Stat(ctx, "/big"); return err },
					func() error { _, err := files.List(ctx, "/"); return err },
					func() error { _, err := files.Open(ctx, "/big"); return err },
					func() error { _, err := files.Create(ctx, "/new", transferAttrs()); return err },
					func() error { return files.Replace(ctx, "/a", "/b") },
					func() error { return files.Remove(ctx, "/a") },
					func() error { return files.Mkdir(ctx, "/a") },
					func() error { _, err := c.Files(ctx); return err },
				} {
					wg.Go(func() { check(t, until(t, time.Second, f), fault.Interrupted, "enough", "hk1") })
				}
				wg.Wait()
				until(t, time.Second, c.Close)
				s.Close()
			})
		})
	}
}

// TestLostConnection: what follows from the end of the connection says so.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "big"), pattern(16<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			s, h := startServer(t, remotetest.Options{Root: root})
			h.Protocol = protocol
			files, c := openFiles(t, h)
			r, err := files.Open(t.Context(), "/big")
			if err != nil {
				t.Fatal(err)
			}
			readHalf(t, r)
			s.Close()
			err = until(t, time.Second, drain(r))
			check(t, err, fault.TCP, `read "/big" on hk1: `, "connection")
			if errors.Is(err, io.EOF) {
				t.Error("it could be taken for the end of the file")
			}
			_, err = files.Stat(t.Context(), "/big")
			check(t, err, fault.TCP)
			c.Close()
			if _, err := files.Stat(t.Context(), "/big"); err == nil {
				t.Error("a call after Close")
			}
		})
	}
}

// TestCutSession: the server ends the session alone, the connection lives.
func TestCutSession(t *testing.T) {
	t.Parallel()
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "big"), pattern(1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			_, h := startServer(t, remotetest.Options{Root: root, Faults: remotetest.Faults{CutSession: 500000}})
			h.Protocol = protocol
			files, c := openFiles(t, h)
			data, err := getFile(t.Context(), files, "/big")
			if len(data) > 0 {
				t.Errorf("%d bytes", len(data))
			}
			check(t, err, fault.SSH, `read "/big" on hk1: the server ended the session`)
			if errors.Is(err, io.EOF) {
				t.Error("it could be taken for the end of the file")
			}
			again, err := c.Files(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := again.Stat(t.Context(), "/big"); err != nil {
				t.Error(err)
			}
		})
	}
}
