//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// TestNoSecretAnywhere runs good and bad logins with every kind of secret, by
// hand and as jobs, as loud as can be, and greps all output, logs and records
// for the secrets and for the private keys' text.
func TestNoSecretAnywhere(t *testing.T) {
	lab.NeedRoot(t) // passwords need the tester's login
	const passphrase, wrong, printed = "Passphrase-ieK4ahgh", "Wrong-Ohph0zie", "Printed-eePh9Aiw"
	dir := t.TempDir()
	locked := lab.Keygen(t, filepath.Join(dir, "locked"), "ed25519", "-N", passphrase)
	s := newSite(t, lab.SSHD{AuthorizedKeys: []string{locked + ".pub"}})
	s.write(t, "a.txt", []byte("a"))
	plain := s.key
	for name, text := range map[string]string{"password": lab.Password, "passphrase": passphrase, "wrong": wrong} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`
state: state
logs: {dir: log, level: debug}
hosts:
  good: {address: "%[1]s", user: %[2]s, password: "file:password", host_keys: "%[3]s"}
  bad: {address: "%[1]s", user: %[2]s, password: "file:wrong", host_keys: "%[3]s"}
  locked: {address: "%[1]s", user: %[2]s, keys: %[4]s, passphrase: "file:passphrase", host_keys: "%[3]s"}
  wronged: {address: "%[1]s", user: %[2]s, keys: %[4]s, passphrase: "file:wrong", host_keys: "%[3]s"}
  absent: {address: "%[1]s", user: %[2]s, password: "env:NO_SUCH_VARIABLE", host_keys: "%[3]s"}
  command: {address: "%[1]s", user: %[2]s, password: "command:echo %[6]s; echo %[6]s >&2", host_keys: "%[3]s"}
  failing: {address: "%[1]s", user: %[2]s, password: "command:echo %[6]s >&2; exit 3", host_keys: "%[3]s"}
jobs:
  good: {get: "good:%[5]s/a.txt", to: got/}
  bad: {get: "bad:%[5]s/a.txt", to: got/}
  locked: {get: "locked:%[5]s/a.txt", to: got/}
  wronged: {get: "wronged:%[5]s/a.txt", to: got/}
  absent: {get: "absent:%[5]s/a.txt", to: got/}
  command: {get: "command:%[5]s/a.txt", to: got/}
  failing: {get: "failing:%[5]s/a.txt", to: got/}
`, s.Addr, s.User, s.Fingerprint(), locked, s.remote, printed)
	file := filepath.Join(dir, "linehaul.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	call := func(args ...string) outcome {
		o := linehaul(t, 30*time.Second, append([]string{"-c", file}, args...)...)
		fmt.Fprintln(&said, o)
		return o
	}
	want := map[string]int{"good": 0, "bad": 6, "locked": 0, "wronged": 6, "absent": 6, "command": 6, "failing": 6}
	for job, code := range want {
		if o := call("run", "-v", job); o.code != code {
			t.Errorf("%s: exit code %d, want %d: %s", job, o.code, code, o)
		}
		call("run", "--json", job)
		call("logs", job)
	}
	call("config", "check")
	call("config", "check", "--json")
	call("jobs", "--json")
	call("history", "--json")
	pull := []string{"get", "-v", "-P", fmt.Sprint(s.Port), "--host-key", s.Fingerprint(), s.at(s.remote + "/a.txt"), dir + "/"}
	call(append(pull, "-i", locked, "--passphrase", "file:"+filepath.Join(dir, "wrong"))...)
	call(append(pull, "-i", plain, "--password", wrong)...)
	call("get", "sftp://u:"+wrong+"@"+s.Host+"/x", ".")
	call("config", "check", write(t, dir, "typo.yaml", "hosts:\n  h: {address: a, user: u, password: "+wrong+"}\n"))

	secrets := []string{lab.Password, passphrase, wrong, printed}
	for _, key := range []string{locked, plain} {
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, strings.Split(string(text), "\n")[2])
	}
	logged := 0
	for _, folder := range []string{"state", "log"} {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			logged += len(b)
			fmt.Fprintf(&said, "%s:\n%s\n", path, b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if logged < 1000 {
		t.Fatalf("only %d bytes of logs and records were looked at", logged)
	}
	for _, secret := range secrets {
		if at := strings.Index(said.String(), secret); at >= 0 {
			from := max(0, at-300)
			t.Errorf("the secret %q is shown: ...%s", secret, said.String()[from:at+len(secret)])
		}
	}
	t.Logf("%d bytes of output, logs and records, %d secrets looked for", said.Len(), len(secrets))
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
