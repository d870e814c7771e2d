package ppk_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/keys/ppk"
)

// A sample is a file of testdata with what MANIFEST says of it.
type sample struct {
	name        string
	version     int
	kdf         string // none, SHA1 or the name of an Argon2
	algorithm   string
	fingerprint string
	passphrase  string
	comment     string
	data        []byte
}

func (s sample) encrypted() bool { return s.kdf != "none" }
func (s sample) refused() bool   { return strings.HasPrefix(s.name, "no-") }

// argon returns the name that Key.KDF must have.
func (s sample) argon() string {
	if strings.HasPrefix(s.kdf, "Argon2") {
		return s.kdf
	}
	return ""
}

// samples returns all of the corpus.
func samples(t testing.TB) []sample {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join("testdata", "MANIFEST"))
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	for line := range strings.Lines(string(manifest)) {
		w := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(w) != 8 {
			t.Fatalf("MANIFEST has the line %q", line)
		}
		version, err := strconv.Atoi(w[1])
		comment, err2 := strconv.Unquote(`"` + w[7] + `"`)
		data, err3 := os.ReadFile(filepath.Join("testdata", w[0]))
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{w[0], version, w[2], w[3], w[5], w[6], comment, data})
	}
	if files, _ := filepath.Glob("testdata/*.ppk"); len(files) != len(all) || len(all) < 60 {
		t.Fatalf("MANIFEST has %d files, the folder %d, and 60 are wanted", len(all), len(files))
	}
	return all
}

// get returns one sample.
func get(t testing.TB, name string) sample {
	t.Helper()
	for _, s := range samples(t) {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no %s", name)
	return sample{}
}

// must parses a file that is right.
func must(t testing.TB, data []byte, passphrase string) *ppk.Key {
	t.Helper()
	k, err := ppk.Parse(data, []byte(passphrase))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return k
}

// wantError fails the test unless err is an *Error of a kind that has this in
// its message.
func wantError(t testing.TB, err error, kind ppk.ErrorKind, line int, message string) {
	t.Helper()
	e, ok := errors.AsType[*ppk.Error](err)
	switch {
	case !ok:
		t.Errorf("error %v of type %T", err, err)
	case e.Kind != kind || e.Line != line || !strings.Contains(e.Msg, message):
		t.Errorf("got %v error in line %d: %q\nwant %v, line %d: %q", e.Kind, e.Line, e.Msg, kind, line, message)
	}
}

// sameKey fails the test unless two keys are the same in all that Marshal
// writes.
func sameKey(t testing.TB, got, want *ppk.Key) {
	t.Helper()
	if !bytes.Equal(ppk.PrivateFields(got.Private), ppk.PrivateFields(want.Private)) {
		t.Error("the private half is another one")
	}
	if !bytes.Equal(got.Public.Marshal(), want.Public.Marshal()) {
		t.Error("the public half is another one")
	}
	if (got.Certificate == nil) != (want.Certificate == nil) ||
		got.Certificate != nil && !bytes.Equal(got.Certificate.Marshal(), want.Certificate.Marshal()) {
		t.Error("the certificate is another one")
	}
	if got.Comment != want.Comment {
		t.Errorf("comment %q, want %q", got.Comment, want.Comment)
	}
}

// signs fails the test unless the key makes signatures that its public half
// verifies.
func signs(t testing.TB, k *ppk.Key) {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(k.Private)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.Sign(rand.Reader, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Public.Verify([]byte("data"), sig); err != nil {
		t.Error(err)
	}
}

// A craft is a file in the making, put together by the rules of the format's
// description and not by the code under test.
type craft struct {
	version    int
	algorithm  string
	comment    string
	public     []byte
	private    []byte // plain
	hashed     bool   // Private-Hash of version 1
	passphrase string // for versions 1 and 2
	macComment string // what the MAC is made over, if it is not comment
}

// uncraft takes a plain sample apart.
func uncraft(t testing.TB, s sample) craft {
	t.Helper()
	if s.encrypted() {
		t.Fatalf("%s is encrypted", s.name)
	}
	c := craft{version: s.version, algorithm: s.algorithm, comment: s.comment}
	for name, to := range map[string]*[]byte{"Public-Lines: ": &c.public, "Private-Lines: ": &c.private} {
		_, rest, _ := strings.Cut(string(s.data), "\n"+name)
		lines := strings.Split(rest, "\n")
		n, err := strconv.Atoi(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		if *to, err = base64.StdEncoding.DecodeString(strings.Join(lines[1:n+1], "")); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c craft) bytes() []byte {
	sum := sha1.New
	var macKey []byte
	if c.version == 3 {
		sum = sha256.New
	} else {
		h := sha1.Sum([]byte("putty-private-key-file-mac-key" + c.passphrase))
		macKey = h[:]
	}
	encryption, stored := "none", c.private
	if c.passphrase != "" {
		encryption = "aes256-cbc"
		for len(c.private)%16 != 0 {
			c.private = append(c.private[:len(c.private):len(c.private)], 0xa5)
		}
		k0, k1 := sha1.Sum([]byte("\x00\x00\x00\x00"+c.passphrase)), sha1.Sum([]byte("\x00\x00\x00\x01"+c.passphrase))
		block, _ := aes.NewCipher(append(k0[:], k1[:12]...))
		stored = make([]byte, len(c.private))
		cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(stored, c.private)
	}
	if c.macComment == "" {
		c.macComment = c.comment
	}
	covered := c.private
	if c.version > 1 {
		covered = wireStrings(c.algorithm, encryption, c.macComment, string(c.public), string(c.private))
	}
	name := "Private-MAC"
	h := hmac.New(sum, macKey)
	if c.hashed {
		name, h = "Private-Hash", sum()
	}
	h.Write(covered)
	return fmt.Appendf(nil, "PuTTY-User-Key-File-%d: %s\nEncryption: %s\nComment: %s\nPublic-Lines: %sPrivate-Lines: %s%s: %s\n",
		c.version, c.algorithm, encryption, c.comment, lines(c.public, 64), lines(stored, 64), name, hex.EncodeToString(h.Sum(nil)))
}

// lines writes a number of lines, and these lines of base64.
func lines(b []byte, width int) string {
	text, n := base64.StdEncoding.EncodeToString(b), 0
	var out strings.Builder
	for ; text != ""; n++ {
		w := min(len(text), width)
		out.WriteString(text[:w] + "\n")
		text = text[w:]
	}
	return fmt.Sprintf("%d\n%s", n, out.String())
}

// mpint returns the content of an mpint.
func mpint(n *big.Int) string {
	b := n.Bytes()
	if len(b) > 0 && b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return string(b)
}

// wireStrings writes strings as the wire has them.
func wireStrings(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, ssh.Marshal(struct{ S string }{p})...)
	}
	return b
}

// alter changes the first character of base64 after a line with a number.
func alter(text []byte, name string) []byte {
	text = bytes.Clone(text)
	i := bytes.Index(text, []byte("\n"+name+": ")) + 1
	i += bytes.IndexByte(text[i:], '\n') + 1
	text[i] = 'A' + 'B' - min(text[i], 'B')
	return text
}
