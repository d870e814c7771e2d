package keys_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/keys"
)

// What a key file may cost at most, whatever stands in it.
const (
	mostTime   = time.Second
	mostMemory = 64 << 20
)

// badInput counts the cases of one item of bad input, and what was dearest.
type badInput struct {
	t       *testing.T
	cases   int
	refused map[keys.LoadKind]int
	loaded  int
	slowest time.Duration
	largest uint64
}

// allocatedBytes is allocated, without stopping the world.
func allocatedBytes() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// spend calls f, which ends within a second and 64 MiB. On a machine that does
// much else, the best of some tries counts.
func (b *badInput) spend(name string, f func() error) error {
	b.t.Helper()
	var err error
	best := time.Hour
	var used uint64
	for range 5 {
		before, began := allocatedBytes(), time.Now()
		err = f()
		best, used = min(best, time.Since(began)), allocatedBytes()-before
		if best <= mostTime {
			break
		}
	}
	b.cases++
	b.slowest, b.largest = max(b.slowest, best), max(b.largest, used)
	if best > mostTime || used > mostMemory {
		b.t.Errorf("%s: took %v and %d MiB", name, best, used>>20)
	}
	if err == nil {
		b.loaded++
		return nil
	}
	sorted(b.t, err)
	b.refused[kindOf(err)]++
	return err
}

// parse reads a key. print is the fingerprint that it must have if it loads at
// all; kinds, if any, are the refusals that are wanted.
func (b *badInput) parse(name string, data, phrase []byte, print string, kinds ...keys.LoadKind) {
	b.t.Helper()
	var key *keys.PrivateKey
	err := b.spend(name, func() (err error) {
		key, err = keys.ParsePrivate(data, phrase)
		return err
	})
	switch {
	case err == nil && print == "":
		b.t.Errorf("%s: it is loaded", name)
	case err == nil && printOf(b.t, key) != print:
		b.t.Errorf("%s: it is loaded as another key", name)
	case err != nil && len(kinds) > 0 && !slices.Contains(kinds, kindOf(err)):
		b.t.Errorf("%s: refused as %q (%v), want %q", name, kindOf(err), err, kinds)
	}
}

// cheapSeeds are files of the corpus in every form, whose passphrase costs next
// to nothing, and which hold their halves against each other.
func cheapSeeds(t *testing.T) []corpusRow {
	names := []string{
		"openssh-ed25519", "openssh-dsa1024", "openssh-rsa1024", "openssh-ecdsa521", "pem-ecdsa256", "pem-rsa1024-aes128", "pem-dsa1024-des3", "pkcs8-ecdsa256",
		"pkcs8-iter1", "ppk1-dsa1024-enc.ppk", "ppk2-ed25519.ppk", "ppk2-ecdsa256-enc.ppk", "ppk3-ecdsa521.ppk", "ppk3-argon2id-8-1-1.ppk", "ppk3-argon2d-8-1-1.ppk",
	}
	var rows []corpusRow
	for _, row := range corpus(t) {
		if row.print != "" && slices.Contains(names, row.file) {
			rows = append(rows, row)
		}
	}
	if len(rows) != len(names) {
		t.Fatalf("%d seeds in the corpus, want %d", len(rows), len(names))
	}
	return rows
}

// TestBadInput: whatever is wrong with a key file, it ends with a sorted error
// within a second and 64 MiB, or loads as the key that it is.
func TestBadInput(t *testing.T) {
	seeds, rows := cheapSeeds(t), corpus(t)
	// named are the rows of the corpus that were made for an item.
	named := func(b *badInput, least int, parts ...string) {
		for _, row := range rows {
			if slices.ContainsFunc(parts, func(part string) bool { return strings.HasSuffix(strings.TrimSuffix(row.file, ".ppk"), part) }) {
				b.parse(row.file, row.data, []byte(row.passphrase), row.print, row.kinds...)
			}
		}
		if b.cases < least {
			t.Errorf("the corpus has %d files for it, want %d", b.cases, least)
		}
	}
	for _, item := range []struct {
		name string
		run  func(b *badInput)
	}{
		{"truncated at every byte", func(b *badInput) {
			for _, s := range seeds {
				for n := range len(s.data) {
					print := ""
					if len(bytes.TrimSpace(s.data[n:])) == 0 {
						print = s.print // only a line end is lost
					}
					b.parse(fmt.Sprintf("%s, %d bytes", s.file, n), s.data[:n], []byte(s.passphrase), print)
				}
			}
		}},
		{"one bit flipped anywhere", func(b *badInput) {
			for _, s := range seeds {
				all := 8 // bits of a byte; of long files one
				if len(s.data) > 600 {
					all = 1
				}
				for i := range s.data {
					for bit := range all {
						if all == 1 {
							bit = i % 8
						}
						text := bytes.Clone(s.data)
						text[i] ^= 1 << bit
						b.parse(fmt.Sprintf("%s, bit %d of byte %d", s.file, bit, i), text, []byte(s.passphrase), s.print)
					}
				}
				block, _ := pem.Decode(s.data)
				for i := 0; block != nil && i < len(block.Bytes); i++ {
					block.Bytes[i] ^= 1 << (i % 7)
					b.parse(fmt.Sprintf("%s, bit %d of byte %d of the content", s.file, i%7, i), pem.EncodeToMemory(block), []byte(s.passphrase), s.print)
					block.Bytes[i] ^= 1 << (i % 7)
				}
			}
			if loaded := b.loaded * 20; loaded > b.cases || loaded == 0 {
				t.Errorf("%d of %d load all the same: too many, or none", b.loaded, b.cases)
			}
		}},
		{"lengths of 2^31 and more", func(b *badInput) {
			for _, s := range seeds {
				block, _ := pem.Decode(s.data)
				if block == nil {
					continue
				}
				for i := range len(block.Bytes) - 5 {
					for _, length := range []uint32{1 << 31, 1<<32 - 1} {
						changed := *block
						changed.Bytes = bytes.Clone(block.Bytes)
						binary.BigEndian.PutUint32(changed.Bytes[i:], length)
						if s.format != keys.OpenSSH {
							changed.Bytes[i] = 0x84 // the length of a length, in DER
							binary.BigEndian.PutUint32(changed.Bytes[i+1:], length)
						}
						b.parse(fmt.Sprintf("%s, %d at %d", s.file, length, i), pem.EncodeToMemory(&changed), []byte(s.passphrase), s.print)
					}
				}
			}
			named(b, 1000, "lines2g", "length2g", "length4g", "salt2g", "rounds4g", "passes2g")
		}},
		{"negative counts", func(b *badInput) { named(b, 9, "linesneg", "memoryneg", "iterneg", "scryptneg", "-count", "-count0") }},
		{"the MAC of another file", func(b *badInput) { named(b, 4, "othermac") }},
		{"a wrong passphrase", func(b *badInput) {
			for _, s := range seeds {
				for _, wrong := range []string{"Sesame", "sesame\n", "sesame ", "\x00", strings.Repeat("x", 1<<16)} {
					if s.passphrase != "" {
						b.parse(s.file, s.data, []byte(wrong), "", keys.WrongPassphrase)
					}
				}
			}
		}},
		{"one whose padding survives in DEK-Info", wrongPadding},
		{"Argon2 that asks for a terabyte", func(b *badInput) { named(b, 1, "memory1t", "passes2g", "parallel1m", "scrypt1t") }},
		{"a million bcrypt rounds", func(b *badInput) { named(b, 8, "rounds1m", "rounds4g", "iter1g", "iterhuge") }},
		{"a byte order mark", func(b *badInput) { named(b, 4, "-bom") }},
		{"trailing spaces", func(b *badInput) { named(b, 4, "-trailing") }},
		{"mixed line ends", func(b *badInput) { named(b, 8, "-mixed", "-cr", "-crlf") }},
		{"NUL in a comment", func(b *badInput) {
			named(b, 4, "-nul")
			b.parse("openssh", commented(t, keys.OpenSSH, "a\x00b"), nil, "", keys.Damaged)
		}},
		{"comments of 900 bytes in Latin-1", func(b *badInput) {
			key := corpusKey(t, "openssh-ed25519")
			comment := strings.Repeat("Gr\xfc\xdfe ", 150)
			for _, f := range []keys.Format{keys.OpenSSH, keys.PPK2, keys.PPK3} {
				text := commented(t, f, comment)
				b.parse(string(f), text, nil, printOf(t, key))
				if read, err := keys.ParsePrivate(text, nil); err != nil || read.Comment != comment {
					t.Errorf("%s: the comment is another one: %v", f, err)
				}
			}
		}},
		{"a directory, a FIFO, a device, a file of 2 GiB", func(b *badInput) {
			dir := t.TempDir()
			paths := append(specialFiles(t, dir), dir, sparse(t, filepath.Join(dir, "sparse"), 2<<30))
			for _, path := range paths {
				for name, read := range map[string]func() error{
					"Load":     func() error { _, err := keys.Load(t.Context(), path, nil); return err },
					"Public":   func() error { _, err := keys.Public(path); return err },
					"ReadFile": func() error { _, err := keys.ReadFile(path); return err },
				} {
					if err := b.spend(path+" by "+name, read); kindOf(err) != keys.Unreadable {
						t.Errorf("%s by %s: %v", path, name, err)
					}
				}
			}
		}},
	} {
		b := &badInput{t: t, refused: map[keys.LoadKind]int{}}
		item.run(b)
		if b.cases == 0 || len(b.refused) == 0 && b.loaded == 0 {
			t.Errorf("%s: nothing was tried", item.name)
		}
		t.Logf("%-48s %6d cases, %5d load as they are, at most %v and %d KiB; refused: %v",
			item.name, b.cases, b.loaded, b.slowest.Round(time.Millisecond), b.largest>>10, b.refused)
	}
}

// commented writes a key with a comment.
func commented(t *testing.T, f keys.Format, comment string) []byte {
	t.Helper()
	key := corpusKey(t, "openssh-ed25519")
	key.Comment = comment
	text, err := keys.Marshal(key, f, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wrongPadding tries wrong passphrases until ten of them have left padding that
// could be right, by OpenSSL's rules as they are written down here once more.
func wrongPadding(b *badInput) {
	b.t.Helper()
	text := []byte(testdata(b.t, filepath.Join("corpus", "pem-rsa1024-aes128")))
	block, _ := pem.Decode(text)
	_, value, _ := strings.Cut(block.Headers["DEK-Info"], ",")
	iv, err := hex.DecodeString(value)
	if err != nil {
		b.t.Fatal(err)
	}
	survived := 0
	for i := 0; survived < 10; i++ {
		wrong := fmt.Appendf(nil, "wrong %d", i)
		sum := md5.Sum(append(bytes.Clone(wrong), iv[:8]...))
		c, err := aes.NewCipher(sum[:])
		if err != nil {
			b.t.Fatal(err)
		}
		plain := make([]byte, len(block.Bytes))
		cipher.NewCBCDecrypter(c, iv).CryptBlocks(plain, block.Bytes)
		last := int(plain[len(plain)-1])
		if last < 1 || last > aes.BlockSize || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(last)}, last)) {
			continue
		}
		survived++
		b.parse(string(wrong), text, wrong, "", keys.WrongPassphrase)
	}
}

// sparse makes a large file that takes no room.
func sparse(t *testing.T, path string, size int64) string {
	t.Helper()
	write(t, path, "-----BEGIN OPENSSH PRIVATE KEY-----\n")
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}
