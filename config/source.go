package config

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// Limits of our own. They are far above what a file that people write needs,
// and keep every step below a second or two on any input.
const (
	maxBytes  = 1 << 20 // of the file
	maxLine   = 4096    // characters in a line
	maxKeys   = 20_000  // in all of the file
	maxTokens = 150_000 // words, brackets, commas and so on
	maxNested = 40      // openers of a nested value on one line, or flow depth
)

// source is the text of a file as far as messages need it.
type source struct {
	name   string // as messages name the file
	text   string // without the byte order mark, and with LF between lines
	lines  []string
	masked []string // the same lines with secrets masked; see maskedLine
}

// newSource checks that data is text of a sane size, and reports what is not.
func newSource(name string, data []byte, r *reporter) *source {
	s := &source{name: name, lines: []string{""}}
	r.src = s
	if len(data) > maxBytes {
		r.problem(spot{line: 1, column: 1}, "the file is larger than 1 MiB").
			suggest("check that this is the configuration file")
		return s
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		r.problem(spot{line: 1, column: 1}, "the file is UTF-16 text").
			suggest("save it as UTF-8 (in Notepad: Save as, Encoding)")
		return s
	}
	s.lines = splitLines(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	s.text = strings.Join(s.lines, "\n")
	for i, line := range s.lines {
		s.checkLine(i+1, line, r)
	}
	return s
}

// maskedLine returns a line, numbered from 1, with secrets masked. Most files
// have no mistake, and so no use for it.
func (s *source) maskedLine(number int) string {
	if s.masked == nil {
		s.masked = maskLines(s.lines)
	}
	return s.masked[number-1]
}

// checkLine reports the first character of a line that no text file has.
func (s *source) checkLine(number int, line string, r *reporter) {
	if n := utf8.RuneCountInString(line); n > maxLine {
		r.problem(spot{line: number, column: maxLine}, "the line has %d characters; the most that is read is %d", n, maxLine)
		return
	}
	column := 0
	for i, c := range line {
		column++
		at := spot{line: number, column: column}
		if c == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(line[i:]); size == 1 {
				r.problem(at, "byte 0x%02x is not UTF-8 text", line[i]).suggest("save the file as UTF-8")
				return
			}
		}
		if c != '\t' && !isPlain(c) {
			r.problem(at, "the line holds the control character %U", c).suggest("remove it")
			return
		}
	}
}

// isPlain reports whether a rune may stand in text of one line. The separators
// of lines and paragraphs are controls as much as the others are.
func isPlain(r rune) bool {
	return !unicode.IsControl(r) && r != '\u2028' && r != '\u2029' && r != '\ufeff'
}

// splitLines splits at the line breaks that YAML knows: LF, CR LF and CR
// (YAML 1.2.2, section 5.4).
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
}

// place returns where a token begins and how wide its first line is. The YAML
// library miscounts columns behind tabs, and lines in rare cases, so what it
// says is held against the text.
func (s *source) place(t *token.Token) spot {
	text := strings.TrimSpace(t.Origin)
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		text = text[:i]
	}
	at := spot{line: 1, column: 1, width: utf8.RuneCountInString(text)}
	if t.Position == nil {
		return at
	}
	at.line = min(max(t.Position.Line, 1), len(s.lines))
	at.column = max(t.Position.Column, 1)
	line := s.lines[at.line-1]
	if runes := []rune(line); at.column > len(runes) || !strings.HasPrefix(string(runes[at.column-1:]), text) {
		if i := strings.Index(line, text); i >= 0 {
			at.column = utf8.RuneCountInString(line[:i]) + 1
		}
	}
	return at
}
