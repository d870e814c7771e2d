package transfer_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// run3 is the run after run.
const run3 = "20261123T023500Z-zzzzzzzz"

// long is the content of a file that has a journal: 6 MiB, no two pieces alike.
func long() string {
	var b strings.Builder
	for i := 0; b.Len() < 6<<20; i++ {
		b.WriteString(time.Duration(i * 1e6).String())
		b.WriteByte('\n')
	}
	return b.String()
}

// breakAt fails every request from the n-th on, as a line that breaks does. The
// requests before it wait for a while, so that the journal is written.
func breakAt(n int) func(int, map[string]*node) error {
	return func(i int, _ map[string]*node) error {
		if i >= n {
			return fault.New(fault.TCP, "connection reset")
		}
		return nil
	}
}

func left(t *testing.T, dir string) (parts, journals []string) {
	t.Helper()
	parts, _ = filepath.Glob(filepath.Join(dir, ".*.part"))
	journals, _ = filepath.Glob(filepath.Join(dir, ".*.todo"))
	return parts, journals
}

// TestGetResumes: what a broken run has moved is not moved again, if the source
// is what it was; and nothing is left in the end.
func TestGetResumes(t *testing.T) {
	const broken = 60 // of about 190 requests
	for _, tt := range []struct {
		name   string
		change func(n *node)
		again  bool // all of it is moved again
	}{
		{"the same", func(*node) {}, false},
		{"another time", func(n *node) { n.mtime = n.mtime.Add(time.Second) }, true},
		{"another size", func(n *node) { n.data = append(n.data, 'x') }, true},
		{"the same size and time, and other content", func(n *node) {
			for i := range n.data {
				n.data[i] ^= 1
			}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemote(map[string]string{"/big": long()})
			checkLeaks(t, r)
			root := t.TempDir()
			write(t, root+"/big", "old")
			r.before = breakAt(broken)
			g := transfer.Get{Remote: r, Root: root, Run: run, Host: "h"}
			results, err := g.Files(t.Context(), place(t, found(t, r, "/big"), byRel))
			if !fault.Is(err, fault.TCP) || !fault.Transient(err) {
				t.Fatalf("got %v", err)
			}
			parts, journals := left(t, root)
			if len(parts) != 1 || len(journals) != 1 || results[0].Kept < 1<<20 {
				t.Fatalf("left %q, %q; kept %d bytes", parts, journals, results[0].Kept)
			}
			if data, err := os.ReadFile(root + "/big"); err != nil || string(data) != "old" {
				t.Errorf("the old file is %q, %v", data, err)
			}
			r.before, r.requests = nil, 0
			tt.change(r.nodes["/big"])
			g.Run = run3
			results, err = g.Files(t.Context(), place(t, found(t, r, "/big"), byRel))
			if err != nil {
				t.Fatal(err)
			}
			if all := len(long()) / (32 << 10); (r.requests >= all) != tt.again {
				t.Errorf("%d requests of %d for all", r.requests, all)
			}
			if (results[0].Resumed > 0) == tt.again || results[0].SHA256 != sum(string(r.nodes["/big"].data)) {
				t.Errorf("%+v", results[0])
			}
			want(t, root, map[string]string{"big": string(r.nodes["/big"].data)})
		})
	}
}

// TestGetResumesItself: another attempt of the same run goes on, and so does a
// target of another name in the same folder.
func TestGetResumesItself(t *testing.T) {
	r := newRemote(map[string]string{"/big": long()})
	checkLeaks(t, r)
	root := t.TempDir()
	named := func(name string) []transfer.Item {
		return place(t, found(t, r, "/big"), func(transfer.Item) (string, error) { return name, nil })
	}
	r.before = breakAt(60)
	g := transfer.Get{Remote: r, Root: root, Run: run}
	if _, err := g.Files(t.Context(), named("big.1")); !fault.Is(err, fault.TCP) {
		t.Fatal(err)
	}
	r.before, r.requests = breakAt(60), 0
	if _, err := g.Files(t.Context(), named("big.1")); !fault.Is(err, fault.TCP) {
		t.Fatal(err)
	}
	r.before, r.requests = nil, 0
	results, err := g.Files(t.Context(), named("big.2"))
	if err != nil || results[0].Resumed < 2<<20 || results[0].SHA256 != sum(long()) {
		t.Errorf("%+v, %v", results, err)
	}
	want(t, root, map[string]string{"big.2": long()})
}

// TestGetResumesAfterBrokenLook: a line that breaks while the end of what is
// there is held against the source costs nothing of it.
func TestGetResumesAfterBrokenLook(t *testing.T) {
	r := newRemote(map[string]string{"/big": long()})
	checkLeaks(t, r)
	root := t.TempDir()
	items := place(t, found(t, r, "/big"), byRel)
	g := transfer.Get{Remote: r, Root: root, Run: run}
	r.before = breakAt(60)
	if _, err := g.Files(t.Context(), items); !fault.Is(err, fault.TCP) {
		t.Fatal(err)
	}
	g.Run, r.before, r.requests = run3, breakAt(1), 0
	results, err := g.Files(t.Context(), items)
	if parts, journals := left(t, root); !fault.Is(err, fault.TCP) || len(parts) != 1 || len(journals) != 1 {
		t.Fatalf("%v; left %q, %q", err, parts, journals)
	}
	if results[0].Kept < 1<<20 {
		t.Errorf("kept %d bytes, it says", results[0].Kept)
	}
	r.before, r.requests = nil, 0
	results, err = g.Files(t.Context(), items)
	if err != nil || results[0].Resumed < 1<<20 || results[0].SHA256 != sum(long()) {
		t.Errorf("%+v, %v", results, err)
	}
	want(t, root, map[string]string{"big": long()})
}

// TestGetInterrupted: a run that is stopped leaves what it has moved.
func TestGetInterrupted(t *testing.T) {
	r := newRemote(map[string]string{"/big": long()})
	checkLeaks(t, r)
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	r.before = func(i int, _ map[string]*node) error {
		if i == 60 {
			cancel()
		}
		return nil
	}
	g := transfer.Get{Remote: r, Root: root, Run: run}
	if _, err := g.Files(ctx, place(t, found(t, r, "/big"), byRel)); !fault.Is(err, fault.Interrupted) {
		t.Fatal(err)
	}
	if parts, journals := left(t, root); len(parts) != 1 || len(journals) != 1 {
		t.Errorf("left %q, %q", parts, journals)
	}
	r.before = nil
	if err := transfer.Sweep(t.Context(), root, true, nil); err != nil {
		t.Error(err)
	}
	results, err := g.Files(t.Context(), place(t, found(t, r, "/big"), byRel))
	if err != nil || results[0].Resumed == 0 {
		t.Errorf("%+v, %v", results, err)
	}
	want(t, root, map[string]string{"big": long()})
}

// TestPutResumes is the same for the other direction. A run that is not known
// to be dead is left alone.
func TestPutResumes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		dead    []string
		change  func(t *testing.T, local string, r *memRemote)
		resumed bool
		left    int // files besides the target
	}{
		{"the same", []string{run}, func(*testing.T, string, *memRemote) {}, true, 0},
		{"a run that may live", nil, func(*testing.T, string, *memRemote) {}, false, 2},
		{"another source", []string{run}, func(t *testing.T, local string, _ *memRemote) {
			if err := appendTo(local, "more"); err != nil {
				t.Fatal(err)
			}
		}, false, 0},
		{"a part that somebody wrote to", []string{run}, func(_ *testing.T, _ string, r *memRemote) {
			for p, n := range r.nodes {
				if strings.HasSuffix(p, ".part") {
					for i := range n.data {
						n.data[i] ^= 1
					}
				}
			}
		}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			local := filepath.Join(t.TempDir(), "big")
			write(t, local, long())
			r := newRemote(map[string]string{"/in/": "", "/in/big": "old"})
			checkLeaks(t, r)
			slow := breakAt(185)
			r.before = func(i int, nodes map[string]*node) error {
				switch { // all wait for it
				case i == 100: // long enough that the journal is due
					<-time.After(1500 * time.Millisecond)
				case i > 100: // and written
					<-time.After(time.Millisecond)
				}
				return slow(i, nodes)
			}
			items := func() []transfer.Item { return place(t, mustLocal(t, local), into("/in/")) }
			p := transfer.Put{Remote: r, Run: run}
			if _, err := p.Files(t.Context(), items()); !fault.Is(err, fault.TCP) {
				t.Fatal(err)
			}
			if string(r.nodes["/in/big"].data) != "old" || len(served(r)) < 4 {
				t.Fatalf("the server holds %q", served(r))
			}
			r.before, r.requests = nil, 0
			tt.change(t, local, r)
			p = transfer.Put{Remote: r, Run: run3, Dead: tt.dead, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
			results, err := p.Files(t.Context(), items())
			if err != nil {
				t.Fatal(err)
			}
			if (results[0].Resumed > 0) != tt.resumed {
				t.Errorf("%+v", results[0])
			}
			data, err := os.ReadFile(local)
			if err != nil || string(r.nodes["/in/big"].data) != string(data) {
				t.Errorf("the server holds %d bytes of %d, %v", len(r.nodes["/in/big"].data), len(data), err)
			}
			if n := len(served(r)) - 3; n != tt.left {
				t.Errorf("%d files are left", n)
			}
		})
	}
}
