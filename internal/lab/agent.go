package lab

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// StartAgent runs a real ssh-agent that holds these key files, each with the
// certificate beside it if there is one, and returns its socket.
func StartAgent(t testing.TB, files ...string) (socket string) {
	t.Helper()
	Need(t, "ssh-agent", "ssh-add")
	// Not t.TempDir(): the path of a socket has room for 100 characters only.
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	p := Start(t, filepath.Join(dir, "log"), nil, "ssh-agent", "-D", "-a", socket)
	deadline := time.Now().Add(15 * time.Second)
	for {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			break
		}
		if p.ended() || time.Now().After(deadline) {
			t.Fatalf("ssh-agent does not listen: %v\n%s", err, p.Log())
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, file := range files {
		RunWith(t, []string{"SSH_AUTH_SOCK=" + socket}, "ssh-add", "-q", file)
	}
	return socket
}
