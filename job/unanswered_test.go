package job

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
)

// TestUnanswered: a server far away that says that it begins SFTP and does not is
// connected to once more, and moves the file in another way. That is no attempt.
func TestUnanswered(t *testing.T) {
	b := sshdBench(t, lab.SSHD{NoSFTP: true, Config: "Subsystem sftp /bin/false"})
	line, err := delay.Listen(net.JoinHostPort(b.host.Address, strconv.Itoa(b.host.Port)), delay.Options{RTT: 40 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	b.host.Address, b.host.Port = "127.0.0.1", line.Port()
	from, to := filepath.Join(b.dir, "a file"), t.TempDir()
	if err := os.WriteFile(from, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := b.job(t)
	j.Get, j.Put, j.To = nil, []string{from}, template(t, filepath.ToSlash(to)+"/")
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Moved != 1 || len(run.Attempts) != 1 || run.Reconnects != 0 {
		t.Fatalf("%+v, %v\n%s", run, err, b.log)
	}
	if got, err := os.ReadFile(filepath.Join(to, "a file")); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	if n := strings.Count(b.log.String(), "connecting again to find another way"); n != 1 {
		t.Errorf("it connected again %d times:\n%s", n, b.log)
	}
}
