package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// planned runs a plan, and returns targets and what was left alone, as they
// come.
func planned(t *testing.T, p transfer.Plan, in func(transfer.Plan) iter.Seq2[transfer.Item, error]) []string {
	t.Helper()
	var lines []string
	p.Skipped = func(s transfer.Skip) { lines = append(lines, s.Item.Source+": "+s.Reason.String()) }
	for item, err := range in(p) {
		if err != nil {
			lines = append(lines, "ERROR "+item.Source+" "+err.Error())
			continue
		}
		lines = append(lines, item.Source+" > "+item.Target)
	}
	return lines
}

func TestOnlyNewOfGet(t *testing.T) {
	r := newRemote(map[string]string{"/d/same": "1", "/d/longer": "22", "/d/newer": "3", "/d/nearly": "4", "/d/dir": "5", "/d/fresh": "6", "/d/sub/same": "7", "/d/e/": "", "/d/f/": ""})
	root := t.TempDir()
	mkdir(t, root+"/d/sub")
	mkdir(t, root+"/d/dir")
	mkdir(t, root+"/d/e")
	for name, text := range map[string]string{"same": "x", "longer": "x", "newer": "x", "nearly": "x", "sub/same": "x"} {
		write(t, root+"/d/"+name, text)
	}
	r.nodes["/d/newer"].mtime = epoch().Add(3 * time.Second)
	r.nodes["/d/nearly"].mtime = epoch().Add(-2 * time.Second)
	p := transfer.Plan{Recursive: true, Select: transfer.Select{OnlyNew: true}, Name: byRel, Tree: true, At: at()}
	got := planned(t, p, func(p transfer.Plan) iter.Seq2[transfer.Item, error] { return p.Get(t.Context(), r, root, "/d") })
	want := []string{
		"/d/dir > d/dir", "/d/e: up to date", "/d/f > d/f", "/d/fresh > d/fresh", "/d/longer > d/longer", "/d/nearly: up to date", "/d/newer > d/newer",
		"/d/same: up to date", "/d/sub/same: up to date",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// counting counts what a server is asked.
type counting struct {
	*memRemote
	stats, lists int
}

func (c *counting) Stat(ctx context.Context, p string) (transfer.Entry, error) {
	c.stats++
	return c.memRemote.Stat(ctx, p)
}

func (c *counting) List(ctx context.Context, p string) ([]transfer.Entry, error) {
	c.lists++
	return c.memRemote.List(ctx, p)
}

func TestOnlyNewOfPut(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{}
	for i := range 300 {
		name := fmt.Sprintf("%c/%03d", 'a'+rune(i%3), i)
		mkdir(t, filepath.Dir(filepath.Join(dir, name)))
		write(t, filepath.Join(dir, name), "x")
		if i%2 == 0 {
			files["/in/"+name] = "x"
		}
	}
	files["/in/a/299"] = "-> 000" // not of this tree
	delete(files, "/in/a/000")
	files["/in/a/000"], files["/in/a/real"] = "-> real", "x"
	r := &counting{memRemote: newRemote(files)}
	p := transfer.Plan{Recursive: true, Select: transfer.Select{OnlyNew: true}, Tree: true, At: at(), Name: func(i transfer.Item) (string, error) {
		return "/in/" + strings.TrimPrefix(i.Rel, filepath.Base(dir)+"/"), nil
	}}
	got := planned(t, p, func(p transfer.Plan) iter.Seq2[transfer.Item, error] { return p.Put(t.Context(), r, dir) })
	left := 0
	for i, line := range got {
		if strings.HasSuffix(line, ": up to date") {
			left++
		} else if !strings.Contains(line, " > /in/") {
			t.Errorf("%d: %s", i, line)
		}
	}
	if len(got) != 300 || left != 150 || r.lists != 3 || r.stats != 1 {
		t.Errorf("%d lines, %d up to date, %d listings, %d stats; want 300, 150, 3 and 1", len(got), left, r.lists, r.stats)
	}
	// A target folder that is not there holds nothing; one that cannot be
	// listed does not keep anything back.
	r.denied["/in/b"] = true
	delete(r.nodes, "/in/c")
	got = planned(t, p, func(p transfer.Plan) iter.Seq2[transfer.Item, error] { return p.Put(t.Context(), r, dir) })
	left = 0
	for _, line := range got {
		if strings.HasSuffix(line, ": up to date") {
			left++
		}
	}
	if len(got) != 300 || left != 50 {
		t.Errorf("%d lines, %d up to date, want 50", len(got), left)
	}
}

func TestOnlyNewStops(t *testing.T) {
	r := newRemote(map[string]string{"/in/": ""})
	dir := t.TempDir()
	write(t, dir+"/a", "x")
	write(t, dir+"/b", "x")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := transfer.Plan{Recursive: true, Select: transfer.Select{OnlyNew: true}, At: at(), Name: func(i transfer.Item) (string, error) {
		cancel(fault.New(fault.Stall, "silence"))
		return "/in/" + i.Entry.Name, nil
	}}
	items, err := transfer.Collect(p.Put(ctx, r, dir))
	if len(items) > 0 || !fault.Is(err, fault.Stall) {
		t.Errorf("%d items, %v", len(items), err)
	}
}

// clocked is a server that tells its time, ahead of this machine's.
type clocked struct {
	*memRemote
	ahead time.Duration
	err   error
}

func (c clocked) Clock(context.Context) (time.Time, error) { return time.Now().Add(c.ahead), c.err }

// TestSettle: files that are being written are left for the next time, also
// where the server's clock is wrong. Times are as in synctest: it is
// 2000-01-01 on this machine.
func TestSettle(t *testing.T) {
	const settle = time.Minute
	type file struct {
		age  time.Duration // by the server's clock
		grow time.Duration // when it grows again, after the plan began; 0: never
	}
	tests := []struct {
		name   string
		ahead  time.Duration // of the server's clock
		tells  bool          // it tells its time
		files  map[string]file
		left   []string
		within time.Duration
	}{
		{"all old", 0, false, map[string]file{"a": {age: 100 * time.Hour}}, nil, 0},
		{"told, one young", 0, true, map[string]file{"a": {age: time.Hour}, "b": {age: 59 * time.Second}, "c": {age: 30 * time.Hour}}, []string{"b"}, 2 * time.Second},
		{"told, one that is written", 0, true, map[string]file{"a": {age: 2 * time.Minute, grow: time.Second}, "b": {age: 2 * time.Minute}}, []string{"a"}, 2 * time.Second},
		{"told, an hour ahead", time.Hour, true, map[string]file{"a": {age: 2 * time.Minute}, "b": {age: 30 * time.Second}}, []string{"b"}, 2 * time.Second},
		{"told, an hour behind", -time.Hour, true, map[string]file{"a": {age: 2 * time.Minute}, "b": {age: 30 * time.Second}}, []string{"b"}, 2 * time.Second},
		{"not told", 0, false, map[string]file{"a": {age: 2 * time.Minute}, "b": {age: 30 * time.Second}}, []string{"b"}, settle},
		{"not told, an hour ahead", time.Hour, false, map[string]file{"a": {age: 2 * time.Minute}, "b": {age: 2 * time.Hour}}, []string{"a"}, settle},
		// It is being written, with pauses, and looks an hour old.
		{"not told, an hour behind", -time.Hour, false, map[string]file{"a": {age: 0, grow: 50 * time.Second}, "b": {age: 0}}, []string{"a"}, settle},
		{"removed meanwhile", 0, true, map[string]file{"a": {age: time.Hour, grow: -1}}, []string{"a"}, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote(map[string]string{"/d/sub/old": "1"})
				for name, f := range tt.files {
					n := file1(time.Now().Add(tt.ahead - f.age))
					r.put("/d/"+name, n)
					if f.grow > 0 {
						time.AfterFunc(f.grow, func() {
							r.mu.Lock()
							defer r.mu.Unlock()
							n.data = append(n.data, "more"...)
						})
					}
					if f.grow < 0 {
						time.AfterFunc(time.Second, func() {
							r.mu.Lock()
							defer r.mu.Unlock()
							delete(r.nodes, "/d/"+name)
						})
					}
				}
				r.nodes["/d/sub/old"].mtime = time.Now().Add(-1000 * time.Hour)
				var server transfer.Remote = clocked{memRemote: r, ahead: tt.ahead}
				if !tt.tells {
					server = clocked{memRemote: r, err: errors.New("no such command")}
				}
				began := time.Now()
				p := transfer.Plan{Recursive: true, Select: transfer.Select{Settle: settle}, Name: byRel, Tree: true, At: began.Add(-time.Hour), Now: time.Now}
				got := planned(t, p, func(p transfer.Plan) iter.Seq2[transfer.Item, error] {
					return p.Get(t.Context(), server, t.TempDir(), "/d")
				})
				took := time.Since(began)
				var left, taken []string
				for _, line := range got {
					if source, ok := strings.CutSuffix(line, ": not settled"); ok {
						left = append(left, strings.TrimPrefix(source, "/d/"))
					} else {
						taken = append(taken, line)
					}
				}
				slices.Sort(left)
				if !slices.Equal(left, tt.left) || len(taken) != len(tt.files)-len(tt.left)+1 || took != tt.within {
					t.Errorf("left %q, took %q, in %s; want %q left, in %s", left, taken, took, tt.left, tt.within)
				}
			})
		})
	}
}

func file1(mtime time.Time) *node { return &node{data: []byte("x"), mode: 0o640, mtime: mtime} }

// TestSettleKeepsOrder: what waits for its second look does not let others
// pass, and errors neither.
func TestSettleKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(map[string]string{"/d/a": "1", "/d/b/c": "2", "/d/d": "3", "/d/e": "4"})
		r.nodes["/d/a"].mtime, r.nodes["/d/d"].mtime = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
		for _, n := range []string{"/d/b/c", "/d/e"} {
			r.nodes[n].mtime = time.Now().Add(-99 * time.Hour)
		}
		r.denied["/d/b"] = true
		p := transfer.Plan{Recursive: true, Select: transfer.Select{Settle: time.Minute}, Name: byRel, At: time.Now(), Now: time.Now}
		got := planned(t, p, func(p transfer.Plan) iter.Seq2[transfer.Item, error] {
			return p.Get(t.Context(), clocked{memRemote: r}, t.TempDir(), "/d")
		})
		if len(got) != 4 || got[0] != "/d/a > d/a" || !strings.HasPrefix(got[1], "ERROR") || got[2] != "/d/d > d/d" || got[3] != "/d/e > d/e" {
			t.Errorf("got %q", got)
		}
		// Waiting ends with the context.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := transfer.Collect(p.Get(ctx, clocked{memRemote: r}, t.TempDir(), "/d"))
		if !fault.Is(err, fault.Timeout) || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestSettleLocal: this machine's own clock is known.
func TestSettleLocal(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/old", "1")
	write(t, dir+"/new", "2")
	if err := os.Chtimes(dir+"/new", time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	p := transfer.Plan{Recursive: true, Select: transfer.Select{Settle: time.Hour}, Name: byRel, At: time.Now(), Now: time.Now}
	got := planned(t, p, func(p transfer.Plan) iter.Seq2[transfer.Item, error] { return p.Put(t.Context(), newRemote(nil), dir) })
	if len(got) != 2 || !strings.HasSuffix(got[0], "new: not settled") || !strings.HasSuffix(got[1], "/old") {
		t.Errorf("got %q", got)
	}
}

// TestPlanMapsNames: what Windows cannot hold is written otherwise, and comes
// back as it was.
func TestPlanMapsNames(t *testing.T) {
	r := newRemote(map[string]string{"/d/a:b": "1", "/d/sub./NUL": "2"})
	p := transfer.Plan{Recursive: true, Select: transfer.Select{Names: transfer.MapNames}, Name: byRel, Tree: true, Target: transfer.Windows, At: at()}
	root := t.TempDir()
	items, err := transfer.Collect(p.Get(t.Context(), r, root, "/d"))
	if err != nil {
		t.Fatal(err)
	}
	g := transfer.Get{Remote: r, Root: root, Run: run}
	if _, err := g.Files(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	want(t, root, map[string]string{"d/": "", "d/a\uf03ab": "1", "d/sub\uf02e/": "", "d/sub\uf02e/\uf04eUL": "2"})
	p.Select.Names = transfer.RefuseNames
	items, err = transfer.Collect(p.Get(t.Context(), r, root, "/d"))
	if len(items) > 0 || !fault.Is(err, fault.RemoteFile) || !strings.Contains(fault.HintOf(err), "names: map") {
		t.Errorf("%d items, %v", len(items), err)
	}
}
