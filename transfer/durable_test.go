package transfer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// A diskLog notes what is made durable, and what a folder holds at that moment.
type diskLog struct {
	root    string
	size    int64 // of the file when it is whole
	failing string

	mu   sync.Mutex
	said []string
}

// say notes what is done, and fails it if it is to fail.
func (l *diskLog) say(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if said := what + ": " + l.holds(); !slices.Contains(l.said, said) { // a journal may have asked for it before
		l.said = append(l.said, said)
	}
	if what == l.failing {
		return errors.New("input/output error")
	}
	return nil
}

// holds lists the folder, without journals and the run's id.
func (l *diskLog) holds() string {
	entries, err := os.ReadDir(l.root)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		text := strings.Replace(e.Name(), "."+run, "", 1)
		if info, err := e.Info(); err == nil && info.Size() == l.size {
			text += " whole"
		}
		if !strings.HasSuffix(text, ".todo") {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

func (l *diskLog) syncFile(f *os.File) error {
	if info, err := f.Stat(); err != nil || info.Size() != l.size {
		return err // a journal is about to say what is there
	}
	return l.say("file")
}

func (l *diskLog) syncNames(*os.File) error { return l.say("names") }

func (l *diskLog) moved(transfer.Result) { l.say("moved") } //nolint:errcheck // it never fails

// TestGetIsDurable: however a file comes, its content is on the disk before it
// gets its name, and its name is before anybody hears of it: a job deletes
// sources then. Where the disk refuses either, the file has failed.
func TestGetIsDurable(t *testing.T) {
	inOne := func(r *memRemote) transfer.Remote { return &session{memRemote: r} }
	asIs := func(r *memRemote) transfer.Remote { return r }
	ways := []struct {
		name, text string
		remote     func(*memRemote) transfer.Remote
	}{
		{"whole", "new", inOne},
		{"no bytes", "", asIs},
		{"in pieces", big(), asIs},
		{"in order", big(), func(r *memRemote) transfer.Remote { r.sequential = true; return r }},
		{"with a journal", long(), asIs},
	}
	trials := []struct {
		name, failing string
		bad           bool
		kind          fault.Kind
		want          []string
	}{
		{name: "all is well", want: []string{"file: .x.part whole, x", "names: x whole", "moved: x whole"}},
		{name: "content", failing: "file", kind: fault.LocalDisk, want: []string{"file: .x.part whole, x"}},
		{name: "names", failing: "names", kind: fault.LocalDisk, want: []string{"file: .x.part whole, x", "names: x whole"}},
		{name: "a bad copy", bad: true, kind: fault.Verify, want: []string{"file: .x.part whole, x", "names: .x.bad whole, x"}},
	}
	for _, way := range ways {
		for _, tt := range trials {
			t.Run(way.name+"/"+tt.name, func(t *testing.T) {
				r := newRemote(map[string]string{"/s/x": way.text})
				checkLeaks(t, r)
				l := &diskLog{root: t.TempDir(), size: int64(len(way.text)), failing: tt.failing}
				write(t, filepath.Join(l.root, "x"), "the old one")
				g := transfer.Get{Remote: way.remote(r), Root: l.root, Run: run, AtOnce: 1, Moved: l.moved}
				if tt.bad {
					g.Verify, g.KeepBad = notSame, true
				}
				g = transfer.OnDisk(g, l.syncFile, l.syncNames)
				results, err := g.Files(t.Context(), place(t, found(t, r, "/s/x"), byRel))
				if fine := tt.kind == 0; fine != (err == nil) || !fine && (!fault.Is(err, tt.kind) || results[0].Err == nil) {
					t.Errorf("got %v, %v", err, results)
				}
				if !slices.Equal(l.said, tt.want) {
					t.Errorf("in this order:\n%s\nand not:\n%s", strings.Join(l.said, "\n"), strings.Join(tt.want, "\n"))
				}
			})
		}
	}
}

// TestManyAreDurable: files that share the sync of their folder are told of when
// one has begun that saw their names.
func TestManyAreDurable(t *testing.T) {
	files := map[string]string{}
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		files["/s/"+name] = name
	}
	r := newRemote(files)
	checkLeaks(t, r)
	root := t.TempDir()
	var mu sync.Mutex
	durable := map[string]bool{}
	g := transfer.Get{Remote: &session{memRemote: r}, Root: root, Run: run, AtOnce: 8, Moved: func(res transfer.Result) {
		mu.Lock()
		defer mu.Unlock()
		if !durable[res.Item.Target] {
			t.Errorf("%q is told of, and its name is not on the disk", res.Item.Target)
		}
	}}
	g = transfer.OnDisk(g, (*os.File).Sync, func(*os.File) error {
		there, err := os.ReadDir(root)
		mu.Lock()
		defer mu.Unlock()
		for _, e := range there {
			durable[e.Name()] = true
		}
		return err
	})
	if _, err := g.Files(t.Context(), place(t, found(t, r, "/s/*"), byRel)); err != nil {
		t.Error(err)
	}
}
