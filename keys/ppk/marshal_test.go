package ppk_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys/ppk"
)

// ways lists the options that differ in what they write.
func ways() []ppk.Options {
	const pass = "pässwörd €"
	all := []ppk.Options{{}, {Version: 2}, {Version: 3}, {Version: 2, Passphrase: []byte(pass)}, {Passphrase: []byte(pass)}}
	for _, kdf := range []string{"", ppk.Argon2id, ppk.Argon2i, ppk.Argon2d} {
		all = append(all,
			ppk.Options{Version: 3, KDF: kdf, Passphrase: []byte(pass), Memory: 777, Passes: 3, Parallelism: 3},
			ppk.Options{Version: 3, KDF: kdf, Passphrase: []byte(pass), Memory: 8, Passes: 1})
	}
	return all
}

func describe(o ppk.Options) string {
	return fmt.Sprintf("version %d, passphrase %t, %s, %d KiB, %d passes, %d lanes", o.Version, len(o.Passphrase) > 0, o.KDF, o.Memory, o.Passes, o.Parallelism)
}

func TestMarshal(t *testing.T) {
	k := must(t, get(t, "cert-ecdsa521.ppk").data, "")
	k.Comment = "\xff gr\u00fc\u00dfe: \t\x01 "
	for _, o := range ways() {
		t.Run(describe(o), func(t *testing.T) {
			text, err := ppk.Marshal(k, o)
			if err != nil {
				t.Fatal(err)
			}
			if len(o.Passphrase) > 0 {
				_, err := ppk.Parse(text, nil)
				wantError(t, err, ppk.NeedPassphrase, 0, "")
			}
			got := must(t, text, string(o.Passphrase))
			sameKey(t, got, k)
			version, kdf := o.Version, ""
			if version == 0 {
				version = 3
			}
			if kdf = o.KDF; version != 3 || len(o.Passphrase) == 0 {
				kdf = ""
			} else if kdf == "" {
				kdf = ppk.Argon2id
			}
			if got.Version != version || got.KDF != kdf || got.Encrypted != (len(o.Passphrase) > 0) {
				t.Errorf("version %d, KDF %q, encrypted %t", got.Version, got.KDF, got.Encrypted)
			}
			if got.Encrypted {
				again, err := ppk.Marshal(k, o)
				if err != nil || version == 3 && bytes.Equal(again, text) {
					t.Errorf("the salt is the same again, or %v", err)
				}
			}
		})
	}
}

// TestMarshalEveryKey: each key of the corpus, encrypted, and read again.
func TestMarshalEveryKey(t *testing.T) {
	for _, s := range samples(t) {
		if s.encrypted() || s.refused() {
			continue
		}
		k := must(t, s.data, "")
		text, err := ppk.Marshal(&ppk.Key{Private: k.Private, Certificate: k.Certificate, Comment: k.Comment},
			ppk.Options{Passphrase: []byte("x"), Memory: 8, Passes: 1})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		sameKey(t, must(t, text, "x"), k)
	}
}

// TestMarshalRand: salt and padding come from Options.Rand, in this order:
// padding, salt.
func TestMarshalRand(t *testing.T) {
	k := must(t, get(t, "ed25519-3.ppk").data, "")
	o := ppk.Options{Passphrase: []byte("x"), Memory: 8, Passes: 1, Rand: strings.NewReader(strings.Repeat("p", 12) + "0123456789abcdef")}
	text, err := ppk.Marshal(k, o)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Argon2-Salt: 30313233343536373839616263646566\n"; !bytes.Contains(text, []byte(want)) {
		t.Errorf("no %q in\n%s", want, text)
	}
	sameKey(t, must(t, text, "x"), k)
	for _, n := range []int64{0, 11, 12, 27} {
		o.Rand = io.LimitReader(rand.Reader, n)
		if _, err := ppk.Marshal(k, o); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("with %d random bytes: %v", n, err)
		}
	}
	broken := errors.New("no entropy")
	o.Rand = iotest.ErrReader(broken)
	if _, err := ppk.Marshal(k, o); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	k := must(t, get(t, "cert-ed25519.ppk").data, "")
	other := must(t, get(t, "ecdsa256-3.ppk").data, "")
	signer, err := ssh.NewSignerFromKey(other.Private)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrongRSA := *must(t, get(t, "rsa1024-3.ppk").data, "").Private.(*rsa.PrivateKey)
	wrongRSA.D = wrongRSA.Primes[0]
	three := wrongRSA
	three.Primes = append(three.Primes[:2:2], three.Primes[0])
	pass := []byte("x")
	for _, tt := range []struct {
		name    string
		key     ppk.Key
		options ppk.Options
		kind    ppk.ErrorKind
		message string
	}{
		{"version 1", *k, ppk.Options{Version: 1}, ppk.Unsupported, "version 1"},
		{"version 4", *k, ppk.Options{Version: 4}, ppk.Unsupported, "version 4"},
		{"unknown derivation", *k, ppk.Options{Passphrase: pass, KDF: "scrypt"}, ppk.Unsupported, "key derivation"},
		{"too much memory", *k, ppk.Options{Passphrase: pass, Memory: 1<<20 + 1, Passes: 1}, ppk.TooCostly, "KiB"},
		{"too much work", *k, ppk.Options{Passphrase: pass, Memory: 1 << 20, Passes: 17}, ppk.TooCostly, "17 times"},
		{"too little memory", *k, ppk.Options{Passphrase: pass, Memory: 8, Passes: 1, Parallelism: 2}, ppk.Unsupported, "8 KiB for each lane"},
		{"line end in the comment", ppk.Key{Private: k.Private, Comment: "a\nb"}, ppk.Options{}, ppk.Unsupported, "comment"},
		{"zero byte in the comment", ppk.Key{Private: k.Private, Comment: "a\x00b"}, ppk.Options{}, ppk.Unsupported, "comment"},
		{"comment of 1 MiB", ppk.Key{Private: k.Private, Comment: strings.Repeat("x", 1<<20)}, ppk.Options{}, ppk.Unsupported, "too long"},
		{"no key", ppk.Key{}, ppk.Options{}, ppk.Unsupported, "does not fit"},
		{"public key", ppk.Key{Private: k.Public}, ppk.Options{}, ppk.Unsupported, "does not fit"},
		{"signer", ppk.Key{Private: signer}, ppk.Options{}, ppk.Unsupported, "does not fit"},
		{"P-224", ppk.Key{Private: p224}, ppk.Options{}, ppk.Unsupported, "SSH does not use"},
		{"half a key", ppk.Key{Private: ed25519.PrivateKey{1, 2}}, ppk.Options{}, ppk.Unsupported, "does not fit"},
		{"RSA of three primes", ppk.Key{Private: &three}, ppk.Options{}, ppk.Unsupported, "does not fit"},
		{"RSA with a wrong exponent", ppk.Key{Private: &wrongRSA}, ppk.Options{}, ppk.Unsupported, "not valid"},
		{"public half of another key", ppk.Key{Private: k.Private, Public: other.Public}, ppk.Options{}, ppk.Unsupported, "another key"},
		{"certificate of another key", ppk.Key{Private: other.Private, Certificate: k.Certificate}, ppk.Options{}, ppk.Unsupported, "another key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ppk.Marshal(&tt.key, tt.options)
			wantError(t, err, tt.kind, 0, tt.message)
		})
	}
}

// TestPointer: ssh.ParseRawPrivateKey returns Ed25519 keys by pointer.
func TestPointer(t *testing.T) {
	k := must(t, get(t, "ed25519-3.ppk").data, "")
	private := k.Private.(ed25519.PrivateKey)
	text, err := ppk.Marshal(&ppk.Key{Private: &private, Comment: k.Comment}, ppk.Options{})
	if err != nil || !bytes.Equal(text, get(t, "ed25519-3.ppk").data) {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestPuttygenOpens: puttygen reads what Marshal writes, and sees the same key.
func TestPuttygenOpens(t *testing.T) {
	lab.Need(t, "puttygen")
	dir := t.TempDir()
	check := func(t *testing.T, s sample, o ppk.Options) {
		t.Helper()
		k := must(t, s.data, "")
		text, err := ppk.Marshal(k, o)
		if err != nil {
			t.Fatal(err)
		}
		file, pass := filepath.Join(dir, "key.ppk"), filepath.Join(dir, "pass")
		for name, b := range map[string][]byte{file: text, pass: append(o.Passphrase[:len(o.Passphrase):len(o.Passphrase)], '\n')} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Fields(lab.Run(t, "puttygen", "-l", file)); len(got) < 3 || got[0] != s.algorithm || got[2] != s.fingerprint {
			t.Errorf("puttygen prints %q, want %s %s", got, s.algorithm, s.fingerprint)
		}
		// The fingerprint needs no passphrase; the private half does.
		out := filepath.Join(dir, "plain.ppk")
		if err := os.WriteFile(filepath.Join(dir, "none"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		lab.Run(t, "puttygen", file, "-P", "-O", "private", "-o", out, "--old-passphrase", pass, "--new-passphrase", filepath.Join(dir, "none"),
			"--ppk-param", fmt.Sprintf("version=%d", s.version))
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, s.data) {
			t.Errorf("puttygen made of it %v\n%s\nfrom\n%s", err, got, s.data)
		}
	}
	for _, o := range ways() {
		t.Run(describe(o), func(t *testing.T) { check(t, get(t, "cert-ed25519.ppk"), o) })
	}
	for _, s := range samples(t) {
		if s.encrypted() || s.refused() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			check(t, s, ppk.Options{Version: 5 - s.version, Passphrase: []byte("x"), Memory: 8, Passes: 1})
		})
	}
}
