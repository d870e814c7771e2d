package ppk_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/keys/ppk"
)

// TestCorpus loads every file that puttygen wrote.
func TestCorpus(t *testing.T) {
	for _, s := range samples(t) {
		if s.refused() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if !ppk.Is(s.data) {
				t.Error("Is says no")
			}
			// A needless passphrase is ignored.
			k := must(t, s.data, s.passphrase+strings.Repeat("x", btoi(!s.encrypted())))
			if got := ssh.FingerprintSHA256(k.Public); got != s.fingerprint {
				t.Errorf("fingerprint %s, want %s", got, s.fingerprint)
			}
			plain, isCert := strings.CutSuffix(s.algorithm, "-cert-v01@openssh.com")
			if k.Public.Type() != plain {
				t.Errorf("type %s, want %s", k.Public.Type(), plain)
			}
			if (k.Certificate != nil) != isCert {
				t.Errorf("certificate %v", k.Certificate)
			}
			if isCert {
				if k.Certificate.Type() != s.algorithm || !bytes.Equal(k.Certificate.Key.Marshal(), k.Public.Marshal()) || k.Certificate.ValidPrincipals[0] != "jephe" {
					t.Errorf("certificate %v", k.Certificate)
				}
			}
			if k.Version != s.version || k.Encrypted != s.encrypted() || k.KDF != s.argon() || k.Comment != s.comment {
				t.Errorf("version %d, encrypted %v, KDF %q, comment %q", k.Version, k.Encrypted, k.KDF, k.Comment)
			}
			signs(t, k)

			info, err := ppk.Inspect(s.data)
			if err != nil {
				t.Fatal(err)
			}
			if info.Version != s.version || info.Encrypted != s.encrypted() || info.KDF != s.argon() || info.Comment != s.comment ||
				info.Algorithm != s.algorithm || !bytes.Equal(info.Public.Marshal(), k.Public.Marshal()) || (info.Certificate != nil) != isCert {
				t.Errorf("Inspect says %+v", info)
			}
			if s.encrypted() {
				_, err := ppk.Parse(s.data, nil)
				wantError(t, err, ppk.NeedPassphrase, 0, "it is encrypted")
				_, err = ppk.Parse(s.data, []byte(s.passphrase+"x"))
				wantError(t, err, ppk.WrongPassphrase, 0, "the passphrase does not fit")
			} else {
				// What puttygen writes without a passphrase, we write too.
				text, err := ppk.Marshal(k, ppk.Options{Version: s.version})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(text, s.data) {
					t.Errorf("written again as\n%s\nfrom\n%s", text, s.data)
				}
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRefusedByName: sound files with keys that SSH libraries do not take.
func TestRefusedByName(t *testing.T) {
	for _, tt := range []struct {
		file, message string
		line          int
	}{
		{"no-ed448.ppk", "Ed448", 1},
		{"no-ed448-enc.ppk", "Ed448", 1},
		{"no-dsa2048.ppk", "another size than 1024 bits", 0},
	} {
		t.Run(tt.file, func(t *testing.T) {
			s := get(t, tt.file)
			for _, pass := range []string{s.passphrase, ""} {
				_, err := ppk.Parse(s.data, []byte(pass))
				wantError(t, err, ppk.Unsupported, tt.line, tt.message)
				if e := err.(*ppk.Error); !strings.Contains(e.Hint, "puttygen -t ed25519") {
					t.Errorf("hint %q", e.Hint)
				}
			}
			info, err := ppk.Inspect(s.data)
			if err != nil || info.Public != nil || info.Algorithm != s.algorithm || info.Comment != s.comment {
				t.Errorf("Inspect says %+v, %v", info, err)
			}
		})
	}
}

// TestWholeBlocks: a private half that fills whole blocks has no padding.
func TestWholeBlocks(t *testing.T) {
	c := uncraft(t, get(t, "rsa2192-3.ppk"))
	if len(c.private)%16 != 0 {
		t.Fatalf("the sample has %d private bytes and tests nothing", len(c.private))
	}
	k := must(t, get(t, "rsa2192-3-enc.ppk").data, "sesame")
	text, err := ppk.Marshal(k, ppk.Options{Version: 2, Passphrase: []byte("other")})
	if err != nil {
		t.Fatal(err)
	}
	sameKey(t, must(t, text, "other"), k)
}

// TestVersion1 makes its files by the rules, since no puttygen of today can.
func TestVersion1(t *testing.T) {
	for _, name := range []string{"rsa1024-2.ppk", "dsa1024-2.ppk", "ecdsa384-2.ppk", "ed25519-2.ppk"} {
		for _, tt := range []struct {
			name       string
			hashed     bool
			passphrase string
		}{
			{"MAC", false, ""}, {"hash", true, ""},
			{"MAC, encrypted", false, "sesame"}, {"hash, encrypted", true, "sesame"},
		} {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				s := get(t, name)
				c := uncraft(t, s)
				c.version, c.hashed, c.passphrase = 1, tt.hashed, tt.passphrase
				k := must(t, c.bytes(), tt.passphrase)
				sameKey(t, k, must(t, s.data, ""))
				if k.Version != 1 || k.Encrypted != (tt.passphrase != "") || k.KDF != "" {
					t.Errorf("version %d, encrypted %v, KDF %q", k.Version, k.Encrypted, k.KDF)
				}
				kind := ppk.Damaged
				if tt.passphrase != "" {
					kind = ppk.WrongPassphrase
					_, err := ppk.Parse(c.bytes(), []byte("other"))
					wantError(t, err, kind, 0, "")
				}
				_, err := ppk.Parse(alter(c.bytes(), "Private-Lines"), []byte(tt.passphrase))
				wantError(t, err, kind, 0, "altered")
			})
		}
	}
}

// TestVersion1Public: in version 1, the MAC does not cover the public half. So
// it is the private half that tells.
func TestVersion1Public(t *testing.T) {
	for _, tt := range []struct{ name, other string }{
		{"rsa1024-2.ppk", "rsa2048-2.ppk"},
		{"ecdsa384-2.ppk", "ecdsa256-2.ppk"},
		{"dsa1024-2.ppk", ""},
		{"ed25519-2.ppk", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := uncraft(t, get(t, tt.name))
			c.version = 1
			if tt.other != "" {
				o := uncraft(t, get(t, tt.other))
				c.public, c.algorithm = o.public, o.algorithm
			} else {
				c.public[len(c.public)-1] ^= 1
			}
			_, err := ppk.Parse(c.bytes(), nil)
			wantError(t, err, ppk.Damaged, 0, "private half")
		})
	}
}

// TestArgon2d is RFC 9106, section 5.1.
func TestArgon2d(t *testing.T) {
	got := ppk.Argon2dSum(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16), bytes.Repeat([]byte{3}, 8), bytes.Repeat([]byte{4}, 12), 3, 32, 4, 32)
	const want = "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"
	if hex.EncodeToString(got) != want {
		t.Errorf("%x\nwant %s", got, want)
	}
}

// BenchmarkParse shows what a passphrase costs: 8 MiB and 34 passes or so; 4
// MiB and 3 passes on two lanes.
func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"ed25519-3.ppk", "rsa3072-3-enc.ppk", "kdf-default.ppk", "kdf-Argon2id-large.ppk", "kdf-Argon2d-large.ppk"} {
		s := get(b, name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(b, s.data, s.passphrase)
			}
		})
	}
}
