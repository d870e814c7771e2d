package remote_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// onlyPrograms makes a folder, to be all of a PATH, with these programs of the machine and
// what a shell wants besides. BSD's sha256 is made of another one: of its standard
// input it prints the sum and nothing else.
func onlyPrograms(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(names, "sh", "wc") {
		at := filepath.Join(dir, name)
		var err error
		if name == "sha256" {
			lab.Need(t, "sha256sum")
			err = os.WriteFile(at, []byte("#!/bin/sh\n"+lab.Path("sha256sum")+" | { read -r sum rest; echo \"$sum\"; }\n"), 0o700)
		} else {
			lab.Need(t, name)
			err = os.Symlink(lab.Path(name), at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSumPrograms: a server that has another program than sha256sum is asked by that, in a
// loop and by a command for each file, and says which one it was.
func TestSumPrograms(t *testing.T) {
	startsOthers(t)
	for _, tt := range []struct {
		has []string
		by  string
	}{
		{[]string{"shasum"}, "shasum"},
		{[]string{"sha256"}, "sha256"},
		{[]string{"openssl"}, "openssl"},
		{[]string{"openssl", "sha256", "shasum", "sha256sum"}, "sha256sum"},
		{nil, ""},
	} {
		for way, loop := range map[string]string{"exec sh -c": "", "wc -c": "case $SSH_ORIGINAL_COMMAND in exec*) exit 1;; esac\n"} {
			t.Run(path.Join("by "+tt.by, way), func(t *testing.T) {
				t.Parallel()
				c, dir, commands := sumServer(t, loop+"export PATH="+onlyPrograms(t, tt.has...))
				for name, text := range map[string]string{"plain": "some\ntext", "it's $a b": "\x00\xff", "none": ""} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
					got, by, err := c.Sum(t.Context(), path.Join(filepath.ToSlash(dir), name), int64(len(text)))
					if tt.by == "" {
						if !errors.Is(err, remote.ErrNoSum) {
							t.Errorf("%q: %q by %q, %v", name, got, by, err)
						}
						continue
					}
					sum := sha256.Sum256([]byte(text))
					if want := hex.EncodeToString(sum[:]); got != want || by != tt.by || err != nil {
						t.Errorf("%q: %q by %q, %v; want %q by %q", name, got, by, err, want, tt.by)
					}
				}
				if all := commands(); !strings.HasPrefix(all[len(all)-1], way) {
					t.Errorf("commands: %q", all)
				}
			})
		}
	}
}
