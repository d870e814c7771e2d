package job

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/retention"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

func run2log(b *bench) *slog.Logger { return slog.New(b.Console) }

// on sets the bench's clock to a day at noon.
func (b *bench) on(day string) {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err)
	}
	b.Now = func() time.Time { return at.Add(12 * time.Hour) }
}

// keeping is a job that gets into, or puts to, a folder for each day.
func (b *bench) keeping(t *testing.T, put bool, p retention.Policy) (j *Job, copies string) {
	t.Helper()
	j = b.job(t, "out/*.gz")
	j.Keep = p
	copies = filepath.Join(b.dir, "got")
	j.To = template(t, filepath.ToSlash(copies)+"/{date}/{name}")
	source := filepath.Join(b.server(), "out")
	if put {
		source = filepath.Join(b.dir, "here")
		copies = filepath.Join(b.server(), "got")
		j.Get, j.Put, j.To = nil, []string{filepath.Join(source, "*.gz")}, template(t, "got/{date}/{name}")
	}
	makeTree(t, source, "db.gz=new", "x.gz=new")
	return j, copies
}

// TestOldCopiesGo: each series by itself, by get and put and both protocols;
// folders that become empty go, and nothing else.
func TestOldCopiesGo(t *testing.T) {
	for _, tt := range []struct {
		name     string
		put      bool
		protocol remote.Protocol
	}{{"get", false, remote.Auto}, {"put by SFTP", true, remote.SFTP}, {"put by SCP", true, remote.SCP}} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			b.host.Protocol = tt.protocol
			b.on("2026-11-23")
			j, copies := b.keeping(t, tt.put, retention.Policy{Last: 2})
			outside := filepath.Join(b.dir, "outside")
			makeTree(t, outside, "20261101/db.gz=elsewhere")
			makeTree(t, copies,
				"20261118/db.gz=1", "20261119/db.gz=2", "20261119/notes.txt=mine", "20261120/db.gz=3", "20261120/x.gz=3",
				"20261121/db.gz=4", "20261130/db.gz=future", "20261131/db.gz=no day", "other/db.gz=x", "db.gz=x",
				"20261117/", "20261116/sub/db.gz=too deep", "20261115/.db.gz.20261115T023001Z-123x7k2q.part=unfinished",
			)
			if !tt.put || tt.protocol == remote.SFTP {
				makeTree(t, copies, "20261101@"+filepath.Join(outside, "20261101"), "20261102/db.gz@../20261121/db.gz")
			}
			run, err := b.Run(t.Context(), j, Trigger{})
			if err != nil || run.State != store.OK || run.Removed != 3 {
				t.Fatalf("removed %d, %+v, %v\n%s", run.Removed, run, err, b.log)
			}
			want := []string{"20261115/", "20261115/.db.gz.20261115T023001Z-123x7k2q.part=unfinished", "20261116/", "20261116/sub/", "20261116/sub/db.gz=too deep", "20261117/",
				"20261119/", "20261119/notes.txt=mine", "20261120/", "20261120/x.gz=3", "20261121/", "20261121/db.gz=4",
				"20261123/", "20261123/db.gz=new", "20261123/x.gz=new", "20261130/", "20261130/db.gz=future", "20261131/", "20261131/db.gz=no day",
				"db.gz=x", "other/", "other/db.gz=x"}
			if !tt.put || tt.protocol == remote.SFTP {
				want = append([]string{"20261101@", "20261102/", "20261102/db.gz@"}, want...)
			}
			wantTree(t, copies, want...)
			wantTree(t, outside, "20261101/", "20261101/db.gz=elsewhere")
			said := b.log.String()
			if strings.Count(said, "removed an old copy") != 3 || !strings.Contains(said, `reason="no rule keeps it"`) || !strings.Contains(said, "removed=3") ||
				!strings.Contains(said, "removed an empty folder") {
				t.Errorf("the log does not say what went and why:\n%s", said)
			}
			if again, err := b.Run(t.Context(), j, Trigger{}); err != nil || again.Removed != 0 {
				t.Errorf("the same again removes %d, %v", again.Removed, err)
			}
			stored, err := b.Store.Run(run.ID)
			if err != nil || stored.Removed != 3 {
				t.Errorf("recorded: %d, %v", stored.Removed, err)
			}
		})
	}
}

// TestFoldersByYearAndMonth: folders above an empty one go with it, and the
// newest copy keeps its own.
func TestFoldersByYearAndMonth(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.on("2026-11-23")
	j, copies := b.keeping(t, false, retention.Policy{Yearly: 1})
	j.To = template(t, filepath.ToSlash(copies)+"/{date:%Y/%m/%d}/")
	makeTree(t, copies, "2025/12/30/db.gz=1", "2025/12/31/x.gz=2", "2026/01/01/db.gz=3", "keep/")
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 3 {
		t.Fatalf("removed %d, %v\n%s", run.Removed, err, b.log)
	}
	wantTree(t, copies, "2026/", "2026/11/", "2026/11/23/", "2026/11/23/db.gz=new", "2026/11/23/x.gz=new", "keep/")
}

// TestNothingGoesAfterAFailure: not after a run that failed, was partly done,
// ended with a warning, found nothing, or could not look everywhere.
func TestNothingGoesAfterAFailure(t *testing.T) {
	tests := []struct {
		name string
		code int
		set  func(t *testing.T, b *bench, j *Job, copies string)
	}{
		{"no connection", 3, func(_ *testing.T, _ *bench, j *Job, _ string) { j.Host.Port = 1; j.Retry.Attempts = 1 }},
		{"one file of two", 9, func(t *testing.T, _ *bench, _ *Job, copies string) {
			makeTree(t, copies, "20261123/x.gz/")
		}},
		{"nothing matched", 0, func(_ *testing.T, _ *bench, j *Job, _ string) { j.Get, j.IfNone = []string{"out/*.none"}, NoneOK }},
		{"nothing matched, with a warning", 0, func(_ *testing.T, _ *bench, j *Job, _ string) {
			j.Get, j.IfNone = []string{"out/*.none"}, NoneWarns
		}},
		{"a source that cannot be moved", 9, func(t *testing.T, b *bench, j *Job, _ string) {
			makeTree(t, b.server(), "out/done=a file")
			j.After = after(t, "done")
		}},
		{"a source that has changed", 0, func(t *testing.T, b *bench, j *Job, _ string) {
			j.After = after(t, "")
			b.Progress = onDone(func(transfer.Item) { makeTree(t, b.server(), "out/db.gz=changed") })
		}},
		{"the copy of this run is gone again", 0, func(t *testing.T, b *bench, _ *Job, copies string) {
			b.Progress = onDone(func(i transfer.Item) { os.Remove(filepath.Join(copies, "20261123", i.Entry.Name)) })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			b.on("2026-11-23")
			j, copies := b.keeping(t, false, retention.Policy{Last: 1})
			makeTree(t, copies, "20261120/db.gz=1", "20261121/db.gz=2")
			tt.set(t, b, j, copies)
			run, err := b.Run(t.Context(), j, Trigger{})
			if fault.ExitCode(err) != tt.code || run.Removed != 0 {
				t.Errorf("exit code %d, removed %d: %v", fault.ExitCode(err), run.Removed, err)
			}
			for _, old := range []string{"20261120/db.gz", "20261121/db.gz"} {
				if _, err := os.Stat(filepath.Join(copies, old)); err != nil {
					t.Errorf("%s is gone: %v\n%s", old, err, b.log)
				}
			}
		})
	}
}

// TestFolderThatCannotBeListed: with one folder out of sight there are no
// copies to decide about, and the run is partly done.
func TestFolderThatCannotBeListed(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.on("2026-11-23")
	j, copies := b.keeping(t, false, retention.Policy{Last: 1})
	makeTree(t, copies, "20261120/db.gz=1", "20261121/db.gz=2")
	m, err := j.layout(destination{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := localTree(m.Dir())
	if err != nil || tr == nil {
		t.Fatal(err)
	}
	defer tr.close()
	list := tr.list
	refused := fault.New(fault.LocalDisk, "list: %w", os.ErrPermission)
	tr.list = func(ctx context.Context, dir string) ([]transfer.Entry, error) {
		if dir == "20261121" {
			return nil, refused
		}
		return list(ctx, dir)
	}
	if all, err := j.collect(t.Context(), tr, m); !fault.Is(err, fault.LocalDisk) || all != nil {
		t.Errorf("%v, %v", all, err)
	}
	if err := notPruned(refused); fault.ExitCode(err) != 9 || fault.Transient(err) {
		t.Errorf("got %v", err)
	}
}

// TestNewestGoodCopy: newer copies that are empty, or of another size than
// was moved, do not push out the newest good one.
func TestNewestGoodCopy(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	j, copies := b.keeping(t, false, retention.Policy{Last: 1})
	j.Get = []string{"out/db.gz"}
	for _, day := range []string{"2026-11-20", "2026-11-21"} {
		b.on(day)
		if _, err := b.Run(t.Context(), j, Trigger{}); err != nil {
			t.Fatal(err)
		}
	}
	wantTree(t, copies, "20261121/", "20261121/db.gz=new")
	// What a source gives is empty from now on: it is copied, and known as bad.
	makeTree(t, b.server(), "out/db.gz=")
	b.on("2026-11-22")
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 0 {
		t.Fatalf("removed %d, %v", run.Removed, err)
	}
	b.on("2026-11-23")
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 1 {
		t.Fatalf("removed %d, %v\n%s", run.Removed, err, b.log)
	}
	wantTree(t, copies, "20261121/", "20261121/db.gz=new", "20261123/", "20261123/db.gz=")
	// A good one comes and is damaged: the good one before stays.
	makeTree(t, b.server(), "out/db.gz=good")
	b.on("2026-11-24")
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 2 {
		t.Fatalf("removed %d, %v\n%s", run.Removed, err, b.log)
	}
	b.on("2026-11-25")
	j.Keep.Last = 2
	if _, err := b.Run(t.Context(), j, Trigger{}); err != nil {
		t.Fatal(err)
	}
	makeTree(t, copies, "20261125/db.gz=cut")
	makeTree(t, b.server(), "out/db.gz=")
	b.on("2026-11-26")
	j.Keep.Last = 1
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Removed != 1 || !strings.Contains(b.log.String(), `reason="no rule keeps it; it has 3 bytes, and 4 were moved"`) {
		t.Errorf("removed %d, %v:\n%s", run.Removed, err, b.log)
	}
	wantTree(t, copies, "20261124/", "20261124/db.gz=good", "20261126/", "20261126/db.gz=")
	// The last good one is damaged, too: nothing goes any more.
	makeTree(t, copies, "20261124/db.gz=damaged")
	b.on("2026-11-27")
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 0 {
		t.Errorf("removed %d, %v", run.Removed, err)
	}
	// Of a source that is always empty, no copy is bad.
	makeTree(t, b.server(), "out/flag.gz=")
	makeTree(t, copies, "20261101/flag.gz=", "20261102/flag.gz=")
	j.Get = []string{"out/flag.gz"}
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 2 {
		t.Errorf("removed %d, %v", run.Removed, err)
	}
}

// TestPlanExplainsCopies: a dry run says of each copy that is there whether it
// would stay, and why, and does nothing.
func TestPlanExplainsCopies(t *testing.T) {
	for _, put := range []bool{false, true} {
		b := newBench(t, remotetest.Faults{})
		b.on("2026-11-23")
		j, copies := b.keeping(t, put, retention.Policy{Last: 2, Monthly: 2, Within: 48 * time.Hour})
		j.After = after(t, "")
		makeTree(t, copies, "20261031/db.gz=1", "20261101/db.gz=2", "20261120/db.gz=3", "20261121/db.gz=4", "20261122/db.gz=", "20261122/x.gz=5", "20261201/db.gz=6")
		before := treeOf(t, b.dir)
		var plan []Planned
		err := b.Plan(t.Context(), j, func(p Planned) error { plan = append(plan, p); return nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range plan {
			if p.Source != "" {
				got = append(got, p.Does+" "+filepath.Base(p.Source)+" then "+p.After)
				continue
			}
			rel := p.Target[strings.Index(p.Target, "got/")+4:]
			got = append(got, p.Does+" "+rel+" "+p.Reason)
		}
		verb := "get"
		if put {
			verb = "put"
		}
		want := []string{
			verb + " db.gz then delete", verb + " x.gz then delete",
			"keep 20261201/db.gz dated in the future",
			"keep 20261122/db.gz last 2, within 2d; it is empty",
			"keep 20261121/db.gz last 2, within 2d",
			"remove 20261120/db.gz no rule keeps it",
			"remove 20261101/db.gz no rule keeps it",
			"keep 20261031/db.gz monthly 2026-10",
			"keep 20261122/x.gz last 2, within 2d",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("planned\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if now := treeOf(t, b.dir); strings.Join(now, "\n") != strings.Join(before, "\n") {
			t.Errorf("a dry run changed something:\n%q\n%q", before, now)
		}
		run, err := b.Run(t.Context(), j, Trigger{})
		if err != nil || run.Removed != 2 {
			t.Errorf("the run itself removed %d, %v", run.Removed, err)
		}
	}
}

// TestOtherJobsCopiesStay: what the sources of a job cannot have given is not
// its own.
func TestOtherJobsCopiesStay(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.on("2026-11-23")
	j, copies := b.keeping(t, false, retention.Policy{Last: 1})
	makeTree(t, copies, "20261120/db.gz=1", "20261120/mail.tar=1", "20261121/mail.tar=2", "20261122/mail.tar=3")
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Removed != 1 {
		t.Errorf("removed %d, %v\n%s", run.Removed, err, b.log)
	}
	for _, other := range []string{"20261120/mail.tar", "20261121/mail.tar", "20261122/mail.tar"} {
		if _, err := os.Stat(filepath.Join(copies, other)); err != nil {
			t.Error(err)
		}
	}
}

// TestLinksStay: links that a run has made anew are no copies, their sources
// stay, and neither keeps old copies from going.
func TestLinksStay(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.on("2026-11-23")
	j, copies := b.keeping(t, false, retention.Policy{Last: 1})
	makeTree(t, b.server(), "out/link@db.gz")
	makeTree(t, copies, "20261120/out/db.gz=old")
	j.Get, j.Recursive, j.To = []string{"out"}, true, template(t, filepath.ToSlash(copies)+"/{date}/")
	j.Select.Symlinks, j.After = transfer.CopyLinks, after(t, "")
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.State != store.OK || run.Removed != 1 {
		t.Errorf("removed %d, %+v, %v\n%s", run.Removed, run, err, b.log)
	}
	wantTree(t, copies, "20261123/", "20261123/out/", "20261123/out/db.gz=new", "20261123/out/link@", "20261123/out/x.gz=new")
	wantTree(t, b.server(), "out/", "out/link@")
}
