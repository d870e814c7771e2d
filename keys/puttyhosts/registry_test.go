package puttyhosts

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
)

// registryValues are the names and strings that plink.exe 0.78 wrote into the
// registry while it met servers with the keys of testdata/public_keys.
func registryValues(t *testing.T) [][2]string {
	t.Helper()
	text, err := os.ReadFile("testdata/registry")
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, [2]string{name, value})
	}
	return all
}

// checkRegistry holds a cache against what stands in testdata/registry.
func checkRegistry(t *testing.T, cache *Cache) {
	t.Helper()
	text, err := os.ReadFile("testdata/public_keys")
	if err != nil {
		t.Fatal(err)
	}
	public := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if public[f[0]], err = base64.StdEncoding.DecodeString(f[1]); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"dss 127.0.0.1 23403", "ecdsa-sha2-nistp256 127.0.0.1 23404", "ecdsa-sha2-nistp384 127.0.0.1 23405",
		"ecdsa-sha2-nistp521 127.0.0.1 23406", "rsa2 127.0.0.1 23402", "ssh-ed25519 .dot 22", "ssh-ed25519 fd00::2 22",
		"ssh-ed25519 fe80::1%eth0 22", "ssh-ed25519 per%cent 22", "ssh-ed25519 plain.example.net 22", "ssh-ed25519 under_score 22",
		"ssh-ed25519 127.0.0.1 23401", "ssh-ed25519 LOCALHOST 23401", "ssh-ed25519 ::1 23410", "ssh-ed25519 plain.example.net 4444",
	}
	wire := strings.NewReplacer("rsa2", "ssh-rsa", "dss", "ssh-dss")
	if len(cache.Entries) != len(want) {
		t.Fatalf("%d entries, want %d: %+v", len(cache.Entries), len(want), cache)
	}
	for i, e := range cache.Entries {
		if got := fmt.Sprintf("%s %s %d", e.Type, e.Host, e.Port); got != wire.Replace(want[i]) {
			t.Errorf("entry %d is %s, want %s", i, got, wire.Replace(want[i]))
		}
		if !bytes.Equal(e.Blob, public[e.Type]) {
			t.Errorf("%s: % x\nwant % x", e.Place, e.Blob, public[e.Type])
		}
	}
	var problems []string
	for _, p := range cache.Problems {
		problems = append(problems, p.String())
	}
	wantProblems := []string{
		`value "ssh-ed25519@22:a%20b": left out: its host name holds a character that no host name has`,
		`value "ssh-ed25519@22:back%5Cslash": left out: its host name holds a character that no host name has`,
		`value "ssh-ed25519@22:h%F6": left out: its host name is not plain ASCII`,
		`value "ssh-ed25519@22:star%2A%3Fx": left out: its host name holds a character that no host name has`,
		`value "ssh-ed448@23420:127.0.0.1": left out: an Ed448 key (ssh-ed448), which linehaul does not do: it asks the server for another`,
	}
	if strings.Join(problems, "\n") != strings.Join(wantProblems, "\n") {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(problems, "\n"), strings.Join(wantProblems, "\n"))
	}
}

// TestRegistryValues reads the recorded values on every system, as Windows
// reads them from its registry.
func TestRegistryValues(t *testing.T) {
	c := newCollector("recorded")
	for _, v := range registryValues(t) {
		if err := c.addEscaped(v[0], v[1]); err != nil {
			t.Fatal(err)
		}
	}
	checkRegistry(t, &c.cache)
}
