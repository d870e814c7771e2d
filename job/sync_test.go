package job

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote/remotetest"
)

// mirror makes a job that mirrors the server's folder src.
func (b *bench) mirror(t *testing.T, src string) *Job {
	t.Helper()
	j := b.job(t, src)
	s := config.SyncDefault()
	s.Delete = true
	j.Recursive, j.Sync, j.To = true, &Sync{s}, template(t, filepath.ToSlash(b.dir)+"/got")
	return j
}

// TestNothingIsDeleted: what is extra at the target stays where a transfer has
// failed, where there is nothing at the source, and where it is too much.
func TestNothingIsDeleted(t *testing.T) {
	extra := []string{"extra/a=1", "extra/b=2"}
	for i := range 20 {
		extra = append(extra, fmt.Sprintf("extra/%02d=x", i))
	}
	tests := []struct {
		name   string
		server []string
		change func(*Job)
		code   int
		says   string
	}{
		{"a file fails", []string{"src/new=N", "src/old=O"}, func(j *Job) { j.Verify = VerifySHA256 }, 11, "SHA-256"},
		{"an empty source", []string{"src/"}, nil, 14, "nothing matched"},
		{"an empty source that is allowed", []string{"src/"}, func(j *Job) { j.IfNone = NoneOK }, 0, ""},
		{"all is excluded", []string{"src/x=1"}, func(j *Job) { j.Select.Exclude = []string{"x"} }, 14, "nothing matched"},
		{"no source", []string{"other/x=1"}, nil, 7, "src"},
		{"too much", []string{"src/x=1"}, nil, 9, "23 of 24 files and folders at the target are not at the source, and max_delete is 50%"},
		{"one too many", []string{"src/x=1"}, func(j *Job) { j.Sync.MaxDelete = config.Share{Count: 22} }, 9, "max_delete is 22"},
		{"something fails to be compared", []string{"src/x=1"}, func(j *Job) { j.Sync.Compare = config.CompareHash }, 11, "compared"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			makeTree(t, b.server(), tt.server...)
			makeTree(t, filepath.Join(b.dir, "got"), append(extra, "x=2")...)
			j := b.mirror(t, "src")
			j.Retry.Attempts = 1
			if tt.change != nil {
				tt.change(j)
			}
			run, err := b.Run(t.Context(), j, Trigger{})
			if fault.ExitCode(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.says) || run.Removed != 0 {
				t.Errorf("%d removed, %v; want exit code %d with %q", run.Removed, err, tt.code, tt.says)
			}
			for _, e := range extra {
				name, _, _ := strings.Cut(e, "=")
				if _, err := os.Stat(filepath.Join(b.dir, "got", name)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	// The same target, where all goes well.
	b := newBench(t, remotetest.Faults{})
	makeTree(t, b.server(), "src/x=1")
	makeTree(t, filepath.Join(b.dir, "got"), extra...)
	j := b.mirror(t, "src")
	j.Sync.MaxDelete = config.Share{Count: 23}
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 23 {
		t.Errorf("%d removed, %v", run.Removed, err)
	}
	wantTree(t, filepath.Join(b.dir, "got"), "x=1")
}

// TestLinksAreNotFollowed: a link at the target is deleted itself, and what it
// leads to stays, as does what lies behind one on the way.
func TestLinksAreNotFollowed(t *testing.T) {
	for _, put := range []bool{false, true} {
		t.Run(fmt.Sprintf("put %v", put), func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			j := b.mirror(t, "src")
			source, target := filepath.Join(b.server(), "src"), filepath.Join(b.dir, "got")
			if put {
				source, target = filepath.Join(b.dir, "src"), filepath.Join(b.server(), "got")
				j.Get, j.Put, j.To = nil, []string{source}, template(t, "got")
			}
			outside := filepath.Join(filepath.Dir(target), "outside")
			makeTree(t, source, "a=1", "d/x=2", "f=3")
			makeTree(t, outside, "x=precious", "y=precious")
			makeTree(t, target, "gone@../outside", "d@../outside", "f@../outside/x")
			run, err := b.Run(t.Context(), j, Trigger{})
			if err != nil || run.Moved != 3 || run.Removed != 3 {
				t.Errorf("%d moved, %d removed, %v\n%s", run.Moved, run.Removed, err, b.log)
			}
			wantTree(t, target, "a=1", "d/", "d/x=2", "f=3")
			wantTree(t, outside, "x=precious", "y=precious")
		})
	}
}

// TestMirrorGoesOn: a connection that breaks again and again still brings a
// mirror to its end; nothing is moved twice, nothing counted twice, and what is
// extra goes in the end.
func TestMirrorGoesOn(t *testing.T) {
	b := newBench(t, remotetest.Faults{CutSession: 300_000})
	const n = 400
	for i := range n {
		makeTree(t, b.server(), fmt.Sprintf("src/d%d/f%03d=%s", i%5, i, strings.Repeat("x", 10*i)))
	}
	makeTree(t, filepath.Join(b.dir, "got"), "d1/extra=1")
	j := b.mirror(t, "src")
	j.Retry.Reconnect = true
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Reconnects == 0 {
		t.Fatalf("%d reconnects, %v", run.Reconnects, err)
	}
	if run.Moved != n || run.Matched != n || run.Skipped != 0 || run.Removed != 1 || run.Failed != 0 || len(run.Files) != n+1 {
		t.Errorf("moved %d, matched %d, skipped %d, removed %d, failed %d, %d files", run.Moved, run.Matched, run.Skipped, run.Removed, run.Failed, len(run.Files))
	}
	if got := len(treeOf(t, filepath.Join(b.dir, "got"))); got != n+5 {
		t.Errorf("the mirror has %d entries, want %d", got, n+5)
	}
}

// TestPlanIsStreamed: a run that moves more than it plans ahead does the same
// as one that does not, in its record too, and goes on after what fails.
func TestPlanIsStreamed(t *testing.T) {
	for _, ahead := range []int{3, planAhead} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			b.ahead = ahead
			var want []string
			for i := range store.MaxFiles + 30 {
				makeTree(t, b.server(), fmt.Sprintf("out/f%04d=%d", i, i))
				want = append(want, fmt.Sprintf("out/f%04d", i))
			}
			makeTree(t, b.server(), "out/link@f0001")
			makeTree(t, filepath.Join(b.dir, "got"), "out/f0100/in=1") // in the way of a file
			j := b.job(t, "out")
			j.Recursive, j.Retry.Attempts = true, 2
			j.Select.Symlinks = transfer.CopyLinks
			run, err := b.Run(t.Context(), j, Trigger{})
			if fault.ExitCode(err) != 9 || run.Matched != len(want)+1 || run.Moved != len(want) || run.Failed != 1 {
				t.Fatalf("matched %d, moved %d, failed %d, %v", run.Matched, run.Moved, run.Failed, err)
			}
			if len(run.Files)+run.MoreFiles != len(want)+1 {
				t.Errorf("%d files and %d more, want %d", len(run.Files), run.MoreFiles, len(want)+1)
			}
			stored, err := b.Store.Run(run.ID)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			if err := stored.EachFile(func(f store.File) error {
				seen[f.Source]++
				if (f.Error != "") != (f.Source == "out/f0100") {
					return errors.New(f.Source + ": " + f.Error)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			for _, f := range append(want, "out/link") {
				if seen[f] != 1 {
					t.Errorf("%s stands in the record %d times", f, seen[f])
				}
			}
			// With its sources deleted: each in its line, those beside the record too.
			j.After = after(t, "")
			if err := os.RemoveAll(filepath.Join(b.dir, "got")); err != nil {
				t.Fatal(err)
			}
			run, err = b.Run(t.Context(), j, Trigger{})
			if err != nil {
				t.Fatal(err)
			}
			deleted := 0
			if err := run.EachFile(func(f store.File) error {
				if f.After == "deleted" {
					deleted++
				}
				return nil
			}); err != nil || deleted != len(want) {
				t.Errorf("%d sources are deleted by the record, want %d, %v", deleted, len(want), err)
			}
			wantTree(t, b.server(), "out/", "out/link@")
		})
	}
}

// TestClashInAStream: a name by template that two sources would get ends the
// run, also where the first of them has been moved.
func TestClashInAStream(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	makeTree(t, b.server(), "a/1=1", "a/2=2", "a/3=3", "b/2=4")
	j := b.job(t, "*/*")
	j.To = template(t, filepath.ToSlash(b.dir)+"/got/{name}")
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 2 || run.Moved != 0 {
		t.Errorf("planned as a whole: %d moved, %v", run.Moved, err)
	}
	b.ahead = 2
	run, err = b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 2 || run.Moved != 3 {
		t.Errorf("streamed: %d moved, %v", run.Moved, err)
	}
	wantTree(t, filepath.Join(b.dir, "got"), "1=1", "2=2", "3=3")
}

// TestFolderTimesComeLast: the time and mode of a folder are those of its
// source, although files were made and deleted in it.
func TestFolderTimesComeLast(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	makeTree(t, b.server(), "src/d/e/x=1", "src/d/y=2")
	makeTree(t, filepath.Join(b.dir, "got"), "d/e/gone=1")
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, d := range []string{"src/d/e", "src/d", "src"} {
		if err := os.Chtimes(filepath.Join(b.server(), d), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Run(t.Context(), b.mirror(t, "src"), Trigger{}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "d", "d/e"} {
		info, err := os.Stat(filepath.Join(b.dir, "got", d))
		if err != nil || !info.ModTime().Equal(when) {
			t.Errorf("%q has the time %v, %v", d, info.ModTime(), err)
		}
	}
}
