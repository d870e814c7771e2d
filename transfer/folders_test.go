package transfer_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// asked is a server that notes which paths it was asked about.
type asked struct {
	*memRemote
	mu    sync.Mutex
	paths []string
}

func (r *asked) Stat(ctx context.Context, p string) (transfer.Entry, error) {
	r.mu.Lock()
	r.paths = append(r.paths, clean(p))
	r.mu.Unlock()
	return r.memRemote.Stat(ctx, p)
}

// TestPutOddTargets: what is no plain file is refused by its name also where the
// folder's content is known, and then nobody asks about the others.
func TestPutOddTargets(t *testing.T) {
	local := t.TempDir()
	names := []string{"0", "a", "Folder", "link", "new", "pipe", "secret"}
	for _, name := range names {
		write(t, filepath.Join(local, name), "new")
	}
	for _, listed := range []bool{true, false} {
		r := &asked{memRemote: newRemote(map[string]string{"/in/a": "old", "/in/Folder/": "", "/in/link": "-> /in/Folder"})}
		r.put("/in/pipe", &node{mode: fs.ModeNamedPipe | 0o600, mtime: epoch()})
		r.put("/in/secret", &node{mtime: epoch()}) // a server that does not tell modes
		r.denied["/in"] = !listed
		checkLeaks(t, r.memRemote)
		items := place(t, mustLocal(t, local+"/*"), into("/in/"))
		results, err := (&transfer.Put{Remote: r, Run: run, AtOnce: 1, SkipSpaceCheck: true}).Files(t.Context(), items)
		if !fault.Is(err, fault.Partial) {
			t.Fatal(err)
		}
		for _, res := range results {
			refused := slices.Contains([]string{"Folder", "link", "pipe"}, res.Item.Entry.Name)
			if refused != fault.Is(res.Err, fault.RemoteFile) || !refused && res.Err != nil {
				t.Errorf("listed %v: %s: %v", listed, res.Item.Entry.Name, res.Err)
			}
		}
		for _, name := range []string{"a", "new"} {
			if slices.Contains(r.paths, "/in/"+name) == listed {
				t.Errorf("listed %v: asked about %q", listed, r.paths)
			}
		}
		for _, name := range []string{"0", "a", "new", "secret"} {
			if string(r.nodes["/in/"+name].data) != "new" {
				t.Errorf("listed %v: %s was not stored", listed, name)
			}
		}
	}
}

// TestPutDeep: folders that are missing are made, each once, after one question
// about all of them, also those that are many and those below a link.
func TestPutDeep(t *testing.T) {
	local := t.TempDir()
	mkdir(t, filepath.Join(local, "x", "y"))
	mkdir(t, filepath.Join(local, "z"))
	for _, name := range []string{"0", "x/1", "x/y/2", "z/3"} {
		write(t, filepath.Join(local, name), name)
	}
	for _, below := range []string{"/in/", "/in/1/2/3/4/5/6/7/8/9/10/", "/there/1/", "home/"} {
		r := &asked{memRemote: newRemote(map[string]string{"/in/": "", "/home/": "", "/there": "-> /in"})}
		checkLeaks(t, r.memRemote)
		items, err := transfer.Collect(transfer.Find{Recursive: true}.Local(t.Context(), local))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (&transfer.Put{Remote: r, Run: run, SkipSpaceCheck: true}).Files(t.Context(), place(t, items, into(below))); err != nil {
			t.Fatalf("below %s: %v", below, err)
		}
		slices.Sort(r.log)
		if made := slices.Compact(slices.Clone(r.log)); len(made) != len(r.log) {
			t.Errorf("below %s: %q", below, r.log)
		}
		if top := filepath.Base(local); string(r.nodes[clean(below+top+"/x/y/2")].data) != "x/y/2" {
			t.Errorf("below %s: %q", below, served(r.memRemote))
		}
	}
}
