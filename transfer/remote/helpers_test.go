package remote_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// newKey makes a key pair and returns the private file, with the public one
// beside it, and the public key.
func newKey(t testing.TB) (string, ssh.PublicKey) {
	t.Helper()
	return newLockedKey(t, "")
}

// newLockedKey is newKey with a passphrase, unless that is empty.
func newLockedKey(t testing.TB, passphrase string) (string, ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "id")
	if err := errors.Join(os.WriteFile(file, pem.EncodeToMemory(block), 0o600),
		os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(key), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file, key
}

// startsOthers ends a test that starts other programs where only tests that
// need none are to run.
func startsOthers(t testing.TB) {
	if testing.Short() {
		t.Skip("it starts other programs")
	}
}

// pinned accepts the fingerprints alone.
func pinned(t testing.TB, pins ...string) *keys.HostKeys {
	t.Helper()
	var o keys.HostKeyOptions
	for _, p := range pins {
		pin, err := keys.ParsePin(p)
		if err != nil {
			t.Fatal(err)
		}
		o.Pins = append(o.Pins, pin)
	}
	h, err := keys.NewHostKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// startServer serves a folder from inside the process, to the key file.
func startServer(t testing.TB, o remotetest.Options) (*remotetest.Server, remote.Host) {
	t.Helper()
	file, public := newKey(t)
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	o.AuthorizedKeys = append(o.AuthorizedKeys, public)
	s, err := remotetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := hostAt(s.Addr())
	h.KeyFiles = []string{file}
	h.HostKeys = pinned(t, ssh.FingerprintSHA256(s.HostKey()))
	return s, h
}

func hostAt(addr string) remote.Host {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return remote.Host{Name: "hk1", Address: host, Port: n, User: "jephe", ConnectTimeout: 10 * time.Second, StallTimeout: 10 * time.Second}
}

// sshdHost is a host for a server of the lab.
func sshdHost(t testing.TB, s *lab.Server, keyFile string) remote.Host {
	t.Helper()
	h := hostAt(s.Addr)
	h.User = s.User
	h.KeyFiles = []string{keyFile}
	h.HostKeys = pinned(t, s.Fingerprint())
	return h
}

// connect dials, and closes and counts goroutines when the test ends.
func connect(t testing.TB, h remote.Host) *remote.Conn {
	t.Helper()
	c, err := remote.Dial(t.Context(), &net.Dialer{}, h, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// openFiles connects and opens files.
func openFiles(t testing.TB, h remote.Host) (transfer.WritableRemote, *remote.Conn) {
	t.Helper()
	c := connect(t, h)
	files, err := c.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files, c
}

// noLeftovers fails the test if goroutines of the SSH stack outlive what f
// did and closed.
func noLeftovers(t *testing.T, f func()) {
	t.Helper()
	f()
	deadline := time.Now().Add(3 * time.Second)
	for {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		var left []string
		for _, g := range strings.Split(stacks, "\n\n") {
			if strings.Contains(g, "crypto/ssh") || strings.Contains(g, "transfer/sftp") || strings.Contains(g, "linehaul/transfer/remote.") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A logBuffer collects log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// testLog shows the log if the test fails.
func testLog(t testing.TB) *slog.Logger {
	var b logBuffer
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.String())
		}
	})
	return b.logger()
}

// putFile writes a whole file by way of a Remote.
func putFile(ctx context.Context, files transfer.WritableRemote, path string, data []byte, attrs transfer.Attrs) error {
	attrs.Size = int64(len(data))
	w, err := files.Create(ctx, path, attrs)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// getFile reads a whole file.
func getFile(ctx context.Context, files transfer.Remote, path string) ([]byte, error) {
	r, err := files.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("after %d bytes: %w", len(data), err)
	}
	return data, nil
}

// transferAttrs is for files whose attributes do not matter.
func transferAttrs() transfer.Attrs { return transfer.Attrs{Mode: 0o600} }
