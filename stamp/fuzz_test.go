package stamp_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"linehaul/stamp"
)

// FuzzParse feeds anything to Parse. What is accepted is parsed to the same
// again from its own text, also in halves; and what is not literal gives no
// character that a file system refuses, no empty text, and no way up.
func FuzzParse(f *testing.F) {
	for _, template := range []string{
		`D:\backup\{date}\{name}`, `{date:FORMAT}`, `{date-1d}`, `{mtime:%Y-%m-%d}`, `{name}`, `{stem}`, `{ext}`,
		`{path}`, `{job}`, `{host}`, `{run}`, `%TIMESTAMP-1D#yyyymmdd%`, `%%TIMESTAMP-1D#yyyymmdd%%`, `%TIMESTAMP%`,
		`jephe.txt.%yyyymmdd%`, `/backup/{date:%Y/%m/%d}/{stem}_{time:%H:%M}{ext}`, `{date-1mo+1d:%Y-%m}`,
		`C:\logs\%TIMESTAMP#yyyy-mm-dd_hh"h"nn'm'%.log`, `100%%TIMESTAMP+2H-30N#ddd dd mmm yyyy hh:mm:ss.zzz%`,
		`{{{date}}}`, `{date:%D%c%x%+%%}`, `{time+1h-90m+5s:%I%p %z %Z %s}`, `{date:%G-W%V-%u}`, `a}b`, `{`, `%`, ``,
	} {
		f.Add(template)
	}
	f.Fuzz(func(t *testing.T, template string) {
		parsed, err := stamp.Parse(template)
		if err != nil {
			var syntax *stamp.SyntaxError
			if !errors.As(err, &syntax) || syntax.Msg == "" || syntax.Offset < 0 || syntax.Offset > len(syntax.Template) {
				t.Fatalf("%q: got %#v, want a *SyntaxError", template, err)
			}
			return
		}
		if again, err := stamp.Parse(parsed.String()); err != nil || !reflect.DeepEqual(again, parsed) {
			t.Fatalf("%q says that it is %q, which is %#v, %v", template, parsed, again, err)
		}
		v := values(t)
		whole, err := parsed.Expand(v)
		if err != nil {
			if !strings.Contains(err.Error(), "the year") {
				t.Fatalf("%q: %v", template, err)
			}
			return
		}
		for _, windows := range []bool{false, true} {
			dir, rest := parsed.Split(windows)
			for _, half := range []*stamp.Template{dir, rest} {
				if again, err := stamp.Parse(half.String()); err != nil || !reflect.DeepEqual(again, half) {
					t.Fatalf("half %q of %q is parsed to %#v, %v", half, template, again, err)
				}
			}
			if dir.PerFile() || expand(t, dir.String(), v)+expand(t, rest.String(), v) != whole {
				t.Fatalf("%q is split into %q and %q", template, dir, rest)
			}
		}
		if parsed.Fixed() != (len(parsed.Stamps()) == 0) {
			t.Fatalf("%q: fixed is %v", template, parsed.Fixed())
		}
		for _, alone := range parsed.Stamps() {
			text := expand(t, alone, v)
			if text == "" {
				t.Fatalf("%q gives nothing", alone)
			}
			if strings.ContainsAny(text, `<>:"|?*\`) || strings.ContainsFunc(text, unicode.IsControl) {
				t.Fatalf("%q gives %q", alone, text)
			}
			for element := range strings.SplitSeq(text, "/") {
				if strings.Trim(element, ".") == "" {
					t.Fatalf("%q gives %q with the element %q", alone, text, element)
				}
			}
		}
	})
}
