package page

import (
	"bytes"
	"maps"
	"reflect"
	"strings"
	"testing"

	"linehaul/preflight"
)

// shape counts elements and their attributes: what a page is made of, without
// its texts.
func shape(p tree) map[string]int {
	out := map[string]int{}
	for _, n := range p.find("*") {
		names := []string{n.Data}
		for _, a := range n.Attr {
			names = append(names, a.Key)
		}
		out[strings.Join(names, " ")]++
	}
	return out
}

// fill calls f for each value in v that can be set.
func fill(v reflect.Value, f func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem(), f)
		}
	default:
		if v.CanSet() {
			f(v)
		}
	}
}

// everywhere is a report in which each text is the one given, with an earlier
// one and a history likewise, and how many texts there were. Verdicts and states
// too are only texts to who reads a report from a file.
func everywhere(text string) (preflight.Report, Options, int) {
	r, o := withTransfer(), Options{Before: ptr(goodTransfer()), History: nights()[:3]}
	for _, r := range []*preflight.Report{&r, o.Before} { // points have no texts
		r.Findings[2].Ping.Samples, r.Transfer.Rates = r.Findings[2].Ping.Samples[:10], r.Transfer.Rates[:5]
	}
	r.Findings[4].Trace[0].Missing, r.Findings[4].Trace[0].Error, r.Log = "x", "x", []string{"x"}
	n := 0
	set := func(v reflect.Value) {
		if v.Kind() == reflect.String {
			v.SetString(text)
			n++
		}
	}
	fill(reflect.ValueOf(&r).Elem(), set)
	fill(reflect.ValueOf(o.Before).Elem(), set)
	fill(reflect.ValueOf(&o.History).Elem(), set)
	return r, o, n
}

func hostile() []string {
	return []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "' onmouseover='x", "</title></svg></style><b>", "<!--", "-->", "]]>", "&lt;b&gt;",
		"</td></tr></table><h1>ok", "javascript:alert(1)", "{{.Next}}", "\x00\x1b[2J\u202egnp.exe", "`\" style=x", "<svg/onload=x>", "\xff\xfe<b>",
	}
}

// harmless is the shape of a page of a text that has nothing to escape.
func harmless(t testing.TB) map[string]int {
	t.Helper()
	r, o, n := everywhere("harmless")
	if n < 100 {
		t.Fatalf("only %d texts in the report", n)
	}
	return shape(parse(t, bytes.NewReader(write(t, r, o))))
}

// sameShape holds a page of a text against the shape of a harmless one.
func sameShape(t testing.TB, text string, want map[string]int) {
	t.Helper()
	r, o, _ := everywhere(text)
	page := write(t, r, o)
	if got := shape(parse(t, bytes.NewReader(page))); !maps.Equal(got, want) {
		for k := range got {
			if got[k] != want[k] {
				t.Errorf("%q makes <%s> %d times, not %d", text, k, got[k], want[k])
			}
		}
		t.Errorf("%q changes what the page is made of", text)
	}
	if i := bytes.IndexFunc(page, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == '\u202e' }); i >= 0 {
		t.Errorf("%q: a control character at %d", text, i)
	}
}

// TestHostileTexts: no text of a report becomes an element or an attribute.
func TestHostileTexts(t *testing.T) {
	want := harmless(t)
	for _, text := range hostile() {
		sameShape(t, text, want)
	}
}

func FuzzHTML(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text)
	}
	want := harmless(f)
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || strings.TrimSpace(text) == "" {
			return // nothing is not shown, so that there are fewer elements
		}
		sameShape(t, text, want)
	})
}
