package remote_test

import (
	"os"
	"path/filepath"
	"testing"

	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// TestOpenSSH runs the suite against OpenSSH's server, as an ordinary user
// where the test may make one.
func TestOpenSSH(t *testing.T) {
	startsOthers(t)
	for name, tt := range map[string]struct {
		o        lab.SSHD
		ask, get remote.Protocol
	}{
		"sftp":                         {lab.SSHD{}, remote.Auto, remote.SFTP},
		"scp":                          {lab.SSHD{}, remote.SCP, remote.SCP},
		"no sftp at all":               {lab.SSHD{NoSFTP: true}, remote.Auto, remote.SCP},
		"no subsystem, but the server": {lab.SSHD{NoSFTP: true}, remote.Auto, remote.SFTP},
		"one scp session at a time":    {lab.SSHD{Config: "MaxSessions 1"}, remote.SCP, remote.SCP},
		"sftp forced":                  {lab.SSHD{Config: "ForceCommand internal-sftp"}, remote.SCP, remote.SFTP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, _ := newKey(t)
			tt.o.AuthorizedKeys, tt.o.HostKeys = []string{key + ".pub"}, []string{"ed25519"}
			// The lab hides the program sftp-server from the tester alone.
			tt.o.Tester = os.Getuid() == 0 && name != "no subsystem, but the server"
			if os.Getuid() != 0 && name == "no sftp at all" {
				lab.NeedRoot(t)
			}
			s := lab.StartSSHD(t, tt.o)
			h := sshdHost(t, s, key)
			h.Protocol = tt.ask
			files, c := openFiles(t, h)
			if got := c.Info().Protocol; got != tt.get {
				t.Fatalf("the protocol is %v, want %v", got, tt.get)
			}
			dir := filepath.Join(s.Dir, "data")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			own := func(paths ...string) { s.Own(paths...) }
			own(dir)
			suite(t, place{files: files, protocol: tt.get, local: dir, path: dir, own: own, denied: s.User != "root"})
		})
	}
}
