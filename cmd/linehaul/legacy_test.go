//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// oldServer is an OpenSSH that knows nothing newer than its forebears did.
const oldServer = `HostKeyAlgorithms ssh-dss,ssh-rsa
PubkeyAcceptedAlgorithms ssh-dss,ssh-rsa
KexAlgorithms diffie-hellman-group1-sha1,diffie-hellman-group14-sha1
Ciphers 3des-cbc,aes128-cbc
MACs hmac-sha1
RequiredRSASize 1024`

// TestSeedsKey is the seeds' own case: a DSA key in a PuTTY file without a
// passphrase, and a server as old as it is. Each algorithm of the past has to
// be named; with one missing the error names it.
func TestSeedsKey(t *testing.T) {
	lab.Need(t, "puttygen")
	dir := t.TempDir()
	dsa := lab.Keygen(t, filepath.Join(dir, "jephe"), "dsa")
	ppk := filepath.Join(dir, "jephe.ppk")
	lab.Run(t, "puttygen", dsa, "-O", "private", "-o", ppk)
	s := newSite(t, lab.SSHD{HostKeys: []string{"dsa", "rsa"}, Config: oldServer, AuthorizedKeys: []string{dsa + ".pub"}})
	s.write(t, "jephe.txt", []byte("the file of the day\n"))
	pull := func(legacy string) outcome {
		return linehaul(t, 30*time.Second, "get", "-i", ppk, "-P", fmt.Sprint(s.Port), "--host-key", s.Fingerprint("dsa"),
			"--legacy", legacy, s.at(s.remote+"/jephe.txt"), dir+"/{name}.{date:%Y%m%d-%H%M}")
	}
	all := []string{"ssh-dss", "diffie-hellman-group1-sha1", "3des-cbc", "hmac-sha1"}
	if o := pull(strings.Join(all, ",")); o.code != 0 {
		t.Fatal(o)
	}
	got, err := filepath.Glob(filepath.Join(dir, "jephe.txt.*-*"))
	if err != nil || len(got) != 1 {
		t.Fatalf("pulled %q, %v", got, err)
	}
	if text, err := os.ReadFile(got[0]); err != nil || !bytes.Equal(text, []byte("the file of the day\n")) {
		t.Errorf("%q, %v", text, err)
	}
	for i := range all {
		rest := append(append([]string{}, all[:i]...), all[i+1:]...)
		o := pull(strings.Join(rest, ","))
		if o.code == 0 || !strings.Contains(o.stderr, "legacy: [") {
			t.Errorf("without %s: want a failure that names what `legacy:` lacks: %s", all[i], o)
		}
	}
	if o := pull("ssh-dsa"); o.code != 2 || !strings.Contains(o.stderr, "ssh-dss") {
		t.Errorf("a typo: %s", o)
	}
}
