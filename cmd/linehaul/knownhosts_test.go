package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"linehaul/fault"
	"linehaul/keys"
)

// TestAppendKnown: what is there stays byte for byte, and each new line is
// whole and on its own, whatever the file ended with.
func TestAppendKnown(t *testing.T) {
	for _, tt := range []struct{ before, want string }{
		{"", "a 1\nb 2\n"},
		{"\n", "\na 1\nb 2\n"},
		{"old line\n", "old line\na 1\nb 2\n"},
		{"old line", "old line\na 1\nb 2\n"},
		{"old line\r\n", "old line\r\na 1\nb 2\n"},
		{"old line\nhalf a l", "old line\nhalf a l\na 1\nb 2\n"},
	} {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := appendKnown(t.Context(), file, "a 1", "b 2"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != tt.want {
			t.Errorf("%q became %q, want %q (%v)", tt.before, got, tt.want, err)
		}
	}
}

// TestTornAppend cuts an append off after each byte, as a crash may, and
// appends again: the second line is known, the first is too or is left out.
func TestTornAppend(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", "keys", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b))[:2], " ")
	}
	first, second := "[one]:2222 "+read("ed25519.pub"), "two "+read("ecdsa256.pub")
	other := read("other.pub")
	for cut := range len(first) + 1 {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte("zero "+other+"\n"+first[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := appendKnown(t.Context(), file, second); err != nil {
			t.Fatal(err)
		}
		known, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file}}})
		if err != nil {
			t.Fatal(err)
		}
		check := func(host string, port int, line string) error {
			public := filepath.Join(t.TempDir(), "key.pub")
			if err := os.WriteFile(public, []byte(line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := keys.Public(strings.TrimSuffix(public, ".pub"))
			if err != nil {
				t.Fatal(err)
			}
			return known.Check(host, port, key)
		}
		if err := check("zero", 22, other); err != nil {
			t.Fatalf("cut after %d: the line before: %v", cut, err)
		}
		if err := check("two", 22, read("ecdsa256.pub")); err != nil {
			t.Fatalf("cut after %d: the line after: %v", cut, err)
		}
		if err := check("one", 2222, read("ed25519.pub")); (err == nil) != (cut == len(first)) {
			t.Fatalf("cut after %d of %d: %v", cut, len(first), err)
		}
	}
}

// TestAppendTogether: several who append at once leave whole lines.
func TestAppendTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "known_hosts")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for j := range 20 {
				if err := appendKnown(t.Context(), file, fmt.Sprintf("host-%d-%d type %s", i, j, strings.Repeat("A", 300))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line == "\n" {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != strings.Repeat("A", 300) || seen[f[0]] {
			t.Fatalf("line %q", line)
		}
		seen[f[0]] = true
	}
	if len(seen) != 400 {
		t.Errorf("%d lines, want 400", len(seen))
	}
}

// TestAppendNowhere: what is not a file is refused, and named.
func TestAppendNowhere(t *testing.T) {
	dir := t.TempDir()
	if err := appendKnown(t.Context(), dir, "a 1"); !fault.Is(err, fault.Usage) || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: %v", err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := appendKnown(t.Context(), filepath.Join(plain, "known_hosts"), "a 1"); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("below a file: %v", err)
	}
	if err := appendKnown(t.Context(), filepath.Join(dir, "none")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("nothing to add, and a file is there: %v", err)
	}
}
