package remote_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// sumServer is an sshd that runs commands by a script, which finds what it is asked for in
// $SSH_ORIGINAL_COMMAND, and notes them.
func sumServer(t *testing.T, script string) (c *remote.Conn, dir string, commands func() []string) {
	t.Helper()
	dir = t.TempDir()
	wrap, noted := filepath.Join(dir, "wrap"), filepath.Join(dir, "noted")
	text := "#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n*sftp-server*) exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\";;\nesac\n" +
		"printf '%.16s\\n' \"$SSH_ORIGINAL_COMMAND\" >>" + noted + "\n" + script + "\nexec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n"
	if err := os.WriteFile(wrap, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	key, _ := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}, NoSFTP: true, Config: "ForceCommand " + wrap})
	h := sshdHost(t, s, key)
	h.StallTimeout = 4 * time.Second
	c = connect(t, h)
	if _, err := c.Files(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, dir, func() []string {
		b, err := os.ReadFile(noted)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

// summed makes a file and has the server sum it up.
func summed(t *testing.T, c *remote.Conn, dir, name string) {
	t.Helper()
	text := strings.Repeat(name, 100)
	at := filepath.Join(dir, name)
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256([]byte(text))
	sum, by, err := c.Sum(t.Context(), path.Join(filepath.ToSlash(dir), name), int64(len(text)))
	if err != nil || sum != hex.EncodeToString(want[:]) || by != "sha256sum" {
		t.Errorf("%q: %q by %q, %v", name, sum, by, err)
	}
}

// TestSumLoop: one command sums up many files, whatever their names, one after the
// other, and several side by side where they are asked for at the same time.
func TestSumLoop(t *testing.T) {
	startsOthers(t)
	c, dir, commands := sumServer(t, "")
	for _, name := range []string{"plain", "a b", " a ", "it's", `a\b`, `a\`, `"`, "$HOME", "`x`", "-n", "*", "ä\tx", "#", "linehaul-end"} {
		summed(t, c, dir, name)
	}
	at := path.Join(filepath.ToSlash(dir), "plain")
	for name, size := range map[string]int64{at: 7, at + ".absent": 500} {
		if sum, _, err := c.Sum(t.Context(), name, size); !errors.Is(err, remote.ErrNoSum) {
			t.Errorf("%s of %d bytes: %q, %v", name, size, sum, err)
		}
	}
	summed(t, c, dir, "and after that")
	if got := commands(); len(got) != 1 || !strings.HasPrefix(got[0], "exec sh -c") {
		t.Errorf("commands: %q", got)
	}
	var asked sync.WaitGroup
	for _, name := range []string{"1", "2", "3", "4"} {
		asked.Go(func() { summed(t, c, dir, name) })
	}
	asked.Wait()
	if got := commands(); len(got) > 4 {
		t.Errorf("commands: %q", got)
	}
}

// TestNoSumLoop: where a loop does not work, each file has a command of its own, and
// nothing waits for ever.
func TestNoSumLoop(t *testing.T) {
	startsOthers(t)
	for name, loop := range map[string]string{
		"refused":         "exit 1",
		"talks":           "echo Welcome",
		"echoes":          "exec cat",
		"says nothing":    "exec sleep 60",
		"does not stop":   "exec yes",
		"one long line":   "exec tr '\\000' x </dev/zero",
		"ends in between": "echo linehaul-end; exit",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dir, commands := sumServer(t, "case $SSH_ORIGINAL_COMMAND in exec*) "+loop+";; esac")
			summed(t, c, dir, "first")
			summed(t, c, dir, "second")
			got := commands()
			if len(got) != 3 || !strings.HasPrefix(got[0], "exec sh -c") || !strings.HasPrefix(got[1], "wc -c") || !strings.HasPrefix(got[2], "wc -c") {
				t.Errorf("commands: %q", got)
			}
		})
	}
}

// TestSumLoopEnds: a loop that the server has ended meanwhile, as shells do that have
// waited for long enough, is begun anew.
func TestSumLoopEnds(t *testing.T) {
	startsOthers(t)
	c, dir, commands := sumServer(t, `exec timeout 1 /bin/sh -c "$SSH_ORIGINAL_COMMAND"`)
	summed(t, c, dir, "first")
	time.Sleep(1500 * time.Millisecond)
	summed(t, c, dir, "second")
	if got := commands(); len(got) != 2 || !strings.HasPrefix(got[1], "exec sh -c") {
		t.Errorf("commands: %q", got)
	}
}
