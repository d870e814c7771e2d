package ppk

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Limits of ours on what a file may hold.
const (
	// maxFile is in bytes. RSA with 16384 bits, the largest key, takes 10 KiB.
	maxFile = 1 << 20
	// maxPrivate is the most bytes of private fields; the largest key has 5 KiB.
	maxPrivate = 16 << 10
)

const (
	magic     = "PuTTY-User-Key-File-"
	blockSize = 16 // of AES
	cipherAES = "aes256-cbc"
	cipherNo  = "none"
)

// file is the outer layer: what the lines say, with base64 and hex decoded.
type file struct {
	version   int
	algorithm string
	encrypted bool
	comment   string
	public    []byte
	kdf       kdf    // in version 3, if encrypted
	private   []byte // as it stands in the file, perhaps encrypted
	hashed    bool   // the MAC is a plain hash: version 1 only
	mac       string // lower-case hexadecimal
}

// Is reports whether data looks like a PuTTY private key file. It is generous:
// also with a byte order mark, in UTF-16, or with blank lines first, which
// PuTTY and Parse refuse. Parse then says so.
func Is(data []byte) bool {
	head := data[:min(len(data), 256)]
	head = bytes.ReplaceAll(head, []byte{0}, nil)
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		head = bytes.TrimPrefix(head, []byte(mark))
	}
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte(magic))
}

// read fills in what the lines say, and checks all of their form that can be
// checked without a key. What comes after the MAC is ignored, as in PuTTY.
// Afterwards, also after an error, the caller wipes private.
func (f *file) read(data []byte) error {
	if len(data) > maxFile {
		return damaged(0, "it is larger than %d MiB", maxFile>>20)
	}
	if !bytes.HasPrefix(data, []byte(magic)) {
		return badStart(data)
	}
	l := &lineReader{rest: data, next: 1}
	if err := f.readHead(l); err != nil {
		return err
	}
	var err error
	if f.public, err = l.blob("Public-Lines"); err != nil {
		return err
	}
	if f.version == 3 && f.encrypted {
		if err := f.kdf.read(l); err != nil {
			return err
		}
	}
	if f.private, err = l.blob("Private-Lines"); err != nil {
		return err
	}
	switch n := len(f.private); {
	case n == 0, n > maxPrivate:
		return damaged(l.line, "the private half has %d bytes", n)
	case f.encrypted && n%blockSize != 0:
		return damaged(l.line, "the encrypted half has %d bytes, which is no whole number of blocks", n)
	}
	return f.readMAC(l)
}

// badStart says why a file does not start as it should.
func badStart(data []byte) error {
	const hint = "save it as plain text without a byte order mark, or restore it from a backup"
	switch {
	case !Is(data):
		return damaged(1, "it is not a PuTTY private key file")
	case bytes.IndexByte(data[:min(len(data), len(magic))], 0) >= 0:
		return &Error{Kind: Damaged, Line: 1, Msg: "the file was saved as UTF-16", Hint: hint}
	case data[0] >= 0x80:
		return &Error{Kind: Damaged, Line: 1, Msg: "there is a byte order mark before the first line", Hint: hint}
	}
	return damaged(1, "there is white space before the first line")
}

// readHead reads the first three lines.
func (f *file) readHead(l *lineReader) error {
	first, err := l.read()
	if err != nil {
		return err
	}
	if err := l.noTrailingSpace(first); err != nil {
		return err
	}
	version, algorithm, ok := strings.Cut(strings.TrimPrefix(string(first), magic), ": ")
	if !ok {
		return damaged(1, "the key type is missing")
	}
	switch version {
	case "1", "2", "3":
		f.version = int(version[0] - '0')
	default:
		return unsupported(1, "the file's version is not 1, 2 or 3",
			"if a newer PuTTY wrote it, `puttygen FILE -P --ppk-param version=3 -o NEW` of that PuTTY writes one that is understood")
	}
	f.algorithm = algorithm
	encryption, err := l.header("Encryption")
	if err != nil {
		return err
	}
	switch encryption {
	case cipherAES:
		f.encrypted = true
	case cipherNo:
	default:
		return unsupported(l.line, "the cipher is neither "+cipherAES+" nor "+cipherNo, "")
	}
	f.comment, err = l.header("Comment")
	return err
}

// readMAC reads the last line.
func (f *file) readMAC(l *lineReader) error {
	before := *l
	value, err := l.header("Private-MAC")
	if err != nil && f.version == 1 {
		*l = before
		value, err = l.header("Private-Hash")
		f.hashed = true
	}
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(value)
	if err != nil || len(sum) != f.newHash()().Size() || hex.EncodeToString(sum) != value {
		return damaged(l.line, "the MAC is not %d lower-case hexadecimal digits", 2*f.newHash()().Size())
	}
	f.mac = value
	return nil
}

// encryption returns the cipher's name in the file.
func (f *file) encryption() string {
	if f.encrypted {
		return cipherAES
	}
	return cipherNo
}

// text writes the file as PuTTY does, with LF at the end of each line.
func (f *file) text() []byte {
	out := new(bytes.Buffer)
	line := func(name, value string) { fmt.Fprintf(out, "%s: %s\n", name, value) }
	blob := func(name string, b []byte) {
		text := base64.StdEncoding.AppendEncode(nil, b)
		line(name, strconv.Itoa((len(text)+maxBase64Line-1)/maxBase64Line))
		for len(text) > 0 {
			n := min(len(text), maxBase64Line)
			out.Write(text[:n])
			out.WriteByte('\n')
			text = text[n:]
		}
	}
	line(magic+strconv.Itoa(f.version), f.algorithm)
	line("Encryption", f.encryption())
	line("Comment", f.comment)
	blob("Public-Lines", f.public)
	if f.version == 3 && f.encrypted {
		line("Key-Derivation", f.kdf.name)
		line("Argon2-Memory", strconv.FormatUint(uint64(f.kdf.memory), 10))
		line("Argon2-Passes", strconv.FormatUint(uint64(f.kdf.passes), 10))
		line("Argon2-Parallelism", strconv.FormatUint(uint64(f.kdf.parallelism), 10))
		line("Argon2-Salt", hex.EncodeToString(f.kdf.salt))
	}
	blob("Private-Lines", f.private)
	line("Private-MAC", f.mac)
	return out.Bytes()
}
