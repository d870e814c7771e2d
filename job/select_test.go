package job

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote/remotetest"
)

// TestSkippedIsCounted: what is left alone is in the log with its reason, and
// in the record as a number.
func TestSkippedIsCounted(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	for _, name := range []string{"a.csv", "b.txt", "c.tmp", "d.csv"} {
		b.write(t, name, []byte(name))
	}
	j := b.job(t, "*")
	j.Select = transfer.Select{Include: []string{"*.csv"}, Exclude: []string{"d*"}}
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Moved != 1 || run.Skipped != 3 || run.Matched != 1 {
		t.Fatalf("moved %d, skipped %d, matched %d, %v", run.Moved, run.Skipped, run.Matched, err)
	}
	for _, want := range []string{
		`name=b.txt source=b.txt reason="not included"`, `name=c.tmp source=c.tmp reason="a temporary name"`,
		`name=d.csv source=d.csv reason=excluded`, "skipped=3",
	} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, b.log)
		}
	}
	stored, err := b.Store.Run(run.ID)
	if err != nil || stored.Skipped != 3 {
		t.Errorf("recorded: %d skipped, %v", stored.Skipped, err)
	}
}

// TestUpToDateIsASuccess: a job that finds everything there has done its work;
// one that leaves everything alone for other reasons has not.
func TestUpToDateIsASuccess(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.write(t, "a.csv", []byte("1"))
	j := b.job(t, "*.csv")
	j.Select.OnlyNew = true
	for i, moved := range []int{1, 0, 0} {
		run, err := b.Run(t.Context(), j, Trigger{})
		if err != nil || run.Moved != moved || run.Skipped != 1-moved || run.State != store.OK {
			t.Errorf("run %d: moved %d, skipped %d, %s, %v", i, run.Moved, run.Skipped, run.State, err)
		}
	}
	if !strings.Contains(b.log.String(), "everything is up to date") {
		t.Errorf("the log does not say so:\n%s", b.log)
	}
	j.Select.MinSize = 2
	run, err := b.Run(t.Context(), j, Trigger{})
	if !fault.Is(err, fault.NoMatch) || !strings.Contains(err.Error(), "but 1 files") || run.Skipped != 1 {
		t.Errorf("skipped %d, %v", run.Skipped, err)
	}
	j.IfNone = NoneWarns
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.State != store.Warning {
		t.Errorf("%s, %v", run.State, err)
	}
}

// plan collects a dry run.
func (b *bench) plan(t *testing.T, j *Job) ([]string, error) {
	t.Helper()
	var lines []string
	err := b.Plan(t.Context(), j, func(p Planned) error {
		line := p.Does + " " + filepath.Base(p.Source)
		if p.Target != "" {
			line += " > " + filepath.Base(p.Target)
		}
		if p.Reason != "" {
			line += ": " + transfer.Reason(p.Reason).String()
		}
		if p.Error != "" {
			line += "! " + p.Error
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func TestPlanSaysWhy(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	for _, name := range []string{"a.csv", "b.txt", "d.csv"} {
		b.write(t, name, []byte(name))
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.dir, "server", "d.csv"), old, old); err != nil {
		t.Fatal(err)
	}
	j := b.job(t, "*")
	j.Select = transfer.Select{Include: []string{"*.csv"}, MinAge: time.Hour}
	got, err := b.plan(t, j)
	if want := []string{"skip a.csv: too young", "skip b.txt: not included", "get d.csv > d.csv"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := os.Stat(b.dir + "/got"); err == nil {
		t.Error("a dry run made the target")
	}
	j.Select.MinAge = 100 * time.Hour
	got, err = b.plan(t, j)
	if len(got) != 3 || !fault.Is(err, fault.NoMatch) {
		t.Errorf("got %q, %v", got, err)
	}
	j.Get = []string{"*.csv", "absent"}
	j.Select = transfer.Select{}
	got, err = b.plan(t, j)
	if len(got) != 2 || !fault.Is(err, fault.Partial) {
		t.Errorf("got %q, %v", got, err)
	}
	stop := fault.New(fault.Internal, "stop")
	if err := b.Plan(t.Context(), j, func(Planned) error { return stop }); err == nil || err.Error() != "stop" {
		t.Errorf("got %v", err)
	}
}

// TestNamesOnAWindowsServer: a server that says that it is one is held to its
// names.
func TestNamesOnAWindowsServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the names must be ones that this system can hold, and holds apart")
	}
	b := newBenchOf(t, remotetest.Options{Version: "SSH-2.0-OpenSSH_for_Windows_9.5"})
	src := t.TempDir()
	for _, name := range []string{"a?b.txt", "con", "good.txt", "Good.txt"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j := b.job(t)
	j.Get, j.Put, j.To = nil, []string{filepath.ToSlash(src) + "/*"}, template(t, "in/")
	got, err := b.plan(t, j)
	if len(got) != 4 || !fault.Is(err, fault.Partial) || !strings.HasPrefix(got[0], "put Good.txt") || !strings.Contains(got[1], "fail a?b.txt") ||
		!strings.Contains(got[2], "fail con") || !strings.Contains(got[3], "fail good.txt") || !strings.Contains(got[3], "case") {
		t.Errorf("%v\n%s", err, strings.Join(got, "\n"))
	}
	run, err := b.Run(t.Context(), j, Trigger{})
	if !fault.Is(err, fault.Partial) || run.Moved != 1 || run.Failed != 3 || len(run.Files) != 4 {
		t.Errorf("moved %d, failed %d, %d files, %v", run.Moved, run.Failed, len(run.Files), err)
	}
	j.Select.Names = transfer.MapNames
	got, err = b.plan(t, j)
	if len(got) != 4 || !fault.Is(err, fault.Partial) || got[1] != "put a?b.txt > a\uf03fb.txt" || got[2] != "put con > \uf063on" {
		t.Errorf("%v\n%q", err, got)
	}
}
