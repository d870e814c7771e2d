package keys_test

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys/guard"
)

// passphrase opens every encrypted file of testdata.
const passphrase = "sesame"

// private copies files of testdata into a folder of the test, closed to
// others, as git keeps no such modes. It returns the path of the first.
func private(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), testdata(t, name))
	}
	return filepath.Join(dir, names[0])
}

// write makes a file anew, closed to others.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f, err := guard.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// file writes one file into a folder of its own.
func file(t testing.TB, name, text string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), name), text)
}

func testdata(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// public reads a public key or certificate of testdata.
func public(t testing.TB, name string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(testdata(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// line returns "TYPE BASE64" of a public key of testdata.
func line(t testing.TB, name string) string {
	t.Helper()
	return strings.Join(strings.Fields(testdata(t, name))[:2], " ")
}

// signs fails the test unless the signer makes a signature with each of its
// algorithms that its public key verifies.
func signs(t *testing.T, s ssh.Signer) {
	t.Helper()
	multi, ok := s.(ssh.MultiAlgorithmSigner)
	if !ok {
		t.Fatalf("%T does not say its algorithms", s)
	}
	for _, algorithm := range multi.Algorithms() {
		sig, err := multi.SignWithAlgorithm(rand.Reader, []byte("data"), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PublicKey().Verify([]byte("data"), sig); err != nil || sig.Format != algorithm {
			t.Errorf("signature with %s has format %s and verifies with %v", algorithm, sig.Format, err)
		}
	}
}

// wantFault fails the test unless err is a permanent fault of a kind whose
// message and hint hold these words, and both are one line.
func wantFault(t *testing.T, err error, kind fault.Kind, message, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !fault.Is(err, kind) {
		t.Errorf("kind %v, want %v", fault.KindOf(err), kind)
	}
	if fault.Transient(err) {
		t.Error("transient, want permanent")
	}
	if !strings.Contains(err.Error(), message) {
		t.Errorf("message\n  %q\nlacks\n  %q", err, message)
	}
	own := fault.HintOf(err)
	if !strings.Contains(own, hint) {
		t.Errorf("hint\n  %q\nlacks\n  %q", own, hint)
	}
	if own == kind.Hint() {
		t.Errorf("the hint is the kind's: %q", own)
	}
	if strings.ContainsAny(err.Error()+own, "\r\n") {
		t.Errorf("more than one line: %q %q", err, own)
	}
}
