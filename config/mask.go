package config

import (
	"regexp"
	"strings"
)

// mask stands wherever a secret, or what may be one, would stand.
const mask = "***"

// Somebody who writes a password into the file, where a reference to one
// belongs, makes a mistake that we report with the line it is on. That line
// must not show the password, and neither may any other report about a line
// near it: one about a misspelt key, a missing quote, or a wrong indentation.
// The file may not even be YAML then, so this works on lines and words, and
// rather hides too much.

// maskLines returns the lines of a file with the values behind all keys that
// look like those of secrets replaced, whatever the file's syntax.
func maskLines(lines []string) []string {
	masked := make([]string, len(lines))
	var h hiding
	for i, line := range lines {
		masked[i] = h.line(line)
	}
	return masked
}

// maskLine does the same with a single line.
func maskLine(line string) string { return new(hiding).line(line) }

// hiding is what the lines so far say about the next one.
type hiding struct {
	block  bool // a secret's value may go on below, indented more than indent
	indent int
	empty  bool // no value was seen yet
	quoted byte // the quote that a value goes on until
}

func (h *hiding) line(line string) string {
	text := strings.TrimLeft(line, " \t")
	indent := len(line) - len(text)
	switch {
	case h.quoted != 0:
		if i := strings.IndexByte(line, h.quoted); i >= 0 {
			h.quoted = 0
		}
		return line[:indent] + mask
	case text == "" || strings.HasPrefix(text, "#") && !h.block:
		// A comment may still hold what was once a password.
		return maskWords(line, nil)
	case h.block && (indent > h.indent || strings.HasPrefix(text, "- ") || h.empty && !keyAtStart.MatchString(text)):
		h.empty = false
		return line[:indent] + mask
	}
	h.block = false
	return maskWords(line, func(rest string) {
		h.block, h.indent, h.empty = true, indent, rest == "" || strings.HasPrefix(rest, "#")
		if q := firstByte(rest); (q == '"' || q == '\'') && strings.IndexByte(rest[1:], q) < 0 {
			h.quoted = q
		}
	})
}

// maskWords hides what follows the first word of line that names a secret and
// is not followed by a reference to one. The function found, if any, is told
// what was hidden.
func maskWords(line string, found func(rest string)) string {
	line = urlPassword.ReplaceAllString(line, "${1}"+mask+"@")
	at := 0
	for {
		loc := word.FindStringIndex(line[at:])
		if loc == nil {
			return line
		}
		from, to := at+loc[0], at+loc[1]
		at = to
		if !namesSecret(line[from:to]) {
			continue
		}
		value := to + len(line[to:]) - len(strings.TrimLeft(line[to:], "\"' \t:="))
		// The opening quote belongs to the value.
		for value > to && (line[value-1] == '"' || line[value-1] == '\'') && strings.ContainsAny(line[to:value-1], ":=") {
			value--
		}
		rest := line[value:]
		if ref := reference.FindStringSubmatch(rest); ref != nil {
			at = value + len(ref[1])
			continue
		}
		if found != nil {
			found(rest)
		}
		if rest == "" || strings.HasPrefix(rest, "#") {
			return line
		}
		return line[:value] + mask
	}
}

func firstByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

var (
	word       = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*`)
	keyAtStart = regexp.MustCompile(`^["']?[A-Za-z0-9_.-]+["']?\s*:(\s|$)`)
	// urlPassword matches what of a URL stands before the host, if it has a
	// password, and whatever looks like that.
	urlPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)\S*@`)
	// reference matches a reference to a secret that names it without being
	// it. A command is not among them: it may hold a secret itself.
	reference = regexp.MustCompile(`^(["']?(?:env:\w+|credential:[\w.-]+|file:[^\s"',}\]]+)["']?)\s*(?:$|[#,}\]])`)
)

// namesSecret reports whether a word is, or may be a misspelling of, the name
// of a key whose value is a secret.
func namesSecret(word string) bool {
	w := strings.TrimRight(plainSpelling(word), "0123456789")
	for _, part := range []string{"passw", "passp", "pasw", "secret"} {
		if strings.Contains(w, part) {
			return true
		}
	}
	for _, end := range []string{"pass", "pwd", "psk", "token"} {
		if strings.HasSuffix(w, end) {
			return true
		}
	}
	return distance(w, "password") <= 2 || distance(w, "passphrase") <= 2 || distance(w, "passwd") <= 1
}
