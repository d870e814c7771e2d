//go:build unix

package remote_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// TestStoppedServer: OpenSSH stopped in the middle of a file is noticed within
// the stall timeout, whatever the call.
func TestStoppedServer(t *testing.T) {
	startsOthers(t)
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			t.Parallel()
			key, _ := newKey(t)
			s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}})
			big := filepath.Join(s.Dir, "big")
			if err := os.WriteFile(big, pattern(64<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			h := sshdHost(t, s, key)
			h.Protocol, h.StallTimeout, h.Keepalive = protocol, 1500*time.Millisecond, 300*time.Millisecond
			files, c := openFiles(t, h)
			r, err := files.Open(t.Context(), big)
			if err != nil {
				t.Fatal(err)
			}
			readHalf(t, r)
			s.Signal(syscall.SIGSTOP)
			t.Cleanup(func() { s.Signal(syscall.SIGCONT) })
			err = until(t, 2900*time.Millisecond, drain(r))
			check(t, err, fault.Stall, `read "`+big+`" on hk1: no byte from hk1 (`+s.Addr+") for 1.5s")
			// All that follows says the same, and at once.
			_, err = files.Stat(t.Context(), big)
			check(t, err, fault.Stall)
			until(t, time.Second, r.Close)
			until(t, time.Second, c.Close)
		})
	}
}
