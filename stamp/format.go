package stamp

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ncruces/go-strftime"
)

// conversions are the letters that may follow %, and %-. The library writes
// others out as they are, which hides mistakes.
const (
	conversions = "aAbBcCdDefFgGhHIjklLmMNpPrRsSTuUVwWxXyYzZ%"
	unpadded    = "dHIjmMSUVW"
)

// checkFormat says what is wrong with a strftime format.
func checkFormat(format string) *mistake {
	if format == "" {
		return mistakef(0, "the format is empty")
	}
	converts := false
	for i := 0; i < len(format); i++ {
		switch format[i] {
		case '\\':
			return mistakef(i, `\ in a format: a folder is written /`)
		case '{':
			return mistakef(i, "{ in a format")
		case '%':
			directive := directiveAt(format[i:])
			letter := directive[len(directive)-1:]
			switch {
			case len(directive) == 2 && strings.Contains(conversions, letter):
			case len(directive) == 3 && directive[1] == '-' && strings.Contains(unpadded, letter):
			default:
				return mistakef(i, "%s is not known; often used are %%Y %%m %%d %%H %%M %%S %%b %%a %%j %%V", directive)
			}
			converts = converts || letter != "%"
			i += len(directive) - 1
		}
	}
	if !converts {
		return mistakef(0, "the format has no %% in it, as in %%Y-%%m-%%d")
	}
	at := 0
	for element := range strings.SplitSeq(format, "/") {
		if strings.Trim(element, ".") == "" {
			return mistakef(at, "%q is not the name of a folder; a / at either end of a format belongs outside the braces", element)
		}
		at += len(element) + 1
	}
	return nil
}

// directiveAt returns the conversion that s begins with, with the flags of any
// strftime, so that a message shows all of it.
func directiveAt(s string) string {
	flags := len(s[1:]) - len(strings.TrimLeft(s[1:], "-_^#:.+EO0123456789"))
	_, letter := utf8.DecodeRuneInString(s[1+flags:])
	return s[:1+flags+letter]
}

// formatTime applies a format that passed checkFormat. Its slashes separate
// folders; those that a conversion makes, as %D does, do not.
func formatTime(format string, t time.Time) string {
	elements := strings.Split(format, "/")
	for i, e := range elements {
		elements[i] = safe(strftime.Format(e, t))
	}
	return strings.Join(elements, "/")
}

// safe makes text fit for one element of a path on any system.
func safe(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.Repeat("-", len(s))
	}
	return withoutRefused(s)
}

// withoutRefused replaces the characters that some file system refuses.
func withoutRefused(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`<>:"|?*\/`, r) {
			return '-'
		}
		return r
	}, s)
}
