package transfer_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"linehaul/transfer"
)

// TestSystemAt: what a folder holds tells whether its volume folds. Of a folder in which
// one file has two names that differ in case only, it is to be believed.
func TestSystemAt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it takes a volume that holds such names apart")
	}
	plain, folding, empty := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, names := range map[string][]string{plain: {"123", "Readme"}, folding: {"123", "Readme", "rEADME"}} {
		for i, name := range names {
			err := error(nil)
			if i < 2 {
				err = os.WriteFile(filepath.Join(dir, name), nil, 0o600)
			} else {
				err = os.Link(filepath.Join(dir, names[1]), filepath.Join(dir, name))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for dir, want := range map[string]transfer.System{
		plain: transfer.Unix, folding: transfer.MacOS, empty: transfer.Unix, "/": transfer.Unix,
		filepath.Join(folding, "new", "folder"): transfer.MacOS, filepath.Join(plain, "new"): transfer.Unix, filepath.Join(plain, "Readme"): transfer.Unix,
	} {
		if got := transfer.SystemAt(dir); got != want {
			t.Errorf("%s is %s, want %s", dir, got, want)
		}
	}
	for _, dir := range []string{plain, folding, empty} {
		if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
			t.Error("it made a folder")
		}
	}
}

// A caser is a server with the paths that it has, and a home.
type caser struct {
	transfer.Remote
	there func(path string) (mode fs.FileMode, there bool)
	asked int
}

func (c *caser) Realpath(context.Context, string) (string, error) { return "/Users/jo", nil }

func (c *caser) Stat(_ context.Context, path string) (transfer.Entry, error) {
	c.asked++
	mode, there := c.there(path)
	if !there {
		return transfer.Entry{}, fs.ErrNotExist
	}
	return transfer.Entry{Mode: mode}, nil
}

// TestFolds asks servers by the folder, or by one above it that is there.
func TestFolds(t *testing.T) {
	const dir = fs.ModeDir | 0o755
	only := func(paths ...string) func(string) (fs.FileMode, bool) {
		return func(path string) (fs.FileMode, bool) {
			for _, p := range paths {
				if p == path {
					return dir, true
				}
			}
			return 0, false
		}
	}
	for name, tt := range map[string]struct {
		there func(string) (fs.FileMode, bool)
		dir   string
		want  bool
	}{
		"all is there, and folds":   {func(string) (fs.FileMode, bool) { return dir, true }, "/in", true},
		"it does not":               {only("/in", "/"), "/in", false},
		"it is not there":           {only("/Users", "/uSERS", "/Users/jo", "/Users/JO"), "/Users/jo/new/er", true},
		"below the home":            {only("/Users", "/uSERS", "/Users/jo", "/Users/JO"), "new", true},
		"home":                      {only("/Users", "/Users/jo"), "", false},
		"no letters":                {only("/srv", "/SRV", "/srv/2026"), "/srv/2026", true},
		"nothing there":             {only(), "/a/b/c", false},
		"the root":                  {only("/"), "/", false},
		"another thing of the name": {func(p string) (fs.FileMode, bool) { return map[string]fs.FileMode{"/in": dir, "/IN": 0o644}[p], true }, "/in", false},
	} {
		c := &caser{there: tt.there}
		if got := transfer.Folds(t.Context(), c, tt.dir); got != tt.want || c.asked > 10 {
			t.Errorf("%s: %t, after %d questions", name, got, c.asked)
		}
	}
}

// TestUndecided: a server is asked at most once, and not at all where no names are alike,
// unless there are many.
func TestUndecided(t *testing.T) {
	for _, tt := range []struct{ names, alike, asked int }{{5, 0, 0}, {5, 3, 1}, {20_000, 0, 1}, {20_000, 3, 1}} {
		for _, tree := range []bool{false, true} {
			var list []transfer.Item
			for i := range tt.names {
				list = append(list, items(fmt.Sprint("a", i))...)
				if i < tt.alike {
					list = append(list, items(fmt.Sprint("A", i))...)
				}
			}
			asked, placed := 0, 0
			p := transfer.Placing{Put: true, Tree: tree, Target: transfer.Unix, Folds: func(string) bool { asked++; return false }}
			p.Name = func(i transfer.Item) (string, error) { return "in/" + i.Rel, nil }
			for _, err := range p.Place(seq(list)) {
				if err != nil {
					t.Fatal(err)
				}
				placed++
			}
			if asked != tt.asked || placed != len(list) {
				t.Errorf("%+v: asked %d times, placed %d of %d", tt, asked, placed, len(list))
			}
		}
	}
}
