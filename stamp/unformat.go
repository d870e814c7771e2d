package stamp

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A conversion is one of strftime's, or text between them.
type conversion struct {
	letter   byte // 0 for text
	unpadded bool // %-d
	text     string
}

// combined are the conversions that stand for others, as they are in the C
// locale.
func combined(letter byte) string {
	switch letter {
	case 'c':
		return "%a %b %e %H:%M:%S %Y"
	case 'D', 'x':
		return "%m/%d/%y"
	case 'F':
		return "%Y-%m-%d"
	case 'r':
		return "%I:%M:%S %p"
	case 'R':
		return "%H:%M"
	case 'T', 'X':
		return "%H:%M:%S"
	}
	return ""
}

// conversionsOf takes a format that passed checkFormat apart. A slash of its
// own separates folders; one that a conversion makes became a dash.
func conversionsOf(format string) []conversion {
	var all []conversion
	text := func(s string) {
		if s == "" {
			return
		}
		if n := len(all); n > 0 && all[n-1].letter == 0 {
			all[n-1].text += s
			return
		}
		all = append(all, conversion{text: s})
	}
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			i = len(format)
		}
		for n, element := range strings.Split(format[:i], "/") {
			if n > 0 {
				text("/")
			}
			text(withoutRefused(element))
		}
		if format = format[i:]; format == "" {
			break
		}
		directive := directiveAt(format)
		format = format[len(directive):]
		letter := directive[len(directive)-1]
		switch inner := combined(letter); {
		case letter == '%':
			text("%")
		case inner != "":
			for _, c := range conversionsOf(withoutRefused(inner)) {
				if c.letter == 0 {
					text(c.text)
				} else {
					all = append(all, c)
				}
			}
		default:
			all = append(all, conversion{letter: letter, unpadded: len(directive) == 3})
		}
	}
	return all
}

// A reading of a conversion is the number that some first bytes stand for.
type read struct {
	length int
	value  int64
}

// read returns every way to read the beginning of s.
func (c conversion) read(s string) []read {
	switch c.letter {
	case 'a', 'A', 'b', 'B', 'h':
		return readName(s, c.letter)
	case 'p':
		return readWord(s, "AM", "PM")
	case 'P':
		return readWord(s, "am", "pm")
	case 'z':
		if len(s) >= 5 && (s[0] == '+' || s[0] == '-') && digits(s[1:5]) {
			return []read{{5, 0}}
		}
		return nil
	case 'Z':
		return readZone(s)
	case 's':
		return readSeconds(s)
	case 'e', 'k', 'l':
		if strings.HasPrefix(s, " ") {
			return shifted(1, bounded(c.letter, readDigits(s[1:], 1), 0))
		}
		return bounded(c.letter, readDigits(s, 2), 10)
	}
	width := 2
	switch c.letter {
	case 'Y', 'G':
		width = 4
	case 'j', 'L':
		width = 3
	case 'f':
		width = 6
	case 'N':
		width = 9
	case 'u', 'w':
		width = 1
	}
	if !c.unpadded {
		return bounded(c.letter, readDigits(s, width), 0)
	}
	var all []read
	for n := 1; n <= width; n++ {
		if n > 1 && strings.HasPrefix(s, "0") {
			break
		}
		all = append(all, bounded(c.letter, readDigits(s, n), 0)...)
	}
	return all
}

// limits are the least and the greatest number that a conversion gives.
func limits(letter byte) (least, most int64) {
	switch letter {
	case 'd', 'e':
		return 1, 31
	case 'H', 'k':
		return 0, 23
	case 'I', 'l', 'm':
		return 1, 12
	case 'j':
		return 1, 366
	case 'M', 'S':
		return 0, 59
	case 'u':
		return 1, 7
	case 'w':
		return 0, 6
	case 'U', 'W':
		return 0, 53
	case 'V':
		return 1, 53
	case 'Y':
		return 1, 9999
	}
	return 0, math.MaxInt64
}

// bounded leaves out numbers that the conversion never gives.
func bounded(letter byte, all []read, from int64) []read {
	least, most := limits(letter)
	return slices.DeleteFunc(all, func(r read) bool { return r.value < max(least, from) || r.value > most })
}

func shifted(by int, all []read) []read {
	for i := range all {
		all[i].length += by
	}
	return all
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func readDigits(s string, n int) []read {
	if len(s) < n || !digits(s[:n]) {
		return nil
	}
	v, err := strconv.ParseInt(s[:n], 10, 64)
	if err != nil {
		return nil
	}
	return []read{{n, v}}
}

func readWord(s string, words ...string) []read {
	for i, w := range words {
		if strings.HasPrefix(s, w) {
			return []read{{len(w), int64(i)}}
		}
	}
	return nil
}

// readName reads the name of a month from 1, or of a weekday from 0 for
// Sunday.
func readName(s string, letter byte) []read {
	var all []read
	add := func(name string, value int, long bool) {
		if !long {
			name = name[:3]
		}
		if strings.HasPrefix(s, name) {
			all = append(all, read{len(name), int64(value)})
		}
	}
	if letter == 'a' || letter == 'A' {
		for d := time.Sunday; d <= time.Saturday; d++ {
			add(d.String(), int(d), letter == 'A')
		}
		return all
	}
	for m := time.January; m <= time.December; m++ {
		add(m.String(), int(m), letter == 'B')
	}
	return all
}

// maxZone is longer than any abbreviation of a zone.
const maxZone = 8

// readZone reads an abbreviation such as CET or +0530, of any length.
func readZone(s string) []read {
	var all []read
	for n := 1; n <= min(len(s), maxZone); n++ {
		c := s[n-1]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '+' && c != '-' {
			break
		}
		all = append(all, read{n, 0})
	}
	return all
}

// readSeconds reads seconds since 1970, of any length that is in reason.
func readSeconds(s string) []read {
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign = -1
	}
	body := strings.TrimPrefix(s, "-")
	var all []read
	for n := 1; n <= min(len(body), 12); n++ {
		r := readDigits(body, n)
		if r == nil || n > 1 && body[0] == '0' {
			break
		}
		all = append(all, read{n + len(s) - len(body), sign * r[0].value})
	}
	return all
}
