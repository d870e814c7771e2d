package stamp_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	_ "time/tzdata"

	"linehaul/fault"
	"linehaul/stamp"
)

// values are of a run in Singapore.
func values(t testing.TB) stamp.Values {
	return stamp.Values{
		At:    at(t, "Asia/Singapore", "2026-11-23 14:25:30.123456789"),
		Job:   "nightly-db",
		Host:  "hk1",
		Run:   "01JD3X",
		Name:  "shop.sql.gz",
		Path:  "2026/shop.sql.gz",
		MTime: time.Date(2026, 11, 22, 18, 5, 9, 0, time.UTC),
	}
}

func at(t testing.TB, zone, clock string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	when, err := time.ParseInLocation(time.DateTime, clock, loc)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func parse(t testing.TB, template string) *stamp.Template {
	t.Helper()
	parsed, err := stamp.Parse(template)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func expand(t testing.TB, template string, v stamp.Values) string {
	t.Helper()
	got, err := parse(t, template).Expand(v)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExpand(t *testing.T) {
	tests := []struct {
		name, template, want string
	}{
		{"no stamp", `/var/backups/db`, `/var/backups/db`},
		{"empty", ``, ``},
		{"the example of the product", `D:\backup\{date}\{name}`, `D:\backup\20261123\shop.sql.gz`},
		{"date and time", `{date}-{time}`, `20261123-142530`},
		{"a format", `{date:%Y-%m-%d}`, `2026-11-23`},
		{"time takes any format too", `{time:%Y}`, `2026`},
		{"folders in a format", `{date:%Y/%m/%d}/x`, `2026/11/23/x`},
		{"refused characters", `{time:%H:%M|<>"?*}`, `14-25------`},
		{"slashes of a conversion", `{date:%D}`, `11-23-26`},
		{"a long conversion", `{date:%c}`, `Mon Nov 23 14-25-30 2026`},
		{"a time in one conversion", `{time:%T %R}`, `14-25-30 14-25`},
		{"names of days and months", `{date:%a %A %b %B %h}`, `Mon Monday Nov November Nov`},
		{"no padding", `{time:%-H %-M %-S %-d %-m %-j %-V}`, `14 25 30 23 11 327 48`},
		{"fractions", `{time:%L %f %N}`, `123 123456 123456789`},
		{"weeks", `{date:%G-W%V-%u %U %W %w}`, `2026-W48-1 47 47 1`},
		{"zone", `{time:%z %Z %s}`, `+0800 +08 1795415130`},
		{"half days", `{time:%I%p %l%P}`, `02PM  2pm`},
		{"percent", `{date:%Y%%}`, `2026%`},
		{"stem and ext", `{stem}_{date}{ext}`, `shop.sql_20261123.gz`},
		{"path", `in/{path}`, `in/2026/shop.sql.gz`},
		{"job, host, run", `{job}/{host}/{run}.log`, `nightly-db/hk1/01JD3X.log`},
		{"modification time in the run's zone", `{mtime}`, `20261123-020509`},
		{"modification time with a format", `{mtime:%Y-%m-%d}`, `2026-11-23`},
		{"modification time shifted", `{mtime-1d}`, `20261122-020509`},
		{"braces", `{{date}}{date}}}{{`, `{date}20261123}{`},
		{"percent alone", `100% of %TIMESTAMPS% at 5%`, `100% of %TIMESTAMPS% at 5%`},
		{"WinSCP", `%TIMESTAMP%`, `20261123142530`},
		{"WinSCP as in the product", `%TIMESTAMP-1D#yyyymmdd%`, `20261122`},
		{"WinSCP as in its manual", `ex_%TIMESTAMP#yyyy-mm-dd%.txt`, `ex_2026-11-23.txt`},
		{"WinSCP in a batch file", `C:\log\%%TIMESTAMP-1D#yyyymmdd%%.log`, `C:\log\20261122.log`},
		{"WinSCP in a batch file, short", `%%TIMESTAMP%%`, `20261123142530`},
		{"WinSCP after a percent", `100%%TIMESTAMP#yyyy%`, `100%2026`},
		{"WinSCP twice", `%TIMESTAMP#yyyy%%TIMESTAMP#mm%`, `202611`},
		{"WinSCP in lower case", `%timestamp+2h#HHNNSS%`, `162530`},
		{"WinSCP minutes", `%TIMESTAMP-30N#hhnn%`, `1355`},
		{"WinSCP several shifts", `%TIMESTAMP-1Y+1D-10S#yyyymmddhhnnss%`, `20251124142520`},
		{"WinSCP, m after h is minutes", `%TIMESTAMP#yyyymmdd_hhmm%`, `20261123_1425`},
		{"WinSCP, m after h and a colon, then months", `%TIMESTAMP#hh:mm mm%`, `14-25 11`},
		{"WinSCP, m after minutes is months", `%TIMESTAMP#hh:nn mm%`, `14-25 11`},
		{"WinSCP, short forms", `%TIMESTAMP#d-m-yy h.n.s%`, `23-11-26 14.25.30`},
		{"WinSCP, names", `%TIMESTAMP#ddd dddd mmm mmmm%`, `Mon Monday Nov November`},
		{"WinSCP, milliseconds", `%TIMESTAMP#ss.zzz%`, `30.123`},
		{"WinSCP, quoted", `%TIMESTAMP#yyyy"day"dd'th'%`, `2026day23th`},
		{"WinSCP, letters that mean nothing", `%TIMESTAMP#vyyyy_x%`, `v2026_x`},
		{"WinSCP, folders", `%TIMESTAMP#yyyy/mm%`, `2026/11`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := expand(t, tt.template, values(t)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestShifts(t *testing.T) {
	const full = ":%Y-%m-%d %H%M%S %z}"
	tests := []struct {
		name, zone, clock, stamp, want string
	}{
		{"the day before the first of March", "UTC", "2026-03-01 02:30:00", "{date-1d}", "20260228"},
		{"the same in a leap year", "UTC", "2028-03-01 02:30:00", "{date-1d}", "20280229"},
		{"29 February in itself", "UTC", "2028-02-29 23:59:59", "{date:%Y-%m-%d %j}", "2028-02-29 060"},
		{"a year after 29 February", "UTC", "2028-02-29 12:00:00", "{date+1y}", "20290228"},
		{"four years after 29 February", "UTC", "2028-02-29 12:00:00", "{date+4y}", "20320229"},
		{"a month before 31 March", "UTC", "2026-03-31 12:00:00", "{date-1mo}", "20260228"},
		{"a month before 31 March in a leap year", "UTC", "2028-03-31 12:00:00", "{date-1mo}", "20280229"},
		{"a month after 31 January", "UTC", "2026-01-31 12:00:00", "{date+1mo:%m-%d}", "02-28"},
		{"a month before 31 December", "UTC", "2026-12-31 12:00:00", "{date-1mo}", "20261130"},
		{"over the end of a year", "UTC", "2026-12-31 23:59:59", "{date+1s" + full, "2027-01-01 000000 +0000"},
		{"into the year before", "UTC", "2027-01-01 00:00:00", "{date-1d:%Y-%m-%d}", "2026-12-31"},
		{"months over the end of a year", "UTC", "2026-11-30 00:00:00", "{date+3mo}", "20270228"},
		{"months back over the end of a year", "UTC", "2026-01-15 00:00:00", "{date-13mo}", "20241215"},
		{"the week of a new year", "UTC", "2027-01-01 00:00:00", "{date:%G-W%V}", "2026-W53"},
		{"left to right", "UTC", "2026-03-31 12:00:00", "{date-1mo+1d}", "20260301"},
		{"the other way round", "UTC", "2026-03-31 12:00:00", "{date+1d-1mo}", "20260301"},
		{"last day of the month before", "UTC", "2026-11-23 12:00:00", "{date-22d-1d}", "20261031"},
		{"weeks", "UTC", "2026-11-23 12:00:00", "{date-1w}", "20261116"},
		{"minutes and seconds", "UTC", "2026-11-23 12:00:00", "{time-90m+5s}", "103005"},
		{"nothing", "UTC", "2026-11-23 12:00:00", "{time-0d}", "120000"},
		{"far", "UTC", "2026-11-23 12:00:00", "{date+1000y}", "30261123"},

		{"a day before, over New York's spring change", "America/New_York", "2026-03-08 12:00:00", "{date-1d" + full, "2026-03-07 120000 -0500"},
		{"24 hours before, over the same", "America/New_York", "2026-03-08 12:00:00", "{date-24h" + full, "2026-03-07 110000 -0500"},
		{"onto the hour that New York skips", "America/New_York", "2026-03-09 02:30:00", "{date-1d" + full, "2026-03-08 023000 -0500"},
		{"from there another day", "America/New_York", "2026-03-09 02:30:00", "{date-1d-1d" + full, "2026-03-07 023000 -0500"},
		{"from there an hour", "America/New_York", "2026-03-09 02:30:00", "{date-1d+1h" + full, "2026-03-08 043000 -0400"},
		{"onto the hour that New York shows twice", "America/New_York", "2026-11-02 01:30:00", "{date-1d" + full, "2026-11-01 013000 -0400"},
		{"a day after, over Berlin's autumn change", "Europe/Berlin", "2026-10-24 12:00:00", "{date+1d" + full, "2026-10-25 120000 +0100"},
		{"onto a midnight that Santiago skips", "America/Santiago", "2026-09-07 00:00:00", "{date-1d" + full, "2026-09-06 000000 -0400"},
		{"from the day after it", "America/Santiago", "2026-09-06 01:00:00", "{date-1d" + full, "2026-09-05 010000 -0400"},
		{"onto the half hour that Lord Howe skips", "Australia/Lord_Howe", "2026-10-05 02:15:00", "{date-1d" + full, "2026-10-04 021500 +1030"},
		{"onto the half hour that Lord Howe shows twice", "Australia/Lord_Howe", "2026-04-04 01:45:00", "{date+1d" + full, "2026-04-05 014500 +1100"},
		{"onto the day that Apia skipped", "Pacific/Apia", "2011-12-31 02:30:00", "{date-1d" + full, "2011-12-30 023000 -1000"},
		{"over the day that Apia skipped", "Pacific/Apia", "2011-12-31 02:30:00", "{date-2d" + full, "2011-12-29 023000 -1000"},
		{"Apia has summer time soon after a change", "Pacific/Apia", "2012-01-05 02:30:00", "{date-5d" + full, "2011-12-31 023000 +1400"},
		{"a month before, over a change", "Africa/Casablanca", "2026-03-22 12:00:00", "{date-1mo" + full, "2026-02-22 120000 +0000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := stamp.Values{At: at(t, tt.zone, tt.clock)}
			if got := expand(t, tt.stamp, v); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ name, stem, ext string }{
		{"a.txt", "a", ".txt"},
		{"a.tar.gz", "a.tar", ".gz"},
		{"README", "README", ""},
		{".bashrc", ".bashrc", ""},
		{".bashrc.bak", ".bashrc", ".bak"},
		{"..x", "..x", ""},
		{"a.", "a", "."},
		{"...", "...", ""},
		{"Übung 1.çsv", "Übung 1", ".çsv"},
		{`odd<>:"|?*\.txt`, `odd<>:"|?*\`, ".txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := stamp.Values{Name: tt.name}
			if got := expand(t, "{stem}", v); got != tt.stem {
				t.Errorf("stem %q, want %q", got, tt.stem)
			}
			if got := expand(t, "{ext}", v); got != tt.ext {
				t.Errorf("ext %q, want %q", got, tt.ext)
			}
			if got := expand(t, "{stem}{ext}", v); got != tt.name {
				t.Errorf("both %q, want the name", got)
			}
		})
	}
}

func TestOurNamesAreMadeSafe(t *testing.T) {
	for in, want := range map[string]string{
		"hk1":               "hk1",
		"2001:db8::1":       "2001-db8--1",
		"jephe@hk/../../x":  "jephe@hk-..-..-x",
		`dom\user`:          "dom-user",
		"..":                "--",
		".":                 "-",
		"a\tb\x00c\u0085d":  "a-b-c-d",
		`<a>:"b"|?*`:        "-a---b----",
		"nächtliche Abzüge": "nächtliche Abzüge",
	} {
		v := stamp.Values{Job: in, Host: in, Run: in}
		if got := expand(t, "{job} {host} {run}", v); got != want+" "+want+" "+want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	tests := []struct {
		name, template string
		change         func(*stamp.Values)
		kind           fault.Kind
		want           string
	}{
		{"a slash in a name", "{name}", func(v *stamp.Values) { v.Name = "../../etc/passwd" }, fault.RemoteFile, `{name}: "../../etc/passwd"`},
		{"a slash in the stem", "{stem}", func(v *stamp.Values) { v.Name = "a/b.c" }, fault.RemoteFile, "{stem}"},
		{"a slash in the extension", "{ext}", func(v *stamp.Values) { v.Name = "a.b/c" }, fault.RemoteFile, "{ext}"},
		{"a NUL in a name", "{name}", func(v *stamp.Values) { v.Name = "a\x00b" }, fault.RemoteFile, `"a\x00b"`},
		{"a NUL in a path", "{path}", func(v *stamp.Values) { v.Path = "a/\x00" }, fault.RemoteFile, "{path}"},
		{"no instant", "{date}", func(v *stamp.Values) { v.At = time.Time{} }, fault.Internal, "{date} has no value"},
		{"no modification time", "{mtime}", func(v *stamp.Values) { v.MTime = time.Time{} }, fault.RemoteFile, `{mtime}: the modification time of "2026/shop.sql.gz"`},
		{"no name", "{ext}", func(v *stamp.Values) { v.Name = "" }, fault.Internal, "{ext} has no value"},
		{"no path", "{path}", func(v *stamp.Values) { v.Path = "" }, fault.Internal, "{path} has no value"},
		{"no job", "{job}", func(v *stamp.Values) { v.Job = "" }, fault.Internal, "{job} has no value"},
		{"no host", "{host}", func(v *stamp.Values) { v.Host = "" }, fault.Internal, "{host} has no value"},
		{"no run", "{run}", func(v *stamp.Values) { v.Run = "" }, fault.Internal, "{run} has no value"},
		{"before the calendar", "{date-1000y-1000y-1000y}", func(*stamp.Values) {}, fault.Config, "the year -974"},
		{"after the calendar", "%TIMESTAMP+1000Y+1000Y+1000Y+1000Y+1000Y+1000Y+1000Y+1000Y%", func(*stamp.Values) {}, fault.Config, "the year 10026"},
		{"a server's odd clock", "{mtime}", func(v *stamp.Values) { v.MTime = time.Unix(1<<40, 0) }, fault.RemoteFile, "the year 36812"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := values(t)
			tt.change(&v)
			got, err := parse(t, tt.template).Expand(v)
			if err == nil {
				t.Fatalf("got %q, want an error", got)
			}
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v: %v, want %v: ...%s...", fault.KindOf(err), err, tt.kind, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, template string
		offset         int
		want           string
	}{
		{"unknown stamp", "/b/{dat}", 3, "did you mean {date}?"},
		{"another case", "{Name}", 0, "did you mean {name}?"},
		{"swapped letters", "{psat}", 0, "did you mean {path}?"},
		{"nothing near", "{yyyymmdd}", 0, "known are date, ext, host, job, mtime, name, path, run, stem, time"},
		{"no word", "{}", 0, "known are"},
		{"a space", "{ date}", 0, "did you mean {date}?"},
		{"not closed", "/b/{date", 3, "{{"},
		{"not closed before the next", "{date{time}", 0, "{{"},
		{"not opened", "/b/date}", 7, "}}"},
		{"odd braces", "{{{date}}", 8, "}}"},
		{"unknown conversion", "/b/{date:%Y-%Q}", 12, "%Q is not known"},
		{"unknown flag", "{date:%_d}", 6, "%_d is not known"},
		{"flag where it means nothing", "{date:%-Y}", 6, "%-Y is not known"},
		{"another locale", "{date:%Ey}", 6, "%Ey is not known"},
		{"a line break", "{date:%Y%n}", 8, "%n is not known"},
		{"a letter that is none", "{date:%é}", 6, "%é is not known"},
		{"percent before a slash", "{date:%Y%/%m}", 8, "%/ is not known"},
		{"percent at the end", "{date:%Y%}", 8, "% is not known"},
		{"empty format", "{date:}", 6, "empty"},
		{"format of another tool", "{date:yyyymmdd}", 6, "no % in it"},
		{"only a percent", "{date:%%}", 6, "no % in it"},
		{"a brace in a format", "{date:%Y{%m}", 8, "{"},
		{"a backslash in a format", `{date:%Y\%m}`, 8, "written /"},
		{"an empty folder", "{date:%Y//%m}", 9, `""`},
		{"a slash first", "{date:/%Y}", 6, "outside the braces"},
		{"a slash last", "{date:%Y/}", 9, "outside the braces"},
		{"the folder above", "{date:%Y/../%m}", 9, `".."`},
		{"a shift of a name", "{name-1d}", 5, "cannot be shifted"},
		{"a format of a name", "{host:%Y}", 5, "takes no format"},
		{"a shift without a unit", "{date-1}", 7, `"" is not a unit: units are y, mo, w, d, h, m and s`},
		{"a shift without a number", "{date-d}", 5, "such as -1d"},
		{"an unknown unit", "{date-1d+2x}", 10, `"x" is not a unit`},
		{"a sign alone", "{date-}", 5, "such as -1d"},
		{"a fraction", "{date-1.5d}", 7, `".5d" is not a unit`},
		{"too far", "{date-1001y}", 6, "1001y is too far: the most is 1000y"},
		{"much too far", "{date-99999999999999999999d}", 6, "too far"},
		{"too many shifts", "{date-1d-1d-1d-1d-1d-1d-1d-1d-1d}", 29, "more than 8"},
		{"what YAML makes of \\b", "D:\backup", 2, "U+0008: in YAML"},
		{"a NUL", "a\x00", 1, "U+0000"},
		{"a line", "a\nb", 1, "U+000A"},
		{"WinSCP, not closed", "/b/%TIMESTAMP#yyyy", 3, "without % at its end"},
		{"WinSCP, doubled and not closed", "%%TIMESTAMP-1D", 0, "without %% at its end"},
		{"WinSCP, unknown unit", "%TIMESTAMP-1W#yyyy%", 12, "units are Y, D, H, N (minutes) and S"},
		{"WinSCP, unit after doubled percent", "%%TIMESTAMP-1W#yyyy%%", 13, `"W" is not a unit`},
		{"WinSCP, depends on the locale", "%TIMESTAMP#yyyymmddThhnn%", 19, "letters of your own stand in quotes"},
		{"WinSCP, half days", "%TIMESTAMP#hham/pm%", 13, "a is not known"},
		{"WinSCP, five letters", "%TIMESTAMP#ddddd%", 11, "ddddd is not known"},
		{"WinSCP, quote not closed", "%TIMESTAMP#yyyy'at%", 15, "without another"},
		{"WinSCP, empty format", "%TIMESTAMP#%", 11, "no date or time"},
		{"WinSCP, nothing in it", "%TIMESTAMP#-_-%", 11, "no date or time"},
		{"WinSCP, a backslash", `%TIMESTAMP#yyyy\mm%`, 11, "written /"},
		{"too long", strings.Repeat("x", 5000), 0, "longer than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := stamp.Parse(tt.template)
			var syntax *stamp.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			if syntax.Offset != tt.offset || !strings.Contains(syntax.Msg, tt.want) {
				t.Errorf("got %d: %s, want %d: ...%s...", syntax.Offset, syntax.Msg, tt.offset, tt.want)
			}
			if len(tt.template) < 100 && syntax.Template != tt.template {
				t.Errorf("template %q, want %q", syntax.Template, tt.template)
			}
		})
	}
}

func TestPropertiesAndSplit(t *testing.T) {
	tests := []struct {
		template  string
		perFile   bool
		fixed     bool
		windows   bool
		dir, rest string
	}{
		{`D:\backup\{date}\{name}`, true, false, true, `D:\backup\{date}\`, `{name}`},
		{`D:\backup\{date}\{name}`, true, false, false, ``, `D:\backup\{date}\{name}`},
		{`D:/backup\{date}/{name}`, true, false, true, `D:/backup\{date}/`, `{name}`},
		{`/b/{name}/{date}`, true, false, false, `/b/`, `{name}/{date}`},
		{`/b/{date}-{name}`, true, false, false, `/b/`, `{date}-{name}`},
		{`/b/{date:%Y/%m}/{name}`, true, false, false, `/b/{date:%Y/%m}/`, `{name}`},
		{`/b/{date:%Y/%m}-{name}`, true, false, false, `/b/`, `{date:%Y/%m}-{name}`},
		{`{name}`, true, false, false, ``, `{name}`},
		{`/{name}`, true, false, false, `/`, `{name}`},
		{`/b/x{stem}/y`, true, false, false, `/b/`, `x{stem}/y`},
		{`/b/{mtime:%Y/%m}/{path}`, true, false, false, `/b/`, `{mtime:%Y/%m}/{path}`},
		{`/b/{{x}}/{{y}}{ext}`, true, false, false, `/b/{{x}}/`, `{{y}}{ext}`},
		{`/b/{date}`, false, false, false, `/b/`, `{date}`},
		{`/b/{date}/`, false, false, false, `/b/{date}/`, ``},
		{`{job}.log`, false, false, false, ``, `{job}.log`},
		{`%TIMESTAMP#yyyy/mm%`, false, false, false, ``, `%TIMESTAMP#yyyy/mm%`},
		{`a/%TIMESTAMP%/b%`, false, false, false, `a/%TIMESTAMP%/`, `b%`},
		{`/var/log/linehaul.log`, false, true, false, `/var/log/`, `linehaul.log`},
		{`50%{{}}`, false, true, false, ``, `50%{{}}`},
		{``, false, true, false, ``, ``},
	}
	for _, tt := range tests {
		t.Run(tt.template, func(t *testing.T) {
			p := parse(t, tt.template)
			if p.String() != tt.template || p.PerFile() != tt.perFile || p.Fixed() != tt.fixed {
				t.Errorf("got %q, per file %v, fixed %v", p, p.PerFile(), p.Fixed())
			}
			dir, rest := p.Split(tt.windows)
			if dir.String() != tt.dir || rest.String() != tt.rest {
				t.Errorf("split into %q and %q, want %q and %q", dir, rest, tt.dir, tt.rest)
			}
			if !reflect.DeepEqual(dir, parse(t, tt.dir)) || !reflect.DeepEqual(rest, parse(t, tt.rest)) {
				t.Error("the halves are not what their text is parsed to")
			}
			v := values(t)
			if expand(t, dir.String(), v)+expand(t, rest.String(), v) != expand(t, tt.template, v) {
				t.Error("the halves do not make the whole")
			}
		})
	}
}

// TestLocale: whatever the environment says, stamps stay the same.
func TestLocale(t *testing.T) {
	const template = "{date:%A %B %c %x %X %p %r}"
	want := "Monday November Mon Nov 23 14-25-30 2026 11-23-26 14-25-30 PM 02-25-30 PM"
	for _, locale := range []string{"C", "de_DE.UTF-8", "ja_JP.eucJP", "ar_SA.UTF-8", "tr_TR", "fr_CA.ISO-8859-1"} {
		t.Run(locale, func(t *testing.T) {
			for _, name := range []string{"LC_ALL", "LC_TIME", "LANG", "LANGUAGE"} {
				t.Setenv(name, locale)
			}
			if got := expand(t, template, values(t)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
