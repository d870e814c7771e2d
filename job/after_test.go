package job

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// tree lists the files and folders below a folder, with the content of files.
func treeOf(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		line := filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			line += "/"
		case strings.HasPrefix(d.Name(), db.FileName), strings.HasSuffix(p, ".lock"):
			return nil // reading the record changes them
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += "=" + string(data)
		default:
			line += "@"
		}
		all = append(all, line)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

func wantTree(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := treeOf(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", filepath.Base(dir), got, want)
	}
}

// make writes files below a folder: "path=content", "path/" or "path@target".
func makeTree(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		name, content, isFile := strings.Cut(f, "=")
		link, target, isLink := strings.Cut(f, "@")
		p := filepath.Join(dir, filepath.FromSlash(name))
		if isLink {
			p = filepath.Join(dir, filepath.FromSlash(link))
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isFile:
			err = os.WriteFile(p, []byte(content), 0o644)
		case isLink:
			err = os.Symlink(target, p)
		default:
			err = os.MkdirAll(p, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) server() string { return filepath.Join(b.dir, "server") }

// after makes a job's After.
func after(t *testing.T, move string) config.After {
	t.Helper()
	if move == "" {
		return config.After{Source: config.SourceDelete}
	}
	return config.After{Source: config.SourceMove, Move: template(t, move)}
}

// onDone is told when each file is finished, before anything else is done.
type onDone func(i transfer.Item)

func (onDone) Begin(int, int64) {}
func (f onDone) File(i transfer.Item) transfer.FileProgress {
	return doneOnce{func() { f(i) }}
}

type doneOnce struct{ f func() }

func (doneOnce) Moved(int64) {}
func (d doneOnce) Done(err error) {
	if err == nil {
		d.f()
	}
}

// TestSourcesAfterGet: by both protocols, sources are deleted or moved, and a
// move never writes over anything.
func TestSourcesAfterGet(t *testing.T) {
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			b.host.Protocol = protocol
			makeTree(t, b.server(), "out/a.txt=A", "out/b.txt=B", "out/c.dat=C", "out/sub/")
			j := b.job(t, "out/*.txt")
			j.After = after(t, "")
			run, err := b.Run(t.Context(), j, Trigger{})
			if err != nil || run.State != store.OK || run.Files[0].After != "deleted" {
				t.Fatalf("%+v, %v\n%s", run, err, b.log)
			}
			wantTree(t, b.server(), "out/", "out/c.dat=C", "out/sub/")
			wantTree(t, filepath.Join(b.dir, "got"), "a.txt=A", "b.txt=B")

			makeTree(t, b.server(), "out/a.txt=A2", "out/done/a.txt=old", "out/done/a.txt.1@nowhere", "out/done/a.txt.2/")
			j.After = after(t, "done")
			run, err = b.Run(t.Context(), j, Trigger{})
			if err != nil || run.Files[0].After != "moved" || run.Files[0].AfterTarget != "out/done/a.txt.3" {
				t.Fatalf("%+v, %v\n%s", run, err, b.log)
			}
			wantTree(t, b.server(), "out/", "out/c.dat=C", "out/done/", "out/done/a.txt=old", "out/done/a.txt.1@", "out/done/a.txt.2/", "out/done/a.txt.3=A2", "out/sub/")

			makeTree(t, b.server(), "out/a.txt=A3")
			j.After = after(t, "/arch/{date}/{stem}-x{ext}")
			j.Get = []string{"/out/a.txt"}
			if _, err = b.Run(t.Context(), j, Trigger{}); err != nil {
				t.Fatal(err)
			}
			wantTree(t, filepath.Join(b.server(), "arch", time.Now().UTC().Format("20060102")), "a-x.txt=A3")
			if !strings.Contains(b.log.String(), "moved the source") || !strings.Contains(b.log.String(), "deleted the source") {
				t.Errorf("the log does not say what became of the sources:\n%s", b.log)
			}
		})
	}
}

// TestSourcesAfterPut: the same on this side.
func TestSourcesAfterPut(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	here := filepath.Join(b.dir, "here")
	makeTree(t, here, "a.txt=A", "b.txt=B", "sent/a.txt=old")
	j := b.job(t)
	j.Get, j.Put, j.To = nil, []string{filepath.Join(here, "*.txt")}, template(t, "in/")
	j.After = after(t, "sent")
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Files[0].After != "moved" {
		t.Fatalf("%+v, %v\n%s", run, err, b.log)
	}
	wantTree(t, here, "sent/", "sent/a.txt=old", "sent/a.txt.1=A", "sent/b.txt=B")
	wantTree(t, b.server(), "in/", "in/a.txt=A", "in/b.txt=B")
	makeTree(t, here, "a.txt=A2", "tree/x/y=Y")
	j.Put, j.Recursive, j.After = []string{filepath.Join(here, "a.txt"), filepath.Join(here, "tree")}, true, after(t, "")
	if _, err = b.Run(t.Context(), j, Trigger{}); err != nil {
		t.Fatal(err)
	}
	wantTree(t, here, "sent/", "sent/a.txt=old", "sent/a.txt.1=A", "sent/b.txt=B", "tree/", "tree/x/")
	wantTree(t, b.server(), "in/", "in/a.txt=A2", "in/b.txt=B", "in/tree/", "in/tree/x/", "in/tree/x/y=Y")
}

// TestChangedSourceStays: what is at the source is not what was copied any
// more, so it is neither deleted nor moved.
func TestChangedSourceStays(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, file string)
		why    string
		left   []string
	}{
		{"longer", func(t *testing.T, f string) { makeTree(t, filepath.Dir(f), "a.txt=AA") }, "changed since", []string{"a.txt=AA"}},
		{"another time", func(t *testing.T, f string) {
			if err := os.Chtimes(f, time.Time{}, time.Unix(1e9, 0)); err != nil {
				t.Error(err)
			}
		}, "changed since", []string{"a.txt=A"}},
		{"a folder", func(t *testing.T, f string) {
			if err := errors.Join(os.Remove(f), os.Mkdir(f, 0o755)); err != nil {
				t.Error(err)
			}
		}, "changed since", []string{"a.txt/"}},
		{"a link", func(t *testing.T, f string) {
			if err := errors.Join(os.Rename(f, f+".real"), os.Symlink("a.txt.real", f)); err != nil {
				t.Error(err)
			}
		}, "a symbolic link", []string{"a.txt@", "a.txt.real=A"}},
		{"gone", func(t *testing.T, f string) {
			if err := os.Remove(f); err != nil {
				t.Error(err)
			}
		}, "gone already", nil},
	}
	for _, tt := range tests {
		for _, how := range []string{"", "done"} {
			for _, put := range []bool{false, true} {
				name := tt.name + ", move to " + how
				if put {
					name += ", put"
				}
				t.Run(name, func(t *testing.T) {
					b := newBench(t, remotetest.Faults{})
					side := filepath.Join(b.server(), "out")
					j := b.job(t, "out/*.txt")
					if put {
						side = filepath.Join(b.dir, "here")
						j.Get, j.Put, j.To = nil, []string{filepath.Join(side, "*.txt")}, template(t, "in/")
					}
					makeTree(t, side, "a.txt=A")
					j.After = after(t, how)
					b.Progress = onDone(func(i transfer.Item) { tt.change(t, filepath.Join(side, "a.txt")) })
					run, err := b.Run(t.Context(), j, Trigger{})
					if err != nil || run.State != store.Warning || run.Files[0].After != "kept" || !strings.Contains(run.Files[0].AfterReason, tt.why) {
						t.Errorf("%+v, %v\n%s", run, err, b.log)
					}
					wantTree(t, side, tt.left...)
				})
			}
		}
	}
}

// TestSourceThatCannotGo: the copy stays, the run is partly done, and is not
// tried again.
func TestSourceThatCannotGo(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	makeTree(t, b.server(), "out/a.txt=A", "out/b.txt=B", "out/done=a file")
	j := b.job(t, "out/*.txt")
	j.After = after(t, "{stem}/x")
	j.After.Move = template(t, "done/{name}")
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 9 || run.State != store.Failed || run.Code != 9 || len(run.Attempts) != 1 || run.Moved != 2 {
		t.Errorf("%+v, %v", run, err)
	}
	if !strings.Contains(err.Error(), "2 of 2 sources could not be moved") || run.Files[1].After != "failed" || run.Files[1].AfterReason == "" {
		t.Errorf("%v: %+v", err, run.Files)
	}
	wantTree(t, b.server(), "out/", "out/a.txt=A", "out/b.txt=B", "out/done=a file")
	wantTree(t, filepath.Join(b.dir, "got"), "a.txt=A", "b.txt=B")
}

// TestSourcesWaitForTheLastAttempt: a source that is named without a wildcard
// is there in each attempt, and gone after the last.
func TestSourcesWaitForTheLastAttempt(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	makeTree(t, b.server(), "a.txt=A", "b.txt=B")
	j := b.job(t, "a.txt", "b.txt")
	j.After = after(t, "")
	// The first attempt cannot write b, for a reason that passes.
	block := filepath.Join(b.dir, "got", "b.txt")
	if err := os.MkdirAll(block, 0o755); err != nil {
		t.Fatal(err)
	}
	j.Retry.Attempts = 1
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 9 || run.Moved != 1 || run.Files[0].After != "deleted" || run.Files[1].After != "" {
		t.Fatalf("%+v, %v", run, err)
	}
	wantTree(t, b.server(), "b.txt=B")

	makeTree(t, b.server(), "a.txt=A")
	a := attempt{job: j, run: &store.Run{State: store.Running}, log: run2log(b)}
	transient := fault.New(fault.Partial, "1 of 2 files failed")
	if err := a.afterwards(t.Context(), nil, destination{}, transient); !errors.Is(err, transient) {
		t.Errorf("another attempt follows, and got %v", err)
	}
	wantTree(t, b.server(), "a.txt=A", "b.txt=B")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.last = true
	if err := a.afterwards(ctx, nil, destination{}, transient); !errors.Is(err, transient) {
		t.Errorf("the run was stopped, and got %v", err)
	}
}

// TestSourceMovedTwice: a source that changed between two attempts is looked
// at as the second one copied it.
func TestSourceMovedTwice(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	makeTree(t, b.server(), "a.txt=AA", "b.txt=B")
	j := b.job(t, "a.txt", "b.txt")
	j.FilesInFlight = 1
	d := &failing{}
	b.Dialer = d
	first := true
	b.Progress = onDone(func(i transfer.Item) {
		if !first || i.Entry.Name != "a.txt" {
			return
		}
		first = false
		// b is not there when it is its turn; a is another by the next attempt.
		makeTree(t, b.server(), "a.txt=AAA")
		if err := os.Rename(filepath.Join(b.server(), "b.txt"), filepath.Join(b.server(), "later")); err != nil {
			t.Error(err)
		}
	})
	run := &store.Run{ID: "20261123T023001Z-123x7k2q", State: store.Running}
	a := attempt{
		job: j, run: run, dialer: d, now: time.Now,
		log: run2log(b), progress: b.Progress, ahead: planAhead, results: newResults(j, run, store.NewFileList(t.TempDir()), nil),
	}
	if err := a.do(t.Context(), t.Context()); fault.ExitCode(err) != 9 {
		t.Fatal(err)
	}
	wantTree(t, b.server(), "a.txt=AAA", "later=B")
	if err := os.Rename(filepath.Join(b.server(), "later"), filepath.Join(b.server(), "b.txt")); err != nil {
		t.Fatal(err)
	}
	j.After, a.last = after(t, ""), true
	if err := a.do(t.Context(), t.Context()); err != nil || a.run.State != store.Running {
		t.Fatalf("%v, %s\n%s", err, a.run.State, b.log)
	}
	wantTree(t, b.server())
	wantTree(t, filepath.Join(b.dir, "got"), "a.txt=AAA", "b.txt=B")
}
