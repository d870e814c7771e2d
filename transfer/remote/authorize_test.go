package remote_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer/remote"
)

// TestAuthorize: a key is added once, what was there stays, and the modes are
// those that a strict server wants.
func TestAuthorize(t *testing.T) {
	startsOthers(t)
	lab.NeedRoot(t)
	next := lab.Keygen(t, filepath.Join(t.TempDir(), "next"), "ed25519")
	line, err := os.ReadFile(next + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]lab.SSHD{"sftp": {}, "scp": {NoSFTP: true}} {
		t.Run(name, func(t *testing.T) {
			o.Tester, o.Config = true, "StrictModes yes\nAuthorizedKeysFile .ssh/authorized_keys"
			s := lab.StartSSHD(t, o)
			known, err := keys.ParsePin(s.Fingerprint())
			if err != nil {
				t.Fatal(err)
			}
			hostKeys, err := keys.NewHostKeys(keys.HostKeyOptions{Pins: []keys.Pin{known}})
			if err != nil {
				t.Fatal(err)
			}
			h := remote.Host{Name: "h", Address: s.Host, Port: s.Port, User: s.User, HostKeys: hostKeys,
				Password: func(context.Context) ([]byte, error) { return []byte(lab.Password), nil }}
			c, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, want := range []bool{true, false} {
				if added, err := c.Authorize(t.Context(), remote.AuthorizedKeys, string(line)); err != nil || added != want {
					t.Fatalf("added %v, %v; want %v", added, err, want)
				}
			}
			for path, mode := range map[string]os.FileMode{".ssh": 0o700, ".ssh/authorized_keys": 0o600} {
				info, err := os.Stat(filepath.Join(s.Home, path))
				if err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, mode)
				}
			}
			h.KeyFiles, h.Password = []string{next}, nil
			again, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
			if err != nil {
				t.Fatalf("the new key does not log in: %v\n%s", err, s.Log())
			}
			again.Close()
			entries, err := os.ReadDir(filepath.Join(s.Home, ".ssh"))
			if err != nil || len(entries) != 1 {
				t.Errorf("left in the folder: %v, %v", entries, err)
			}
			const other = "# a comment\nssh-ed25519 AAAA-not-a-key"
			if err := os.WriteFile(filepath.Join(s.Home, ".ssh/authorized_keys"), []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Authorize(t.Context(), remote.AuthorizedKeys, string(line)); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(s.Home, ".ssh/authorized_keys"))
			if err != nil || string(text) != other+"\n"+strings.TrimSpace(string(line))+"\n" {
				t.Errorf("the file holds %q, %v", text, err)
			}
		})
	}
}
