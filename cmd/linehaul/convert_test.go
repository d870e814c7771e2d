package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// TestConvertCircle has `keys convert` take a key of each type that ssh-keygen
// makes from one format to the next until it is in the first one again, with
// and without a passphrase on the way. ssh-keygen or puttygen opens each file,
// and the fingerprint stays.
func TestConvertCircle(t *testing.T) {
	lab.Need(t, "ssh-keygen", "puttygen", "openssl")
	const phrase = "Phrase-oo9Ahvee"
	secret := filepath.Join(t.TempDir(), "phrase")
	if err := os.WriteFile(secret, []byte(phrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	converted, opened := 0, map[string]int{}
	for _, tt := range []struct{ keyType, bits string }{
		{"rsa", "2048"}, {"dsa", "1024"}, {"ecdsa", "256"}, {"ecdsa", "384"}, {"ecdsa", "521"}, {"ed25519", "256"},
	} {
		t.Run(tt.keyType+tt.bits, func(t *testing.T) {
			dir := t.TempDir()
			from := lab.Keygen(t, filepath.Join(dir, "id"), tt.keyType, "-b", tt.bits)
			want := lab.Fingerprint(t, from+".pub")
			// A passphrase is put on, kept, and taken off again.
			for i, step := range []struct {
				to     string
				flags  []string
				locked bool
			}{
				{"ppk2", nil, false},
				{"ppk3", []string{"--new-passphrase", "file:" + secret}, true},
				{"pkcs8", []string{"--passphrase", "file:" + secret}, true},
				{"ppk2", []string{"--passphrase", "file:" + secret}, true},
				{"pem", []string{"--passphrase", "file:" + secret}, true},
				{"openssh", []string{"--passphrase", "file:" + secret}, true},
				{"pkcs8", []string{"--passphrase", "file:" + secret, "--no-passphrase"}, false},
				{"pem", nil, false},
				{"ppk3", nil, false},
				{"openssh", nil, false},
			} {
				if tt.keyType == "ed25519" && step.to == "pem" {
					continue // there is no such form; TestMarshalRefuses has the refusal
				}
				out := filepath.Join(dir, string(rune('a'+i)))
				if o := linehaul(t, 30*time.Second, append([]string{"keys", "convert", from, out, "--to", step.to}, step.flags...)...); o.code != 0 {
					t.Fatalf("to %s: %s", step.to, o)
				}
				converted++
				tool, got := fingerprintBy(t, out, step.to, tt.keyType, phrase, secret, step.locked)
				if got != want {
					t.Errorf("%s, locked %v: %s says %s, want %s", step.to, step.locked, tool, got, want)
				}
				opened[tool]++
				from = out
			}
			// Without its passphrase the tools must not open what is locked.
			last := filepath.Join(dir, "f")
			if o := linehaul(t, 30*time.Second, "keys", "show", last); o.code != 6 || !strings.Contains(o.stdout, "passphrase") {
				t.Errorf("a locked file without its passphrase: %s", o)
			}
		})
	}
	t.Logf("%d files converted, opened by %v", converted, opened)
	if converted != 58 {
		t.Errorf("want 58")
	}
}

// fingerprintBy has a tool open the private key, not only its public half.
func fingerprintBy(t *testing.T, file, format, keyType, phrase, secret string, locked bool) (tool, fingerprint string) {
	t.Helper()
	old := secret
	if !locked {
		phrase, old = "", os.DevNull
	}
	public := file + ".open"
	switch {
	case strings.HasPrefix(format, "ppk"):
		tool = "puttygen"
		lab.Run(t, tool, file, "-O", "private-openssh", "-o", public, "--old-passphrase", old, "--new-passphrase", os.DevNull)
	case format == "pkcs8" && keyType == "ed25519": // which ssh-keygen does not read before 9.6
		tool = "openssl and puttygen"
		lab.Run(t, "openssl", "pkey", "-in", file, "-passin", "pass:"+phrase, "-out", public+".pkey", "-check")
		if o := linehaul(t, 30*time.Second, "keys", "convert", public+".pkey", public+".ppk", "--to", "ppk2"); o.code != 0 {
			t.Fatal(o)
		}
		lab.Run(t, "puttygen", public+".ppk", "-O", "private-openssh", "-o", public)
	default:
		tool = "ssh-keygen"
		lab.Run(t, "sh", "-c", `umask 077; ssh-keygen -y -P "$1" -f "$2" > "$3"`, "sh", phrase, file, public)
	}
	return tool, lab.Fingerprint(t, public)
}
