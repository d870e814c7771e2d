package stamp

import "strings"

// WinSCP's scripts and logs have %TIMESTAMP[rel][#format]%, with rel such as
// -1D in the units Y, D, H, N (minutes) and S. In a batch file both % are
// doubled. The format is that of Delphi's FormatDateTime; without one, it is
// yyyymmddhhnnss. See winscp.net, "Scripting and Task Automation", section
// Timestamp. Parts of Delphi's formats that depend on the locale are refused.
//
// We go beyond it in three ways that cannot hurt: the word and the units may
// be in lower case, and several shifts may follow one another.

// parseWinSCP reads the stamp that source begins with, and returns its length,
// which is 0 if the % is only a %.
func parseWinSCP(source string) (part, int, *mistake) {
	const word = "TIMESTAMP"
	percent := "%"
	if strings.HasPrefix(source, "%%") {
		percent = "%%"
	}
	head := len(percent) + len(word)
	if len(source) <= head || !strings.EqualFold(source[len(percent):head], word) || !strings.ContainsRune("%+-#", rune(source[head])) {
		return part{}, 0, nil
	}
	inside, after, closed := strings.Cut(source[head:], "%")
	if !closed {
		return part{}, 0, mistakef(0, "%s%s without %s at its end", percent, word, percent)
	}
	if percent == "%%" {
		if !strings.HasPrefix(after, "%") {
			// The first of the two is only a %, as in 100%%TIMESTAMP%.
			return part{}, 0, nil
		}
		after = after[1:]
	}
	rel, format, formatted := strings.Cut(inside, "#")
	p := part{stamp: date, format: "%Y%m%d%H%M%S"}
	var m *mistake
	if p.shifts, m = parseShiftsIn(rel, winSCPUnits(), "Y, D, H, N (minutes) and S"); m != nil {
		return part{}, 0, mistakef(head+m.offset, "%s", m.msg)
	}
	if formatted {
		if p.format, m = fromDelphi(format); m != nil {
			return part{}, 0, mistakef(head+len(rel)+1+m.offset, "%s", m.msg)
		}
	}
	return p, len(source) - len(after), nil
}

// delphi gives the strftime conversion for each specifier.
func delphi() map[string]string {
	return map[string]string{
		"yyyy": "%Y", "yyy": "%Y", "yy": "%y", "y": "%y",
		"mmmm": "%B", "mmm": "%b", "mm": "%m", "m": "%-m",
		"dddd": "%A", "ddd": "%a", "dd": "%d", "d": "%-d",
		"hh": "%H", "h": "%-H",
		"nn": "%M", "n": "%-M",
		"ss": "%S", "s": "%-S",
		"zzz": "%L",
	}
}

// fromDelphi turns a format of FormatDateTime into one of strftime.
func fromDelphi(format string) (string, *mistake) {
	var b strings.Builder
	var last string // the specifier before
	for rest := format; rest != ""; {
		at := len(format) - len(rest)
		quote := rest[:1]
		if quote == "'" || quote == `"` {
			text, after, closed := strings.Cut(rest[1:], quote)
			if !closed {
				return "", mistakef(at, "%s without another", quote)
			}
			b.WriteString(text)
			rest = after
			continue
		}
		letter := strings.ToLower(rest[:1])
		if !strings.Contains("acdeghmnstyz", letter) {
			b.WriteString(rest[:1])
			rest = rest[1:]
			continue
		}
		after := strings.TrimLeft(rest, letter+strings.ToUpper(letter))
		specifier := strings.Repeat(letter, len(rest)-len(after))
		if strings.HasPrefix(last, "h") && len(specifier) <= 2 {
			specifier = strings.Replace(specifier, "m", "n", 2) // as in hh:mm
		}
		conversion, ok := delphi()[specifier]
		if !ok {
			return "", mistakef(at, "%s is not known, or depends on the locale: known are yyyy yy mmmm mmm mm m dddd ddd dd d hh h nn n ss s zzz; letters of your own stand in quotes", specifier)
		}
		b.WriteString(conversion)
		last, rest = specifier, after
	}
	if last == "" {
		return "", mistakef(0, "the format has no date or time in it, as in yyyymmdd")
	}
	if m := checkFormat(b.String()); m != nil {
		return "", mistakef(0, "%s", m.msg)
	}
	return b.String(), nil
}
