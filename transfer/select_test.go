package transfer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// at is the instant of the runs in these tests.
func at() time.Time { return epoch().Add(10 * 24 * time.Hour) }

// selected runs a search and returns what came, and what was left alone and
// why, in the order in which both were said.
func selected(t *testing.T, f transfer.Find, r transfer.Remote, sources ...string) []string {
	t.Helper()
	var lines []string
	f.At = at()
	f.Skipped = func(s transfer.Skip) {
		lines = append(lines, s.Item.Source+": "+s.Reason.String())
		if s.Reason.Doc() == "" {
			t.Errorf("%q is no reason of the list", s.Reason)
		}
	}
	for item, err := range f.Remote(t.Context(), r, sources...) {
		if err != nil {
			lines = append(lines, "ERROR "+err.Error())
			continue
		}
		line := item.Source
		if item.Entry.Mode.IsDir() {
			line += "/"
		}
		if item.Link != "" {
			line += " -> " + item.Link
		}
		lines = append(lines, line)
	}
	return lines
}

func TestReasons(t *testing.T) {
	seen := map[transfer.Reason]bool{}
	for _, r := range transfer.Reasons() {
		if r.String() == "" || r.Doc() == "" || seen[r] {
			t.Errorf("%q: %q", r, r.Doc())
		}
		seen[r] = true
	}
	if len(seen) < 20 {
		t.Errorf("saw %d reasons", len(seen))
	}
	if transfer.Reason("because").Doc() != "" {
		t.Error("a reason that is none has a meaning")
	}
}

func TestSelect(t *testing.T) {
	// The first letter says how old a file is, in days before the run.
	remote := func() *memRemote {
		r := newRemote(map[string]string{
			"/d/a.csv": "1", "/d/b.CSV": "22", "/d/c.gz": "333", "/d/sub/a.csv": "4444", "/d/sub/deep/d.csv": "5",
			"/d/cache/x.csv": "6", "/d/sub/cache/y.csv": "7", "/d/.hid/z.csv": "8", "/d/.h.csv": "9", "/d/none/": "",
		})
		for p, days := range map[string]int{"/d/a.csv": 1, "/d/b.CSV": 2, "/d/c.gz": 3, "/d/sub/a.csv": 4, "/d/sub/deep/d.csv": 5} {
			r.nodes[p].mtime = at().Add(-time.Duration(days) * 24 * time.Hour)
		}
		return r
	}
	all := []string{"/d/.h.csv", "/d/.hid/z.csv", "/d/a.csv", "/d/b.CSV", "/d/c.gz", "/d/cache/x.csv", "/d/none/", "/d/sub/a.csv", "/d/sub/cache/y.csv", "/d/sub/deep/d.csv"}
	without := func(drop ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(drop, s) })
	}
	only := func(keep ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !slices.Contains(keep, s) })
	}
	day := 24 * time.Hour
	tests := []struct {
		name  string
		s     transfer.Select
		taken []string
		left  map[string]transfer.Reason // those that must be said
	}{
		{"all", transfer.Select{}, all, nil},
		{"include a name", transfer.Select{Include: []string{"*.csv"}},
			without("/d/b.CSV", "/d/c.gz", "/d/none/"), map[string]transfer.Reason{"/d/c.gz": transfer.WhyNotIncluded, "/d/b.CSV": transfer.WhyNotIncluded}},
		{"include a path", transfer.Select{Include: []string{"sub/*.csv"}}, only("/d/sub/a.csv"), nil},
		{"include below the root only", transfer.Select{Include: []string{"/*.csv"}}, only("/d/.h.csv", "/d/a.csv"), nil},
		{"include any depth", transfer.Select{Include: []string{"sub/**/*.csv"}}, only("/d/sub/a.csv", "/d/sub/cache/y.csv", "/d/sub/deep/d.csv"), nil},
		{"include a folder", transfer.Select{Include: []string{"cache/"}}, only("/d/cache/x.csv", "/d/sub/cache/y.csv"), nil},
		{"include a folder by a name", transfer.Select{Include: []string{"deep"}}, only("/d/sub/deep/d.csv"), nil},
		{"a folder's pattern is no file's", transfer.Select{Include: []string{"a.csv/"}}, nil, nil},
		{"include braces", transfer.Select{Include: []string{"{a,d}.csv"}}, only("/d/a.csv", "/d/sub/a.csv", "/d/sub/deep/d.csv"), nil},
		{"exclude a name", transfer.Select{Exclude: []string{"*.csv"}}, []string{"/d/.hid/", "/d/b.CSV", "/d/c.gz", "/d/cache/", "/d/none/", "/d/sub/cache/", "/d/sub/deep/"},
			map[string]transfer.Reason{"/d/.h.csv": transfer.WhyExcluded, "/d/sub/a.csv": transfer.WhyExcluded}},
		{"exclude a folder", transfer.Select{Exclude: []string{"cache/"}}, without("/d/cache/x.csv", "/d/sub/cache/y.csv"),
			map[string]transfer.Reason{"/d/cache": transfer.WhyExcluded, "/d/sub/cache": transfer.WhyExcluded}},
		{"exclude one folder", transfer.Select{Exclude: []string{"/cache"}}, without("/d/cache/x.csv"), nil},
		{"exclude what is in it", transfer.Select{Exclude: []string{"sub/**"}}, without("/d/sub/a.csv", "/d/sub/cache/y.csv", "/d/sub/deep/d.csv"), nil},
		{"exclude wins", transfer.Select{Include: []string{"*.csv"}, Exclude: []string{"a.*"}},
			only("/d/.h.csv", "/d/.hid/z.csv", "/d/cache/x.csv", "/d/sub/cache/y.csv", "/d/sub/deep/d.csv"), map[string]transfer.Reason{"/d/a.csv": transfer.WhyExcluded}},
		{"least size", transfer.Select{MinSize: 3}, only("/d/c.gz", "/d/sub/a.csv"), map[string]transfer.Reason{"/d/a.csv": transfer.WhyTooSmall}},
		{"largest size", transfer.Select{MaxSize: 2}, without("/d/c.gz", "/d/sub/a.csv", "/d/none/"), map[string]transfer.Reason{"/d/c.gz": transfer.WhyTooLarge}},
		{"least age", transfer.Select{MinAge: 2 * day, Exclude: []string{"cache", ".*"}}, only("/d/b.CSV", "/d/c.gz", "/d/sub/a.csv", "/d/sub/deep/d.csv"),
			map[string]transfer.Reason{"/d/a.csv": transfer.WhyTooYoung}},
		{"greatest age", transfer.Select{MaxAge: 2 * day}, only("/d/a.csv", "/d/b.CSV"), map[string]transfer.Reason{"/d/c.gz": transfer.WhyTooOld}},
		{"no hidden ones", transfer.Select{NoHidden: true}, without("/d/.h.csv", "/d/.hid/z.csv"),
			map[string]transfer.Reason{"/d/.h.csv": transfer.WhyHidden, "/d/.hid": transfer.WhyHidden}},
		{"depth 1", transfer.Select{Depth: 1}, only("/d/.h.csv", "/d/a.csv", "/d/b.CSV", "/d/c.gz"),
			map[string]transfer.Reason{"/d/sub": transfer.WhyTooDeep, "/d/none": transfer.WhyTooDeep}},
		{"depth 2", transfer.Select{Depth: 2}, without("/d/sub/cache/y.csv", "/d/sub/deep/d.csv"), map[string]transfer.Reason{"/d/sub/deep": transfer.WhyTooDeep}},
		{"the newest", transfer.Select{Newest: 1}, only("/d/a.csv"), map[string]transfer.Reason{"/d/b.CSV": transfer.WhyNotNewest}},
		{"the newest three", transfer.Select{Newest: 3}, only("/d/a.csv", "/d/b.CSV", "/d/c.gz"), map[string]transfer.Reason{"/d/sub/a.csv": transfer.WhyNotNewest}},
		{"the newest of many alike", transfer.Select{Newest: 2, Include: []string{"[xyz].csv"}}, only("/d/.hid/z.csv", "/d/cache/x.csv"), nil},
		{"more than there are", transfer.Select{Newest: 99}, without("/d/none/"), nil},
		{"settled by the clock", transfer.Select{Settle: 3 * day, Include: []string{"[a-d].*"}}, only("/d/c.gz", "/d/sub/a.csv", "/d/sub/deep/d.csv"),
			map[string]transfer.Reason{"/d/a.csv": transfer.WhyNotSettled, "/d/b.CSV": transfer.WhyNotSettled}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var taken []string
			left := map[string]transfer.Reason{}
			for _, line := range selected(t, transfer.Find{Recursive: true, Select: tt.s}, remote(), "/d") {
				if source, why, ok := strings.Cut(line, ": "); ok {
					left[source] = transfer.Reason(why)
				} else {
					taken = append(taken, line)
				}
			}
			if !slices.Equal(taken, tt.taken) {
				t.Errorf("took %q\nwant %q", taken, tt.taken)
			}
			for source, why := range tt.left {
				if left[source] != why {
					t.Errorf("%s is left alone as %q, want %q", source, left[source], why)
				}
			}
		})
	}
}

// TestSelectBySource: where the root of a pattern is, and what a source asks
// for by itself.
func TestSelectBySource(t *testing.T) {
	files := map[string]string{
		"/v/log/a/x.gz": "1", "/v/log/b/x.gz": "2", "/v/log/b/keep/x.gz": "3", "/v/y.tmp": "4", "/v/z.TMP": "5", "/v/part": "6", "/v/.tmp": "7",
		"/v/w.filepart": "8", "/v/.a.gz." + run + ".part": "9", "/v/u.part": "10",
	}
	tests := []struct {
		name      string
		recursive bool
		s         transfer.Select
		sources   []string
		want      []string
	}{
		{"the root is before the wildcard", false, transfer.Select{Exclude: []string{"/a/"}}, []string{"/v/log/*/x.gz"}, []string{"/v/log/a: excluded", "/v/log/b/x.gz"}},
		{"and not above it", false, transfer.Select{Exclude: []string{"log/a/*"}}, []string{"/v/log/*/x.gz"}, []string{"/v/log/a/x.gz", "/v/log/b/x.gz"}},
		{"a named file lies in its folder", false, transfer.Select{Exclude: []string{"/x.gz"}}, []string{"/v/log/a/x.gz"}, []string{"/v/log/a/x.gz: excluded"}},
		{"depth below the wildcard's folder", true, transfer.Select{Depth: 2}, []string{"/v/log/*"}, []string{"/v/log/a/x.gz", "/v/log/b/keep: too deep", "/v/log/b/x.gz"}},
		{"any depth, but so deep", false, transfer.Select{Depth: 2}, []string{"/v/log/**"}, []string{"/v/log/a/x.gz", "/v/log/b/keep: too deep", "/v/log/b/x.gz"}},
		{"temporary names", false, transfer.Select{}, []string{"/v/*"}, []string{
			"/v/log: a folder", "/v/part", "/v/u.part: a temporary name", "/v/w.filepart: a temporary name", "/v/y.tmp: a temporary name", "/v/z.TMP: a temporary name"}},
		{"named in so many words", false, transfer.Select{}, []string{"/v/y.tmp", "/v/*.filepart", "/v/.t*"}, []string{"/v/y.tmp", "/v/w.filepart", "/v/.tmp"}},
		{"by a pattern", true, transfer.Select{Include: []string{"*.tmp"}, Exclude: []string{"log"}}, []string{"/v"}, []string{
			"/v/." + "a.gz." + run + ".part: a temporary name", "/v/.tmp", "/v/log: excluded", "/v/part: not included", "/v/u.part: a temporary name",
			"/v/w.filepart: a temporary name", "/v/y.tmp", "/v/z.TMP: a temporary name"}},
		{"ours is never meant by a source", false, transfer.Select{}, []string{"/v/.*.part"}, []string{"/v/.a.gz." + run + ".part: a temporary name"}},
		{"ours by a pattern", false, transfer.Select{Include: []string{"*.part"}}, []string{"/v/.a*"}, []string{"/v/.a.gz." + run + ".part"}},
		{"the newest of each source", false, transfer.Select{Newest: 1}, []string{"/v/log/a/*", "/v/log/b/*"}, []string{"/v/log/a/x.gz", "/v/log/b/keep: a folder", "/v/log/b/x.gz"}},
		{"sources that overlap", true, transfer.Select{}, []string{"/v/log/b", "/v/log", "/v/log/*/x.gz"}, []string{"/v/log/b/keep/x.gz", "/v/log/b/x.gz", "/v/log/a/x.gz"}},
		{"what one leaves the other may take", true, transfer.Select{Depth: 1}, []string{"/v/log", "/v/log/b"}, []string{
			"/v/log/a: too deep", "/v/log/b: too deep", "/v/log/", "/v/log/b/keep: too deep", "/v/log/b/x.gz"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := selected(t, transfer.Find{Recursive: tt.recursive, Select: tt.s}, newRemote(files), tt.sources...)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSentinels(t *testing.T) {
	files := map[string]string{
		"/d/a.csv": "1", "/d/a.csv.ok": "", "/d/b.csv": "2", "/d/c.csv": "3", "/d/c.ok": "", "/d/noext": "4", "/d/noext.ok": "", "/d/.rc": "5", "/d/.rc.ok": "",
	}
	tests := []struct {
		form    string
		include []string
		want    []string
	}{
		{"{name}.ok", nil, []string{"/d/.rc", "/d/a.csv", "/d/noext"}},
		{"{stem}.ok", nil, []string{"/d/.rc", "/d/c.csv", "/d/noext"}},
		{"{name}.ok", []string{"*.csv", "*.ok"}, []string{"/d/a.csv", "/d/a.csv.ok", "/d/c.ok", "/d/noext.ok", "/d/.rc.ok"}},
	}
	for _, tt := range tests {
		for _, source := range []string{"/d", "/d/{*,.*}", "/d/{a.csv,a.csv.ok,b.csv,c.csv,c.ok,noext,noext.ok,.rc,.rc.ok}"} {
			f := transfer.Find{Recursive: true, Select: transfer.Select{Sentinel: tt.form, Include: tt.include}}
			var got []string
			for _, line := range selected(t, f, newRemote(files), source) {
				source, why, left := strings.Cut(line, ": ")
				switch {
				case !left:
					got = append(got, line)
				case strings.HasSuffix(source, ".ok") && why != "a sentinel", !strings.HasSuffix(source, ".ok") && why != "no sentinel" && why != "not included":
					t.Errorf("%s from %s: %s is left alone as %q", tt.form, "/d", source, why)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if !slices.Equal(got, want) {
				t.Errorf("%s from %s: took %q, want %q", tt.form, source, got, want)
			}
		}
		// By its name a file is found without a listing.
		f := transfer.Find{Select: transfer.Select{Sentinel: "{name}.ok"}}
		if got, want := selected(t, f, newRemote(files), "/d/a.csv", "/d/b.csv"), []string{"/d/a.csv", "/d/b.csv: no sentinel"}; !slices.Equal(got, want) {
			t.Errorf("by name: %q, want %q", got, want)
		}
	}
}

func TestSelectCheck(t *testing.T) {
	for name, s := range map[string]transfer.Select{
		"a pattern that is none": {Include: []string{"a["}},
		"an empty pattern":       {Exclude: []string{""}},
		"a slash alone":          {Exclude: []string{"/"}},
		"a NUL":                  {Exclude: []string{"a\x00"}},
		"sizes crossed":          {MinSize: 2, MaxSize: 1},
		"ages crossed":           {MinAge: 2, MaxAge: 1},
		"below zero":             {Depth: -1},
		"a sentinel without":     {Sentinel: "READY"},
		"a sentinel of itself":   {Sentinel: "{name}"},
		"a sentinel elsewhere":   {Sentinel: "../{name}.ok"},
		"two stamps":             {Sentinel: "{name}{stem}.ok"},
		"both ways to settle":    {Sentinel: "{name}.ok", Settle: 1},
		"links":                  {Symlinks: "maybe"},
		"names":                  {Names: "maybe"},
	} {
		if err := s.Check(); !fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := transfer.Collect(transfer.Find{Select: s}.Remote(t.Context(), newRemote(tree()), "/srv/*")); !fault.Is(err, fault.Usage) {
			t.Errorf("%s: found with %v", name, err)
		}
	}
	good := transfer.Select{Include: []string{"*", "a/b", "a/", "**/x[!a-z]", `\[`}, MinSize: 1, MaxSize: 1, Settle: time.Second, Symlinks: "follow", Names: "map"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

// FuzzPattern: whatever the pattern, matching ends, and what is excluded is
// not taken.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"*.gz", "log/", "/a", "**", "{a,b}/**/x", `\*`, "[a-z]", "a//b", "[", "**/", "{,}", "..", "*/*/*", "x{", "é*"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if len(pattern) > 100 || strings.Count(pattern, "{") > 5 || strings.Count(pattern, "*") > 8 {
			return
		}
		r := newRemote(tree())
		s := transfer.Select{Exclude: []string{pattern}}
		left := 0
		find := transfer.Find{Recursive: true, Select: s, Skipped: func(s transfer.Skip) {
			if s.Reason == transfer.WhyExcluded {
				left++
			}
		}}
		rest, err := transfer.Collect(find.Remote(t.Context(), r, "/srv"))
		if bad := s.Check(); bad != nil {
			if err == nil {
				t.Fatalf("%q is no pattern, and found %d", pattern, len(rest))
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		s = transfer.Select{Include: []string{pattern}}
		took, err := transfer.Collect(transfer.Find{Recursive: true, Select: s}.Remote(t.Context(), r, "/srv"))
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]bool{}
		for _, i := range took {
			files[i.Source] = true
		}
		if len(took) > 0 && left == 0 {
			t.Errorf("%q includes %d and excludes nothing", pattern, len(took))
		}
		for _, i := range rest {
			if files[i.Source] {
				t.Errorf("%q matches %s, and does not exclude it", pattern, i.Source)
			}
		}
	})
}
