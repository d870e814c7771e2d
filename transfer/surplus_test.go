package transfer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// targetTree makes files below a temporary folder; a slash at the end stands for
// a folder.
func targetTree(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		p := filepath.Join(root, filepath.FromSlash(f))
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		if err == nil && strings.HasSuffix(f, "/") {
			err = os.MkdirAll(p, 0o755)
		} else if err == nil {
			err = os.WriteFile(p, []byte("x"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func extras(t *testing.T, left transfer.Left) []string {
	t.Helper()
	var all []string
	for item, err := range left.Extra.Items() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item.Target)
	}
	if err := left.Extra.Close(); err != nil {
		t.Error(err)
	}
	return all
}

// TestSurplusOrder: what is in a folder comes before it, and a folder only if
// all that is in it does.
func TestSurplusOrder(t *testing.T) {
	r := newRemote(map[string]string{"/srv/a": "1", "/srv/d/x": "2", "/srv/empty/": ""})
	root := targetTree(t, "a", "b", "d/x", "d/y", "empty/", "f/g/h", "f/g/i/", "k/keep.log", "k/l/m", ".a."+run+".part", "d/.z."+run+".part")
	left, err := transfer.Surplus{Select: transfer.Select{Exclude: []string{"*.log"}}, Target: transfer.Unix}.Get(t.Context(), r, "/srv", root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"b", "d/y", "f/g/h", "f/g/i", "f/g", "f", "k/l/m", "k/l"}
	if got := extras(t, left); !slices.Equal(got, want) || left.Seen != 16 {
		t.Errorf("of %d: %q, want %q", left.Seen, got, want)
	}
}

// TestSurplusOnDisk: listings that do not fit in memory give the same.
func TestSurplusOnDisk(t *testing.T) {
	files := map[string]string{}
	var there, want []string
	for i := range 500 {
		name := fmt.Sprintf("d/f%03d", i*7%500)
		there = append(there, name)
		if i%3 != 0 {
			files["/srv/"+name] = "x"
		} else {
			want = append(want, name)
		}
		files[fmt.Sprintf("/srv/d/g%03d", i)] = "only here"
	}
	slices.Sort(want)
	root := targetTree(t, there...)
	for _, held := range []int{0, 3, 90} {
		temp := t.TempDir()
		s := transfer.SurplusHolding(transfer.Surplus{Target: transfer.Unix, Temp: temp}, held)
		left, err := s.Get(t.Context(), newRemote(files), "/srv", root)
		if err != nil {
			t.Fatal(err)
		}
		if got := extras(t, left); !slices.Equal(got, want) {
			t.Errorf("with %d held: %d are extra, want %d", held, len(got), len(want))
		}
		if rest, err := os.ReadDir(temp); err != nil || len(rest) > 0 {
			t.Errorf("left %v, %v", rest, err)
		}
	}
}

// TestSurplusWantsAll: where a folder of either side cannot be listed, there is
// no surplus. A target that is not there has none.
func TestSurplusWantsAll(t *testing.T) {
	files := map[string]string{"/srv/a": "1", "/srv/d/x": "2"}
	root := targetTree(t, "a", "d/y", "e/z")
	s := transfer.Surplus{Target: transfer.Unix}
	r := newRemote(files)
	r.denied["/srv/d"] = true
	if _, err := s.Get(t.Context(), r, "/srv", root); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a source that cannot be listed: %v", err)
	}
	if _, err := s.Get(t.Context(), newRemote(files), "/nowhere", root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a source that is gone: %v", err)
	}
	r = newRemote(files)
	r.extra["/srv/d"] = []transfer.Entry{{Name: "../x", Mode: 0o644}}
	if _, err := s.Get(t.Context(), r, "/srv", root); !fault.Is(err, fault.RemoteFile) {
		t.Errorf("a source with a name that cannot be: %v", err)
	}
	left, err := s.Get(t.Context(), newRemote(files), "/srv", filepath.Join(root, "nowhere"))
	if err != nil || left.Extra.Len() != 0 {
		t.Errorf("a target that is not there: %v", err)
	}
	r = newRemote(map[string]string{"/in/a": "1", "/in/e/f": "2"})
	if left, err = s.Put(t.Context(), r, root, "/in"); err != nil || !slices.Equal(extras(t, left), []string{"e/f"}) {
		t.Errorf("the other way: %v", err)
	}
	r.denied["/in/e"] = true
	if _, err := s.Put(t.Context(), r, root, "/in"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a target that cannot be listed: %v", err)
	}
	if left, err = s.Put(t.Context(), r, root, "/out"); err != nil || left.Extra.Len() != 0 {
		t.Errorf("a target that is not there on the server: %v", err)
	}
}

// TestSurplusOfOtherNames: names that the target spells otherwise are those of
// the source, and so are those that its system takes for the same.
func TestSurplusOfOtherNames(t *testing.T) {
	r := newRemote(map[string]string{"/srv/a:b": "1", "/srv/Read Me": "2", "/srv/é": "3", "/srv/x": "4"})
	root := targetTree(t, "a\uf03ab", "read me", "e\u0301", "x", "y\uf03a")
	tests := []struct {
		system transfer.System
		names  transfer.Names
		want   []string
	}{
		{transfer.Windows, transfer.MapNames, []string{"e\u0301", "y\uf03a"}},
		{transfer.MacOS, transfer.RefuseNames, []string{"a\uf03ab", "y\uf03a"}},
		{transfer.Unix, transfer.RefuseNames, []string{"a\uf03ab", "e\u0301", "read me", "y\uf03a"}},
	}
	for _, tt := range tests {
		s := transfer.Surplus{Select: transfer.Select{Names: tt.names}, Target: tt.system, Source: transfer.Unix}
		left, err := s.Get(t.Context(), r, "/srv", root)
		if err != nil {
			t.Fatal(err)
		}
		if got := extras(t, left); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.system, got, tt.want)
		}
	}
	// What is mapped is excluded by the name that it has at the source.
	s := transfer.Surplus{Select: transfer.Select{Names: transfer.MapNames, Exclude: []string{"y:"}}, Target: transfer.Windows, Source: transfer.Unix}
	left, err := s.Get(t.Context(), r, "/srv", root)
	if err != nil {
		t.Fatal(err)
	}
	if got := extras(t, left); !slices.Equal(got, []string{"e\u0301"}) {
		t.Errorf("with an exclude: %q", got)
	}
}

// TestPile: items come back as they were, in their order, from memory and from
// disk, as often as they are asked for.
func TestPile(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 1001, 3000} {
		temp := t.TempDir()
		p := transfer.NewPile(temp)
		var want []transfer.Item
		for i := range n {
			item := transfer.Item{
				Source: fmt.Sprintf("/s/%d", i), Path: "p", Rel: "r/\xff", Link: strings.Repeat("l", i%300), Target: fmt.Sprint(i),
				Entry:   transfer.Entry{Name: fmt.Sprint("é", i), Size: int64(i) - 5, Mode: fs.FileMode(i%512) | fs.ModeDir, MTime: epoch()},
				Closing: i%2 == 0, Standing: transfer.Standing(i % 3),
			}
			want = append(want, item)
			if err := p.Add(item); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			i := 0
			for item, err := range p.Items() {
				if err != nil {
					t.Fatal(err)
				}
				if !item.Entry.MTime.Equal(want[i].Entry.MTime) {
					t.Errorf("item %d has the time %v", i, item.Entry.MTime)
				}
				if item.Entry.MTime = want[i].Entry.MTime; item != want[i] {
					t.Fatalf("item %d is %+v, want %+v", i, item, want[i])
				}
				i++
			}
			if i != n || p.Len() != n {
				t.Errorf("%d items of %d, and Len says %d", i, n, p.Len())
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

// TestListedInOrder: a listing on disk is read once for names that come in
// order, and says of others that it does not know.
func TestListedInOrder(t *testing.T) {
	set := map[string]bool{}
	for i := range 300 {
		set[fmt.Sprintf("f%03d", i*2)] = true
	}
	listing := slices.Collect(maps.Keys(set))
	var names []string
	for i := range 620 {
		names = append(names, fmt.Sprintf("f%03d", i))
	}
	names = append(names, "f619", "a", "f000")
	for _, held := range []int{1000, 3} {
		there, known, err := transfer.Listed(t.TempDir(), held, listing, names)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			inOrder := i < len(names)-2
			if held < 1000 && known[i] != inOrder || held >= 1000 && !known[i] || known[i] && there[i] != set[name] {
				t.Errorf("%d held: %s is there %v, known %v", held, name, there[i], known[i])
			}
		}
	}
}
