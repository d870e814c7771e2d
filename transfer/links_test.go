package transfer_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// Lstat looks at links themselves; those that lead there are followed.
func (r *memRemote) Lstat(ctx context.Context, p string) (transfer.Entry, error) {
	if err := ctx.Err(); err != nil {
		return transfer.Entry{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.findLink("lstat", p)
	if err != nil {
		return transfer.Entry{}, err
	}
	return n.entry(path.Base(p)), nil
}

// findLink holds r.mu.
func (r *memRemote) findLink(op, p string) (*node, error) {
	p = clean(p)
	if p == "/" {
		return r.nodes[p], nil
	}
	dir, _, err := r.find(op, path.Dir(p))
	if err != nil {
		return nil, err
	}
	n := r.nodes[path.Join(dir, path.Base(p))]
	if n == nil {
		return nil, failure(op, p, fs.ErrNotExist)
	}
	return n, nil
}

func (r *memRemote) ReadLink(ctx context.Context, p string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.findLink("readlink", p)
	if err == nil && n.link == "" {
		err = failure("readlink", p, errors.New("failure"))
	}
	if err != nil {
		return "", err
	}
	return n.link, nil
}

func (r *memRemote) Symlink(ctx context.Context, text, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p = clean(p)
	if r.nodes[p] != nil || r.nodes[path.Dir(p)] == nil || r.fail["Symlink"] != nil {
		return failure("symlink", p, errors.New("failure"))
	}
	r.nodes[p] = &node{mode: fs.ModeSymlink | 0o777, mtime: epoch(), link: text}
	r.log = append(r.log, "symlink "+p+" -> "+text)
	return nil
}

var (
	_ transfer.LinkReader = (*memRemote)(nil)
	_ transfer.LinkMaker  = (*memRemote)(nil)
)

// linkTree has links of every sort below /srv/t.
func linkTree() map[string]string {
	return map[string]string{
		"/srv/t/f": "1", "/srv/t/sub/g": "2", "/srv/t/sub/deep/h": "3", "/srv/secret": "4", "/srv/other/x": "5",
		"/srv/t/tofile": "-> f", "/srv/t/tofolder": "-> sub/deep", "/srv/t/sub/up": "-> ../f", "/srv/t/sub/self": "-> .", "/srv/t/sub/top": "-> ..",
		"/srv/t/out": "-> ../secret", "/srv/t/far": "-> /srv/secret", "/srv/t/inside": "-> /srv/t/sub/g", "/srv/t/gone": "-> nothing",
		"/srv/t/chain": "-> tofile", "/srv/t/sneaky": "-> sub/top/../secret", "/srv/t/a1": "-> a2", "/srv/t/a2": "-> a1",
		"/srv/t/sub/twice": "-> ../tofolder", "/srv/t/sub/outfolder": "-> ../../other", "/srv/t/zz": "-> sub",
	}
}

func TestLinksFollowed(t *testing.T) {
	f := transfer.Find{Recursive: true, Select: transfer.Select{Symlinks: transfer.FollowLinks}}
	want := []string{
		"/srv/t/a1: a link in a circle", "/srv/t/a2: a link in a circle",
		"/srv/t/chain", "/srv/t/f", "/srv/t/far: a link out of the tree", "/srv/t/gone: a link to nothing", "/srv/t/inside",
		"/srv/t/out: a link out of the tree", "/srv/t/sneaky: a link out of the tree",
		"/srv/t/sub/deep/h", "/srv/t/sub/g", "/srv/t/sub/outfolder: a link out of the tree", "/srv/t/sub/self: a link in a circle",
		"/srv/t/sub/top: a link in a circle", "/srv/t/sub/twice/h", "/srv/t/sub/up", "/srv/t/tofile", "/srv/t/tofolder/h",
		"/srv/t/zz/deep/h", "/srv/t/zz/g", "/srv/t/zz/outfolder: a link out of the tree", "/srv/t/zz/self: a link in a circle",
		"/srv/t/zz/top: a link in a circle", "/srv/t/zz/twice/h", "/srv/t/zz/up",
	}
	if got := selected(t, f, newRemote(linkTree()), "/srv/t"); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	// A wildcard's own root is what stands before it, and not the folder that
	// it matches.
	r := newRemote(map[string]string{"/w/a/f": "1", "/w/b/l": "-> ../a/f", "/w/b/o": "-> ../../etc", "/etc": "2"})
	if got, want := selected(t, f, r, "/w/*"), []string{"/w/a/f", "/w/b/l", "/w/b/o: a link out of the tree"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Patterns hold for what a link leads to, by the link's name.
	f.Select.Exclude = []string{"zz/", "tofolder", "/sub/"}
	f.Select.NoHidden = true
	if got, want := selected(t, f, newRemote(linkTree()), "/srv/t"), "/srv/t/zz: excluded"; !slices.Contains(got, want) || slices.Contains(got, "/srv/t/tofolder/h") {
		t.Errorf("got %q, want %s among them", got, want)
	}
}

// TestLinksWithoutEnd: links that lead into each other's folders.
func TestLinksWithoutEnd(t *testing.T) {
	r := newRemote(map[string]string{
		"/d/a/f": "1", "/d/b/f": "2", "/d/a/tob": "-> ../b", "/d/b/toa": "-> ../a", "/d/b/sub/x": "3", "/d/a/back": "-> ../b/sub", "/d/b/sub/root": "-> ../..",
	})
	f := transfer.Find{Recursive: true, Select: transfer.Select{Symlinks: transfer.FollowLinks}}
	got := selected(t, f, r, "/d")
	if len(got) > 40 || !slices.Contains(got, "/d/a/tob/f") || !slices.Contains(got, "/d/a/tob/toa: a link in a circle") {
		t.Errorf("%d: %q", len(got), got)
	}
}

func TestLinksCopied(t *testing.T) {
	f := transfer.Find{Recursive: true, Select: transfer.Select{Symlinks: transfer.CopyLinks}}
	got := selected(t, f, newRemote(linkTree()), "/srv/t")
	want := []string{
		"/srv/t/a1: a link in a circle", "/srv/t/a2: a link in a circle",
		"/srv/t/chain -> tofile", "/srv/t/f", "/srv/t/far: a link out of the tree", "/srv/t/gone: a link to nothing",
		"/srv/t/inside: a link out of the tree", "/srv/t/out: a link out of the tree", "/srv/t/sneaky: a link out of the tree",
		"/srv/t/sub/deep/h", "/srv/t/sub/g", "/srv/t/sub/outfolder: a link out of the tree", "/srv/t/sub/self -> .", "/srv/t/sub/top -> ..",
		"/srv/t/sub/twice -> ../tofolder", "/srv/t/sub/up -> ../f", "/srv/t/tofile -> f", "/srv/t/tofolder -> sub/deep", "/srv/t/zz -> sub",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	// What a wildcard matches lands without its folder: a link must not need it.
	f.Select.Include = []string{"t*", "o*", "s*"}
	got = selected(t, f, newRemote(linkTree()), "/srv/t/*")
	for _, want := range []string{"/srv/t/tofile -> f", "/srv/t/tofolder -> sub/deep", "/srv/t/out: a link out of the tree", "/srv/t/chain: not included"} {
		if !slices.Contains(got, want) {
			t.Errorf("got %q, want %s among them", got, want)
		}
	}
}

// noLinks is a server by a protocol that has no links.
type noLinks struct{ transfer.WritableRemote }

func TestLinksNeedTheProtocol(t *testing.T) {
	r := noLinks{newRemote(linkTree())}
	for _, way := range []transfer.Links{transfer.FollowLinks, transfer.CopyLinks} {
		_, err := transfer.Collect(transfer.Find{Recursive: true, Select: transfer.Select{Symlinks: way}}.Remote(t.Context(), r, "/srv/t"))
		if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), string(way)) {
			t.Errorf("%s: %v", way, err)
		}
	}
	p := transfer.Plan{Select: transfer.Select{Symlinks: transfer.CopyLinks}, Name: byRel, At: at()}
	if _, err := transfer.Collect(p.Put(t.Context(), r, ".")); !fault.Is(err, fault.Config) {
		t.Errorf("put: %v", err)
	}
	put := transfer.Put{Remote: r, Run: run}
	if _, err := put.Links(t.Context(), []transfer.Item{{Link: "x", Target: "y"}}); !fault.Is(err, fault.Config) {
		t.Errorf("links of a put: %v", err)
	}
}

// TestGetLinks: links are made anew, over older ones and over nothing else.
func TestGetLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a right there that few users have")
	}
	r := newRemote(map[string]string{"/d/f": "1", "/d/sub/l": "-> ../f", "/d/old": "-> f", "/d/same": "-> f", "/d/file": "-> f", "/d/dir": "-> f"})
	root := t.TempDir()
	p := transfer.Plan{Recursive: true, Select: transfer.Select{Symlinks: transfer.CopyLinks}, Name: byRel, Tree: true, At: at()}
	items, err := transfer.Collect(p.Get(t.Context(), r, root, "/d"))
	if err != nil {
		t.Fatal(err)
	}
	var links []transfer.Item
	for _, i := range items {
		if i.Link != "" {
			links = append(links, i)
		}
	}
	mkdir(t, filepath.Join(root, "d", "dir"))
	write(t, filepath.Join(root, "d", "file"), "mine")
	for name, text := range map[string]string{"old": "elsewhere", "same": "f"} {
		if err := os.Symlink(text, filepath.Join(root, "d", name)); err != nil {
			t.Fatal(err)
		}
	}
	g := transfer.Get{Remote: r, Root: root, Run: run}
	results, err := g.Links(t.Context(), links)
	if !fault.Is(err, fault.Partial) || len(results) != 5 {
		t.Fatalf("%+v, %v", results, err)
	}
	for _, res := range results {
		refused := res.Item.Entry.Name == "file" || res.Item.Entry.Name == "dir"
		if refused != fault.Is(res.Err, fault.LocalDisk) {
			t.Errorf("%s: %v", res.Item.Target, res.Err)
		}
	}
	want(t, root, map[string]string{"d/": "", "d/sub/": "", "d/sub/l": "../f", "d/old": "f", "d/same": "f", "d/file": "mine", "d/dir/": ""})
	g.Run = "x"
	if _, err := g.Links(t.Context(), links); !fault.Is(err, fault.Internal) {
		t.Errorf("a run without an id: %v", err)
	}
}

// swapped has the two paths of a link's request the other way round.
type swapped struct{ *memRemote }

func (s swapped) Symlink(ctx context.Context, text, p string) error {
	return s.memRemote.Symlink(ctx, clean(p), path.Join(path.Dir(p), text))
}

func TestPutLinks(t *testing.T) {
	links := []transfer.Item{
		{Source: "l", Link: "f", Target: "/in/new/l", Entry: transfer.Entry{Name: "l", Mode: fs.ModeSymlink}},
		{Source: "m", Link: "../x", Target: "/in/m", Entry: transfer.Entry{Name: "m", Mode: fs.ModeSymlink}},
		{Source: "n", Link: "f", Target: "/in/n", Entry: transfer.Entry{Name: "n", Mode: fs.ModeSymlink}},
	}
	r := newRemote(map[string]string{"/in/": "", "/in/m": "-> old", "/in/n": "a file"})
	p := transfer.Put{Remote: r, Run: run}
	results, err := p.Links(t.Context(), links)
	if !fault.Is(err, fault.Partial) || results[0].Err != nil || results[1].Err != nil || !fault.Is(results[2].Err, fault.RemoteFile) {
		t.Errorf("%+v, %v", results, err)
	}
	if r.nodes["/in/new/l"].link != "f" || r.nodes["/in/m"].link != "../x" || string(r.nodes["/in/n"].data) != "a file" {
		t.Errorf("made %+v, %+v, %+v", r.nodes["/in/new/l"], r.nodes["/in/m"], r.nodes["/in/n"])
	}
	before := len(r.log)
	if _, err := p.Links(t.Context(), links[:2]); err != nil || len(r.log) != before {
		t.Errorf("again: %v, %q", err, r.log[before:])
	}
	r = newRemote(map[string]string{"/in/": ""})
	p.Remote = swapped{r}
	if _, err := p.Links(t.Context(), links[1:2]); !fault.Is(err, fault.RemoteFile) {
		t.Errorf("a server that makes another link: %v", err)
	}
}
