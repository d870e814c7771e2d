package sftp_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"linehaul/internal/faulty"
	"linehaul/transfer/sftp"
)

// misbehaving starts a server with faults in this process.
func misbehaving(t *testing.T, f faulty.Faults) (*sftp.Client, string) {
	t.Helper()
	s := &faulty.Server{Root: t.TempDir()}
	s.Set(f)
	here, there := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() { s.Serve(there) })
	c, err := sftp.NewClient(here, here, sftp.Options{InOrder: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		here.Close()
		served.Wait()
		c.Wait() //nolint:errcheck // it has ended as it should
	})
	return c, s.Root
}

// TestOneHandle: a server that gives one handle to two files would have the
// content of one taken for that of the other. The session ends. To give it
// again after it was closed is its right.
func TestOneHandle(t *testing.T) {
	c, root := misbehaving(t, faulty.Faults{OneHandle: true})
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		f, err := c.Open(t.Context(), "/a", sftp.OpenRead, sftp.Attrs{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, err := c.Open(t.Context(), "/a", sftp.OpenRead, sftp.Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	var broken *sftp.ProtocolError
	if _, err := c.Open(t.Context(), "/b", sftp.OpenRead, sftp.Attrs{}); !errors.As(err, &broken) {
		t.Errorf("the second file: %v, want a *sftp.ProtocolError", err)
	}
	if n, err := a.ReadAt(t.Context(), make([]byte, 1), 0); err == nil {
		t.Errorf("the first file can still be read: %d bytes", n)
	}
}
