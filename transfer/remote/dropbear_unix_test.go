//go:build unix

package remote_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer/remote"
)

// TestDropbear runs the suite against the server that small devices have. Its
// user is root with another home, in a mount namespace of its own.
func TestDropbear(t *testing.T) {
	startsOthers(t)
	lab.Need(t, "dropbear", "dropbearkey", "unshare")
	lab.NeedRoot(t)
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			t.Parallel()
			key, public := newKey(t)
			dir := t.TempDir()
			home, data := filepath.Join(dir, "home"), filepath.Join(dir, "data")
			if err := errors.Join(os.MkdirAll(filepath.Join(home, ".ssh"), 0o700), os.Mkdir(data, 0o755)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, ".ssh", "authorized_keys"), ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
				t.Fatal(err)
			}
			hostKey := filepath.Join(dir, "hk")
			lab.Run(t, "dropbearkey", "-t", "ed25519", "-f", hostKey)
			addr := fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t))
			p := lab.Start(t, filepath.Join(dir, "log"), nil, "unshare", "-m", "--propagation", "private", "sh", "-c",
				`mount --bind "$1" /root && exec dropbear -F -E -p "$2" -r "$3"`, "sh", home, addr, hostKey)
			h := hostAt(addr)
			h.User, h.KeyFiles, h.HostKeys, h.Protocol = "root", []string{key}, noKeys(t), protocol
			var shown *keys.HostKeyError
			for range 100 {
				if _, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil); errors.As(err, &shown) {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if shown == nil {
				t.Fatalf("dropbear does not answer:\n%s", p.Log())
			}
			h.HostKeys = pinned(t, ssh.FingerprintSHA256(shown.Key))
			files, c := openFiles(t, h)
			if got := c.Info().Protocol; got != protocol {
				t.Errorf("used %v", got)
			}
			suite(t, place{files: files, protocol: protocol, local: data, path: data, own: func(...string) {}})
		})
	}
}
