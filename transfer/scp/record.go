// Package scp speaks the SCP protocol over an io.Reader and an io.Writer, in
// both directions. It knows neither SSH nor files.
//
// There is no specification. The protocol is that of BSD rcp, as OpenSSH's
// scp(1) speaks it when started as `scp -f PATH` (source) or `scp -t PATH`
// (sink); OpenSSH 9.2's scp.c is the reference here. The source sends records,
// the sink answers each with one byte, and speaks first:
//
//	T<mtime> <usec> <atime> <usec>\n   times of the next record, with -p
//	C<mode> <size> <name>\n            a file; after the answer come size
//	                                   bytes, one status byte, an answer
//	D<mode> 0 <name>\n                 a folder begins, with -r
//	E\n                                the folder ends
//
//	0x00                               status or answer: good
//	0x01 <text>\n                      warning: this entry failed, go on
//	0x02 <text>\n                      fatal: the session ends
//
// A sink that answers C or D with a warning makes the source skip the entry
// and go on. That is how a file is described, and a folder listed, without
// the transfer of any data.
//
// A name with a newline cannot be carried. OpenSSH's source sends it encoded
// as `\^J`, which cannot be told from a name that is spelled so; such names
// are left as they come, and nothing is found under them.
package scp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits on what a peer may send.
const (
	maxLine  = 8 << 10 // bytes of a control line, its newline included
	maxName  = 4096    // bytes of a name: PATH_MAX of the usual systems
	maxDepth = 256     // folders inside each other
	maxTime  = 253402300799
	// maxText bounds what of a peer's text is kept for a message.
	maxText = 300
)

// The status bytes.
const (
	statusOK      = 0x00
	statusWarning = 0x01
	statusFatal   = 0x02
)

// A Kind says what a record announces.
type Kind int

// The kinds of records.
const (
	File Kind = iota
	Dir       // a folder begins
	End       // the innermost folder ends
)

// A Record announces a file or a folder, or the end of one.
type Record struct {
	Kind  Kind
	Name  string      // one path element; empty for End
	Mode  fs.FileMode // permission, setuid, setgid and sticky bits, and fs.ModeDir
	Size  int64       // bytes of a file
	MTime time.Time   // whole seconds; the zero Time if the peer did not say
	ATime time.Time   // likewise
}

// A PeerError is a message of the peer about an entry, or about the session.
type PeerError struct {
	Fatal bool   // the session is over; otherwise only this entry failed
	Text  string // the peer's words, on one line
}

func (e *PeerError) Error() string {
	if e.Text == "" {
		return "the server reports an error and no reason"
	}
	return e.Text
}

// A ProtocolError says that the peer sent what is not SCP, or what is not
// allowed. The session is over.
type ProtocolError struct {
	Reason string
	Got    string // the offending bytes, on one line; may be empty
}

func (e *ProtocolError) Error() string {
	if e.Got == "" {
		return "not SCP: " + e.Reason
	}
	return fmt.Sprintf("not SCP: %s: %q", e.Reason, e.Got)
}

// CheckName reports why a name cannot be one path element.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("empty name")
	case name == "." || name == "..":
		return fmt.Errorf("name %q", name)
	case len(name) > maxName:
		return fmt.Errorf("name of %d bytes", len(name))
	case strings.ContainsAny(name, "/\x00\n"):
		return errors.New("name with a slash, a newline or a zero byte")
	}
	return nil
}

// Target returns the argument that names path to a source or sink, and the
// name that a source's first record for it carries.
func Target(path string) (arg, name string, err error) {
	if path == "" || strings.ContainsAny(path, "\x00\n") {
		return "", "", fmt.Errorf("SCP cannot carry the name %q", path)
	}
	arg = strings.TrimRight(path, "/")
	if arg == "" {
		arg = "/." // a source names "/" itself with nothing at all
	}
	return arg, arg[strings.LastIndexByte(arg, '/')+1:], nil
}

// SourceCommand returns the shell command that sends arg, with times, and
// with all below it if recursive.
func SourceCommand(arg string, recursive bool) string {
	if recursive {
		return "scp -f -p -r -- " + Quote(arg)
	}
	return "scp -f -p -- " + Quote(arg)
}

// SinkCommand returns the shell command that receives one file as arg.
func SinkCommand(arg string) string { return "scp -t -p -- " + Quote(arg) }

// Quote returns s as one word of a Unix shell, whatever it holds. A word that
// begins with "-" is still an option unless "--" stands before it.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// parseEntry reads what follows C or D: mode, size, name.
func parseEntry(kind Kind, line string) (Record, error) {
	mode, rest, ok1 := strings.Cut(line, " ")
	size, name, ok2 := strings.Cut(rest, " ")
	bits, err := strconv.ParseUint(mode, 8, 32)
	if !ok1 || !ok2 || err != nil || !digits(mode) || len(mode) < 3 {
		return Record{}, errors.New("bad mode")
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || !digits(size) {
		return Record{}, errors.New("bad size")
	}
	r := Record{Kind: kind, Name: name, Mode: fileMode(uint32(bits)), Size: n}
	if kind == Dir {
		r.Mode |= fs.ModeDir
		r.Size = 0
	}
	return r, nil
}

// parseTimes reads what follows T.
func parseTimes(line string) (mtime, atime time.Time, err error) {
	fields := strings.Split(line, " ")
	if len(fields) != 4 {
		return mtime, atime, errors.New("bad times")
	}
	var n [4]int64
	for i, f := range fields {
		n[i], err = strconv.ParseInt(f, 10, 64)
		if err != nil || !digits(f) || n[i] > maxTime || (i%2 == 1 && n[i] > 999999) {
			return mtime, atime, errors.New("bad times")
		}
	}
	return time.Unix(n[0], 0), time.Unix(n[2], 0), nil
}

// digits reports whether s is digits alone: strconv also takes signs.
func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// The bits above the permissions, as Unix and the protocol number them.
const (
	setuid = 0o4000
	setgid = 0o2000
	sticky = 0o1000
)

// fileMode turns a record's bits into a mode, without those above 07777.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits) & fs.ModePerm
	for bit, m := range map[uint32]fs.FileMode{setuid: fs.ModeSetuid, setgid: fs.ModeSetgid, sticky: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= m
		}
	}
	return mode
}

// modeBits is the reverse of fileMode.
func modeBits(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for bit, m := range map[uint32]fs.FileMode{setuid: fs.ModeSetuid, setgid: fs.ModeSetgid, sticky: fs.ModeSticky} {
		if mode&m != 0 {
			bits |= bit
		}
	}
	return bits
}

// readLine reads to the next newline and returns what stands before it.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", &ProtocolError{Reason: "a line too long", Got: clean(line)}
	case errors.Is(err, io.EOF):
		return "", &ProtocolError{Reason: "a line that ends early", Got: clean(line)}
	case err != nil:
		return "", err
	}
	return string(line[:len(line)-1]), nil
}

// readMessage reads the text after a status byte of a warning or worse.
func readMessage(r *bufio.Reader, status byte) error {
	line, err := readLine(r)
	if err != nil {
		return err
	}
	return &PeerError{Fatal: status == statusFatal, Text: clean([]byte(line))}
}

// readStatus reads a status or an answer. It returns nil if that is good.
func readStatus(r *bufio.Reader) error {
	b, err := r.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case b == statusOK:
		return nil
	case b == statusWarning || b == statusFatal:
		return readMessage(r, b)
	}
	return unexpected(r, b)
}

// unexpected describes a byte that no record or status begins with, and what
// has come with it: often a message of the server's shell.
func unexpected(r *bufio.Reader, b byte) error {
	more, _ := r.Peek(min(r.Buffered(), maxText))
	return &ProtocolError{Reason: "unexpected data", Got: clean(append([]byte{b}, more...))}
}

// ends reports whether an error ends the session. A warning does not.
func ends(err error) bool {
	var peer *PeerError
	if errors.As(err, &peer) {
		return peer.Fatal
	}
	return err != nil
}

// clean makes a peer's text fit for one line of a message.
func clean(text []byte) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, string(text))
	return strings.TrimSpace(s)
}
