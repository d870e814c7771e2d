package job

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/store/storetest"
	"linehaul/transfer"
)

// TestServerLooksForUs: a server that looks every second whether its client is still
// there has its answers while nothing moves, as the target is slow, and the run ends
// on the connection on which it began.
func TestServerLooksForUs(t *testing.T) {
	t.Parallel()
	const quiet = 8 * time.Second // OpenSSH 9.2 looks every other second only
	lab.Need(t, "sshd", "ssh-keygen")
	key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	s := lab.StartSSHD(t, lab.SSHD{
		AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"},
		Config: "ClientAliveInterval 1\nClientAliveCountMax 2",
	})
	b := serverBench(t, s, key)
	b.Store = storetest.Open(t, t.TempDir())
	b.host.Keepalive = -1 // what we send by ourselves would be an answer, too
	from := t.TempDir()
	j := b.job(t, filepath.ToSlash(from)+"/*")
	j.FilesInFlight = 1
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(from, name), bytes.Repeat([]byte(name), 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.Progress = onDone(func(i transfer.Item) {
		if i.Entry.Name == "a" {
			<-time.After(quiet)
		}
	})
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Moved != 2 || len(run.Attempts) != 1 {
		t.Errorf("%d files in %d attempts, %v\n%s", run.Moved, len(run.Attempts), err, b.log)
	}
	if n := strings.Count(s.Log(), "Accepted publickey"); n != 1 || strings.Contains(s.Log(), "not responding") {
		t.Errorf("%d connections:\n%s", n, s.Log())
	}
}
