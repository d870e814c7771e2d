package puttyhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// scratch makes a key of the registry for one test, apart from PuTTY's own.
func scratch(t *testing.T) (path string, key registry.Key) {
	t.Helper()
	path = fmt.Sprintf(`Software\linehaul-test-%d`, os.Getpid())
	key, _, err := registry.CreateKey(registry.CURRENT_USER, path, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		key.Close()
		if err := registry.DeleteKey(registry.CURRENT_USER, path); err != nil {
			t.Error(err)
		}
	})
	return path, key
}

// TestRegistry puts what plink.exe wrote into the registry and reads it back.
func TestRegistry(t *testing.T) {
	path, key := scratch(t)
	for _, v := range registryValues(t) {
		if err := key.SetStringValue(v[0], v[1]); err != nil {
			t.Fatal(err)
		}
	}
	cache, err := readRegistry(path)
	if err != nil {
		t.Fatal(err)
	}
	if cache.Source != `HKEY_CURRENT_USER\`+path {
		t.Errorf("source %q", cache.Source)
	}
	checkRegistry(t, cache)
}

// TestBadValues: each value that is no key is named, and the good one is read.
func TestBadValues(t *testing.T) {
	path, key := scratch(t)
	const good = "0x750ba3d477af21c1e82d20552a86e4f539f66733ed2be02318b9b4ceafb90b,0x63f6b4da92cab5d9425332ccdbb0c26acfb7bf05b0773af0d864d5eb928b92d9"
	set := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	set(key.SetStringValue("", good))
	set(key.SetStringValue("a%2", good))
	set(key.SetDWordValue("ssh-ed25519@22:dword", 7))
	set(key.SetExpandStringValue("ssh-ed25519@22:expand", good))
	set(key.SetStringsValue("ssh-ed25519@22:multi", []string{good}))
	set(key.SetBinaryValue("ssh-ed25519@22:odd", []byte{1, 2, 3}))
	set(key.SetStringValue("ssh-ed25519@22:long", strings.Repeat("0", 1<<20)))
	set(key.SetStringValue("ssh-ed25519@22:empty", ""))
	set(key.SetStringValue("ssh-ed25519@22:name%20two", good))
	set(key.SetStringValue("ssh-ed25519@22:good", good))
	cache, err := readRegistry(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(cache.Entries) != 1 || cache.Entries[0].Host != "good" || cache.Entries[0].Place != `value "ssh-ed25519@22:good"` {
		t.Errorf("entries %+v", cache.Entries)
	}
	got := map[string]string{}
	for _, p := range cache.Problems {
		got[p.Place] = p.Reason
	}
	for name, want := range map[string]string{
		"": "its name is not", "a%2": "its name ends within an escape", "ssh-ed25519@22:dword": "not a string", "ssh-ed25519@22:expand": "not a string",
		"ssh-ed25519@22:multi": "not a string", "ssh-ed25519@22:odd": "not a string", "ssh-ed25519@22:long": "longer than 32 KiB",
		"ssh-ed25519@22:empty": "1 numbers", "ssh-ed25519@22:name%20two": "a character that no host name has",
	} {
		if reason := got[fmt.Sprintf("value %q", name)]; !strings.Contains(reason, want) {
			t.Errorf("%q: %q, want %q", name, reason, want)
		}
	}
	if len(got) != 9 {
		t.Errorf("%d problems: %q", len(got), got)
	}
}

// TestNoRegistry: a user without PuTTY.
func TestNoRegistry(t *testing.T) {
	if _, err := readRegistry(`Software\linehaul-test-none`); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
