package sftp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/transfer/sftp"
)

// server starts OpenSSH's sftp-server on a pair of pipes.
func server(t testing.TB, o sftp.Options) *sftp.Client {
	t.Helper()
	path := ""
	for _, p := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"} {
		if _, err := os.Stat(p); err == nil {
			path = p
		}
	}
	if path == "" {
		lab.Need(t, "sftp-server")
	}
	cmd := exec.CommandContext(t.Context(), path, "-e")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(out, in, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != io.EOF {
			t.Errorf("the session ended with %v", err)
		}
		cmd.Wait() //nolint:errcheck // it is gone
	})
	return c
}

// TestBegin sends requests before the server has greeted, and to one that never
// does.
func TestBegin(t *testing.T) {
	in, out := io.Pipe()
	toServer, fromClient := io.Pipe()
	go func() { // it greets when it has seen the first request
		io.ReadFull(toServer, make([]byte, 9+13+len("/x")))                                 //nolint:errcheck // the pipe ends with the test
		out.Write([]byte{0, 0, 0, 5, 2, 0, 0, 0, 3})                                        //nolint:errcheck // likewise
		out.Write([]byte{0, 0, 0, 17, 105, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}) //nolint:errcheck // likewise
	}()
	c, err := sftp.Begin(in, fromClient, sftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Stat(t.Context(), "/x"); err != nil || info.Size != 9 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, ok := c.Extension(sftp.ExtLimits); ok {
		t.Error("an extension that nobody named")
	}
	out.Close()
	if err := c.Wait(); err != io.EOF {
		t.Errorf("it ended with %v", err)
	}

	in, out = io.Pipe()
	c, err = sftp.Begin(in, discard{}, sftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out.CloseWithError(io.ErrUnexpectedEOF)
	if _, err := c.Stat(t.Context(), "/x"); !errors.Is(err, sftp.ErrEnded) {
		t.Errorf("a session that never began: %v", err)
	}
	<-c.Greeted()
	if _, ok := c.Extension(sftp.ExtLimits); ok {
		t.Error("an extension of nobody")
	}
}

// TestReadTo asks for content and makes room for it when it comes, not before.
func TestReadTo(t *testing.T) {
	in, out := io.Pipe()
	toServer, fromClient := io.Pipe()
	asked, answer := make(chan struct{}), make(chan struct{})
	go func() {
		io.ReadFull(toServer, make([]byte, 9))                           //nolint:errcheck // the pipe ends with the test
		out.Write([]byte{0, 0, 0, 5, 2, 0, 0, 0, 3})                     //nolint:errcheck // likewise
		io.ReadFull(toServer, make([]byte, 21+2))                        //nolint:errcheck // likewise: an open of "/x"
		out.Write([]byte{0, 0, 0, 10, 102, 0, 0, 0, 0, 0, 0, 0, 1, 'h'}) //nolint:errcheck // likewise
		io.ReadFull(toServer, make([]byte, 4+1+4+5+8+4))                 //nolint:errcheck // likewise: the read
		close(asked)
		<-answer
		out.Write([]byte{0, 0, 0, 12, 103, 0, 0, 0, 1, 0, 0, 0, 3, 'a', 'b', 'c'}) //nolint:errcheck // likewise
		out.Close()
	}()
	c, err := sftp.Begin(in, fromClient, sftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Open(t.Context(), "/x", sftp.OpenRead, sftp.Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	var room atomic.Pointer[[]byte]
	got := make(chan error, 1)
	go func() {
		n, err := f.ReadTo(t.Context(), 5, func() []byte { b := make([]byte, 5); room.Store(&b); return b }, 7, func() {})
		if err == nil && n != 3 {
			err = fmt.Errorf("%d bytes", n)
		}
		got <- err
	}()
	<-asked
	if room.Load() != nil {
		t.Error("room was made before anything came")
	}
	close(answer)
	if err := <-got; err != nil || string((*room.Load())[:3]) != "abc" {
		t.Errorf("%v", err)
	}
	c.Wait() //nolint:errcheck // the server has ended it
}

// discard takes what is written to it.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// TestCloseWrite closes what requests are written to while one is being written,
// into something that does not like that, as a channel of SSH does not.
func TestCloseWrite(t *testing.T) {
	in, out := io.Pipe()
	w := &touchy{writing: make(chan struct{}), leave: make(chan struct{})}
	c, err := sftp.Begin(in, w, sftp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked, closed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.Stat(t.Context(), "/x"); asked <- err }()
	<-w.writing
	go func() { closed <- c.CloseWrite() }()
	select {
	case <-closed:
		t.Error("closed in the middle of a packet")
	case <-time.After(20 * time.Millisecond):
	}
	close(w.leave)
	if err := <-closed; err != nil || !w.closed {
		t.Errorf("closed: %v, %v", w.closed, err)
	}
	if _, err := c.Stat(t.Context(), "/y"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a request after the end: %v", err)
	}
	out.Close()
	if err := <-asked; !errors.Is(err, sftp.ErrEnded) {
		t.Errorf("a request without an answer: %v", err)
	}
	c.Wait() //nolint:errcheck // it ended without a greeting
}

// touchy may not be closed in the middle of a write. Its second write waits to
// be let go.
type touchy struct {
	writes         int
	closed         bool
	writing, leave chan struct{}
}

func (w *touchy) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 2 {
		close(w.writing)
		<-w.leave
	}
	if w.closed {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func (w *touchy) Close() error {
	w.closed = true
	return nil
}

func mtime() time.Time { return time.Unix(1580608922, 0) }

func TestServer(t *testing.T) {
	for _, inOrder := range []bool{true, false} {
		t.Run(fmt.Sprintf("in order=%v", inOrder), func(t *testing.T) { testServer(t, sftp.Options{InOrder: inOrder}) })
	}
}

func testServer(t *testing.T, o sftp.Options) {
	c, dir, ctx := server(t, o), t.TempDir(), t.Context()
	if _, ok := c.Extension(sftp.ExtPosixRename); !ok {
		t.Error("no posix-rename")
	}
	limits, err := c.Limits(ctx)
	if err != nil || limits.Read < sftp.MaxData || limits.Write < sftp.MaxData {
		t.Errorf("limits %+v, %v", limits, err)
	}
	data := make([]byte, 2*sftp.MaxData+777)
	for i := range data {
		data[i] = byte(i>>16) ^ byte(i>>8) ^ byte(i)
	}
	name := filepath.Join(dir, "new\nfile 日本")
	var packets [][]byte
	for from := 0; from < len(data); from += sftp.MaxData {
		packets = append(packets, append(make([]byte, sftp.Headroom), data[from:min(from+sftp.MaxData, len(data))]...))
	}
	info, err := c.WriteFile(ctx, name, packets, sftp.Attrs{SetMode: true, Mode: 0o600}, sftp.Attrs{SetMode: true, Mode: 0o604, MTime: mtime()})
	if err != nil || info.Size != int64(len(data)) || info.Mode != 0o604 || !info.MTime.Equal(mtime()) {
		t.Fatalf("write file: %+v, %v", info, err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	buf := make([]byte, len(data)+1)
	n, info, err := c.ReadFile(ctx, name, buf)
	if err != nil || n != len(data) || !bytes.Equal(buf[:n], data) || info.Size != int64(n) {
		t.Errorf("read file: %d of %+v, %v", n, info, err)
	}
	if n, _, err := c.ReadFile(ctx, name, buf[:100]); err != nil || n != 100 {
		t.Errorf("a file that has grown: %d, %v", n, err)
	}
	if _, err := c.WriteFile(ctx, name, packets, sftp.Attrs{}, sftp.Attrs{}); err == nil {
		t.Error("a file was overwritten")
	}

	both, info, err := c.OpenStat(ctx, name)
	if err != nil || info.Size != int64(len(data)) {
		t.Fatalf("open and stat: %+v, %v", info, err)
	}
	if n, err := both.ReadAt(ctx, buf[:10], 3); n != 10 || err != nil || !bytes.Equal(buf[:10], data[3:13]) {
		t.Errorf("read what was opened: %d, %v", n, err)
	}
	if _, _, err := c.OpenStat(ctx, name+"x"); !errors.Is(err, fs.ErrNotExist) || both.Close(ctx) != nil {
		t.Errorf("open what is not there: %v", err)
	}

	f, err := c.Open(ctx, name, sftp.OpenRead|sftp.OpenWrite, sftp.Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.ReadAt(ctx, buf[:10], int64(len(data)-4)); n != 4 || err != nil || !bytes.Equal(buf[:4], data[len(data)-4:]) {
		t.Errorf("over the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(ctx, buf[:10], int64(len(data))); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if err := errors.Join(f.Sync(ctx), f.Set(ctx, sftp.Attrs{SetSize: true, Size: 5}), f.Close(ctx), f.Close(ctx)); err != nil {
		t.Error(err)
	}
	if info, err := c.Lstat(ctx, name); err != nil || info.Size != 5 {
		t.Errorf("after truncation: %+v, %v", info, err)
	}
	if _, err := f.ReadAt(ctx, buf[:10], 0); err == nil {
		t.Error("a closed file was read")
	}
	_, err = c.Stat(ctx, name+"x")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := errors.Join(c.Symlink(ctx, "target", name+".link"), c.Mkdir(ctx, dir+"/d", sftp.Attrs{SetMode: true, Mode: 0o700})); err != nil {
		t.Error(err)
	}
	if to, err := c.Readlink(ctx, name+".link"); err != nil || to != "target" {
		t.Errorf("link to %q, %v", to, err)
	}
	if v, err := c.Volume(ctx, dir); err != nil || v.BlockSize*v.Available < 1<<20 || v.Available > v.Free || v.Free > v.Blocks {
		t.Errorf("the volume is %+v, %v", v, err)
	}
	if _, err := c.Volume(ctx, dir+"/absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the volume of nothing: %v", err)
	}
	if p, err := c.Realpath(ctx, dir+"/d/.."); err != nil || p != dir {
		t.Errorf("realpath %q, %v", p, err)
	}
	if err := errors.Join(c.Remove(ctx, name+".link"), c.Rmdir(ctx, dir+"/d"), c.PosixRename(ctx, name, dir+"/x"), c.Rename(ctx, dir+"/x", dir+"/y")); err != nil {
		t.Error(err)
	}
}

// TestNames lists a folder that takes many answers, and stops in the middle.
func TestNames(t *testing.T) {
	c, dir := server(t, sftp.Options{}), t.TempDir()
	const count = 2500
	for i := range count {
		if err := os.WriteFile(filepath.Join(dir, time.Duration(i).String()), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for n, err := range c.Names(t.Context(), dir) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[n.Name] || !n.HasMode {
			t.Errorf("%+v again", n)
		}
		seen[n.Name] = true
	}
	if len(seen) != count+2 {
		t.Errorf("%d names", len(seen))
	}
	for _, err := range c.Names(t.Context(), dir) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	for _, err := range c.Names(t.Context(), dir+"/0s") {
		if err == nil {
			t.Error("a file was listed")
		}
	}
}
