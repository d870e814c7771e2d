package keys_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
)

func writable() []keys.Format {
	return []keys.Format{keys.OpenSSH, keys.PEM, keys.PKCS8, keys.PPK2, keys.PPK3}
}

// corpusKey loads an unencrypted key of the corpus.
func corpusKey(t testing.TB, name string) *keys.PrivateKey {
	t.Helper()
	key, err := keys.ParsePrivate([]byte(testdata(t, filepath.Join("corpus", name))), nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func printOf(t testing.TB, key *keys.PrivateKey) string {
	t.Helper()
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(public)
}

// everyType names an unencrypted key of each type in the corpus, and two of RSA
// with odd sizes.
func everyType() []string {
	return []string{"openssh-dsa1024", "openssh-ecdsa256", "openssh-ecdsa384", "openssh-ecdsa521", "openssh-ed25519", "openssh-rsa1024", "openssh-rsa2192", "pem-rsae35"}
}

// lockedIn says where a key is written with a passphrase too, which takes a
// fifth of a second each time, and ten times that with the race detector: in
// ring 1 one type only, with tools the six.
func lockedIn(name string, tools bool) bool {
	return name == "openssh-ed25519" || tools && name != "openssh-rsa2192" && name != "pem-rsae35"
}

// circle writes a key in one format after the other and reads each result, until
// it is in the format again that the corpus has it in. visit gets the results.
func circle(t *testing.T, name, passphrase string, visit func(f keys.Format, text []byte)) (written int) {
	t.Helper()
	key := corpusKey(t, name)
	key.Comment = "two words, grüße"
	want := printOf(t, key)
	first := 1 + slices.Index(writable(), key.Format)
	for _, f := range slices.Concat(writable()[first:], writable()[:first]) {
		if f == keys.PEM && strings.HasSuffix(name, "ed25519") {
			continue // there is no such form
		}
		text, err := keys.Marshal(key, f, []byte(passphrase), rand.Reader)
		if err != nil {
			t.Fatal(f, err)
		}
		read, err := keys.ParsePrivate(text, []byte(passphrase))
		if err != nil {
			t.Fatal(f, err)
		}
		if got := printOf(t, read); got != want || read.Format != f || read.Encrypted != (passphrase != "") {
			t.Errorf("%s: fingerprint %s, want %s; format %s, encrypted %v", f, got, want, read.Format, read.Encrypted)
		}
		keeps := f != keys.PEM && f != keys.PKCS8
		if keeps && read.Comment != key.Comment {
			t.Errorf("%s: comment %q, want %q", f, read.Comment, key.Comment)
		}
		if passphrase != "" {
			_, err = keys.ParsePrivate(text, nil)
			refusedAs(t, err, keys.NeedsPassphrase)
		}
		visit(f, text)
		read.Comment = key.Comment
		key = read
		written++
	}
	return written
}

// TestCircle takes each type of key through all formats, plain and encrypted.
func TestCircle(t *testing.T) {
	written := 0
	for _, name := range everyType() {
		for _, passphrase := range []string{"", "grüße"} {
			if passphrase != "" && (testing.Short() || !lockedIn(name, false)) {
				continue
			}
			t.Run(fmt.Sprintf("%s encrypted %v", name, passphrase != ""), func(t *testing.T) {
				written += circle(t, name, passphrase, func(keys.Format, []byte) {})
			})
		}
	}
	t.Logf("%d files written and read again", written)
}

// TestCircleTools has ssh-keygen, openssl and puttygen open each file of the
// circles, with the fingerprint that the key had at first.
func TestCircleTools(t *testing.T) {
	lab.Need(t, "ssh-keygen", "puttygen", "openssl")
	opened := map[string]int{}
	var mu sync.Mutex
	t.Run("types", func(t *testing.T) {
		for _, name := range everyType() {
			for _, secret := range []string{"", passphrase} {
				if secret != "" && !lockedIn(name, true) {
					continue
				}
				t.Run(fmt.Sprintf("%s encrypted %v", name, secret != ""), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					want := printOf(t, corpusKey(t, name))
					circle(t, name, secret, func(f keys.Format, text []byte) {
						for tool, got := range openedBy(t, write(t, filepath.Join(dir, string(f)), string(text)), f, name, secret) {
							if got != want {
								t.Errorf("%s by %s: fingerprint %s, want %s", f, tool, got, want)
							}
							mu.Lock()
							opened[tool]++
							mu.Unlock()
						}
					})
				})
			}
		}
	})
	t.Logf("files opened: %v", opened)
	if opened["ssh-keygen"] < 38 || opened["openssl"] < 26 || opened["puttygen"] < 28 {
		t.Error("too few")
	}
}

// openedBy has each program that reads a format open the private key in a file,
// and returns the fingerprints that they come to.
func openedBy(t *testing.T, path string, f keys.Format, name, secret string) map[string]string {
	t.Helper()
	prints := map[string]string{}
	switch {
	case f == keys.PPK2 || f == keys.PPK3:
		old := os.DevNull
		if secret != "" {
			old = write(t, path+".phrase", secret)
		}
		lab.Run(t, "puttygen", path, "-O", "private-openssh", "-o", path+".out", "--old-passphrase", old, "--new-passphrase", os.DevNull)
		prints["puttygen"] = fingerprintOf(t, lab.Run(t, "ssh-keygen", "-y", "-f", path+".out"))
	case f == keys.PKCS8 && strings.HasSuffix(name, "ed25519"): // which this ssh-keygen does not read
	default:
		prints["ssh-keygen"] = fingerprintOf(t, lab.Run(t, "ssh-keygen", "-y", "-P", secret, "-f", path))
	}
	if f == keys.PEM || f == keys.PKCS8 {
		lab.Run(t, "openssl", "pkey", "-in", path, "-passin", "pass:"+secret, "-noout", "-check")
		block, _ := pem.Decode([]byte(lab.Run(t, "openssl", "pkey", "-in", path, "-passin", "pass:"+secret, "-pubout")))
		if block == nil {
			t.Fatalf("%s as %s: openssl writes no public key", name, f)
		}
		half, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ssh.NewPublicKey(half)
		if err != nil {
			t.Fatal(err)
		}
		prints["openssl"] = ssh.FingerprintSHA256(public)
	}
	return prints
}

// fingerprintOf reads a line as ssh-keygen -y prints it.
func fingerprintOf(t testing.TB, line string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err, line)
	}
	return ssh.FingerprintSHA256(key)
}

func TestMarshalRefuses(t *testing.T) {
	ed := corpusKey(t, "openssh-ed25519")
	for _, f := range []keys.Format{keys.PEM, keys.PPK1, keys.OpenSSHPublic, keys.Certificate, "", "der"} {
		_, err := keys.Marshal(ed, f, nil, rand.Reader)
		refusedAs(t, err, keys.Unsupported)
		wantFault(t, err, fault.Key, "write the key", "ppk3")
	}
	for _, f := range append(writable(), "x") {
		_, err := keys.Marshal(&keys.PrivateKey{Key: "no key"}, f, nil, rand.Reader)
		refusedAs(t, err, keys.Unsupported)
	}
	broken := errors.New("no more random bytes")
	for _, f := range []keys.Format{keys.OpenSSH, keys.PKCS8, keys.PPK3} {
		if _, err := keys.Marshal(ed, f, []byte("x"), iotest.ErrReader(broken)); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", f, err)
		}
	}
}

// TestMarshalCertificate: PuTTY's files keep a certificate.
func TestMarshalCertificate(t *testing.T) {
	key := corpusKey(t, "ppk3-cert-ed25519-ed25519-valid.ppk")
	for _, f := range []keys.Format{keys.PPK2, keys.PPK3} {
		text, err := keys.Marshal(key, f, nil, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		read, err := keys.ParsePrivate(text, nil)
		if err != nil || read.Certificate == nil || !bytes.Equal(read.Certificate.Marshal(), key.Certificate.Marshal()) {
			t.Errorf("%s: %+v, %v", f, read, err)
		}
	}
}

func TestGenerate(t *testing.T) {
	for _, tt := range []struct {
		name string
		bits int
		want string
		size int
	}{
		{"ed25519", 0, "ssh-ed25519", 256},
		{"rsa", 0, "ssh-rsa", 3072},
		{"rsa", 2048, "ssh-rsa", 2048},
		{"ecdsa", 0, "ecdsa-sha2-nistp256", 256},
		{"ecdsa", 384, "ecdsa-sha2-nistp384", 384},
		{"ecdsa", 521, "ecdsa-sha2-nistp521", 521},
	} {
		key, err := keys.Generate(tt.name, tt.bits)
		if err != nil {
			t.Fatal(err)
		}
		text, err := keys.Marshal(key, keys.OpenSSH, nil, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		info, err := keys.Inspect(text)
		if err != nil || info.Type != tt.want || info.Bits != tt.size {
			t.Errorf("%s %d: %+v, %v", tt.name, tt.bits, info, err)
		}
	}
	for name, bits := range map[string]int{"dsa": 1024, "rsa": 1024, "ecdsa": 224, "ed25519": 448, "": 0} {
		_, err := keys.Generate(name, bits)
		wantFault(t, err, fault.Usage, fmt.Sprintf("%q", name), "ed25519, which every server")
	}
}

func TestAuthorizedLine(t *testing.T) {
	key := public(t, "ed25519.pub")
	if got, want := keys.AuthorizedLine(key, "ed25519 comment"), testdata(t, "ed25519.pub"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for comment, end := range map[string]string{"": "", "a\nssh-rsa AAAA": " a ssh-rsa AAAA", "\r\x00": ""} {
		got := keys.AuthorizedLine(key, comment)
		if got != line(t, "ed25519.pub")+end+"\n" {
			t.Errorf("comment %q: %q", comment, got)
		}
	}
}
