package lab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab"
)

// TestSSHD logs in to both forms of the server with the real client.
func TestSSHD(t *testing.T) {
	lab.Need(t, "ssh")
	key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	for name, o := range map[string]lab.SSHD{"caller": {}, "tester": {Tester: true}} {
		t.Run(name, func(t *testing.T) {
			if o.Tester {
				lab.NeedRoot(t)
			}
			o.AuthorizedKeys = []string{key + ".pub"}
			s := lab.StartSSHD(t, o)
			known := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(known, []byte(s.KnownHosts()), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("ssh", "-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+known,
				"-p", s.Addr[strings.LastIndex(s.Addr, ":")+1:], s.User+"@"+s.Host, "id -un").CombinedOutput()
			if err != nil || !strings.Contains(string(out), s.User) {
				t.Fatalf("ssh: %v\n%s\n%s", err, out, s.Log())
			}
		})
	}
}
