package lab_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"linehaul/internal/lab"
)

// TestOthers logs in to the other servers with the real sftp client.
func TestOthers(t *testing.T) {
	lab.Need(t, "sftp")
	key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	o := lab.Other{AuthorizedKeys: []string{key + ".pub"}}
	for name, start := range map[string]func(testing.TB, lab.Other) *lab.Server{
		"dropbear": lab.StartDropbear, "proftpd": lab.StartProftpd, "asyncssh": lab.StartAsyncSSH,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, o)
			known := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(known, []byte(s.KnownHosts()), 0o600); err != nil {
				t.Fatal(err)
			}
			batch := filepath.Join(t.TempDir(), "batch")
			if err := os.WriteFile(batch, []byte("mkdir seen\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("sftp", "-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+known,
				"-b", batch, "-P", strconv.Itoa(s.Port), s.User+"@"+s.Host).CombinedOutput()
			if err != nil {
				t.Fatalf("sftp: %v\n%s\n%s", err, out, s.Log())
			}
			if _, err := os.Stat(filepath.Join(s.Home, "seen")); err != nil {
				t.Errorf("the session was not in the home: %v", err)
			}
		})
	}
}
