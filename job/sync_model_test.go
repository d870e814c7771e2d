//go:build unix

package job

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote/remotetest"
)

// A model tree: what is at each path. Folders that lead somewhere are in it.
type modelNode struct {
	kind byte // f, d or l
	text string
	day  int // of its time
}

type modelTree map[string]modelNode

// randomTree makes a small tree of few names, so that two of them have much in
// common and much that is not.
func randomTree(r *rand.Rand) modelTree {
	tree := modelTree{}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, name := range []string{"a", "b", "c.x", "d", ".h", "e.tmp", "f g", "ü"} {
			p := path.Join(dir, name)
			switch k := r.IntN(10); {
			case k < 4:
				tree[p] = modelNode{'f', []string{"1", "2", "33"}[r.IntN(3)], r.IntN(2)}
			case k < 6 && depth < 3:
				tree[p] = modelNode{kind: 'd', day: r.IntN(2)}
				fill(p, depth+1)
			case k == 6:
				tree[p] = modelNode{kind: 'l', text: "a"}
			}
		}
	}
	fill("", 0)
	return tree
}

func modelTime(day int) time.Time { return time.Date(2025, 3, 1+day, 4, 5, 6, 0, time.UTC) }

func (m modelTree) write(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	paths := slices.Sorted(maps.Keys(m))
	for _, p := range paths {
		full, n := filepath.Join(dir, p), m[p]
		var err error
		switch n.kind {
		case 'f':
			err = os.WriteFile(full, []byte(n.text), 0o644)
		case 'd':
			err = os.Mkdir(full, 0o755)
		case 'l':
			err = os.Symlink(n.text, full)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range slices.Backward(paths) {
		if m[p].kind != 'l' {
			if err := os.Chtimes(filepath.Join(dir, p), modelTime(m[p].day), modelTime(m[p].day)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// modelOptions are the choices that the model knows.
type modelOptions struct {
	exclude, include []string
	noHidden         bool
	depth            int
	delete, excluded bool
}

// out is the rule for one name, whatever lies above it.
func (o modelOptions) out(p string, kind byte) bool {
	name, level := path.Base(p), strings.Count(p, "/")+1
	for _, e := range o.exclude {
		if e == name || e == "/"+p || e == name+"/" && kind == 'd' {
			return true
		}
	}
	switch {
	case o.noHidden && strings.HasPrefix(name, "."):
		return true
	case o.depth > 0 && (level > o.depth || kind == 'd' && level == o.depth):
		return true
	case kind != 'd' && strings.HasSuffix(name, ".tmp"):
		return true
	}
	return kind != 'd' && len(o.include) > 0 && !strings.Contains(p+"/", ".x/")
}

func prefixes(p string) []string {
	var all []string
	for i, c := range p {
		if c == '/' {
			all = append(all, p[:i])
		}
	}
	return append(all, p)
}

// taken is whether a source's file or folder is mirrored.
func (o modelOptions) taken(s modelTree, p string) bool {
	for _, q := range prefixes(p) {
		if s[q].kind == 'l' || o.out(q, s[q].kind) {
			return false
		}
	}
	return true
}

// goes is whether an entry of the target is to be deleted, if it is a file or an
// empty folder.
func (o modelOptions) goes(s, t modelTree, p string) bool {
	both := true
	for _, q := range prefixes(p) {
		there, has := s[q]
		has = has && both
		kind := t[q].kind
		if has {
			kind = there.kind
		}
		switch {
		case o.out(q, kind):
			if !o.excluded {
				return false
			}
			both = false
		case !has:
			both = false
		case there.kind == 'l' || there.kind == 'f' && t[q].kind == 'f':
			return false
		case there.kind == 'd' && t[q].kind == 'd':
			if q == p {
				return false
			}
		default:
			both = false
		}
	}
	return true
}

// mirror is what the target holds afterwards, and whether something could not be
// moved since something else is in the way.
func (o modelOptions) mirror(s, t modelTree) (want modelTree, blocked bool) {
	want = maps.Clone(t)
	any := false
	for p := range s {
		any = any || o.taken(s, p) && (s[p].kind == 'f' || len(o.include) == 0)
	}
	if !any {
		return want, false
	}
	if o.delete {
		for _, p := range slices.Backward(slices.Sorted(maps.Keys(t))) {
			if !o.goes(s, t, p) {
				continue
			}
			empty := true
			for q := range want {
				empty = empty && !strings.HasPrefix(q, p+"/")
			}
			if empty {
				delete(want, p)
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(s)) {
		if !o.taken(s, p) || s[p].kind == 'd' && len(o.include) > 0 {
			continue
		}
		free := true
		for _, q := range prefixes(p) {
			n, there := want[q]
			free = free && (!there || n.kind == 'd' && (q != p || s[p].kind == 'd') || q == p && n.kind == 'f' && s[p].kind == 'f')
		}
		if !free {
			blocked = true
			continue
		}
		for _, q := range prefixes(p) {
			if q != p {
				want[q] = modelNode{kind: 'd'}
			}
		}
		n := s[p]
		if old := t[p]; old.kind == 'f' && n.kind == 'f' && len(old.text) == len(n.text) && old.day == n.day {
			n.text = old.text // size and time tell
		}
		want[p] = n
	}
	return want, blocked
}

func (m modelTree) lines() []string {
	var all []string
	for p, n := range m {
		switch n.kind {
		case 'f':
			all = append(all, p+"="+n.text)
		case 'd':
			all = append(all, p+"/")
		case 'l':
			all = append(all, p+"@")
		}
	}
	slices.Sort(all)
	return all
}

// TestMirrorAgainstModel mirrors random trees both ways, with what is chosen and
// deleted chosen at random, and holds what comes out against a slow model that
// looks at each path by itself. A dry run must have said what the run does, and
// a second run must do nothing.
func TestMirrorAgainstModel(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	b := newBench(t, remotetest.Faults{})
	b.Console = nil
	deleted, blockedRuns, empty := 0, 0, 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		s, before := randomTree(r), randomTree(r)
		if r.IntN(3) == 0 {
			// More alike: mostly the same, here and there another.
			for _, p := range slices.Sorted(maps.Keys(s)) {
				n := s[p]
				if _, there := before[p]; !there && (path.Dir(p) == "." || before[path.Dir(p)].kind == 'd') {
					before[p] = n
				}
			}
		}
		o := modelOptions{delete: r.IntN(3) > 0, noHidden: r.IntN(4) == 0}
		if r.IntN(2) == 0 {
			o.exclude = [][]string{{"c.x"}, {"d/"}, {"/a/b", "f g"}, {"a"}}[r.IntN(4)]
		}
		if r.IntN(4) == 0 {
			o.include = []string{"*.x"}
		}
		if r.IntN(5) == 0 {
			o.depth = 1 + r.IntN(2)
		}
		o.excluded = o.delete && r.IntN(3) == 0
		put := r.IntN(2) == 0
		b.ahead = r.IntN(3) // the plan is whole before the first is moved, or it is not
		t.Run(fmt.Sprintf("%d %+v put=%v ahead=%d", seed, o, put, b.ahead), func(t *testing.T) {
			name := fmt.Sprintf("m%d", seed)
			source, target := filepath.Join(b.server(), name), filepath.Join(b.dir, name)
			j := b.job(t, name)
			j.To = template(t, filepath.ToSlash(target))
			if put {
				source, target = target, source
				j.Get, j.Put, j.To = nil, []string{source}, template(t, name)
			}
			s.write(t, source)
			before.write(t, target)
			j.Recursive, j.IfNone, j.Retry.Attempts = true, NoneOK, 1
			j.Select = transfer.Select{Exclude: o.exclude, Include: o.include, NoHidden: o.noHidden, Depth: o.depth}
			mirror := config.SyncDefault()
			mirror.Delete, mirror.DeleteExcluded, mirror.MaxDelete = o.delete, o.excluded, config.Share{Count: 100, Percent: true}
			j.Sync = &Sync{mirror}

			var planned []string
			planErr := b.Plan(t.Context(), j, func(p Planned) error {
				if p.Does == "get" || p.Does == "put" || p.Does == "delete" {
					planned = append(planned, (map[bool]string{true: "delete "})[p.Does == "delete"]+p.Target)
				}
				return nil
			})
			run, err := b.Run(t.Context(), j, Trigger{})
			want, blocked := o.mirror(s, before)
			if got := treeOf(t, target); !slices.Equal(slices.Sorted(slices.Values(got)), want.lines()) {
				t.Errorf("source %q\nbefore %q\ngot    %q\nwant   %q", s.lines(), before.lines(), got, want.lines())
			}
			if blocked != (err != nil) {
				t.Errorf("the run ended with %v, and something in the way is %v", err, blocked)
			}
			deleted += run.Removed
			if run.Moved == 0 && run.Removed == 0 {
				empty++
			}
			if blocked {
				blockedRuns++
				return
			}
			if planErr != nil {
				t.Errorf("the dry run: %v", planErr)
			}
			var did []string
			if err := run.EachFile(func(f store.File) error {
				did = append(did, (map[bool]string{true: "delete "})[f.Deleted]+f.Target)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			slices.Sort(did)
			if slices.Sort(planned); !slices.Equal(planned, did) {
				t.Errorf("the dry run says %q, and done was %q", planned, did)
			}
			for p, n := range want {
				if n.kind == 'l' || n.kind != s[p].kind || !o.taken(s, p) {
					continue
				}
				info, err := os.Lstat(filepath.Join(target, p))
				if err != nil || !info.ModTime().Equal(modelTime(s[p].day)) {
					t.Errorf("%s has the time %v, want that of the source, %v (%v)", p, info.ModTime(), modelTime(s[p].day), err)
				}
			}
			again, err := b.Run(t.Context(), j, Trigger{})
			if err != nil || again.Moved != 0 || again.Removed != 0 {
				t.Errorf("again: %d moved, %d removed, %v", again.Moved, again.Removed, err)
			}
		})
	}
	t.Logf("%d deleted, %d of %d runs with something in the way, %d that did nothing", deleted, blockedRuns, rounds, empty)
	if rounds >= 60 && (deleted < 50 || blockedRuns < 3 || blockedRuns+empty > rounds*3/4) {
		t.Error("the trees show too little")
	}
}
