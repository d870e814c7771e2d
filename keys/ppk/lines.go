package ppk

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// lineReader takes a file apart as PuTTY does. A line ends with CR or LF, and
// one more of either right after it belongs to that end: so LF, CR and CRLF all
// do, and even a blank line after each line.
type lineReader struct {
	rest []byte
	line int // number of the line that was read last
	next int // number of the line that rest starts with
}

func (l *lineReader) read() ([]byte, error) {
	l.line = l.next
	if len(l.rest) == 0 {
		return nil, damaged(l.line, "the file ends too early")
	}
	text := l.rest
	l.rest = nil
	if i := bytes.IndexAny(text, "\r\n"); i >= 0 {
		end := i + 1
		l.next++
		if end < len(text) && (text[end] == '\r' || text[end] == '\n') {
			if text[i] != '\r' || text[end] != '\n' {
				l.next++
			}
			end++
		}
		text, l.rest = text[:i], text[end:]
	}
	if bytes.IndexByte(text, 0) >= 0 {
		// PuTTY takes it for the end of the line's text.
		return nil, damaged(l.line, "there is a zero byte in the line")
	}
	return text, nil
}

// header reads the line "NAME: value", and NAME must be the one that is due.
func (l *lineReader) header(name string) (string, error) {
	text, err := l.read()
	if err != nil {
		return "", err
	}
	value, ok := bytes.CutPrefix(text, []byte(name+": "))
	if !ok {
		return "", damaged(l.line, "a line that starts with %q is due here", name+": ")
	}
	if name != "Comment" {
		return string(value), l.noTrailingSpace(value)
	}
	return string(value), nil
}

// noTrailingSpace names what copying through a web page or mail does to a file.
// It would be refused anyway, as it is by PuTTY, but for less clear reasons.
func (l *lineReader) noTrailingSpace(text []byte) error {
	if len(bytes.TrimRight(text, " \t")) < len(text) {
		return damaged(l.line, "there is white space at the end of the line")
	}
	return nil
}

// number reads a header with a decimal number. PuTTY allows space and a plus
// sign before it.
func (l *lineReader) number(name string) (uint32, error) {
	value, err := l.header(name)
	if err != nil {
		return 0, err
	}
	digits := strings.TrimPrefix(strings.TrimLeft(value, " \t"), "+")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, damaged(l.line, "after %s belongs a number of at most 32 bits", name)
	}
	return uint32(n), nil
}

// hex reads a header with hexadecimal digits of either case.
func (l *lineReader) hex(name string) ([]byte, error) {
	value, err := l.header(name)
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(value)
	if err != nil {
		return nil, damaged(l.line, "after %s belong pairs of hexadecimal digits", name)
	}
	return b, nil
}

// maxBase64Line is the most that PuTTY writes and reads in a line of base64.
const maxBase64Line = 64

// blob reads a header with a number of lines, and these lines of base64. There
// can be no more of them than the file has, so nothing is allocated by number.
func (l *lineReader) blob(name string) ([]byte, error) {
	count, err := l.number(name)
	if err != nil {
		return nil, err
	}
	first := l.next
	// Private keys pass through here, so all that is allocated is wiped.
	text := make([]byte, 0, min(uint64(count)*maxBase64Line, uint64(len(l.rest))))
	defer func() { clear(text) }()
	for range count {
		line, err := l.read()
		if err != nil {
			return nil, err
		}
		if err := l.noTrailingSpace(line); err != nil {
			return nil, err
		}
		if len(line) > maxBase64Line || len(line)%4 != 0 {
			return nil, damaged(l.line, "a line of base64 has up to %d characters, in fours", maxBase64Line)
		}
		text = append(text, line...)
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(b, text)
	if err != nil {
		clear(b)
		return nil, damaged(first, "the lines after %s are not base64", name)
	}
	return b[:n], nil
}
