package keys

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
)

// TestAgentDeadline: a socket on which somebody listens and nobody answers
// costs the time for a reply, and is not asked again.
func TestAgentDeadline(t *testing.T) {
	dir, err := os.MkdirTemp("", "agent") // a short path, as sockets want it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		lab.NotUnderWine(t, "Unix sockets")
		t.Fatal(err)
	}
	defer listener.Close() // it accepts nobody: the system does
	conn, err := dialSocket(t.Context(), filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	const reply = 50 * time.Millisecond
	a := newAgent("/agent", conn, reply)
	defer a.Close()
	for range 2 {
		_, err = a.Keys()
		if !fault.Is(err, fault.Key) || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 50ms") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		t.Errorf("the connection is not closed: %v", err)
	}
}
