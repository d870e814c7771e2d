package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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

// tree is what the finding tests look through, below /srv on a server and
// below a temporary folder on this machine.
func tree() map[string]string {
	files := map[string]string{
		"/srv/a.gz": "1", "/srv/b.gz": "22", "/srv/B.gz": "2", "/srv/c.txt": "3", "/srv/.hidden.gz": "4",
		"/srv/[x].gz": "5", oddName: "6",
		"/srv/log/nginx/x.gz": "7", "/srv/log/nginx/y.gz": "8", "/srv/log/apache/x.gz": "9", "/srv/log/x.gz": "10",
		"/srv/log/.cache/x.gz": "11", "/srv/log/nginx/old/x.gz": "12",
		"/srv/www/a/b.html": "13", "/srv/www/.well-known/z": "14", "/srv/www/empty/": "",
		"/srv/www/out": "-> ../log", "/srv/www/." + "a.gz." + run + ".part": "15", "/srv/www/a/.part": "16",
		"/srv/latest": "-> a.gz", "/srv/logs": "-> log", "/srv/dangling": "-> nowhere", "/srv/loop/self": "-> .", "/srv/loop/f": "17",
		"/srv/.a.gz." + run + ".part": "18",
	}
	if runtime.GOOS == "windows" {
		delete(files, oddName)
	}
	return files
}

// oddName cannot be used on Windows, where finding says so each time.
const oddName = "/srv/sp ace\n'\".gz"

// findCases are sources below the tree, and what they give: source, path, rel.
// A slash at the end stands for a folder.
func findCases() []struct {
	name      string
	recursive bool
	sources   []string
	want      []string
} {
	return []struct {
		name      string
		recursive bool
		sources   []string
		want      []string
	}{
		{"one file", false, []string{"a.gz"}, []string{"a.gz a.gz a.gz"}},
		{"one file below", false, []string{"log/nginx/x.gz"}, []string{"log/nginx/x.gz x.gz x.gz"}},
		{"twice", false, []string{"a.gz", "a.*"}, []string{"a.gz a.gz a.gz"}},
		{"a link to a file", false, []string{"latest"}, []string{"latest latest latest"}},
		{"star", false, []string{"*.gz"}, []string{"B.gz B.gz B.gz", "[x].gz [x].gz [x].gz", "a.gz a.gz a.gz", "b.gz b.gz b.gz", "sp ace\n'\".gz sp ace\n'\".gz sp ace\n'\".gz"}},
		{"hidden", false, []string{".*.gz"}, []string{".hidden.gz .hidden.gz .hidden.gz"}},
		{"hidden in braces", false, []string{"{.h*,c}.{gz,txt}"}, []string{".hidden.gz .hidden.gz .hidden.gz", "c.txt c.txt c.txt"}},
		{"a class is no dot", false, []string{"[.]*.gz"}, nil},
		{"class", false, []string{"[a-b].gz"}, []string{"a.gz a.gz a.gz", "b.gz b.gz b.gz"}},
		{"not in class", false, []string{"[!a-z].gz"}, []string{"B.gz B.gz B.gz"}},
		{"escaped", false, []string{`\[x].gz`}, []string{"[x].gz [x].gz [x].gz"}},
		{"escaped in a pattern", false, []string{`\[*`}, []string{"[x].gz [x].gz [x].gz"}},
		{"braces", false, []string{"{a,{b,c}}.{gz,txt}"}, []string{"a.gz a.gz a.gz", "b.gz b.gz b.gz", "c.txt c.txt c.txt"}},
		{"a folder is left out", false, []string{"l*"}, []string{"latest latest latest"}},
		{"in the middle", false, []string{"log/*/x.gz"}, []string{"log/apache/x.gz apache/x.gz x.gz", "log/nginx/x.gz nginx/x.gz x.gz"}},
		{"through a link", false, []string{"log[s]/x.gz"}, []string{"logs/x.gz logs/x.gz x.gz"}},
		{"no such folder behind a star", false, []string{"*/nginx/nothing/x"}, nil},
		{"a file where a folder is asked for", false, []string{"*/x.gz/*"}, nil},
		{"any depth", false, []string{"log/**/x.gz"}, []string{
			"log/apache/x.gz apache/x.gz x.gz", "log/nginx/old/x.gz nginx/old/x.gz x.gz", "log/nginx/x.gz nginx/x.gz x.gz", "log/x.gz x.gz x.gz"}},
		{"all below", false, []string{"log/nginx/**/**"}, []string{
			"log/nginx/old/x.gz old/x.gz x.gz", "log/nginx/x.gz x.gz x.gz", "log/nginx/y.gz y.gz y.gz"}},
		{"matches nothing", false, []string{"*.bz2"}, nil},
		{"folder", true, []string{"www"}, []string{
			"www/.well-known/z www/.well-known/z www/.well-known/z", "www/a/.part www/a/.part www/a/.part",
			"www/a/b.html www/a/b.html www/a/b.html", "www/empty/ www/empty www/empty"}},
		{"folder by a star", true, []string{"log/n*"}, []string{
			"log/nginx/old/x.gz nginx/old/x.gz nginx/old/x.gz", "log/nginx/x.gz nginx/x.gz nginx/x.gz", "log/nginx/y.gz nginx/y.gz nginx/y.gz"}},
		{"folder by a link", true, []string{"logs/apache/"}, []string{"logs/apache/x.gz apache/x.gz apache/x.gz"}},
		{"a loop", true, []string{"loop"}, []string{"loop/f loop/f loop/f"}},
		{"both ways at once", true, []string{"log/**/old"}, []string{"log/nginx/old/x.gz nginx/old/x.gz old/x.gz"}},
		{"nested matches", true, []string{"log/apache/**", "log/a*"}, []string{"log/apache/x.gz x.gz x.gz"}},
	}
}

func show(items []transfer.Item, base string) []string {
	var lines []string
	for _, i := range items {
		source := strings.TrimPrefix(filepath.ToSlash(i.Source), base+"/")
		if i.Entry.Mode.IsDir() {
			source += "/"
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", source, i.Path, i.Rel))
		if i.Entry.Name != path.Base(i.Rel) {
			lines = append(lines, "BAD NAME "+i.Entry.Name)
		}
	}
	return lines
}

func TestFindRemote(t *testing.T) {
	checkLeaks(t, nil)
	r := newRemote(tree())
	for _, tt := range findCases() {
		t.Run(tt.name, func(t *testing.T) {
			sources := slices.Clone(tt.sources)
			for i := range sources {
				sources[i] = "/srv/" + sources[i]
			}
			items, err := transfer.Collect(transfer.Find{Recursive: tt.recursive}.Remote(t.Context(), r, sources...))
			want := slices.DeleteFunc(slices.Clone(tt.want), func(line string) bool {
				return runtime.GOOS == "windows" && strings.HasPrefix("/srv/"+line, oddName)
			})
			if got := show(items, "/srv"); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q, %v\nwant %q", got, err, want)
			}
		})
	}
}

func TestFindLocal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the tree holds links and names that Windows does not have")
	}
	base := t.TempDir()
	for p, text := range tree() {
		p = base + strings.TrimPrefix(p, "/srv")
		mkdir(t, filepath.Dir(p))
		switch link, ok := strings.CutPrefix(text, "-> "); {
		case ok:
			if err := os.Symlink(link, p); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(p, "/"):
			mkdir(t, p)
		default:
			write(t, p, text)
		}
	}
	for _, tt := range findCases() {
		t.Run(tt.name, func(t *testing.T) {
			sources := slices.Clone(tt.sources)
			for i := range sources {
				sources[i] = base + "/" + sources[i]
			}
			items, err := transfer.Collect(transfer.Find{Recursive: tt.recursive}.Local(t.Context(), sources...))
			if got := show(items, base); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v\nwant %q", got, err, tt.want)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		_, err := transfer.Collect(transfer.Find{}.Local(t.Context(), base+"/none"))
		if !fault.Is(err, fault.LocalDisk) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("relative", func(t *testing.T) {
		t.Chdir(base)
		items, err := transfer.Collect(transfer.Find{}.Local(t.Context(), "*.txt", "./log/x.gz"))
		if got, want := show(items, "."), []string{"c.txt c.txt c.txt", "log/x.gz x.gz x.gz"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
}

func mkdir(t *testing.T, p string) {
	t.Helper()
	if err := os.MkdirAll(p, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, p, text string) {
	t.Helper()
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, epoch(), epoch()); err != nil {
		t.Fatal(err)
	}
}

// TestFindFromLoginFolder: sources without a leading slash, and those that
// name no folder of their own.
func TestFindFromLoginFolder(t *testing.T) {
	r := newRemote(map[string]string{"/home/a": "1", "/home/d/b": "2", "/etc/c": "3"})
	for source, want := range map[string][]string{
		"a": {"a a a"}, "*": {"a a a", "d/b d/b d/b"}, ".": {"a a a", "d/b d/b d/b"}, "./d//": {"d/b d/b d/b"},
		"../home/a": {"../home/a a a"}, "../e*": {"../etc/c etc/c etc/c"}, "d/..": {"d/../a a a", "d/../d/b d/b d/b"},
		"/": {"/etc/c etc/c etc/c", "/home/a home/a home/a", "/home/d/b home/d/b home/d/b"},
	} {
		items, err := transfer.Collect(transfer.Find{Recursive: true}.Remote(t.Context(), r, source))
		if got := show(items, ""); err != nil || !slices.Equal(got, trimSlash(want)) {
			t.Errorf("%q: got %q, %v, want %q", source, got, err, want)
		}
	}
}

// trimSlash takes the first slash off each line, as show does with base "".
func trimSlash(lines []string) []string {
	out := slices.Clone(lines)
	for i := range out {
		out[i] = strings.TrimPrefix(out[i], "/")
	}
	return out
}

func TestFindErrors(t *testing.T) {
	tests := []struct {
		name    string
		sources []string
		kind    fault.Kind
		is      error
		text    string
		hint    string
		found   int
	}{
		{"absent", []string{"/srv/none"}, fault.RemoteFile, fs.ErrNotExist, "none", "", 0},
		{"absent folder before a star", []string{"/none/*.gz"}, fault.RemoteFile, fs.ErrNotExist, "/none", "", 0},
		{"folder", []string{"/srv/log"}, fault.RemoteFile, nil, `"/srv/log" is a folder`, "-r", 0},
		{"a temporary file", []string{"/srv/.a.gz." + run + ".part"}, fault.RemoteFile, nil, "unfinished", "", 0},
		{"bad pattern", []string{"/srv/a["}, fault.Usage, nil, "/srv/a[", "backslash", 0},
		{"slash in braces", []string{"/srv/{a,b/c}"}, fault.Usage, nil, "{a,b/c}", "slash", 0},
		{"too many braces", []string{"/srv/" + strings.Repeat("{a,b,c}", 9)}, fault.Usage, nil, "256", "", 0},
		{"backslash at the end", []string{`/srv/a\`}, fault.Usage, nil, "", "", 0},
		{"empty", []string{""}, fault.Usage, nil, "", "", 0},
		{"nul", []string{"a\x00b"}, fault.Usage, nil, "", "", 0},
		{"one of two", []string{"/srv/none", "/srv/a.gz"}, fault.Partial, fs.ErrNotExist, "none", "", 1},
		{"both", []string{"/srv/none", "/srv/nowhere"}, fault.RemoteFile, fs.ErrNotExist, "all 2 sources", "", 0},
		{"device", []string{"/srv/dev"}, fault.RemoteFile, nil, "a device", "", 0},
		{"list refused", []string{"/srv/secret/*", "/srv/*.txt"}, fault.Partial, fs.ErrPermission, "secret", "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemote(tree())
			r.nodes["/srv/dev"] = &node{mode: fs.ModeDevice | 0o600}
			r.nodes["/srv/secret"] = dir()
			r.denied["/srv/secret"] = true
			items, err := transfer.Collect(transfer.Find{}.Remote(t.Context(), r, tt.sources...))
			if !fault.Is(err, tt.kind) || len(items) != tt.found || !strings.Contains(err.Error(), tt.text) ||
				!strings.Contains(fault.HintOf(err), tt.hint) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %d items, %v (%v), hint %q", len(items), err, kind(err), fault.HintOf(err))
			}
		})
	}
}

// TestFindHostileServer: names, loops and trees that no honest server sends.
func TestFindHostileServer(t *testing.T) {
	r := newRemote(map[string]string{"/d/good": "1", "/d/sub/f": "2"})
	for _, name := range []string{"", ".", "..", "../up", "a/b", "/etc/passwd", "nul\x00", strings.Repeat("x", 5000)} {
		r.extra["/d"] = append(r.extra["/d"], transfer.Entry{Name: name, Size: 1})
	}
	r.extra["/d"] = append(r.extra["/d"], transfer.Entry{Name: "good", Size: 9}, transfer.Entry{Name: "fifo", Mode: fs.ModeNamedPipe})
	for _, source := range []string{"/d", "/d/*", "/d/**"} {
		items, err := transfer.Collect(transfer.Find{Recursive: true}.Remote(t.Context(), r, source))
		if !fault.Is(err, fault.Partial) || len(items) != 2 {
			t.Errorf("%s: got %q, %v", source, show(items, ""), err)
		}
	}
	// A folder that holds itself.
	endless := &endlessRemote{memRemote: newRemote(map[string]string{"/d/d/": ""})}
	for _, source := range []string{"/d", "/**/x", "/*/**"} {
		items, err := transfer.Collect(transfer.Find{Recursive: true}.Remote(t.Context(), endless, source))
		if err == nil || !strings.Contains(err.Error(), "deep") {
			t.Errorf("%s: got %d items, %v", source, len(items), err)
		}
	}
}

type endlessRemote struct{ *memRemote }

func (r *endlessRemote) Stat(ctx context.Context, p string) (transfer.Entry, error) {
	return dir().entry(path.Base(p)), ctx.Err()
}

func (r *endlessRemote) List(ctx context.Context, _ string) ([]transfer.Entry, error) {
	return []transfer.Entry{dir().entry("d")}, ctx.Err()
}

// TestFindStops: a broken connection and the end of the context are no
// problems of one folder.
func TestFindStops(t *testing.T) {
	cause := fault.New(fault.Stall, "no bytes for 30s")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	items, err := transfer.Collect(transfer.Find{Recursive: true}.Remote(ctx, newRemote(tree()), "/srv/a.gz", "/srv"))
	if len(items) != 0 || !fault.Is(err, fault.Stall) {
		t.Errorf("got %d items, %v", len(items), err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := transfer.Collect(transfer.Find{}.Remote(ctx, newRemote(tree()), "/srv/*")); !fault.Is(err, fault.Interrupted) {
		t.Errorf("got %v", err)
	}
}

// TestFindSaysWhatItSkips: nothing is left out in silence.
func TestFindSaysWhatItSkips(t *testing.T) {
	var log bytes.Buffer
	f := transfer.Find{Log: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := transfer.Collect(f.Remote(t.Context(), newRemote(tree()), "/srv/*")); err != nil {
		t.Fatal(err)
	}
	f.Recursive = true
	if _, err := transfer.Collect(f.Remote(t.Context(), newRemote(tree()), "/srv/www")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`skipped name=log source=/srv/log reason="a folder"`, `skipped name=logs source=/srv/logs reason="a link to a folder"`,
		`skipped name=dangling source=/srv/dangling reason="a link to nothing"`, `skipped name=out source=/srv/www/out reason="a symbolic link"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}

func TestHasWildcard(t *testing.T) {
	for source, want := range map[string]bool{
		"/a/b": false, "/a/*": true, "a?": true, "[a]": true, "{a}": true, "a}": false, "": false,
		`/a/\*`: runtime.GOOS == "windows", `a\\*`: true,
	} {
		if got := transfer.HasWildcard(source); got != want {
			t.Errorf("%q: %v", source, got)
		}
	}
}

// FuzzFind: whatever the source, a search ends without a crash, and gives only
// files of the tree, below what the source names, each once.
func FuzzFind(f *testing.F) {
	for _, tt := range findCases() {
		for _, s := range tt.sources {
			f.Add("/srv/"+s, tt.recursive)
		}
	}
	for _, s := range []string{"", ".", "..", "/", "//srv", "/srv/{a,{b,c}", "[", "[]", "[!]", "/srv/[a-", "**/**", `\`, "{,}", "/srv/}{", "/srv/[{]*", "/srv/{[}],a*}"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, source string, recursive bool) {
		if len(source) > 200 {
			return
		}
		r := newRemote(tree())
		items, err := transfer.Collect(transfer.Find{Recursive: recursive}.Remote(t.Context(), r, source))
		if err != nil && len(items) > 0 && !fault.Is(err, fault.Partial) {
			t.Fatalf("items beside %v", err)
		}
		if err != nil && fault.Is(err, fault.Internal) {
			t.Fatalf("unsorted: %v", err)
		}
		seen := map[string]bool{}
		for _, i := range items {
			if _, err := r.Stat(t.Context(), i.Source); err != nil {
				t.Errorf("%q gave %q, which is not there", source, i.Source)
			}
			if seen[i.Source] {
				t.Errorf("%q gave %q twice", source, i.Source)
			}
			seen[i.Source] = true
			if !strings.HasSuffix(i.Path, i.Rel) || !strings.HasSuffix(i.Source, i.Path) || i.Rel == "" {
				t.Errorf("%q gave %q with path %q and rel %q", source, i.Source, i.Path, i.Rel)
			}
		}
	})
}
