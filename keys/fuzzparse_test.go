package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// corpusFiles returns the contents of the corpus, whose passphrase is sesame.
func corpusFiles(f *testing.F, pattern string) [][]byte {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "corpus", pattern))
	if err != nil || len(names) < 20 {
		f.Fatalf("%d files %s of the corpus: %v", len(names), pattern, err)
	}
	var files [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, data)
	}
	return files
}

// cheap reports whether a passphrase costs milliseconds only, so that a fuzzer
// gets somewhere.
func cheap(f *file) bool {
	var name string
	var rounds, n, r, p int
	if _, err := fmt.Sscanf(f.KDF, "scrypt, N=%d, r=%d, p=%d", &n, &r, &p); err == nil {
		return n*r*p <= 1<<13
	}
	if _, err := fmt.Sscanf(strings.ReplaceAll(f.KDF, ",", " "), "%s %d", &name, &rounds); err == nil {
		return rounds <= 2 || rounds <= 3000 && name != "bcrypt"
	}
	return f.KDF == ""
}

// unlocked opens what recognize made of some bytes, if that is cheap.
func unlocked(t *testing.T, f *file, err error, passphrase []byte) *PrivateKey {
	t.Helper()
	if err == nil && f.open != nil && (!f.Encrypted || cheap(f)) {
		var key *PrivateKey
		if key, err = f.unlock(passphrase); err == nil {
			return key
		}
	}
	if e, ok := errors.AsType[*LoadError](err); err != nil && (!ok || e.Kind == "" || e.hint == "") {
		t.Errorf("an error without kind or hint: %v", err)
	}
	return nil
}

// sameAfter writes a key that was read, and reads it again.
func sameAfter(t *testing.T, key *PrivateKey, f Format) {
	t.Helper()
	text, err := Marshal(key, f, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivate(text, nil)
	if err != nil {
		t.Fatalf("what was read and written does not load: %v", err)
	}
	if !bytes.Equal(publicBytes(t, again.Key), publicBytes(t, key.Key)) {
		t.Error("what was read and written is another key")
	}
}

func publicBytes(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	public, err := publicHalf(key)
	if err != nil {
		t.Fatal(err)
	}
	return public.Marshal()
}

// FuzzParsePrivate: a file is a key that signs, or is refused in words of ours
// alone.
func FuzzParsePrivate(f *testing.F) {
	for _, data := range corpusFiles(f, "*") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Inspect(data); err != nil {
			own(t, data, err)
		}
		found, err := recognize(data)
		key := unlocked(t, found, err, []byte("sesame"))
		if key == nil {
			return
		}
		signer, err := newSigner(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := signer.Sign(rand.Reader, []byte("data"))
		if err != nil || signer.PublicKey().Verify([]byte("data"), sig) != nil {
			t.Errorf("a key that does not sign: %v", err)
		}
		if found.Public != nil && !bytes.Equal(found.Public.Marshal(), signer.PublicKey().Marshal()) {
			t.Error("the key is not the one that was announced")
		}
	})
}

// own fails the test if an error or its hint has something of the file in it.
func own(t *testing.T, data []byte, err error) {
	t.Helper()
	if !fault.Is(err, fault.Key) || fault.Transient(err) {
		t.Errorf("fault kind %v: %v", fault.KindOf(err), err)
	}
	said := err.Error() + " " + fault.HintOf(err)
	for text := range bytes.Lines(data) {
		text = bytes.TrimSpace(text)
		if len(text) > 40 && bytes.Contains([]byte(said), text) { // longer than what a hint quotes of a format
			t.Errorf("the line %q of the file is in %q", text, said)
		}
	}
}

// FuzzOpenSSH mutates what is inside of the PEM block: what opens can be
// written, and is the key that its envelope announces.
func FuzzOpenSSH(f *testing.F) {
	for _, data := range corpusFiles(f, "*openssh-*") {
		if block, _ := pem.Decode(data); block != nil {
			f.Add(block.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := recognizeOpenSSH(body)
		if key := unlocked(t, found, err, []byte("sesame")); key != nil {
			if ssh.FingerprintSHA256(found.Public) != found.Fingerprint || !bytes.Equal(publicBytes(t, key.Key), found.Public.Marshal()) {
				t.Error("the key is not the one that was announced")
			}
			sameAfter(t, key, OpenSSH)
		}
	})
}

// FuzzPKCS8 mutates ASN.1, plain and encrypted: what opens can be written.
func FuzzPKCS8(f *testing.F) {
	for _, data := range corpusFiles(f, "*pkcs8-*") {
		if block, _ := pem.Decode(data); block != nil {
			f.Add(block.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		plain := &file{Info: Info{Format: PKCS8}, open: func([]byte) (*PrivateKey, error) { return newPrivate(parsePKCS8(der)) }}
		if key := unlocked(t, plain, nil, nil); key != nil {
			sameAfter(t, key, PKCS8)
		}
		found, err := recognizeEncryptedPKCS8(der)
		if key := unlocked(t, found, err, []byte("sesame")); key != nil {
			sameAfter(t, key, PKCS8)
		}
	})
}

// FuzzDEKInfo mutates header and content of an encrypted PEM block: what is
// decrypted can be encrypted again, to the same bytes.
func FuzzDEKInfo(f *testing.F) {
	for _, data := range corpusFiles(f, "*pem-*") {
		if block, _ := pem.Decode(data); block != nil && block.Headers["DEK-Info"] != "" {
			f.Add(block.Headers["DEK-Info"], block.Bytes, []byte("sesame"))
		}
	}
	f.Add("AES-256-CBC,", []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, header string, body, passphrase []byte) {
		for _, label := range []string{labelRSA, labelDSA, labelEC} {
			block := &pemBlock{label: label, body: body, headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": header}}
			found, err := recognizeTraditional(block, nil)
			unlocked(t, found, err, passphrase)
		}
		d, err := parseDEKInfo(header)
		if err != nil {
			return
		}
		plain, err := d.decrypt(body, passphrase)
		if err != nil {
			return
		}
		block, err := d.cipher(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		if again := sealCBC(block, d.iv, plain); !bytes.Equal(again, body) {
			t.Errorf("encrypted again it is % x, not % x", again, body)
		}
	})
}

// TestReadWiping reads more than its first buffer takes, and no more than the
// limit.
func TestReadWiping(t *testing.T) {
	for _, size := range []int{0, 1, 8<<10 - 1, 8 << 10, 8<<10 + 1, 100_000, 200_000} {
		got, err := readWiping(io.LimitReader(rand.Reader, int64(size)), 150_000)
		if err != nil || len(got) != min(size, 150_000) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}
