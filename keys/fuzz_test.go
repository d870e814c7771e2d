package keys_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/keys"
)

func FuzzKnownHosts(f *testing.F) {
	names := []string{"ed25519.pub", "rsa.pub", "ecdsa256.pub"}
	var held []ssh.PublicKey
	for _, name := range names {
		held = append(held, public(f, name))
	}
	ed, rsa, ca := line(f, "ed25519.pub"), line(f, "rsa.pub"), line(f, "ca.pub")
	for _, lines := range []string{
		"db.example.net " + ed,
		"db.example.net,10.0.0.5 " + rsa + " a comment\r\n# more\r\n\r\n*.example.net " + ed,
		"[db.example.net]:2222 " + ed + "\n[*.example.net]:* " + rsa,
		"*,!db.example.net " + ed + "\nd?.example.net " + rsa,
		hashed("db.example.net") + " " + ed + "\n" + hashed("[db.example.net]:2222") + " " + rsa,
		"@revoked * " + ed + "\ndb.example.net " + ed,
		"@cert-authority *.example.net " + ca + "\ndb.example.net " + ed,
		"db.example.net 1024 35 1234567890\ndb.example.net ssh-ed448 AAAA\n\tdb.example.net\t" + ed,
		"DB.example.NET " + ed[:40] + "\ndb.example.net " + rsa,
	} {
		f.Add(lines, "db.example.net", uint16(22))
		f.Add(lines, "DB.example.net", uint16(2222))
	}
	path := filepath.Join(f.TempDir(), "known_hosts")
	f.Fuzz(func(t *testing.T, lines, host string, port uint16) {
		if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: path}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Algorithms(host, int(port))) < len(keys.HostKeyAlgorithms()) {
			t.Error("an algorithm is not asked for")
		}
		for i, key := range held {
			accepted := h.Check(host, int(port), key) == nil
			withPort, without, revoked := naive(lines, host, int(port), key)
			if accepted && (revoked || !withPort && !without) {
				t.Errorf("%s was accepted for %q port %d", names[i], host, port)
			}
			if !accepted && withPort && !revoked {
				t.Errorf("%s was not accepted for %q port %d", names[i], host, port)
			}
		}
	})
}

// naive reads known_hosts lines in the plainest way that one can think of: is
// there a line that holds the key for the host with its port, or without, and
// is there one that revokes it for either?
func naive(lines, host string, port int, key ssh.PublicKey) (withPort, without, revoked bool) {
	host = lower(host)
	full := host
	if port != 22 && port != 0 {
		full = fmt.Sprintf("[%s]:%d", host, port)
	}
	for text := range strings.SplitSeq(lines, "\n") {
		if len(text)+1 > 64<<10 {
			continue
		}
		words := strings.FieldsFunc(strings.TrimRight(text, "\r"), func(r rune) bool { return r == ' ' || r == '\t' })
		marked := len(words) > 0 && words[0] == "@revoked"
		if marked {
			words = words[1:]
		}
		if len(words) < 3 || words[0][0] == '#' || words[0][0] == '@' {
			continue
		}
		if words[1] != key.Type() || words[2] != base64.StdEncoding.EncodeToString(key.Marshal()) {
			continue
		}
		atFull, atHost := naiveNames(words[0], full), naiveNames(words[0], host)
		switch {
		case marked:
			revoked = revoked || atFull || atHost
		case atFull:
			withPort = true
		case atHost:
			without = true
		}
	}
	return withPort, without, revoked
}

func naiveNames(names, name string) bool {
	if strings.HasPrefix(names, "|") {
		part := strings.Split(names, "|")
		if len(part) != 4 || part[1] != "1" {
			return false
		}
		salt, _ := base64.StdEncoding.DecodeString(part[2])
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(name))
		return len(salt) == 20 && part[3] == base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	yes, no := false, false
	for _, pattern := range strings.Split(lower(names), ",") {
		if p, negated := strings.CutPrefix(pattern, "!"); negated {
			no = no || naivePattern(p, name)
		} else {
			yes = yes || naivePattern(p, name)
		}
	}
	return yes && !no
}

// naivePattern fills the table of which beginning of the pattern matches which
// beginning of the name.
func naivePattern(pattern, name string) bool {
	row := make([]bool, len(name)+1)
	row[0] = true
	for _, p := range []byte(pattern) {
		next := make([]bool, len(name)+1)
		for n := range next {
			switch {
			case p == '*':
				next[n] = row[n] || n > 0 && next[n-1]
			case n > 0:
				next[n] = row[n-1] && (p == '?' || p == name[n-1])
			}
		}
		row = next
	}
	return row[len(name)]
}

func lower(s string) string {
	b := []byte(s)
	for i := range b {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ", b[i]) >= 0 {
			b[i] |= 0x20
		}
	}
	return string(b)
}
