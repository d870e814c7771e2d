package ppk_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"linehaul/keys/ppk"
)

// TestForms: what editors and copying do to a file. puttygen judges these the
// same way, as TestPuttygenLoads shows.
func TestForms(t *testing.T) {
	text := string(get(t, "ed25519-3-enc.ppk").data)
	every := func(end string) string { return strings.ReplaceAll(text, "\n", end) }
	half := len(text) / 2
	for _, tt := range []struct {
		name, text string
		line       int
		message    string // empty if it loads
	}{
		{"CRLF", every("\r\n"), 0, ""},
		{"CR", every("\r"), 0, ""},
		{"a blank line after each", every("\n\n"), 0, ""},
		{"mixed", strings.ReplaceAll(text[:half], "\n", "\r\n") + strings.ReplaceAll(text[half:], "\n", "\r"), 0, ""},
		{"no final line end", strings.TrimSpace(text), 0, ""},
		{"blank lines at the end", text + "\r\n\r\n\n", 0, ""},
		{"something after the end", text + "\x00\xffnext file", 0, ""},
		{"CR CR LF", every("\r\r\n"), 3, `"Encryption: "`},
		{"two blank lines after each", every("\n\n\n"), 3, `"Encryption: "`},
		{"CRLF and a blank line after each", every("\r\n\r\n"), 2, `"Encryption: "`},
		{"byte order mark", "\ufeff" + text, 1, "byte order mark"},
		{"UTF-16, little-endian", "\xff\xfe" + strings.Join(strings.Split(text, ""), "\x00") + "\x00", 1, "UTF-16"},
		{"UTF-16, big-endian", "\xfe\xff\x00" + strings.Join(strings.Split(text, ""), "\x00"), 1, "UTF-16"},
		{"UTF-16 without mark", strings.Join(strings.Split(text, ""), "\x00") + "\x00", 1, "UTF-16"},
		{"blank line first", "\n" + text, 1, "white space"},
		{"spaces at line ends", every(" \n"), 1, "white space at the end"},
		{"a space after one header", strings.Replace(text, "Memory: 256", "Memory: 256\t", 1), 8, "white space at the end"},
		{"a space after a line of base64", strings.Replace(text, "\nKey", " \nKey", 1), 6, "white space at the end"},
		{"indented", "  " + every("\n  "), 1, "white space"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !ppk.Is([]byte(tt.text)) {
				t.Error("Is says no")
			}
			k, err := ppk.Parse([]byte(tt.text), []byte("sesame"))
			if tt.message == "" {
				if err != nil || k.Comment != "ed25519" {
					t.Errorf("%+v, %v", k, err)
				}
				return
			}
			wantError(t, err, ppk.Damaged, tt.line, tt.message)
		})
	}
}

func TestIs(t *testing.T) {
	for _, text := range []string{"", "P", "PuTTY-User-Key-File", "PuTTY log", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", "\xff\xfe", "\n\n"} {
		if ppk.Is([]byte(text)) {
			t.Errorf("Is(%q)", text)
		}
		_, err := ppk.Parse([]byte(text), nil)
		wantError(t, err, ppk.Damaged, 1, "not a PuTTY private key file")
	}
}

// TestTruncated cuts samples at every byte.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"ed25519-2.ppk", "ed25519-2-enc.ppk", "ed25519-3.ppk", "kdf-Argon2d-least.ppk", "cert-ed25519.ppk"} {
		t.Run(name, func(t *testing.T) {
			s := get(t, name)
			for n := range len(s.data) - 1 {
				_, err := ppk.Parse(s.data[:n], []byte(s.passphrase))
				// A name that is cut short is one that is not known.
				if e, ok := errors.AsType[*ppk.Error](err); !ok || e.Kind != ppk.Damaged && (e.Kind != ppk.Unsupported || e.Line == 0) {
					t.Fatalf("%d bytes of %d: %v", n, len(s.data), err)
				}
			}
			must(t, s.data[:len(s.data)-1], s.passphrase)
		})
	}
}

// TestFlipped changes every bit of samples. One change is harmless: that of a
// letter's case in the salt, which PuTTY reads in both.
func TestFlipped(t *testing.T) {
	for _, name := range []string{"ed25519-2.ppk", "ed25519-2-enc.ppk", "ecdsa521-3.ppk", "kdf-Argon2id-least.ppk", "kdf-Argon2d-least.ppk", "cert-ed25519.ppk"} {
		t.Run(name, func(t *testing.T) {
			s := get(t, name)
			salt := bytes.Index(s.data, []byte("Salt: "))
			for i := range s.data[:len(s.data)-1] {
				for bit := range 8 {
					text := bytes.Clone(s.data)
					text[i] ^= 1 << bit
					_, err := ppk.Parse(text, []byte(s.passphrase))
					if salt >= 0 && i >= salt+6 && i < salt+38 && bit == 5 && s.data[i] >= 'a' && s.data[i] <= 'f' {
						if err != nil {
							t.Errorf("salt in upper case: %v", err)
						}
						continue
					}
					e, ok := errors.AsType[*ppk.Error](err)
					if !ok {
						t.Fatalf("bit %d of byte %d: %v", bit, i, err)
					}
					if e.Kind == ppk.NeedPassphrase || e.Kind == ppk.WrongPassphrase && !s.encrypted() {
						t.Errorf("bit %d of byte %d: %v: %v", bit, i, e.Kind, err)
					}
				}
			}
		})
	}
}

// TestHostile: files that lie about what they hold. Each is refused within a
// second and 64 MiB.
func TestHostile(t *testing.T) {
	plain, argon := string(get(t, "ed25519-3.ppk").data), string(get(t, "kdf-Argon2id-least.ppk").data)
	change := func(text, from, to string) string {
		if !strings.Contains(text, from) {
			t.Fatalf("no %q to change in\n%s", from, text)
		}
		return strings.Replace(text, from, to, 1)
	}
	cut := func(text, before string) string {
		head, _, _ := strings.Cut(text, before)
		return head
	}
	_, otherMAC, _ := strings.Cut(string(get(t, "rsa1024-3.ppk").data), "Private-MAC")
	otherMAC = "Private-MAC" + otherMAC
	private := func(text string, blob []byte) string {
		return cut(text, "Private-Lines") + "Private-Lines: " + lines(blob, 64) + otherMAC
	}
	c := uncraft(t, get(t, "ed25519-3.ppk"))
	longer := c // what follows the private fields is padding, here one byte
	longer.private = append(bytes.Clone(c.private), 'x')
	must(t, longer.bytes(), "")
	for _, tt := range []struct {
		name, text string
		kind       ppk.ErrorKind
		line       int
		message    string
	}{
		{"2^31 public lines", change(plain, "Public-Lines: 2", "Public-Lines: 2147483648"), ppk.Damaged, 9, "fours"},
		{"2^32-1 private lines", change(plain, "Private-Lines: 1", "Private-Lines: 4294967295"), ppk.Damaged, 9, "fours"},
		{"2^32 public lines", change(plain, "Public-Lines: 2", "Public-Lines: 4294967296"), ppk.Damaged, 4, "32 bits"},
		{"-1 public lines", change(plain, "Public-Lines: 2", "Public-Lines: -1"), ppk.Damaged, 4, "32 bits"},
		{"-2 private lines", change(plain, "Private-Lines: 1", "Private-Lines: -2"), ppk.Damaged, 7, "32 bits"},
		{"lines in hexadecimal", change(plain, "Public-Lines: 2", "Public-Lines: 0x2"), ppk.Damaged, 4, "32 bits"},
		{"a space after the number", change(plain, "Public-Lines: 2", "Public-Lines: 2 "), ppk.Damaged, 4, "white space"},
		{"no public lines", change(plain, "Public-Lines: 2", "Public-Lines: 0"), ppk.Damaged, 5, `"Private-Lines: "`},
		{"one public line too few", change(plain, "Public-Lines: 2", "Public-Lines: 1"), ppk.Damaged, 6, `"Private-Lines: "`},
		{"terabytes of memory", change(argon, "Memory: 8", "Memory: 4294967295"), ppk.TooCostly, 0, "4294967295 KiB of memory"},
		{"more than 1 GiB", change(argon, "Memory: 8", "Memory: 1048577"), ppk.TooCostly, 0, "at most 1048576 KiB"},
		{"many passes", change(argon, "Passes: 1", "Passes: 4294967295"), ppk.TooCostly, 0, "4294967295 times"},
		{"much memory, some passes", change(argon, "Memory: 8\nArgon2-Passes: 1", "Memory: 1048576\nArgon2-Passes: 17"), ppk.TooCostly, 0, "17 times"},
		{"no memory", change(argon, "Memory: 8", "Memory: 0"), ppk.Unsupported, 0, "not allowed"},
		{"too little memory", change(argon, "Memory: 8", "Memory: 7"), ppk.Unsupported, 0, "not allowed"},
		{"no pass", change(argon, "Passes: 1", "Passes: 0"), ppk.Unsupported, 0, "not allowed"},
		{"no lane", change(argon, "Parallelism: 1", "Parallelism: 0"), ppk.Unsupported, 0, "not allowed"},
		{"too many lanes for the memory", change(argon, "Parallelism: 1", "Parallelism: 2"), ppk.Unsupported, 0, "not allowed"},
		{"256 lanes", change(argon, "Memory: 8\nArgon2-Passes: 1\nArgon2-Parallelism: 1", "Memory: 8192\nArgon2-Passes: 1\nArgon2-Parallelism: 256"), ppk.Unsupported, 0, "256 lanes"},
		{"2^32 of memory", change(argon, "Memory: 8", "Memory: 4294967296"), ppk.Damaged, 8, "32 bits"},
		{"much memory, and damaged after it", change(argon, "Memory: 8\nArgon2-Passes: 1", "Memory: 1048576\nArgon2-Passes: x"), ppk.Damaged, 9, "32 bits"},
		{"salt of odd length", change(argon, "Salt: ", "Salt: 1"), ppk.Damaged, 11, "hexadecimal"},
		{"unknown derivation", change(argon, "Derivation: Argon2id", "Derivation: scrypt"), ppk.Unsupported, 7, "key derivation"},
		{"unknown cipher", change(argon, "aes256-cbc", "aes256-ctr"), ppk.Unsupported, 2, "cipher"},
		{"newer version", change(argon, "File-3", "File-4"), ppk.Unsupported, 1, "version is not"},
		{"version 03", change(argon, "File-3", "File-03"), ppk.Unsupported, 1, "version is not"},
		{"unknown type", change(plain, "ssh-ed25519", "ssh-ed25520"), ppk.Unsupported, 1, "not known"},
		{"another type", change(plain, "ssh-ed25519", "ssh-rsa"), ppk.Damaged, 0, "first line"},
		{"encryption denied", change(argon, "aes256-cbc", "none"), ppk.Damaged, 7, `"Private-Lines: "`},
		{"encryption pretended", change(plain, "Encryption: none", "Encryption: aes256-cbc"), ppk.Damaged, 7, `"Key-Derivation: "`},
		{"comment exchanged", change(plain, "Comment: ed25519", "Comment: ed25518"), ppk.Damaged, 0, "MAC"},
		{"zero byte in the comment", change(plain, "Comment: ed25519", "Comment: ed\x0025519"), ppk.Damaged, 3, "zero byte"},
		{"hash in version 3", change(plain, "Private-MAC", "Private-Hash"), ppk.Damaged, 9, `"Private-MAC: "`},
		{"longer than a file may be", change(plain, "Comment: ", "Comment: "+strings.Repeat("x", 1<<20)), ppk.Damaged, 0, "1 MiB"},
		{"a million short lines", change(plain, "Public-Lines: 2", "Public-Lines: 300000"+strings.Repeat("\nAAAA\r", 170000)), ppk.Damaged, 170009, "fours"},
		{"MAC of another file", cut(plain, "Private-MAC") + otherMAC, ppk.Damaged, 0, "MAC"},
		{"MAC of another encrypted file", cut(argon, "Private-MAC") + otherMAC, ppk.WrongPassphrase, 0, "altered"},
		{"encrypted half of part of a block", private(argon, make([]byte, 15)), ppk.Damaged, 13, "blocks"},
		{"no private half", private(plain, nil), ppk.Damaged, 7, "0 bytes"},
		{"private half of 17 KiB", private(plain, make([]byte, 17<<10)), ppk.Damaged, 370, "17408 bytes"},
		{"padding within base64", change(plain, "Public-Lines: "+lines(c.public, 64), "Public-Lines: 2\n"+lines(c.public[:10], 64)[2:]+lines(c.public[10:], 60)[2:]), ppk.Damaged, 5, "not base64"},
		{"unused bits of base64", change(string(longer.bytes()), "eA==\n", "eB==\n"), ppk.Damaged, 8, "not base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spent(t, func() {
				_, err := ppk.Parse([]byte(tt.text), []byte("sesame"))
				wantError(t, err, tt.kind, tt.line, tt.message)
				if tt.kind != ppk.WrongPassphrase {
					_, err = ppk.Parse([]byte(tt.text), nil)
					wantError(t, err, tt.kind, tt.line, tt.message)
				}
				ppk.Inspect([]byte(tt.text))
			})
		})
	}
}

// spent fails the test unless f takes less than a second and 64 MiB.
func spent(t testing.TB, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; took > time.Second || used > 64<<20 {
		t.Errorf("took %v and %d MiB", took, used>>20)
	}
}

// TestErrorText: what an error says, and that it says nothing of the file.
func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  *ppk.Error
		want string
	}{
		{&ppk.Error{Kind: ppk.Damaged, Line: 3, Msg: "it is odd"}, "line 3: it is odd"},
		{&ppk.Error{Kind: ppk.Damaged, Msg: "it is odd"}, "it is odd"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	seen := map[string]bool{}
	for k := ppk.Damaged; k <= ppk.TooCostly; k++ {
		if s := k.String(); seen[s] || strings.HasPrefix(s, "ErrorKind") {
			t.Errorf("kind %d is %q", int(k), s)
		}
		seen[k.String()] = true
	}
	if got := ppk.ErrorKind(99).String(); got != "ErrorKind(99)" {
		t.Error(got)
	}
	const secret = "hunter2"
	text := string(get(t, "ed25519-3.ppk").data)
	for i := range strings.Count(text, "\n") {
		bad := strings.SplitAfter(text, "\n")
		name, _, _ := strings.Cut(bad[i], ": ")
		for _, s := range []string{secret, name + ": " + secret, fmt.Sprintf("%s: %s\x00", name, secret)} {
			bad[i] = s + "\n"
			if _, err := ppk.Parse([]byte(strings.Join(bad, "")), nil); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("line %d: %v", i+1, err)
			}
		}
	}
}

// TestHostileNumbers: the MAC of a plain file can be made by anybody, so its
// numbers may be anything.
func TestHostileNumbers(t *testing.T) {
	rsaFile := func(e, n, d, p, q, inverse *big.Int) []byte {
		return craft{version: 3, algorithm: "ssh-rsa", public: wireStrings("ssh-rsa", mpint(e), mpint(n)),
			private: wireStrings(mpint(d), mpint(p), mpint(q), mpint(inverse))}.bytes()
	}
	dsa := uncraft(t, get(t, "dsa1024-3.ppk"))
	dsaFile := func(p, q *big.Int) []byte {
		return craft{version: 3, algorithm: "ssh-dss", private: dsa.private, public: wireStrings("ssh-dss", mpint(p), mpint(q), "\x02", "\x03")}.bytes()
	}
	// ones returns an odd number of so many bits, all of them set.
	ones := func(bits uint) *big.Int {
		n := big.NewInt(1)
		return n.Lsh(n, bits).Sub(n, big.NewInt(1))
	}
	product := func(a, b *big.Int) *big.Int { return new(big.Int).Mul(a, b) }
	one, two, three, f4 := big.NewInt(1), big.NewInt(2), big.NewInt(3), big.NewInt(65537)
	cert := uncraft(t, get(t, "cert-ed25519.ppk"))
	for _, tt := range []struct {
		name string
		text []byte
	}{
		{"RSA of 16384 bits", rsaFile(f4, product(ones(8192), ones(8191)), ones(16000), ones(8192), ones(8191), ones(8000))},
		{"RSA with two factors of 16384 bits", rsaFile(f4, ones(16384), ones(16384), ones(16384), ones(16384), ones(16384))},
		{"RSA with a small factor", rsaFile(f4, product(ones(16380), three), ones(16000), ones(16380), three, one)},
		{"RSA with even factors", rsaFile(f4, product(ones(8192), two), ones(8000), ones(8192), two, one)},
		{"RSA with numbers of 30000 bits", rsaFile(f4, ones(16384), ones(30000), ones(30000), ones(30000), ones(30000))},
		{"RSA of 16385 bits", rsaFile(f4, ones(16385), ones(16000), ones(8192), ones(8192), ones(8000))},
		{"RSA with an exponent of 16384 bits", rsaFile(ones(16384), ones(16384), ones(16384), ones(8192), ones(8192), ones(8192))},
		{"DSA with an even modulus", dsaFile(new(big.Int).Lsh(ones(1000), 24), ones(160))},
		{"DSA with small numbers", dsaFile(ones(1024), ones(160))},
		{"DSA of 8000 bits", dsaFile(ones(8000), ones(8000))},
		{"certificate and 700 kB", craft{version: 3, algorithm: cert.algorithm, private: cert.private,
			public: append(bytes.Clone(cert.public), make([]byte, 7e5)...)}.bytes()},
		{"certificate of empty strings", craft{version: 3, algorithm: cert.algorithm, private: cert.private,
			public: append(wireStrings(cert.algorithm), make([]byte, 7e5)...)}.bytes()},
		{"public key of empty strings", craft{version: 3, algorithm: "ssh-rsa", private: cert.private,
			public: append(wireStrings("ssh-rsa"), make([]byte, 7e5)...)}.bytes()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spent(t, func() {
				_, err := ppk.Parse(tt.text, nil)
				e, ok := errors.AsType[*ppk.Error](err)
				if !ok || e.Kind != ppk.Damaged && e.Kind != ppk.Unsupported || strings.Contains(e.Msg, "MAC") {
					t.Errorf("got %v", err)
				}
				ppk.Inspect(tt.text)
			})
		})
	}
}
