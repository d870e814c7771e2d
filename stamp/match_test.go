package stamp_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linehaul/stamp"
)

func matcher(t testing.TB, template, zone string) *stamp.Matcher {
	t.Helper()
	m, err := parse(t, template).Matcher(known(t, zone))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func known(t testing.TB, zone string) stamp.Known {
	t.Helper()
	return stamp.Known{Job: "nightly-db", Host: "hk1", Zone: at(t, zone, "2026-01-01 00:00:00").Location()}
}

func TestMatch(t *testing.T) {
	const zone = "Asia/Singapore"
	tests := []struct {
		name, template, dir, path string
		want                      string // instant and series; "" for no match
	}{
		{"a folder a day", `/backup/{date}/{name}`, "/backup/", "20261123/db.sql.gz", "2026-11-23 00:00:00 /backup/{date}/db.sql.gz"},
		{"behind the name", `/b/{name}.{date:%Y%m%d-%H%M}`, "/b/", "jephe.txt.20261123-0230", "2026-11-23 02:30:00 /b/jephe.txt.{date:%Y%m%d-%H%M}"},
		{"in the name, of the day before", `/b/{stem}-{date-1d}{ext}`, "/b/", "db.sql-20261122.gz", "2026-11-23 00:00:00 /b/db.sql-{date-1d}.gz"},
		{"a name with dashes and digits", `/b/{stem}-{date}{ext}`, "/b/", "a-20251111-20261122.gz", "2026-11-22 00:00:00 /b/a-20251111-{date}.gz"},
		{"no extension", `/b/{stem}-{date}{ext}`, "/b/", "README-20261122", "2026-11-22 00:00:00 /b/README-{date}"},
		{"one file", `/b/db-{date}-{time}.gz`, "/b/", "db-20261122-023001.gz", "2026-11-22 02:30:01 /b/db-{date}-{time}.gz"},
		{"folders by year and month", `/b/{date:%Y/%m}/{name}-{date:%d}`, "/b/", "2026/11/x-30", "2026-11-30 00:00:00 /b/{date:%Y/%m}/x-{date:%d}"},
		{"a month", `/b/{date:%Y-%m}/{name}`, "/b/", "2026-11/x", "2026-11-01 00:00:00 /b/{date:%Y-%m}/x"},
		{"a year", `/b/{date:%Y}/{name}`, "/b/", "2026/x", "2026-01-01 00:00:00 /b/{date:%Y}/x"},
		{"a week of ISO", `/b/{date:%G-W%V}.gz`, "/b/", "2026-W53.gz", "2026-12-28 00:00:00 /b/{date:%G-W%V}.gz"},
		{"a weekday of one", `/b/{date:%G-W%V-%u}.gz`, "/b/", "2026-W53-7.gz", "2027-01-03 00:00:00 /b/{date:%G-W%V-%u}.gz"},
		{"a week from Sunday", `/b/{date:%Y-%U}.gz`, "/b/", "2026-01.gz", "2026-01-04 00:00:00 /b/{date:%Y-%U}.gz"},
		{"before the first Monday", `/b/{date:%Y-%W}.gz`, "/b/", "2026-00.gz", "2026-01-01 00:00:00 /b/{date:%Y-%W}.gz"},
		{"a day of the year", `/b/{date:%Y.%j}.gz`, "/b/", "2024.366.gz", "2024-12-31 00:00:00 /b/{date:%Y.%j}.gz"},
		{"two digits", `/b/{date:%y%m%d}.gz`, "/b/", "261123.gz", "2026-11-23 00:00:00 /b/{date:%y%m%d}.gz"},
		{"names of months", `/b/{date:%d %B %Y}.gz`, "/b/", "23 November 2026.gz", "2026-11-23 00:00:00 /b/{date:%d %B %Y}.gz"},
		{"half days", `/b/{date:%F %r}.gz`, "/b/", "2026-11-23 12-05-00 AM.gz", "2026-11-23 00:05:00 /b/{date:%F %r}.gz"},
		{"a long conversion", `/b/{date:%c}.gz`, "/b/", "Mon Nov 23 14-25-30 2026.gz", "2026-11-23 14:25:30 /b/{date:%c}.gz"},
		{"a long conversion that lies about the weekday", `/b/{date:%c}.gz`, "/b/", "Tue Nov 23 14-25-30 2026.gz", ""},
		{"seconds since 1970", `/b/{date:%s}.gz`, "/b/", "1795415130.gz", "2026-11-23 14:25:30 /b/{date:%s}.gz"},
		{"milliseconds", `/b/{date:%F %T.%L}.gz`, "/b/", "2026-11-23 14-25-30.123.gz", "2026-11-23 14:25:30.123 /b/{date:%F %T.%L}.gz"},
		{"without padding", `/b/{date:%Y-%-m-%-d}.gz`, "/b/", "2026-1-3.gz", "2026-01-03 00:00:00 /b/{date:%Y-%-m-%-d}.gz"},
		{"with padding that is not there", `/b/{date:%Y-%-m-%-d}.gz`, "/b/", "2026-01-03.gz", ""},
		{"WinSCP", `/b/%TIMESTAMP-1D#yyyy-mm-dd%.txt`, "/b/", "2026-11-22.txt", "2026-11-23 00:00:00 /b/%TIMESTAMP-1D#yyyy-mm-dd%.txt"},
		{"the time of a day that is shifted", `/b/{date-1d}-{time}`, "/b/", "20261122-023000", "2026-11-23 02:30:00 /b/{date-1d}-{time}"},
		{"hours back", `/b/{date-6h}.gz`, "/b/", "20261122.gz", "2026-11-22 06:00:00 /b/{date-6h}.gz"},
		{"the month before", `/b/{date-1mo:%Y-%m}.gz`, "/b/", "2026-12.gz", "2027-01-01 00:00:00 /b/{date-1mo:%Y-%m}.gz"},
		{"a month before, from a longer one", `/b/{date-1mo}.gz`, "/b/", "20260228.gz", "2026-03-28 00:00:00 /b/{date-1mo}.gz"},
		{"a date that a shift never gives", `/b/{date+1mo}.gz`, "/b/", "20260331.gz", ""},
		{"job and host", `/b/{job}/{host}/{date}/{name}`, "/b/nightly-db/hk1/", "20261123/x", "2026-11-23 00:00:00 /b/{job}/{host}/{date}/x"},
		{"another job's", `/b/{date}/{job}/{name}`, "/b/", "20261123/other/x", ""},
		{"a run", `/b/{date}/{run}/{name}`, "/b/", "20261123/20261122T183001Z-123x7k2q/x", "2026-11-23 00:00:00 /b/{date}/{run}/x"},
		{"what is no run", `/b/{date}/{run}/{name}`, "/b/", "20261123/20261122T183001Z-123X7k2q/x", ""},
		{"a modification time beside", `/b/{date}/{name}.{mtime}`, "/b/", "20261123/x.20260101-000000", "2026-11-23 00:00:00 /b/{date}/x.{mtime}"},
		{"what is no modification time", `/b/{date}/{name}.{mtime}`, "/b/", "20261123/x.20261301-000000", ""},
		{"a path", `/b/{date}/{path}`, "/b/", "20261123/a/b.gz", "2026-11-23 00:00:00 /b/{date}/a/b.gz"},
		{"a path before the date", `/b/{path}.{date}`, "/b/", "a/b.gz.20261123", "2026-11-23 00:00:00 /b/a/b.gz.{date}"},
		{"a name twice", `/b/{name}/{name}.{date}`, "/b/", "x/x.20261123", "2026-11-23 00:00:00 /b/x/x.{date}"},
		{"a name twice that differs", `/b/{name}/{name}.{date}`, "/b/", "x/y.20261123", ""},
		{"braces in a name", `/b/{name}.{date}`, "/b/", "{date}.20261123", "2026-11-23 00:00:00 /b/{{date}}.{date}"},
		{"in this folder", `{name}.{date}`, "", "x.20261123", "2026-11-23 00:00:00 x.{date}"},
		{"braces of its own", `/{{b}}/{date}`, "/{b}/", "20261123", "2026-11-23 00:00:00 /{{b}}/{date}"},

		{"a date that is none", `/b/{date}/{name}`, "/b/", "20261131/x", ""},
		{"29 February of another year", `/b/{date}/{name}`, "/b/", "20270229/x", ""},
		{"too few digits", `/b/{date}/{name}`, "/b/", "2026112/x", ""},
		{"too many digits", `/b/{date}/{name}`, "/b/", "202611230/x", ""},
		{"digits of another script", `/b/{date}/{name}`, "/b/", "２０２６１１２３/x", ""},
		{"text behind", `/b/{date}.gz`, "/b/", "20261123.gz.bak", ""},
		{"text before", `/b/{date}.gz`, "/b/", "x20261123.gz", ""},
		{"a folder too deep", `/b/{date}/{name}`, "/b/", "20261123/a/x", ""},
		{"a folder missing", `/b/{date}/{name}`, "/b/", "20261123", ""},
		{"no name", `/b/{date}/{name}`, "/b/", "20261123/", ""},
		{"the folder above", `/b/{date}/{path}`, "/b/", "20261123/../x", ""},
		{"the two dates differ", `/b/{date:%Y}/{date}.gz`, "/b/", "2025/20261123.gz", ""},
		{"the two dates agree", `/b/{date:%Y}/{date}.gz`, "/b/", "2026/20261123.gz", "2026-11-23 00:00:00 /b/{date:%Y}/{date}.gz"},
		{"nothing", `/b/{date}`, "/b/", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := matcher(t, tt.template, zone)
			if m.Dir() != tt.dir {
				t.Errorf("below %q, want %q", m.Dir(), tt.dir)
			}
			f, ok := m.Match(tt.path)
			got := ""
			if ok {
				got = f.At.Format("2006-01-02 15:04:05.999") + " " + f.Series
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			for i, c := range tt.path {
				if folder := tt.path[:i]; ok && c == '/' && !m.Enter(folder) {
					t.Errorf("%q is not entered", folder)
				}
			}
		})
	}
}

func TestMatchNames(t *testing.T) {
	tests := []struct{ template, path, want string }{
		{"/b/{date}/{name}", "20261123/db.sql.gz", "db.sql.gz"},
		{"/b/{date}/{path}", "20261123/a/db.sql.gz", "db.sql.gz"},
		{"/b/{stem}-{date}{ext}", "db.sql-20261123.gz", "db.sql.gz"},
		{"/b/{stem}-{date}.zip", "db-20261123.zip", ""},
		{"/b/{date}.zip", "20261123.zip", ""},
	}
	for _, tt := range tests {
		f, ok := matcher(t, tt.template, "UTC").Match(tt.path)
		if !ok || f.Name != tt.want {
			t.Errorf("%s of %s: %q, %v; want %q", tt.path, tt.template, f.Name, ok, tt.want)
		}
	}
}

// TestMatchClockChanges: which instant a name stands for where the clock shows
// a time twice or not at all.
func TestMatchClockChanges(t *testing.T) {
	tests := []struct{ name, zone, template, path, want string }{
		{"twice: the first", "America/New_York", "/b/{date:%Y%m%d-%H%M}", "20261101-0130", "2026-11-01T01:30:00-04:00"},
		{"twice, and the name says which", "America/New_York", "/b/{date:%Y%m%d-%H%M%z}", "20261101-0130-0500", "2026-11-01T01:30:00-05:00"},
		{"the zone's name says which", "America/New_York", "/b/{date:%Y%m%d-%H%M%Z}", "20261101-0130EST", "2026-11-01T01:30:00-05:00"},
		{"an offset that the zone never has then", "America/New_York", "/b/{date:%Y%m%d-%H%M%z}", "20261101-0130+0100", ""},
		{"skipped", "America/New_York", "/b/{date:%Y%m%d-%H%M}", "20260308-0230", ""},
		{"skipped, by a shift", "America/New_York", "/b/{date-1d:%Y%m%d-%H%M}", "20260308-0230", "2026-03-09T02:30:00-04:00"},
		{"a day of 23 hours", "Europe/Berlin", "/b/{date}", "20260329", "2026-03-29T00:00:00+01:00"},
		{"a day of 25 hours", "Europe/Berlin", "/b/{date}", "20261025", "2026-10-25T00:00:00+02:00"},
		{"hours over a change", "Europe/Berlin", "/b/{date-6h}", "20261025", "2026-10-25T05:00:00+01:00"},
		{"half an hour skipped", "Australia/Lord_Howe", "/b/{date:%Y%m%d-%H}", "20261004-02", "2026-10-04T02:30:00+11:00"},
		{"half an hour twice", "Australia/Lord_Howe", "/b/{date:%Y%m%d-%H%M}", "20260405-0145", "2026-04-05T01:45:00+11:00"},
		{"a midnight that is skipped", "America/Santiago", "/b/{date}", "20260906", "2026-09-06T01:00:00-03:00"},
		{"a day that is skipped", "Pacific/Apia", "/b/{date}", "20111230", ""},
		{"a day that is skipped, by a shift", "Pacific/Apia", "/b/{date-1d}", "20111230", "2011-12-31T00:00:00+14:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := matcher(t, tt.template, tt.zone).Match(tt.path)
			got := ""
			if ok {
				got = f.At.Format(time.RFC3339)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMatcherRefuses(t *testing.T) {
	tests := []struct {
		name, template string
		offset         int
		want           string
	}{
		{"no stamp", "/b/x", 0, "no {date} or {time}"},
		{"a name only", "/b/{name}", 0, "no {date} or {time}"},
		{"a modification time only", "/b/{name}.{mtime}", 0, "no {date} or {time}"},
		{"a run only", "/b/{run}", 0, "no {date} or {time}"},
		{"a time only", "/b/{time}-{name}", 3, "the date in it has no year"},
		{"a weekday", "/b/{date:%A}/{name}", 3, "the date in it has no year"},
		{"no year", "/b/{date:%m%d}", 3, "the date in it has no year"},
		{"no month", "/b/{date:%Y-%d}", 3, "the day of a month, and not the month"},
		{"the week's year with months", "/b/{date:%G-%m-%d}", 3, "the day of a month, and not the month and the year"},
		{"the week's year alone", "/b/{date:%G}", 3, "the year of the week %V"},
		{"the week of another year", "/b/{date:%Y-W%V}", 3, "not of %Y"},
		{"no week", "/b/{date:%Y-%a}", 3, "not which week"},
		{"no day", "/b/{date:%Y%m-%H%M}", 3, "not the day"},
		{"no hour", "/b/{date:%F %M}", 3, "a part of an hour"},
		{"no minute", "/b/{date:%F %H-%S}", 3, "a part of a minute"},
		{"no second", "/b/{date:%F %H-%M.%L}", 3, "a part of a second"},
		{"hours to 12", "/b/{date:%F %I-%M}", 3, "not %p"},
		{"a folder", "/b/{date}/", 0, "names a folder"},
		{"two separators", "/b/{date}//{name}", 0, "two separators"},
		{"the folder above", "/b/{date}/../{name}", 0, "called .."},
		{"two ways", "/b/{name}{date:%-d%-m%Y}", 0, "in more than one way"},
		{"two halves of a date with other shifts", "/b/{date:%Y-%m}-{date-1d:%d}", 0, "does not tell the whole date"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.template).Matcher(known(t, "UTC"))
			var syntax *stamp.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			if syntax.Offset != tt.offset || !strings.Contains(syntax.Msg, tt.want) {
				t.Errorf("got %d: %s, want %d: ...%s...", syntax.Offset, syntax.Msg, tt.offset, tt.want)
			}
		})
	}
}

func TestEnter(t *testing.T) {
	tests := []struct {
		template, folder string
		want             bool
	}{
		{"/b/{date}/{name}", "20261123", true},
		{"/b/{date}/{name}", "20261123/x", false},
		{"/b/{date}/{name}", "other", false},
		{"/b/{date}/{name}", "2026112", false},
		{"/b/{date}.gz", "20261123.gz", false},
		{"/b/{date:%Y/%m}/{name}", "2026", true},
		{"/b/{date:%Y/%m}/{name}", "2026/11", true},
		{"/b/{date:%Y/%m}/{name}", "2026/13", false},
		{"/b/{date}/{path}", "20261123", true},
		{"/b/{date}/{path}", "20261123/a/b", true},
		{"/b/{date}/{path}", "20261123/a/../b", false},
		{"/b/{path}.{date}", "a/b", true},
	}
	for _, tt := range tests {
		if got := matcher(t, tt.template, "UTC").Enter(tt.folder); got != tt.want {
			t.Errorf("%s enters %q: %v", tt.template, tt.folder, got)
		}
	}
}

// TestMatchOnWindows: both separators divide the template, and Match's paths
// have slashes.
func TestMatchOnWindows(t *testing.T) {
	k := known(t, "UTC")
	k.Windows = true
	m, err := parse(t, `D:\backup\{date}\{name}`).Matcher(k)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := m.Match("20261123/x.gz")
	if m.Dir() != `D:\backup\` || !ok || f.Series != `D:\backup\{date}\x.gz` {
		t.Errorf("below %q: %+v, %v", m.Dir(), f, ok)
	}
	if _, ok := m.Match(`20261123\x.gz`); ok {
		t.Error("a backslash in a name divides")
	}
}

func TestBelow(t *testing.T) {
	for _, tt := range []struct {
		template string
		windows  bool
		want     string
	}{
		{"/b/{date}/", false, "/b/{date}/{path}"},
		{"/b/{date}", false, "/b/{date}/{path}"},
		{`D:\b\{date}\`, true, `D:\b\{date}\{path}`},
		{`D:\b\{date}`, true, `D:\b\{date}/{path}`},
		{"", false, "{path}"},
	} {
		if got := parse(t, tt.template).Below(tt.windows).String(); got != tt.want {
			t.Errorf("below %q: %q, want %q", tt.template, got, tt.want)
		}
	}
}

// TestHostileNames: names from a server do not take long, whatever they are.
func TestHostileNames(t *testing.T) {
	m := matcher(t, "/b/{path}{stem}{date:%Y%-m%-d}{ext}.{date}", "UTC")
	began := time.Now()
	for _, s := range []string{strings.Repeat("1", 4000), strings.Repeat("2026", 1000), strings.Repeat("./", 2000), strings.Repeat("a/", 2000) + "x.20261123"} {
		if f, ok := m.Match(s); ok && !f.At.IsZero() {
			t.Errorf("%.40q... is read as %v", s, f.At)
		}
		m.Enter(s)
	}
	if took := time.Since(began); took > 20*time.Second { // a busy machine and the race detector take their part
		t.Errorf("took %v", took)
	}
}

// layouts are templates that keep can be used with, to be filled at random.
func layouts() []string {
	return []string{
		"/b/{date}/{name}", "/b/{name}.{date:%Y%m%d-%H%M}", "/b/{stem}-{date-1d}{ext}", "/b/{date:%Y/%m/%d}/{path}",
		"/b/{date-1mo}/{name}", "/b/{date+1mo-1d:%Y-%m-%d %H%M%S}/{name}", "/b/{date:%G-W%V}/{name}", "/b/{date:%Y-%j}/{name}",
		"/b/{date:%s}-{name}", "/b/{date:%y%m%d%H}/{name}", "/b/{date-6h}/{name}", "/b/{date-1d}-{time}-{name}", "/b/{date:%c %z}/{name}",
		"/b/{date+90m:%F %T}/{name}", "/b/{date-1d+2h:%F %T}/{name}", "/b/{date:%Y-%m}/{name}", "/b/{date:%Y}/{name}", "/b/{date-1y}/{path}",
		"/b/{date:%d %b %Y, %I.%M %p}/{name}", "/b/{name}/{date:%FT%H%M%S}.{mtime}", "/b/{job}/{host}/{date}-{run}/{name}", "%TIMESTAMP-1D#yyyymmddhhnnss%.{name}",
		"/b/{date:%Y-%U-%a}/{name}", "/b/{date:%Y week %W}/{name}", "/b/{date:%F %H.%M.%S.%f}/{name}", "/b/{date-2w:%Y}/{date-2w:%m%d}/{name}",
	}
}

// TestRoundTrip: what a template gives for an instant is read back as the
// earliest instant that gives the same, with the same series, for three years
// with both changes of the clock.
func TestRoundTrip(t *testing.T) {
	for _, zone := range []string{"Asia/Singapore", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(4, uint64(len(zone))))
			k := known(t, zone)
			for _, layout := range layouts() {
				m := matcher(t, layout, zone)
				template := parse(t, layout)
				for range 60 {
					when := time.Unix(time.Date(2024, 1, 1, 0, 0, 0, 0, k.Zone).Unix()+r.Int64N(3*365*86400), r.Int64N(1e9)).In(k.Zone)
					if r.IntN(3) == 0 { // near a change of the clock
						_, end := when.ZoneBounds()
						if !end.IsZero() {
							when = end.Add(time.Duration(r.Int64N(int64(6*time.Hour))) - 3*time.Hour).In(k.Zone)
						}
					}
					checkRoundTrip(t, template, m, values(t), when, r)
				}
			}
		})
	}
}

// checkRoundTrip expands and reads back, with a name and path at random.
func checkRoundTrip(t *testing.T, template *stamp.Template, m *stamp.Matcher, v stamp.Values, when time.Time, r *rand.Rand) {
	t.Helper()
	v.At, v.Run = when, fmt.Sprintf("20261123T023001Z-%08d", r.IntN(1e8))
	v.Name = []string{"db.sql.gz", "x", ".bashrc", "a.20251111", "20261123", "-", "it's {odd}.txt", "日本.gz"}[r.IntN(8)]
	v.Path = []string{"", "a/", "20261123/", "a.b/c-d/"}[r.IntN(4)] + v.Name
	name := expand(t, template.String(), v)
	f, ok := m.Match(strings.TrimPrefix(name, m.Dir()))
	if !ok {
		t.Fatalf("%s at %v: %q is not read", template, when, name)
	}
	if f.At.IsZero() {
		t.Fatalf("%s at %v: %q can be read in two ways", template, when, name)
	}
	if f.Name != "" && f.Name != v.Name {
		t.Fatalf("%s: %q is of %q, want %q", template, name, f.Name, v.Name)
	}
	again := v
	again.At = f.At
	if got := expand(t, template.String(), again); got != name || f.At.After(when) {
		t.Fatalf("%s at %v: %q is read as %v, which gives %q", template, when, name, f.At, got)
	}
	again.At = f.At.Add(-time.Nanosecond)
	if got := expand(t, template.String(), again); got == name {
		t.Fatalf("%s at %v: %q is read as %v, and an instant before gives it too", template, when, name, f.At)
	}
	// Another instant of the same source is of the same series.
	again.At = when.Add(time.Duration(r.Int64N(int64(900 * 24 * time.Hour))))
	again.Run, again.MTime = "20261124T023001Z-00000000", v.MTime.Add(-time.Hour)
	g, ok := m.Match(strings.TrimPrefix(expand(t, template.String(), again), m.Dir()))
	if !ok || g.Series != f.Series {
		t.Fatalf("%s: the series of %q are %q and %q", template, v.Path, f.Series, g.Series)
	}
}
