package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// mark is what every leaf knows: where it stands, and whether the file gives it.
type mark struct {
	at    spot
	given bool
}

func (m *mark) set(at spot, given bool) { m.at, m.given = at, given }

// absent reports that the file does not name the key. One that it names with a
// value that cannot be taken is neither absent nor given.
func (m *mark) absent() bool { return !m.given && m.at.line > 0 }

// What keys want, as messages say it.
const (
	wantsText     = "text"
	wantsNumber   = "a whole number"
	wantsDuration = "a duration such as 30s, 10m, 2h or 7d"
	wantsPeriod   = "a duration such as 30s, or two such as 30s..10m"
	wantsSize     = "a size such as 512k, 10MiB or 2GB"
)

// text is a scalar that is taken as it is written.
type text struct {
	mark
	value string
	start int // the column of value[0], or 0 if the value is not written out
}

func (t *text) take(d *decoder, n ast.Node, at spot, _ field) {
	t.read(d, n, at, wantsText)
}

// read takes a scalar for a key that wants what the words say.
func (t *text) read(d *decoder, n ast.Node, at spot, wants string) bool {
	var tk *token.Token
	switch v := n.(type) {
	case *ast.StringNode:
		tk = v.Token
	case *ast.LiteralNode:
		tk = v.Value.Token
	default:
		d.wrongType(n, at, wants)
		return false
	}
	value, place := strings.TrimSuffix(tk.Value, "\n"), d.place(n, at)
	for _, c := range value {
		if !isPlain(c) || c == utf8.RuneError {
			d.problem(place, "`%s` wants one line of plain text, and this holds %U", at.name, c)
			return false
		}
	}
	if strings.TrimSpace(value) == "" {
		d.problem(place, "`%s` is empty", at.name).suggest("give it a value, or remove the line")
		return false
	}
	t.set(place, true)
	t.value = value
	line := []rune(d.src.lines[place.line-1])
	for _, column := range []int{place.column, place.column + 1} { // +1: behind a quote
		if column <= len(line) && strings.HasPrefix(string(line[column-1:]), value) {
			t.start = column
			break
		}
	}
	return true
}

func (t *text) preset(value string, at spot) {
	t.set(at, false)
	t.value = value
}

// part is the place of value[offset:], as near as it is known.
func (t *text) part(offset int) spot {
	if t.start == 0 || offset < 0 || offset > len(t.value) {
		return t.at
	}
	s := t.at
	s.column = t.start + utf8.RuneCountInString(t.value[:offset])
	s.width = 1
	return s
}

// before is the first n bytes of the text, with their place.
func (t *text) before(n int) *text {
	first := *t
	first.value = t.value[:n]
	first.at.width = utf8.RuneCountInString(first.value)
	return &first
}

// after is the text behind the first n bytes, with its place.
func (t *text) after(n int) *text {
	rest := *t
	rest.value = t.value[n:]
	if t.start != 0 {
		rest.start = t.start + utf8.RuneCountInString(t.value[:n])
		rest.at.column, rest.at.width = rest.start, max(1, utf8.RuneCountInString(rest.value))
	}
	return &rest
}

// texts is one text or a list of them.
type texts struct {
	mark
	items []text
}

func (t *texts) take(d *decoder, n ast.Node, at spot, _ field) {
	t.set(at, true)
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		var one text
		if one.read(d, n, at, "text or a list of texts") {
			t.items = []text{one}
		}
		return
	}
	for _, n := range list.Values {
		var item text
		if n = d.follow(n, at); n != nil && item.read(d, n, at, "text in each place of its list") {
			t.items = append(t.items, item)
		}
	}
	if len(list.Values) == 0 {
		d.problem(d.place(n, at), "`%s` is empty", at.name).suggest("give it a value, or remove the line")
	}
}

func (t *texts) preset(_ string, at spot) { t.set(at, false) }

// number is a whole number, written in decimal.
type number struct {
	mark
	value int
}

func (v *number) take(d *decoder, n ast.Node, at spot, f field) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.wrongType(n, at, wantsNumber)
		return
	}
	value, err := strconv.Atoi(i.Token.Value)
	if err != nil || !isDecimal(i.Token.Value) || value < f.least || value > f.most {
		d.problem(d.place(n, at), "`%s` wants a number from %d to %d", at.name, f.least, f.most)
		return
	}
	v.set(d.place(n, at), true)
	v.value = value
}

// isDecimal refuses what YAML 1.1 and 1.2 read as different numbers: a zero in
// front makes an octal number in one of them.
func isDecimal(s string) bool {
	return s == "0" || s != "" && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

func (v *number) preset(text string, at spot) {
	v.set(at, false)
	v.value, _ = strconv.Atoi(text)
}

// flag is true or false.
type flag struct {
	mark
	value bool
}

func (v *flag) take(d *decoder, n ast.Node, at spot, _ field) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.wrongType(n, at, "true or false")
		return
	}
	v.set(d.place(n, at), true)
	v.value = b.Value
}

func (v *flag) preset(text string, at spot) {
	v.set(at, false)
	v.value = text == "true"
}

// newness is true or false, or a word of choices, which is a way to be true.
type newness struct {
	mark
	value bool
	way   string // the word; empty: there was none
}

func (v *newness) take(d *decoder, n ast.Node, at spot, f field) {
	if b, ok := n.(*ast.BoolNode); ok {
		v.set(d.place(n, at), true)
		v.value = b.Value
		return
	}
	wants := "true, false or " + strings.Join(f.choices, ", ")
	var t text
	if !t.read(d, n, at, wants) {
		return
	}
	if !slices.Contains(f.choices, t.value) {
		a := d.problem(t.at, "`%s` wants %s, got %s", at.name, wants, quote(t.value))
		if near := Nearest(t.value, f.choices); near != "" {
			a.suggest("did you mean `%s`?", near)
		}
		return
	}
	v.set(t.at, true)
	v.value, v.way = true, t.value
}

func (v *newness) preset(text string, at spot) {
	v.set(at, false)
	v.value = text == "true"
}

// duration is a length of time.
type duration struct {
	mark
	value time.Duration
}

func (v *duration) take(d *decoder, n ast.Node, at spot, _ field) {
	var t text
	if !t.read(d, n, at, wantsDuration) {
		return
	}
	value, ok := parseDuration(t.value)
	if !ok {
		d.problem(t.at, "`%s` wants %s, got %s", at.name, wantsDuration, quote(t.value))
		return
	}
	v.set(t.at, true)
	v.value = value
}

func (v *duration) preset(text string, at spot) {
	v.set(at, false)
	v.value, _ = parseDuration(text)
}

// period is a duration, or two with .. between them.
type period struct {
	mark
	least, most time.Duration
}

func (v *period) take(d *decoder, n ast.Node, at spot, _ field) {
	var t text
	if !t.read(d, n, at, wantsPeriod) {
		return
	}
	least, most, ok := parsePeriod(t.value)
	switch {
	case !ok:
		d.problem(t.at, "`%s` wants %s, got %s", at.name, wantsPeriod, quote(t.value))
	case least > most:
		d.problem(t.at, "`%s` wants the shorter duration first", at.name)
	default:
		v.set(t.at, true)
		v.least, v.most = least, most
	}
}

func (v *period) preset(text string, at spot) {
	v.set(at, false)
	v.least, v.most, _ = parsePeriod(text)
}

func parsePeriod(s string) (least, most time.Duration, ok bool) {
	a, b, two := strings.Cut(s, "..")
	if !two {
		b = a
	}
	least, first := parseDuration(strings.TrimRight(a, " "))
	most, second := parseDuration(strings.TrimLeft(b, " "))
	return least, most, first && second
}

// durationPattern is what parseDuration reads, apart from its limit: Go's form
// without a sign, and d and w for days of 24 hours and weeks of seven days.
const durationPattern = `([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+`

var (
	durationForm = regexp.MustCompile("^" + durationPattern + "$")
	durationPart = regexp.MustCompile(`([0-9.]+)([a-z]+)`)
	sizeForm     = regexp.MustCompile(sizePattern)
)

// ParseDuration reads a duration as the config spells it, such as 36h or 90d.
func ParseDuration(text string) (time.Duration, error) {
	d, ok := parseDuration(text)
	if !ok {
		return 0, fmt.Errorf("%q: want %s", text, wantsDuration)
	}
	return d, nil
}

// parseDuration reads a duration of up to 292 years.
func parseDuration(s string) (time.Duration, bool) {
	if len(s) > 64 || !durationForm.MatchString(s) {
		return 0, false
	}
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	var sum float64
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, false
		}
		sum += n * float64(units[part[2]])
	}
	if sum >= math.MaxInt64 {
		return 0, false
	}
	return time.Duration(math.Round(sum)), true
}

// size is a number of bytes.
type size struct {
	mark
	value int64
}

func (v *size) take(d *decoder, n ast.Node, at spot, _ field) {
	value, place := "", d.place(n, at)
	if i, ok := n.(*ast.IntegerNode); ok {
		value = i.Token.Value
	} else {
		var t text
		if !t.read(d, n, at, wantsSize) {
			return
		}
		value = t.value
	}
	var ok bool
	if v.value, ok = parseSize(value); !ok || n.Type() == ast.IntegerType && !isDecimal(value) {
		d.problem(place, "`%s` wants %s, got %s", at.name, wantsSize, quote(value))
		return
	}
	v.set(place, true)
}

func (v *size) preset(text string, at spot) {
	v.set(at, false)
	v.value, _ = parseSize(text)
}

const sizePattern = `^([0-9]+(\.[0-9]+)?) ?([kKMGT]?)(B|iB)?$`

// ParseSize reads a number of bytes as the config has it, such as 10GiB.
func ParseSize(s string) (int64, bool) { return parseSize(s) }

// parseSize reads a number of bytes. The units with B alone are powers of
// 1000, those with iB, and the letter alone as in `ls -h`, powers of 1024.
func parseSize(s string) (int64, bool) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil || len(s) > 32 || m[3] == "" && m[4] == "iB" {
		return 0, false
	}
	base := 1024.0
	if m[4] == "B" {
		base = 1000
	}
	n, err := strconv.ParseFloat(m[1], 64)
	n *= math.Pow(base, float64(strings.Index("KMGT", strings.ToUpper(m[3]))+1)*float64(len(m[3])))
	if err != nil || n >= math.MaxInt64 {
		return 0, false
	}
	return int64(math.Round(n)), true
}

// choice is one of the words that the tag `choices` lists.
type choice struct {
	mark
	value string
}

func (v *choice) take(d *decoder, n ast.Node, at spot, f field) {
	wants := "`" + f.choices[0] + "`"
	if len(f.choices) > 1 {
		wants = "one of " + strings.Join(f.choices, ", ")
	}
	var t text
	if !t.read(d, n, at, wants) {
		return
	}
	switch {
	case slices.Contains(f.choices, t.value):
		v.set(t.at, true)
		v.value = t.value
	default:
		a := d.problem(t.at, "`%s` wants %s, got %s", at.name, wants, quote(t.value))
		if near := Nearest(t.value, f.choices); near != "" {
			a.suggest("did you mean `%s`?", near)
		}
	}
}

func (v *choice) preset(text string, at spot) {
	v.set(at, false)
	v.value = text
}

// planned is a key that PRODUCT.md has and this version has not.
type planned struct{}

func (*planned) take(d *decoder, _ ast.Node, at spot, _ field) {
	d.problem(at, "`%s` is planned and not in this version yet", at.name).suggest("remove it")
}

func (*planned) preset(string, spot) {}

// named is a mapping whose keys are names that the user gives: sections of
// type T, in the order of the file.
type named[T any] struct {
	mark
	items []item[T]
}

type item[T any] struct {
	name  string
	at    spot // of the name
	value T
}

func (v *named[T]) take(d *decoder, n ast.Node, at spot, f field) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.wrongType(n, at, "a mapping of names")
		return
	}
	v.set(at, true)
	for _, e := range d.entries(m, at) {
		i := item[T]{name: e.name, at: e.at}
		d.value(reflect.ValueOf(&i.value).Elem(), e.value, e.at, f)
		v.items = append(v.items, i)
	}
}

func (v *named[T]) preset(_ string, at spot) { v.set(at, false) }
