package stamp_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"

	"linehaul/stamp"
)

// FuzzMatch: whatever a template and a name are, what is read gives the name
// again, by its series and instant; and what the template gives is read back.
func FuzzMatch(f *testing.F) {
	for i, layout := range layouts() {
		f.Add(layout, "20261123/db.sql.gz", int64(1795415130+i*7_000_000), int64(i))
	}
	f.Add("/b/{name}.{date:%Y%m%d-%H%M}", "jephe.txt.20261101-0130", int64(1793511000), int64(5))
	f.Add("{stem}{date:%-d%m%Y}{ext}", "a123112026.gz", int64(0), int64(1))
	f.Add("/b/{path}/{date:%F}{stem}", "a/b/2026-11-23b", int64(1e9), int64(2))
	f.Add("{date}/{name}", "00010101/\x04", int64(1795415130), int64(0))
	f.Fuzz(func(t *testing.T, layout, name string, unix, seed int64) {
		template, err := stamp.Parse(layout)
		if err != nil {
			return
		}
		zone := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Singapore"}[uint64(seed)%4]
		k := known(t, zone)
		m, err := template.Matcher(k)
		if err != nil {
			var syntax *stamp.SyntaxError
			if !errors.As(err, &syntax) || syntax.Msg == "" || syntax.Offset < 0 || syntax.Offset > len(layout) {
				t.Fatalf("%q: got %#v, want a *SyntaxError", layout, err)
			}
			return
		}
		r := rand.New(rand.NewPCG(uint64(unix), uint64(seed)))
		v := values(t)
		found, ok := m.Match(name)
		// A series is no template where a name holds what none can.
		plain := len(name) < 1000 && !strings.ContainsFunc(name, unicode.IsControl) && !strings.Contains(layout, "{run}") && !strings.Contains(layout, "{mtime")
		if ok && plain && !found.At.IsZero() {
			v.At = found.At
			series, err := stamp.Parse(found.Series)
			if err != nil {
				t.Fatalf("%q is of the series %q: %v", name, found.Series, err)
			}
			if got, err := series.Expand(v); err != nil || got != m.Dir()+name {
				t.Fatalf("%q is read by %q as %q at %v, which gives %q, %v", name, layout, found.Series, found.At, got, err)
			}
			for i, c := range name {
				if c == '/' && !m.Enter(name[:i]) {
					t.Fatalf("%q is read by %q, and %q not entered", name, layout, name[:i])
				}
			}
		}
		when := time.Unix(unix%4_000_000_000, 0).In(k.Zone)
		if when.Year() < 1970 || when.Year() > 2067 {
			return
		}
		v.At, v.Run = when, "20261123T023001Z-123x7k2q"
		v.Name = []string{"db.sql.gz", "x", ".bashrc", "é.y"}[r.IntN(4)]
		v.Path = v.Name
		given, err := template.Expand(v)
		if err != nil {
			return // it leads out of the years
		}
		found, ok = m.Match(given[len(m.Dir()):])
		if !ok {
			t.Fatalf("%q gives %q at %v, which is not read", layout, given, when)
		}
		if found.At.IsZero() {
			return // in two ways: left alone
		}
		v.At = found.At
		if again, err := template.Expand(v); err != nil || again != given || found.At.After(when) {
			t.Fatalf("%q at %v: %q is read as %v, which gives %q, %v", layout, when, given, found.At, again, err)
		}
	})
}
