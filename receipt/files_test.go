package receipt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/receipt"
)

// A folder is one with files that were pulled or are to be sent.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (d folder) path(name string) string { return filepath.Join(d.dir, name) }

// write makes a file and returns the line of a receipt that has pulled it.
func (d folder) write(name, content string) receipt.File {
	d.t.Helper()
	p := d.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, []byte(content), 0o600), os.Chtimes(p, start(), start())); err != nil {
		d.t.Fatal(err)
	}
	return receipt.File{Source: "/var/" + name, Target: p, Bytes: int64(len(content)), MTime: start(), SHA256: hashOf(content)}
}

func (d folder) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func get(i int) receipt.Head {
	return receipt.Head{Run: runID(i), Job: "nightly", Way: receipt.Get, Host: "hk1", State: "ok", Node: "n1"}
}

func put(i int) receipt.Head {
	h := get(i)
	h.Way = receipt.Put
	return h
}

// lines are what a report has found, as "kind name" with the file's base name.
func lines(r *receipt.Report) []string {
	var all []string
	for _, f := range r.Findings {
		s := fmt.Sprintf("%s %d", f.Kind, f.Seq)
		if f.Path != "" {
			s += " " + filepath.Base(f.Path)
		}
		if f.By != 0 {
			s += fmt.Sprintf(" by %d", f.By)
		}
		if f.Files != 0 {
			s += fmt.Sprintf(" %d files", f.Files)
		}
		all = append(all, s)
	}
	return all
}

func want(t *testing.T, r *receipt.Report, all ...string) {
	t.Helper()
	if got := lines(r); !slices.Equal(got, all) {
		t.Errorf("got\n%s\nwant\n%s\nreport\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"), r)
	}
}

// TestNames: files of any name that the system takes are read again, and a change
// of a single byte in any of them is found.
func TestNames(t *testing.T) {
	names := []string{"plain", "a b.txt", " leading", "Grüße.txt", "日本語.gz", "e\u0301", "a'b", "100%.{date}", "-rf", "deep/er/file", "~", "🚚"}
	if runtime.GOOS != "windows" {
		names = append(names, "CON", "nul.txt", "aux", "COM1", "trailing.", "trailing ", `a\b`, `a"b`, "a:b", "<a>|?*", "line\nbreak", "\x1b[31mred")
		if runtime.GOOS != "darwin" { // which takes UTF-8 only
			names = append(names, "not utf-8 \xff\xfe", "\xff")
		}
	}
	d := newFolder(t)
	m := &memory{}
	var files []receipt.File
	for _, n := range names {
		files = append(files, d.write(n, "content of "+n))
	}
	m.add(t, get(0), files...)
	r := verify(t, m, true, receipt.Options{Files: true})
	want(t, r)
	if r.Files.Same != int64(len(names)) || r.Files.Unhashed != 0 {
		t.Errorf("%+v", r.Files)
	}
	for i, n := range names {
		f := files[i]
		d.must(os.WriteFile(f.Target, []byte("Content of "+n), 0o600))
		d.must(os.Chtimes(f.Target, start(), start()))
		r := verify(t, m, true, receipt.Options{Files: true})
		if len(r.Findings) != 1 || r.Findings[0].Kind != receipt.FileChanged || r.Findings[0].Line != int64(i+1) || r.Findings[0].Path != f.Target {
			t.Errorf("%q: %v", n, r.Findings)
		}
		for line := range strings.Lines(r.String()) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(c rune) bool { return c < ' ' }) {
				t.Errorf("%q: a line holds control characters: %q", n, line)
			}
		}
		if err := r.Err(); err == nil || err.Error() != "1 problem in the receipts or the files that they name" {
			t.Errorf("%v", err)
		}
		d.write(n, "content of "+n)
	}
}

// TestWindowsDevices: a receipt that names a device of Windows does not have it
// read.
func TestWindowsDevices(t *testing.T) {
	d := newFolder(t)
	m := &memory{}
	var files []receipt.File
	for _, n := range []string{"NUL", "CON", "COM1", "nul.txt"} {
		files = append(files, receipt.File{Target: d.path(n), Bytes: 1, SHA256: hashOf("x"), MTime: start()})
	}
	m.add(t, get(0), files...)
	r := verify(t, m, true, receipt.Options{Files: true})
	if r.Problems != int64(len(files)) || r.Files.Wrong != int64(len(files)) || r.Files.Bytes != 0 {
		t.Errorf("%+v\n%s", r.Files, r)
	}
}

func TestFiles(t *testing.T) {
	type change struct {
		name string
		do   func(d folder, f *receipt.File)
		want []string
	}
	for _, tt := range []change{
		{"nothing", func(folder, *receipt.File) {}, nil},
		{"missing", func(d folder, f *receipt.File) { d.must(os.Remove(f.Target)) }, []string{"file-missing 1 f"}},
		{"longer", func(d folder, f *receipt.File) { d.must(os.WriteFile(f.Target, []byte("content and more"), 0o600)) }, []string{"file-changed 1 f"}},
		{"same size and time", func(d folder, f *receipt.File) {
			d.must(os.WriteFile(f.Target, []byte("c0ntent"), 0o600))
			d.must(os.Chtimes(f.Target, start(), start()))
		}, []string{"file-changed 1 f"}},
		{"another time", func(d folder, f *receipt.File) { d.must(os.Chtimes(f.Target, start(), start().Add(time.Hour))) }, []string{"file-touched 1 f"}},
		{"time as FAT keeps it", func(d folder, f *receipt.File) {
			d.must(os.Chtimes(f.Target, start(), start().Add(-time.Second)))
		}, nil},
		{"another time, no SHA-256", func(d folder, f *receipt.File) {
			f.SHA256 = ""
			d.must(os.Chtimes(f.Target, start(), start().Add(time.Hour)))
		}, []string{"file-time 1 f"}},
		{"no SHA-256", func(_ folder, f *receipt.File) { f.SHA256 = "" }, nil},
		{"no time", func(d folder, f *receipt.File) {
			f.MTime = time.Time{}
			d.must(os.Chtimes(f.Target, start(), start().Add(time.Hour)))
		}, nil},
		{"a folder instead", func(d folder, f *receipt.File) {
			d.must(errors.Join(os.Remove(f.Target), os.Mkdir(f.Target, 0o700)))
		}, []string{"file-changed 1 f"}},
		{"a folder", func(d folder, f *receipt.File) {
			d.must(errors.Join(os.Remove(f.Target), os.Mkdir(f.Target, 0o700)))
			f.Kind, f.SHA256 = receipt.Folder, ""
		}, nil},
		{"a failure", func(_ folder, f *receipt.File) { f.Error, f.Target = "no such file", f.Target+"x" }, nil},
		{"removed by its mirror", func(d folder, f *receipt.File) {
			d.must(os.Remove(f.Target))
			f.Gone = "mirror"
		}, nil},
		{"relative", func(_ folder, f *receipt.File) { f.Target = "f" }, []string{"not-checkable 1 1 files"}},
		{"too long", func(_ folder, f *receipt.File) { f.Target += strings.Repeat("ü", 60_000) }, []string{"not-checkable 1 1 files"}},
		{"below what is no folder", func(_ folder, f *receipt.File) { f.Target = filepath.Join(f.Target, "x") }, []string{notBelow() + " 1 x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newFolder(t)
			f := d.write("f", "content")
			tt.do(d, &f)
			m := &memory{}
			m.add(t, get(0), f)
			r := verify(t, m, true, receipt.Options{Files: true})
			want(t, r, tt.want...)
			if r.Files.Lines != 1 {
				t.Errorf("%+v", r.Files)
			}
		})
	}
}

// notBelow: Unix says ENOTDIR of a file below a file, Windows that there is none.
func notBelow() string {
	if runtime.GOOS == "windows" {
		return string(receipt.FileMissing)
	}
	return string(receipt.FileUnreadable)
}

// TestLater: what a later run has done to a file explains that it is another one;
// what came to nothing, or came before, does not.
func TestLater(t *testing.T) {
	d := newFolder(t)
	old := d.write("f", "old")
	gone := d.write("gone", "mirrored")
	dated := d.write("f.20261123", "dated")
	sent := d.write("sent", "passed on")
	kept := d.write("kept", "kept")
	broken := d.write("broken", "whole")
	m := &memory{}
	m.add(t, get(0), old, gone, dated, sent, kept, broken)
	now := d.write("f", "newer")
	failed := receipt.File{Target: broken.Target, Error: "connection lost"}
	m.add(t, get(1), now, receipt.File{Target: gone.Target, Gone: "mirror"}, failed)
	m.add(t, get(2), receipt.File{Target: dated.Target, Gone: "retention"})
	m.add(t, put(3), receipt.File{Source: sent.Target, Target: "/in/sent", Bytes: sent.Bytes, After: receipt.SourceDeleted},
		receipt.File{Source: kept.Target, Target: "/in/kept", Bytes: kept.Bytes, SHA256: kept.SHA256, After: "kept"})
	d.must(errors.Join(os.Remove(gone.Target), os.Remove(dated.Target), os.Remove(sent.Target), os.Remove(kept.Target), os.Remove(broken.Target)))

	r := verify(t, m, true, receipt.Options{Files: true})
	want(t, r, "not-checkable 4 1 files", "not-checkable 4 1 files",
		"file-superseded 1 f by 2", "file-superseded 1 gone by 2", "file-superseded 1 f.20261123 by 3", "file-superseded 1 sent by 4",
		"file-missing 1 kept", "file-missing 1 broken")
	if c := *r.Files; c.Same != 1 || c.Superseded != 4 || c.Wrong != 2 || c.Removed != 2 || c.Failed != 1 || c.NotHere != 2 || c.Lines != 12 {
		t.Errorf("%+v", c)
	}

	// One run alone, explained by those after it.
	r = verify(t, m, true, receipt.Options{Files: true, Run: runID(0)})
	want(t, r, "file-superseded 1 f by 2", "file-superseded 1 gone by 2", "file-superseded 1 f.20261123 by 3", "file-superseded 1 sent by 4",
		"file-missing 1 kept", "file-missing 1 broken")
	want(t, verify(t, m, true, receipt.Options{Files: true, Run: runID(1)}))
	want(t, verify(t, m, true, receipt.Options{Files: true, Run: "nobody"}), "run-unknown 0")

	// The same with few paths at a time.
	for room := range int64(12) {
		parts, err := receipt.VerifyWithRoom(context.Background(), m, m, receipt.Options{Files: true}, room+1)
		if err != nil {
			t.Fatal(err)
		}
		if c := *parts.Files; c.Same != 1 || c.Superseded != 4 || c.Wrong != 2 || c.Removed != 2 || c.Failed != 1 || c.NotHere != 2 || c.Lines != 12 {
			t.Errorf("%d paths at a time: %+v", room+1, c)
		}
	}

	// A later receipt that cannot be believed explains nothing.
	m.lists[2] = m.lists[2][:2]
	r = verify(t, m, true, receipt.Options{Files: true, Run: runID(0)})
	want(t, r, "list-short 2", "file-changed 1 f", "file-missing 1 gone", "file-superseded 1 f.20261123 by 3", "file-superseded 1 sent by 4",
		"file-missing 1 kept", "file-missing 1 broken")
	r = verify(t, m, true, receipt.Options{Files: true, Run: runID(1)})
	want(t, r, "list-short 2", "files-unchecked 2")
}

// TestTwiceInARun: of two lines of one path, the last one counts.
func TestTwiceInARun(t *testing.T) {
	d := newFolder(t)
	m := &memory{}
	first := d.write("f", "first")
	m.add(t, get(0), first, d.write("f", "second"))
	want(t, verify(t, m, true, receipt.Options{Files: true}), "file-superseded 1 f by 1")
}

// TestNodes: files of another node are not looked at, and what it has written
// explains nothing but is told.
func TestNodes(t *testing.T) {
	d := newFolder(t)
	m := &memory{}
	m.add(t, get(0), d.write("f", "of n1"))
	other := get(1)
	other.Node = "n2"
	m.add(t, other, d.write("f", "of n2"))
	r := verify(t, m, true, receipt.Options{Files: true, Node: "n1"})
	want(t, r, "not-checkable 2 1 files", "file-changed 1 f by 2")
	if !strings.Contains(r.String(), "if both nodes share the folder") {
		t.Error(r)
	}
	want(t, verify(t, m, true, receipt.Options{Files: true}), "file-superseded 1 f by 2")

	// A run that was taken over has files on several.
	first, second := d.write("a", "on n1"), d.write("b", "on n2")
	second.Take, second.Node = 1, "n2"
	m = &memory{}
	m.add(t, get(0), second, first)
	for _, f := range []receipt.File{first, second} {
		d.must(os.Remove(f.Target))
	}
	r = verify(t, m, true, receipt.Options{Files: true, Node: "n1"})
	want(t, r, "file-missing 1 a", "not-checkable 1 1 files")
	if !strings.Contains(r.String(), `they are on node "n2"`) {
		t.Error(r)
	}
	want(t, verify(t, m, true, receipt.Options{Files: true, Node: "n2"}), "file-missing 1 b", "not-checkable 1 1 files")
}

// TestSources: what was sent cannot be read offline; its source can.
func TestSources(t *testing.T) {
	d := newFolder(t)
	files := []receipt.File{d.write("same", "same"), d.write("other", "other"), d.write("gone", "gone"), d.write("deleted", ""), d.write("moved", "moved")}
	for i := range files {
		files[i].Source, files[i].Target = files[i].Target, "/in/"+filepath.Base(files[i].Target)
	}
	d.write("other", "0ther")
	d.must(errors.Join(os.Remove(d.path("gone")), os.Remove(d.path("deleted")), os.Mkdir(d.path("done"), 0o700), os.Rename(d.path("moved"), d.path("done/moved"))))
	files[3].After = receipt.SourceDeleted
	files[4].After, files[4].AfterTo = receipt.SourceMoved, d.path("done/moved")
	m := &memory{}
	m.add(t, put(0), files...)
	r := verify(t, m, true, receipt.Options{Files: true})
	want(t, r, "source-changed 1 other", "not-checkable 1 1 files", "not-checkable 1 1 files")
	if c := *r.Files; c.NotHere != 5 || c.Sources != 2 || !r.OK {
		t.Errorf("%+v", c)
	}
}

// TestStopped: a context that ends is an error, and its cause is told.
func TestStopped(t *testing.T) {
	d := newFolder(t)
	m := &memory{}
	m.add(t, get(0), d.write("f", "content"))
	cause := errors.New("enough")
	ctx, stop := context.WithCancelCause(context.Background())
	stop(cause)
	if _, err := receipt.Verify(ctx, m, m, receipt.Options{Files: true}); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

// badStore gives errors, or receipts in no order.
type badStore struct {
	*memory
	heads, lines error
	same         bool
}

func (b badStore) Heads(ctx context.Context, after int64, limit int) ([]receipt.Stored, error) {
	if b.same {
		return b.memory.Heads(ctx, 0, limit)
	}
	if b.heads != nil {
		return nil, b.heads
	}
	return b.memory.Heads(ctx, after, limit)
}

func (b badStore) Lines(ctx context.Context, seq, after int64, limit int) ([]string, error) {
	if b.lines != nil {
		return nil, b.lines
	}
	return b.memory.Lines(ctx, seq, after, limit)
}

// TestBadStore: a store that fails is an error, and one that breaks its word does
// not make a walk without an end.
func TestBadStore(t *testing.T) {
	m := &memory{}
	m.add(t, get(0), receipt.File{Source: "a", Target: "b"})
	m.add(t, get(1))
	broken := errors.New("disk I/O error")
	for name, s := range map[string]badStore{"heads": {memory: m, heads: broken}, "lines": {memory: m, lines: broken}, "no order": {memory: m, same: true}} {
		_, err := receipt.Verify(context.Background(), s, m, receipt.Options{Files: true})
		if err == nil || !s.same && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
