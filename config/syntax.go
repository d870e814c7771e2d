package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parse returns the one document of the file, or nil after it reported why
// there is none.
func parse(src *source, r *reporter) ast.Node {
	var (
		tokens token.Tokens
		file   *ast.File
		err    error
	)
	if !safely(func() { tokens = lexer.Tokenize(src.text) }) {
		r.problem(spot{line: 1, column: 1}, notYAML)
		return nil
	}
	inText := textLines(tokens)
	checkTabs(src, inText, r)
	if r.failed() {
		return nil
	}
	checkTokens(src, tokens, r)
	if !r.failed() && !safely(func() { file, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) }) {
		err = errors.New(notYAML)
	}
	if r.failed() || err != nil {
		// The library stops at the first mistake; of the usual ones we find all.
		for number := range src.lines {
			if !inText[number+1] {
				checkFirstCharacter(src, number+1, r)
			}
		}
		checkAllQuotes(src, tokens, inText, r)
	}
	if err != nil && !r.failed() {
		syntaxProblem(src, err, r)
	}
	if r.failed() {
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			return doc.Body
		}
	}
	r.problem(spot{line: 1, column: 1}, "the file is empty").
		suggest("`linehaul config init` writes a first one, with comments")
	return nil
}

const notYAML = "the file is no YAML that can be read"

// safely calls the library. It is not ours and the input is anybody's: should
// it trip over a file, the file is refused and the program lives.
func safely(call func()) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	call()
	return true
}

// textLines finds the lines of block scalars, which may hold anything.
func textLines(tokens token.Tokens) map[int]bool {
	lines := make(map[int]bool)
	for _, t := range tokens {
		if t.Prev == nil || t.Type != token.StringType {
			continue
		}
		if t.Prev.Type == token.LiteralType || t.Prev.Type == token.FoldedType {
			for i := range strings.Count(strings.TrimRight(t.Origin, "\n"), "\n") + 1 {
				lines[t.Prev.Position.Line+1+i] = true
			}
		}
	}
	return lines
}

// checkTabs reports every line that is indented with a tab.
func checkTabs(src *source, inText map[int]bool, r *reporter) {
	for i, line := range src.lines {
		rest := strings.TrimLeft(line, " \t")
		if rest == "" || inText[i+1] {
			continue
		}
		if tab := strings.IndexByte(line[:len(line)-len(rest)], '\t'); tab >= 0 {
			r.problem(spot{line: i + 1, column: tab + 1}, "tab in the indentation: YAML wants spaces").
				suggest("replace the tab with spaces, as many as the lines around it have")
		}
	}
}

// special matches a line whose value begins with a character that means
// something in YAML, where people mean a schedule, a stamp or a path: @daily,
// */5 * * * *, {name}.gz, %TIMESTAMP%.
var special = regexp.MustCompile("^( *(?:- +)*(?:[A-Za-z0-9_.-]+: +)?)([@`%!]|\\*(?:[ /,]|$)|\\{[^}'\" ]*\\}[^ ,}\\]])(.*?)( +#.*)?$")

// checkFirstCharacter reports a line if it is such a one.
func checkFirstCharacter(src *source, number int, r *reporter) bool {
	line := src.lines[number-1]
	m := special.FindStringSubmatch(line)
	if m == nil || strings.TrimSpace(m[1]) == "" {
		return false
	}
	value := m[2] + m[3]
	at := spot{line: number, column: utf8.RuneCountInString(m[1]) + 1, width: utf8.RuneCountInString(value)}
	a := r.problem(at, "text that begins with %s wants quotes", value[:1])
	if value == shown(value) && src.maskedLine(number) == line {
		a.suggest("write '%s'", strings.ReplaceAll(value, "'", "''"))
	}
	return true
}

// checkTokens refuses the parts of YAML that this file has no use for, and
// what would make the parser recurse or run for long.
func checkTokens(src *source, tokens token.Tokens, r *reporter) {
	tooLarge := func(t *token.Token) {
		r.problem(src.place(t), "the file is too large: it has more than %d keys or %d words", maxKeys, maxTokens)
	}
	if len(tokens) > maxTokens {
		tooLarge(tokens[maxTokens])
		return
	}
	keys, depth, openers, line := 0, 0, 0, 0
	content, ended := false, false
	for _, t := range tokens {
		if t.Position.Line != line {
			line, openers = t.Position.Line, 0
		}
		isContent := true
		switch t.Type {
		case token.CommentType:
			isContent = false
		case token.DocumentHeaderType:
			isContent = false
			if content && !r.failed() {
				r.problem(src.place(t), "a second document begins here: the file holds one").suggest("remove the line `---`, or what follows it")
			}
		case token.DocumentEndType:
			isContent, ended = false, true
		case token.DirectiveType:
			if !checkFirstCharacter(src, src.place(t).line, r) {
				r.problem(src.place(t), "a line that begins with %% is a YAML directive, which has no use here").suggest("remove it")
			}
		case token.TagType:
			r.problem(src.place(t), "a value that begins with ! is a YAML tag, which has no use here").suggest("put the value in quotes")
		case token.MappingKeyType:
			r.problem(src.place(t), "a key that begins with ? is YAML's long form, which has no use here").suggest("write KEY: VALUE")
		case token.DoubleQuoteType:
			checkEscapes(src, t, r)
		case token.MappingValueType:
			keys++
		case token.SequenceStartType, token.MappingStartType:
			depth++
			openers++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.AliasType:
			checkFirstCharacter(src, src.place(t).line, r)
			openers++
		case token.SequenceEntryType, token.AnchorType:
			openers++
		default: // scalars and what stands between them
		}
		if content = content || isContent; ended && isContent && !r.failed() {
			r.problem(src.place(t), "the document has ended, and more follows").suggest("remove the line `...` above")
		}
		switch {
		case depth > maxNested || openers > maxNested:
			r.problem(src.place(t), "nested too deeply")
			return
		case keys > maxKeys:
			tooLarge(t)
			return
		case r.full():
			return
		}
	}
}

// checkEscapes refuses, in double quotes, the escapes that stand for control
// characters and odd spaces. No value of this file holds one, and where they
// are found a Windows path was meant: "D:\backup" begins with D, a colon and a
// backspace. The library also takes "C:\Users" for a 32-bit code point.
func checkEscapes(src *source, t *token.Token, r *reporter) {
	if !strings.ContainsRune(t.Origin, '\\') {
		return
	}
	at := src.place(t)
	from := at.column - 1
	for n, text := range src.lines[at.line-1:] {
		line := []rune(text)
		if n == 0 {
			// The column is that of the quote, or a little before it.
			for from = min(from, len(line)); from < len(line) && line[from] != '"'; {
				from++
			}
			from = min(from+1, len(line))
		}
		if checkQuoted(line, from, at.line+n, r) < len(line) {
			return
		}
		from = 0
	}
}

// checkQuoted reports the first escape that is refused in what stands behind
// an opening quote. It returns the index of the closing one, or the length of
// the line if there is none.
func checkQuoted(line []rune, from, number int, r *reporter) int {
	bad := false
	for i := from; i < len(line); i++ {
		switch line[i] {
		case '"':
			return i
		case '\\':
			size := escapeSize(line[i+1:])
			if size < 0 && !bad {
				bad = true
				r.problem(spot{line: number, column: i + 1, width: 2}, "in double quotes, \\ begins an escape, and this one has no use here").
					suggest(`for a Windows path use single quotes: 'D:\backup'`)
			}
			i += max(size, 0)
		}
	}
	return len(line)
}

// checkAllQuotes is for a file that the library gave up at an escape: it looks
// at every line for more of them, which takes some guessing at what is quoted.
func checkAllQuotes(src *source, tokens token.Tokens, inText map[int]bool, r *reporter) {
	bad := tokens.InvalidToken()
	if bad == nil || !strings.Contains(bad.Error, "escape") && !strings.Contains(bad.Error, "surrogate") {
		return
	}
	for n, text := range src.lines {
		line, before := []rune(text), ' '
		for i := 0; i < len(line) && !inText[n+1]; i++ {
			switch c := line[i]; {
			case c == '#' && i > 0 && line[i-1] == ' ':
				i = len(line)
			case c == '"' && strings.ContainsRune(" :-[{,", before):
				i = checkQuoted(line, i+1, n+1, r)
			case c == '\'' && strings.ContainsRune(" :-[{,", before):
				if end := slices.Index(line[i+1:], '\''); end >= 0 {
					i += 1 + end
				}
			case c != ' ':
				before = c
			}
		}
	}
}

// escapeSize returns how many characters after a backslash belong to its
// escape, or -1 for one that is refused.
func escapeSize(after []rune) int {
	if len(after) == 0 {
		return 0 // the line goes on below
	}
	digits, ok := map[rune]int{'\\': 0, '"': 0, '/': 0, ' ': 0, 'x': 2, 'u': 4, 'U': 8}[after[0]]
	if !ok || len(after) <= digits {
		return -1
	}
	for _, c := range after[1 : 1+digits] {
		if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return -1
		}
	}
	return 1 + digits
}

// syntaxProblem reports where the library gave up.
func syntaxProblem(src *source, err error, r *reporter) {
	at := spot{line: 1, column: 1}
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) {
		r.problem(at, notYAML)
		return
	}
	if syntax.Token != nil {
		at = src.place(syntax.Token)
	}
	message, suggestion := plainSyntax(syntax.Message)
	if strings.Contains(syntax.Message, "mapping value is not allowed") && src.continues(at.line) {
		message, suggestion = "the next line is indented deeper than this one, and so is taken for more of its value", "give it the indentation of this line"
	}
	if a := r.problem(at, "%s", message); suggestion != "" {
		a.suggest("%s", suggestion)
	}
}

// continues reports whether the line after the one of that number is indented
// deeper.
func (s *source) continues(number int) bool {
	indent := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	return number > 0 && number < len(s.lines) && indent(s.lines[number]) > indent(s.lines[number-1])
}

// plainSyntax says in an administrator's words what the library says in its
// own. The library's messages hold at most one character of the file.
func plainSyntax(message string) (plain, suggestion string) {
	const quoteIt = "a value that begins with one of * & ! % @ ` { [ | > or holds a colon and a space wants quotes"
	const indent = "check the indentation here and in the lines above, and for a missing colon"
	for _, known := range []struct{ part, plain, suggestion string }{
		{"reserved character", "a value cannot begin with this character", quoteIt},
		{"escape", `in double quotes, \ begins an escape, and this is none`, `for a Windows path use single quotes: 'D:\backup'`},
		{"surrogate", `in double quotes, \ begins an escape, and this is none`, `for a Windows path use single quotes: 'D:\backup'`},
		{"end character of double-quoted", `the closing " is missing`, ""},
		{"end character of single-quoted", "the closing ' is missing", "a ' inside of single quotes is written twice"},
		{"end token ']'", "the closing ] is missing", ""},
		{"',' or ']'", "a comma or the closing ] is missing", ""},
		{"end token '}'", "the closing } is missing", ""},
		{"',' or '}'", "a comma or the closing } is missing", ""},
		{"corresponding to", "this bracket was not opened", quoteIt},
		{"flow map content", "inside of { } this is no KEY: VALUE", quoteIt},
		{"alias", "a value that begins with * is an alias, and this is none", quoteIt},
		{"anchor", "a value that begins with & is an anchor, and this is none", quoteIt},
		{"implicit line break", "a key wants a colon on its own line", indent},
		{"mapping value is not allowed", "a second colon in this line is not understood", quoteIt},
		{"pre-defined", "this line does not belong to what stands above it", indent},
		{"value is not allowed", "this does not belong here", indent},
		{"non-map value", "this is no KEY: VALUE", indent},
		{"unexpected key name", "this is no KEY: VALUE", indent},
		{"block sequence entries are not allowed", "a list cannot begin on the line of its key", "begin the list on the next line, or write it in [ ]"},
		{"header option", "what follows | or > is not understood", quoteIt},
	} {
		if strings.Contains(message, known.part) {
			return known.plain, known.suggestion
		}
	}
	return "this is not YAML: " + message, indent
}
