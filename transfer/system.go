package transfer

import (
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A System is what decides which names a file can have, and which of them are
// the same.
type System string

// The systems, as far as names go.
const (
	Unix    System = "unix"
	Windows System = "windows"
	MacOS   System = "macos"
)

// ThisSystem is that of this machine.
func ThisSystem() System {
	switch runtime.GOOS {
	case "windows":
		return Windows
	case "darwin", "ios":
		return MacOS
	}
	return Unix
}

// folds reports whether names that differ in case only are the same.
func (s System) folds() bool { return s == Windows || s == MacOS }

// key maps a path to what all paths of the same file have in common. macOS
// holds names that differ in normalization only for the same, too; Windows
// does not (APFS and HFS+ compare normalized, NTFS compares code units).
func (s System) key(path string) string {
	if s == MacOS {
		// Folding can undo what normalizing did, so it comes in between.
		path = norm.NFC.String(foldCase(norm.NFD.String(path)))
	}
	if s.folds() {
		path = foldCase(path)
	}
	return path
}

// foldCase maps names that strings.EqualFold holds equal to one text.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

// The private characters that MapName writes for others: U+F000 and the code
// of the character or byte, as Cygwin, WSL and Samba's catia do for some.
const (
	privateFirst = 0xf001
	privateLast  = 0xf0ff
	private      = 0xf000
)

// MapName makes a name that Windows can hold out of one that it cannot, by a
// rule that UnmapName undoes: in place of
//
//	\ : < > " | ? *  and the control characters
//	a dot or space at the end
//	the first letter of the name of a device, such as CON, nul.txt or COM1
//	each byte that is not UTF-8
//
// stands the private character U+F000 plus its code: "a:b" is "a\uf03ab".
// Cygwin and WSL do the same, and show the original name. A name that Windows
// can hold stays as it is. One that holds such a private character already
// could not be told from a mapped one: it is refused, as ok says.
func MapName(name string) (mapped string, ok bool) {
	var b strings.Builder
	for i, r := range name {
		_, size := utf8.DecodeRuneInString(name[i:])
		last := i+size == len(name)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteRune(private + rune(name[i]))
		case privateFirst <= r && r <= privateLast:
			return "", false
		case r < ' ' || strings.ContainsRune(forbiddenOnWindows, r) || last && (r == '.' || r == ' '):
			b.WriteRune(private + r)
		default:
			b.WriteRune(r)
		}
	}
	mapped = b.String()
	if isWindowsDevice(mapped) {
		mapped = string(private+rune(mapped[0])) + mapped[1:] // they begin with a letter
	}
	return mapped, badName(mapped, true) == ""
}

// UnmapName undoes MapName. What MapName does not make stays as it is.
func UnmapName(mapped string) string {
	var b strings.Builder
	for _, r := range mapped {
		if privateFirst <= r && r <= privateLast {
			b.WriteByte(byte(r - private))
		} else {
			b.WriteRune(r)
		}
	}
	name := b.String()
	if again, ok := MapName(name); !ok || again != mapped || badName(name, false) != "" {
		return mapped
	}
	return name
}
