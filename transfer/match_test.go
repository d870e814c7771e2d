package transfer_test

import (
	"testing"

	"linehaul/transfer"
)

func TestSourceMatches(t *testing.T) {
	tests := []struct {
		source    string
		recursive bool
		path      string
		want      bool
		name      bool // by its last element alone
	}{
		{"/out/*.gz", false, "/out/a.gz", true, true},
		{"/out/*.gz", false, "/out/done/a.gz", false, true},
		{"/out/*.gz", false, "/out/a.txt", false, false},
		{"/out/*.gz", false, "/out/.a.gz", false, false},
		{"/out/*.gz", false, "out/a.gz", false, true},
		{"out/*.gz", false, "/out/a.gz", false, true},
		{"out/*.gz", false, "./out//a.gz", true, true},
		{"/out/*/x.gz", false, "/out/a/x.gz", true, true},
		{"/out/*/x.gz", false, "/out/a/y.gz", false, false},
		{"/out/**/*.gz", false, "/out/a.gz", true, true},
		{"/out/**/*.gz", false, "/out/done/b/a.gz", true, true},
		{"/out/**/*.gz", false, "/out/.done/a.gz", false, true},
		{"/out/**", false, "/out/done/a", true, true},
		{"/out/**", false, "/out", false, true},
		{"/out/a.gz", false, "/out/a.gz", true, true},
		{"/out/a.gz", false, "/out/a.gz.1", false, false},
		{"/out/", false, "/out/a", false, false},
		{"/out/", true, "/out/sub/a", true, true},
		{"/out/d*", true, "/out/done/a", true, true},
		{"/out/d*", true, "/out/x/a", false, true},
		{"/out/{a,b}.gz", false, "/out/b.gz", true, true},
		{`/out/\*.gz`, false, "/out/*.gz", true, true},
		{`/out/\*.gz`, false, "/out/a.gz", false, false},
	}
	for _, tt := range tests {
		s, err := transfer.ParseSource(tt.source, false, tt.recursive)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Matches(tt.path); got != tt.want {
			t.Errorf("%s (recursive: %v) takes %s: %v", tt.source, tt.recursive, tt.path, got)
		}
		name := lastElement(tt.path)
		if got := s.MatchesName(name); got != tt.name {
			t.Errorf("%s (recursive: %v) takes the name %s: %v", tt.source, tt.recursive, name, got)
		}
	}
	if _, err := transfer.ParseSource("/out/[", false, false); err == nil {
		t.Error("a broken pattern was taken")
	}
}

func lastElement(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// TestSourceMatchesWhatFindFinds: the two ways to ask agree.
func TestSourceMatchesWhatFindFinds(t *testing.T) {
	files := map[string]string{
		"/out/a.gz": "1", "/out/b.txt": "1", "/out/.c.gz": "1", "/out/d/a.gz": "1", "/out/d/e/a.gz": "1", "/out/.h/a.gz": "1", "/in/a.gz": "1",
	}
	r := newRemote(files)
	for _, source := range []string{"/out/*.gz", "/out/**", "/out/**/*.gz", "/*/a.gz", "/out/a.gz", "/out/*/**/a.gz", "/out/.*", "/o*/d/*", "/out/{a,b}*"} {
		s, err := transfer.ParseSource(source, false, false)
		if err != nil {
			t.Fatal(err)
		}
		items, err := transfer.Collect(transfer.Find{}.Remote(t.Context(), r, source))
		if err != nil {
			t.Fatal(err)
		}
		taken := map[string]bool{}
		for _, i := range items {
			taken[i.Source] = true
		}
		for f := range files {
			if s.Matches(f) != taken[f] {
				t.Errorf("%s: Find takes %s: %v, Matches says %v", source, f, taken[f], s.Matches(f))
			}
		}
	}
}

func TestIsPart(t *testing.T) {
	if !transfer.IsPart(".x.gz.20261123T023001Z-123x7k2q.part") || transfer.IsPart(".x.gz.part") || transfer.IsPart("x.gz") {
		t.Error("names of unfinished files are not told from others")
	}
}
