package puttyhosts_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/keys/puttyhosts"
)

// recorded is what plink 0.78 wrote while it logged in to servers with the keys
// of testdata/public_keys, which ssh-keygen made.
const recorded = "testdata/sshhostkeys"

// publicKeys are the blobs of testdata/public_keys by type.
func publicKeys(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/public_keys")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		blob, err := base64.StdEncoding.DecodeString(f[1])
		if err != nil {
			t.Fatal(err)
		}
		all[f[0]] = blob
	}
	return all
}

// TestRecorded reads the lines of the real plink: each type of key that it
// stores, and names and addresses as it spells them.
func TestRecorded(t *testing.T) {
	cache, err := puttyhosts.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	public := publicKeys(t)
	want := []struct {
		line    int
		keyType string
		host    string
		port    int
	}{
		{1, "ssh-ed25519", "127.0.0.1", 23401},
		{2, "ssh-rsa", "127.0.0.1", 23402},
		{3, "ssh-dss", "127.0.0.1", 23403},
		{4, "ecdsa-sha2-nistp256", "127.0.0.1", 23404},
		{5, "ecdsa-sha2-nistp384", "127.0.0.1", 23405},
		{6, "ecdsa-sha2-nistp521", "127.0.0.1", 23406},
		{7, "ssh-ed25519", "::1", 23410},
		{8, "ssh-ed25519", "localhost", 23411},
		{9, "ssh-ed25519", "LOCALHOST", 23411},
		{10, "ssh-ed25519", "plain.example.net", 22},
		{13, "ssh-ed25519", "per%cent", 22},
		{14, "ssh-ed25519", ".dot", 22},
		{15, "ssh-ed25519", "fe80::1%eth0", 22},
		{17, "ssh-ed25519", "fd00::2", 22},
		{18, "ssh-ed25519", "under_score", 22},
		{19, "ssh-ed25519", "logname", 4444},
		{20, "ssh-ed25519", "logname", 22},
		{21, "ssh-ed25519", "0:0:0:0:0:0:0:1", 23410},
		{22, "ecdsa-sha2-nistp256", "127.0.0.1", 23412}, // of a server with a certificate
	}
	for i, w := range want {
		if i >= len(cache.Entries) {
			t.Fatalf("%d entries, want %d", len(cache.Entries), len(want))
		}
		e := cache.Entries[i]
		if e.Place != fmt.Sprintf("%s:%d", recorded, w.line) || e.Host != w.host || e.Port != w.port || e.Type != w.keyType {
			t.Errorf("entry %d: %s %q %d %s, want %+v", i, e.Place, e.Host, e.Port, e.Type, w)
		}
		if !bytes.Equal(e.Blob, public[w.keyType]) {
			t.Errorf("%s: % x\nwant % x", e.Place, e.Blob, public[w.keyType])
		}
	}
	if len(cache.Entries) > len(want) {
		t.Errorf("%d entries, want %d", len(cache.Entries), len(want))
	}
	var problems []string
	for _, p := range cache.Problems {
		problems = append(problems, p.String())
	}
	wantProblems := []string{
		recorded + ":11: left out: its host name is not plain ASCII",
		recorded + ":12: left out: its host name holds a character that no host name has",
		recorded + ":16: left out: its host name holds a character that no host name has",
		recorded + ":23: left out: an Ed448 key (ssh-ed448), which linehaul does not do: it asks the server for another",
	}
	if strings.Join(problems, "\n") != strings.Join(wantProblems, "\n") {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(problems, "\n"), strings.Join(wantProblems, "\n"))
	}
}

// numbersOf returns what plink recorded for a key of one of its types.
func numbersOf(t testing.TB, keyType string) string {
	t.Helper()
	text, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, keyType+"@") {
			return strings.TrimSpace(line[strings.LastIndexByte(line, ' '):])
		}
	}
	t.Fatalf("no line of type %s", keyType)
	return ""
}

// TestLeftOut: a bad entry is named with its line and reason, and the good one
// after it is taken.
func TestLeftOut(t *testing.T) {
	ed := numbersOf(t, "ssh-ed25519")
	edX, edY, _ := strings.Cut(ed, ",")
	p256 := numbersOf(t, "ecdsa-sha2-nistp256")
	rsa := numbersOf(t, "rsa2")
	dss := strings.Split(numbersOf(t, "dss"), ",")
	flip := func(s string) string { // its last digit
		last := "0"
		if strings.HasSuffix(s, "0") {
			last = "1"
		}
		return s[:len(s)-1] + last
	}
	const curve, badRange = "its point is not on the curve", "its numbers are not those of a key of its type"
	host := func(h string) string { return "ssh-ed25519@22:" + h + " " + ed }
	tests := []struct{ name, line, want string }{
		{"no space", "ssh-ed25519@22:h", "not TYPE@PORT:HOST, a space"},
		{"a comment", "# ssh hosts", "its name is not TYPE@PORT:HOST"},
		{"no port", "ssh-ed25519@h " + ed, "its name is not TYPE@PORT:HOST"},
		{"before 0.52", "h 2301/cdab", "its name is not TYPE@PORT:HOST"},
		{"port 0", "ssh-ed25519@0:h " + ed, "its port"},
		{"port 65536", "ssh-ed25519@65536:h " + ed, "its port"},
		{"port 022", "ssh-ed25519@022:h " + ed, "its port"},
		{"port +22", "ssh-ed25519@+22:h " + ed, "its port"},
		{"no host", host(""), "its host name is empty"},
		{"a long host", host(strings.Repeat("h", 256)), "its host name is empty or longer"},
		{"a pattern", host("*"), "a character that no host name has"},
		{"a negation", host("!h"), "a character that no host name has"},
		{"a list", host("h,other"), "a character that no host name has"},
		{"a hash", host("|1|a|b"), "a character that no host name has"},
		{"a marker", host("@revoked"), "a character that no host name has"},
		{"a comment's sign", host("#h"), "a character that no host name has"},
		{"a second field", host("h x"), "a character that no host name has"},
		{"a tab", host("h\tx"), "a character that no host name has"},
		{"NUL", host("h\x00"), "a character that no host name has"},
		{"brackets", host("[h]:1"), "a character that no host name has"},
		{"not ASCII", host("h\xf6"), "not plain ASCII"},
		{"an unknown type", "ssh-foo@22:h " + ed, "a type of key that is not known"},
		{"SSH-1", "rsa@22:h " + rsa, "an SSH-1 key"},
		{"Ed448", "ssh-ed448@22:h " + ed, "ssh-ed448"},
		{"one number", "ssh-ed25519@22:h " + edX, "1 numbers, where"},
		{"three numbers", "ssh-ed25519@22:h " + ed + ",0x1", "3 numbers, where"},
		{"no numbers", "ssh-ed25519@22:h ", "1 numbers, where"},
		{"a space after", host("h") + " ", "a character that no host name has"},
		{"no 0x", "ssh-ed25519@22:h " + edX[2:] + "," + edY, "a number is not 0x"},
		{"0X", "ssh-ed25519@22:h 0X" + edX[2:] + "," + edY, "a number is not 0x"},
		{"no digits", "ssh-ed25519@22:h 0x," + edY, "a number is not 0x"},
		{"a sign", "ssh-ed25519@22:h 0x-" + edX[2:] + "," + edY, "a number is not 0x"},
		{"an underscore", "ssh-ed25519@22:h 0x1_0," + edY, "a number is not 0x"},
		{"too many digits", "ssh-ed25519@22:h 0x" + strings.Repeat("1", 4097) + "," + edY, "a number is not 0x"},
		{"too long", "ssh-ed25519@22:h " + strings.Repeat("0x1,", 8193), "longer than 32 KiB"},
		{"Ed25519, another x", "ssh-ed25519@22:h " + flip(edX) + "," + edY, curve},
		{"Ed25519, another y", "ssh-ed25519@22:h " + edX + "," + flip(edY), curve},
		{"Ed25519, x and y changed about", "ssh-ed25519@22:h " + edY + "," + edX, curve},
		{"Ed25519, zeros", "ssh-ed25519@22:h 0x0,0x0", curve},
		{"Ed25519, y not reduced", "ssh-ed25519@22:h 0x0,0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffee", curve},
		{"Ed25519, y of 256 bits", "ssh-ed25519@22:h 0x0,0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", curve},
		{"ECDSA, another point", "ecdsa-sha2-nistp256@22:h " + flip(p256), curve},
		{"ECDSA, another curve's name", "ecdsa-sha2-nistp256@22:h " + strings.Replace(p256, "nistp256", "nistp384", 1), "the curve before its numbers"},
		{"ECDSA, another type", "ecdsa-sha2-nistp384@22:h " + strings.Replace(p256, "nistp256", "nistp384", 1), curve},
		{"ECDSA, no curve", "ecdsa-sha2-nistp256@22:h " + strings.TrimPrefix(p256, "nistp256,"), "the curve before its numbers"},
		{"ECDSA, infinity", "ecdsa-sha2-nistp256@22:h nistp256,0x0,0x0", curve},
		{"ECDSA, x too large", "ecdsa-sha2-nistp256@22:h nistp256,0x1" + strings.Repeat("0", 64) + ",0x1", curve},
		{"RSA, an even exponent", "rsa2@22:h 0x10000" + rsa[strings.IndexByte(rsa, ','):], badRange},
		{"RSA, exponent 1", "rsa2@22:h 0x1" + rsa[strings.IndexByte(rsa, ','):], badRange},
		{"RSA, a large exponent", "rsa2@22:h 0x1000000001" + rsa[strings.IndexByte(rsa, ','):], badRange},
		{"RSA, a small modulus", "rsa2@22:h 0x10001,0xffff", badRange},
		{"RSA, changed about", "rsa2@22:h " + rsa[strings.IndexByte(rsa, ',')+1:] + ",0x10001", badRange},
		{"DSA, g is 1", "dss@22:h " + strings.Join([]string{dss[0], dss[1], "0x1", dss[3]}, ","), badRange},
		{"DSA, y is p", "dss@22:h " + strings.Join([]string{dss[0], dss[1], dss[2], dss[0]}, ","), badRange},
		{"DSA, q is p", "dss@22:h " + strings.Join([]string{dss[0], dss[0], dss[2], dss[3]}, ","), badRange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache, err := puttyhosts.Parse("F", []byte("\n"+tt.line+"\nssh-ed25519@22:good "+ed+"\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			if len(cache.Problems) != 1 || cache.Problems[0].Place != "F:2" || !strings.Contains(cache.Problems[0].Reason, tt.want) {
				t.Errorf("problems %q, want %q", cache.Problems, tt.want)
			}
			if len(cache.Entries) != 1 || cache.Entries[0].Host != "good" || cache.Entries[0].Place != "F:3" {
				t.Errorf("entries %v, want the good one", cache.Entries)
			}
		})
	}
}

// TestTaken: what differs from PuTTY's own writing and means the same.
func TestTaken(t *testing.T) {
	ed := numbersOf(t, "ssh-ed25519")
	x, y, _ := strings.Cut(ed, ",")
	want := publicKeys(t)["ssh-ed25519"]
	for name, line := range map[string]string{
		"no end of line":    "ssh-ed25519@22:h " + ed,
		"CR LF":             "ssh-ed25519@22:h " + ed + "\r\n",
		"upper case":        "ssh-ed25519@22:h 0x" + strings.ToUpper(x[2:]) + "," + y,
		"zeros before":      "ssh-ed25519@22:h 0x00" + x[2:] + "," + y,
		"brackets about v6": "ssh-ed25519@22:[::1] " + ed,
	} {
		cache, err := puttyhosts.Parse("F", []byte(line))
		if err != nil || len(cache.Problems) != 0 || len(cache.Entries) != 1 || !bytes.Equal(cache.Entries[0].Blob, want) {
			t.Errorf("%s: %+v, %v", name, cache, err)
			continue
		}
		if h := cache.Entries[0].Host; h != "h" && h != "::1" {
			t.Errorf("%s: host %q", name, h)
		}
	}
}

// TestSecondOfName: PuTTY looks at the first line of a name, whatever it holds.
func TestSecondOfName(t *testing.T) {
	ed := numbersOf(t, "ssh-ed25519")
	cache, err := puttyhosts.Parse("F", []byte("ssh-ed25519@22:h 0x1\nssh-ed25519@22:h "+ed+"\nssh-ed25519@22:H "+ed+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cache.Problems) != 2 || cache.Problems[1].Place != "F:2" || !strings.Contains(cache.Problems[1].Reason, "the first only") {
		t.Errorf("problems %q", cache.Problems)
	}
	if len(cache.Entries) != 1 || cache.Entries[0].Host != "H" {
		t.Errorf("entries %v", cache.Entries)
	}
}

// TestReadFile: what is not a file of PuTTY's ends at once, with its kind.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large := write("large", "")
	if err := os.Truncate(large, 2<<30); err != nil {
		t.Fatal(err)
	}
	var many strings.Builder
	ed := numbersOf(t, "ssh-ed25519")
	for i := range 100_001 {
		fmt.Fprintf(&many, "ssh-ed25519@22:h%d 0x1\n", i)
	}
	var full strings.Builder
	for i := range 110_000 {
		fmt.Fprintf(&full, "ssh-ed25519@22:h%d %s\n", i, ed)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "missing"), "no such file"},
		{dir, "not a file"},
		{large, "larger than 16 MiB"},
		{write("text", strings.Repeat("lorem ipsum\n", 1002)), "more than 1000 bad entries, the first at "},
		{write("many", many.String()), "more than 1000 bad entries"},
		{write("full", full.String()), "larger than 16 MiB"},
	} {
		cache, err := puttyhosts.ReadFile(tt.path)
		if cache != nil || !fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v, want a usage fault", tt.path, err)
			continue
		}
		missing := strings.HasSuffix(tt.path, "missing")
		if !missing && !strings.Contains(err.Error(), tt.want) || errors.Is(err, fs.ErrNotExist) != missing {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
	if cache, err := puttyhosts.ReadFile(write("empty", "")); err != nil || len(cache.Entries)+len(cache.Problems) != 0 {
		t.Errorf("an empty file: %+v, %v", cache, err)
	}
}
