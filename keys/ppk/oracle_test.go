package ppk_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/keys/ppk"
)

// An oracle asks puttygen whether it loads a private key.
type oracle struct {
	file, out, pass string
}

func newOracle(t *testing.T, passphrase string) oracle {
	t.Helper()
	lab.Need(t, "puttygen")
	dir := t.TempDir()
	o := oracle{filepath.Join(dir, "key.ppk"), filepath.Join(dir, "out"), filepath.Join(dir, "pass")}
	if err := os.WriteFile(o.pass, []byte(passphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// loads reports puttygen's verdict and what it said.
func (o oracle) loads(t *testing.T, text []byte) (bool, string) {
	t.Helper()
	if err := os.WriteFile(o.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, lab.Path("puttygen"), o.file, "-O", "text", "-o", o.out, "--old-passphrase", o.pass).CombinedOutput()
	return err == nil, strings.TrimSpace(string(said))
}

// agree fails the test unless we load what puttygen loads, and nothing else.
func (o oracle) agree(t *testing.T, name string, text []byte, passphrase string) (loaded bool) {
	t.Helper()
	theirs, said := o.loads(t, text)
	_, err := ppk.Parse(text, []byte(passphrase))
	if theirs != (err == nil) {
		t.Errorf("%s: puttygen loads: %t (%q), we say: %v\n%q", name, theirs, said, err, text)
	}
	return theirs
}

// TestPuttygenLoads changes the lines of samples, each in many ways.
func TestPuttygenLoads(t *testing.T) {
	changes := []struct {
		name   string
		change func(lines []string, i int) // the lines have their ends
	}{
		{"dropped", func(l []string, i int) { l[i] = "" }},
		{"twice", func(l []string, i int) { l[i] += l[i] }},
		{"swapped", func(l []string, i int) { l[i], l[(i+1)%len(l)] = l[(i+1)%len(l)], l[i] }},
		{"space at the end", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", " \n", 1) }},
		{"tab at the end", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "\t\n", 1) }},
		{"space first", func(l []string, i int) { l[i] = " " + l[i] }},
		{"two spaces", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ":  ", 1) }},
		{"tab after colon", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ": \t", 1) }},
		{"no space", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ":", 1) }},
		{"space before colon", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", " : ", 1) }},
		{"plus", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ": +", 1) }},
		{"zero", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ": 0", 1) }},
		{"space, plus", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ":  +", 1) }},
		{"plus, space", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ": + ", 1) }},
		{"minus", func(l []string, i int) { l[i] = strings.Replace(l[i], ": ", ": -", 1) }},
		{"more at the end", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "1\n", 1) }},
		{"lower case", func(l []string, i int) { l[i] = strings.ToLower(l[i]) }},
		{"value in upper case", func(l []string, i int) {
			name, value, _ := strings.Cut(l[i], ": ")
			l[i] = name + ": " + strings.ToUpper(value)
		}},
		{"no value", func(l []string, i int) { l[i], _, _ = strings.Cut(l[i], ": "); l[i] += ": \n" }},
		{"blank line after", func(l []string, i int) { l[i] += "\n" }},
		{"two blank lines after", func(l []string, i int) { l[i] += "\n\n" }},
		{"blank line before", func(l []string, i int) { l[i] = "\r\n" + l[i] }},
		{"LF CR", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "\n\r", 1) }},
		{"CRLF", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "\r\n", 1) }},
		{"CR", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "\r", 1) }},
		{"CR CR LF", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "\r\r\n", 1) }},
		{"no line end", func(l []string, i int) { l[i] = strings.Replace(l[i], "\n", "", 1) }},
		{"split", func(l []string, i int) { l[i] = l[i][:len(l[i])/2] + "\n" + l[i][len(l[i])/2:] }},
		{"end", func(l []string, i int) { clear(l[i:]) }},
	}
	good, bad := 0, 0
	for _, name := range []string{"ed25519-2-enc.ppk", "kdf-Argon2d-least.ppk"} {
		s := get(t, name)
		o := newOracle(t, s.passphrase)
		for i := range bytes.Count(s.data, []byte("\n")) {
			for _, c := range changes {
				lines := strings.SplitAfter(string(s.data), "\n")
				c.change(lines, i)
				text := strings.Join(lines, "")
				if text == string(s.data) {
					continue
				}
				if o.agree(t, fmt.Sprintf("%s, line %d: %s", name, i+1, c.name), []byte(text), s.passphrase) {
					good++
				} else {
					bad++
				}
			}
		}
	}
	if good < 50 || bad < 300 {
		t.Errorf("%d changed files load and %d do not: the changes are not what they should be", good, bad)
	}
}

// TestPuttygenLoadsRandom changes samples by chance; always the same chance.
func TestPuttygenLoadsRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"ed25519-3.ppk", "kdf-Argon2d-least.ppk"} {
		s := get(t, name)
		o := newOracle(t, s.passphrase)
		for n := range 60 {
			text := bytes.Clone(s.data)
			i := random.IntN(len(text))
			b := []byte("\r\n\t +0:=/Az\x80\xff")[random.IntN(13)]
			switch n % 3 {
			case 0:
				text[i] = b
			case 1:
				text = append(text[:i], text[i+1:]...)
			case 2:
				text = append(text[:i], append([]byte{b}, text[i:]...)...)
			}
			o.agree(t, fmt.Sprintf("%s, change %d at %d", name, n, i), text, s.passphrase)
		}
	}
}

// TestPuttygenJudgesKeys makes files whose MAC is right and whose content is
// odd. Where we are stricter, why says the reason; we never are more lenient.
func TestPuttygenJudgesKeys(t *testing.T) {
	o := newOracle(t, "sesame")
	ed, ec, dsa := uncraft(t, get(t, "ed25519-3.ppk")), uncraft(t, get(t, "ecdsa256-3.ppk")), uncraft(t, get(t, "dsa1024-3.ppk"))
	r := uncraft(t, get(t, "rsa1024-3.ppk"))
	key := must(t, r.bytes(), "").Private.(*rsa.PrivateKey)
	n, d, p, q := key.N, key.D, key.Primes[0], key.Primes[1]
	inverse := key.Precomputed.Qinv
	plus := func(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
	one := big.NewInt(1)
	lambda := new(big.Int).Mul(plus(p, big.NewInt(-1)), plus(q, big.NewInt(-1)))

	with := func(c craft, change func(c *craft)) craft { change(&c); return c }
	private := func(c craft, blob []byte) craft { c.private = blob; return c }
	public := func(c craft, blob []byte) craft { c.public = blob; return c }
	rsaPublic := func(e, n []byte) []byte { return wireStrings("ssh-rsa", string(e), string(n)) }
	rsaPrivate := func(numbers ...*big.Int) []byte {
		var s []string
		for _, n := range numbers {
			s = append(s, mpint(n))
		}
		return wireStrings(s...)
	}
	seed := string(ed.private[4:])
	big40 := new(big.Int).SetBit(big.NewInt(1), 40, 1)
	for new(big.Int).GCD(nil, nil, big40, lambda).Cmp(one) != 0 {
		big40.Add(big40, big.NewInt(2))
	}

	const (
		unproven  = "the private half must be that of the public one"
		canonical = "a public key has one form, as its fingerprint is made over it"
		notRSA    = "the SSH library takes no such exponent"
		zeroByte  = "PuTTY reads up to a zero byte, and so reads what is not there"
	)
	for _, tt := range []struct {
		name string
		text []byte
		why  string
	}{
		{"Ed25519", ed.bytes(), ""},
		{"version 1", with(ed, func(c *craft) { c.version = 1 }).bytes(), ""},
		{"version 1, hash", with(ed, func(c *craft) { c.version, c.hashed = 1, true }).bytes(), ""},
		{"version 1, encrypted", with(r, func(c *craft) { c.version, c.passphrase = 1, "sesame" }).bytes(), ""},
		{"version 1, hash, encrypted", with(r, func(c *craft) { c.version, c.hashed, c.passphrase = 1, true, "sesame" }).bytes(), ""},
		{"version 2", with(ed, func(c *craft) { c.version = 2 }).bytes(), ""},
		{"version 2, hash", with(ed, func(c *craft) { c.version, c.hashed = 2, true }).bytes(), ""},
		{"version 2, encrypted", with(ed, func(c *craft) { c.version, c.passphrase = 2, "sesame" }).bytes(), ""},
		{"version 2, other passphrase", with(ed, func(c *craft) { c.version, c.passphrase = 2, "other" }).bytes(), ""},
		{"empty comment", with(ed, func(c *craft) { c.comment = "" }).bytes(), ""},
		{"comment of all bytes", with(ed, func(c *craft) { c.comment = allBytes() }).bytes(), ""},
		{"comment of 100 kB", with(ed, func(c *craft) { c.comment = strings.Repeat("x", 1e5) }).bytes(), ""},
		{"comment with a zero byte", with(ed, func(c *craft) { c.comment, c.macComment = "a\x00b", "a" }).bytes(), zeroByte},
		{"comment with a zero byte, all under the MAC", with(ed, func(c *craft) { c.comment = "a\x00b" }).bytes(), ""},
		{"zero byte in a header", bytes.Replace(ed.bytes(), []byte("none"), []byte("none\x00x"), 1), zeroByte},
		{"lines of 4", bytes.Replace(ed.bytes(), []byte(lines(ed.public, 64)), []byte(lines(ed.public, 4)), 1), ""},
		{"lines of 68", bytes.Replace(ed.bytes(), []byte(lines(ed.public, 64)), []byte(lines(ed.public, 68)), 1), ""},
		{"padding within base64", bytes.Replace(ed.bytes(), []byte(lines(ed.public, 64)), []byte("2\n"+lines(ed.public[:10], 64)[2:]+lines(ed.public[10:], 60)[2:]), 1), "base64 has one form"},
		{"private half and more", private(ed, append(bytes.Clone(ed.private), "xyz"...)).bytes(), ""},
		{"unused bits of base64", bytes.Replace(private(ed, append(bytes.Clone(ed.private), 'x')).bytes(), []byte("eA=="), []byte("eB=="), 1), "base64 has one form"},
		{"public half and more", public(ed, append(bytes.Clone(ed.public), "xyz"...)).bytes(), canonical},
		{"no public half", public(ed, nil).bytes(), ""},
		{"no private half", private(ed, nil).bytes(), unproven},
		{"seed and zeros", private(ed, wireStrings(seed+"\x00\x00")).bytes(), ""},
		{"seed and more", private(ed, wireStrings(seed+"\x01")).bytes(), unproven},
		{"seed of another key", private(ed, wireStrings("x"+seed[1:])).bytes(), unproven},
		{"short seed", private(ed, wireStrings(seed[:31])).bytes(), unproven},
		{"type of another key", with(ed, func(c *craft) { c.algorithm = "ssh-rsa" }).bytes(), ""},
		{"public half of another type", public(ed, append(wireStrings("ssh-ed2551x"), ed.public[15:]...)).bytes(), canonical},

		{"ECDSA", ec.bytes(), ""},
		{"ECDSA, d = 0", private(ec, wireStrings("")).bytes(), unproven},
		{"ECDSA, another d", private(ec, wireStrings("\x01")).bytes(), unproven},
		{"ECDSA, no point", public(ec, append(bytes.Clone(ec.public[:len(ec.public)-1]), ec.public[len(ec.public)-1]^1)).bytes(), ""},

		{"DSA", dsa.bytes(), ""},
		{"DSA, x = 0", private(dsa, wireStrings("")).bytes(), ""},
		{"DSA, another x", private(dsa, wireStrings("\x01")).bytes(), ""},
		{"DSA of 2048 bits", get(t, "no-dsa2048.ppk").data, "SSH has 1024 bits only"},
		{"Ed448", get(t, "no-ed448.ppk").data, "no server takes it"},

		{"RSA", r.bytes(), ""},
		{"RSA, p and q swapped", private(r, rsaPrivate(d, q, p, new(big.Int).ModInverse(p, q))).bytes(), ""},
		{"RSA, p and q swapped, inverse not", private(r, rsaPrivate(d, q, p, inverse)).bytes(), unproven},
		{"RSA, inverse + p", private(r, rsaPrivate(d, p, q, plus(inverse, p))).bytes(), ""},
		{"RSA, inverse + 1", private(r, rsaPrivate(d, p, q, plus(inverse, one))).bytes(), unproven},
		{"RSA, d + 2", private(r, rsaPrivate(plus(d, big.NewInt(2)), p, q, inverse)).bytes(), ""},
		{"RSA, d + 8 lambda", private(r, rsaPrivate(plus(d, new(big.Int).Lsh(lambda, 3)), p, q, inverse)).bytes(), "d is longer than n"},
		{"RSA, p = 1", private(r, rsaPrivate(d, one, n, one)).bytes(), ""},
		{"RSA, p = n", private(r, rsaPrivate(d, n, one, one)).bytes(), ""},
		{"RSA, p = 0", private(r, rsaPrivate(d, new(big.Int), q, inverse)).bytes(), ""},
		{"RSA, all zero", private(r, rsaPrivate(new(big.Int), new(big.Int), new(big.Int), new(big.Int))).bytes(), ""},
		{"RSA, p of another key", private(r, rsaPrivate(d, plus(p, big.NewInt(2)), q, inverse)).bytes(), ""},
		{"RSA, no inverse", private(r, rsaPrivate(d, p, q)).bytes(), ""},
		{"RSA, zeros before n", public(r, rsaPublic([]byte{1, 0, 1}, append([]byte{0, 0}, n.Bytes()...))).bytes(), ""},
		{"RSA, negative n", public(r, rsaPublic([]byte{1, 0, 1}, n.Bytes())).bytes(), ""},
		{"RSA, n = 0", public(r, rsaPublic([]byte{1, 0, 1}, nil)).bytes(), ""},
		{"RSA, exponent of 41 bits", private(public(r, rsaPublic(big40.Bytes(), append([]byte{0}, n.Bytes()...))), rsaPrivate(new(big.Int).ModInverse(big40, lambda), p, q, inverse)).bytes(), notRSA},
		{"RSA, exponent 1", private(public(r, rsaPublic([]byte{1}, append([]byte{0}, n.Bytes()...))), rsaPrivate(one, p, q, inverse)).bytes(), notRSA},
		{"RSA, zeros before d", private(r, append(wireStrings("\x00\x00"+string(d.Bytes())), rsaPrivate(p, q, inverse)...)).bytes(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			theirs, said := o.loads(t, tt.text)
			k, err := ppk.Parse(tt.text, []byte("sesame"))
			switch {
			case tt.why == "" && theirs != (err == nil):
				t.Errorf("puttygen loads: %t (%s), we say: %v", theirs, said, err)
			case tt.why != "" && !theirs:
				t.Errorf("puttygen refuses it too: %s", said)
			case tt.why != "" && err == nil:
				t.Errorf("we load it, in spite of: %s", tt.why)
			case err == nil:
				signs(t, k)
			}
		})
	}
}

// allBytes holds each byte that a comment may have.
func allBytes() string {
	var b []byte
	for c := range 256 {
		if c != 0 && c != '\r' && c != '\n' {
			b = append(b, byte(c))
		}
	}
	return string(b)
}
