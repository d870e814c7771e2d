package job

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/preflight/trace"
	"linehaul/store"
	"linehaul/transfer/remote/remotetest"
)

// checking is a bench with a store, and a job that fetches one file with the
// checks that a config would give it.
func checking(t *testing.T) (*bench, *Job) {
	t.Helper()
	b := newBench(t, remotetest.Faults{})
	if err := os.WriteFile(filepath.Join(b.dir, "server", "x"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := &Job{
		Name: "j", Host: b.host, Get: []string{"/x"}, To: template(t, filepath.ToSlash(b.dir)+"/to/"), Zone: time.UTC, Retry: Retry{Attempts: 1},
		Checks: config.Checks{Policy: preflight.ForJob(), Evidence: true},
	}
	j.Checks.Ping.Interval = 20 * time.Millisecond
	return b, j
}

// countingDialer counts connections.
type countingDialer struct {
	net.Dialer
	n atomic.Int64
}

func (d *countingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.n.Add(1)
	return d.Dialer.DialContext(ctx, network, address)
}

// TestChecks: a run records what its checks found, and the connection that found
// the port open is the one that it used.
func TestChecks(t *testing.T) {
	b, j := checking(t)
	dialer := &countingDialer{}
	b.Dialer = dialer
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	if n := dialer.n.Load(); n != 1 {
		t.Errorf("%d connections, want 1: the check's is the one for SSH", n)
	}
	if run.Checks == nil || run.Checks.Verdict != "ok" || run.Checks.Sent != 5 || run.Checks.MedianMS <= 0 {
		t.Errorf("the record says %+v", run.Checks)
	}
	var r preflight.Report
	if ok, err := b.Store.Attachment(run, checksName, &r); !ok || err != nil {
		t.Fatalf("nothing is attached: %v", err)
	}
	for _, check := range []string{preflight.CheckName, preflight.CheckLink, preflight.CheckPing, preflight.CheckPort, preflight.CheckSpace} {
		if f := r.Of(check); f == nil || f.Verdict != preflight.OK {
			t.Errorf("%s: %+v", check, f)
		}
	}
	// The first good run looks at the whole way, for others to be compared with;
	// the next one has it already.
	if f := r.Of(preflight.CheckTrace); f == nil || len(f.Trace) != 1 || !f.Trace[0].Reached || f.Trace[0].Method != trace.TCP {
		t.Errorf("no trace to compare with: %+v", f)
	}
	if run, err = b.Run(t.Context(), j, Trigger{}); err != nil {
		t.Fatal(err)
	}
	var again preflight.Report
	if _, err := b.Store.Attachment(run, checksName, &again); err != nil || again.Of(preflight.CheckTrace) != nil {
		t.Errorf("%v: another trace on the same day", err)
	}
}

// TestRequiredCheck: a check that fails and is required ends each attempt with
// exit code 13 and names the layer, and a second look is kept with the run.
func TestRequiredCheck(t *testing.T) {
	b, j := checking(t)
	if _, err := b.Run(t.Context(), j, Trigger{}); err != nil { // the good night
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	j.Host.Port = closed
	j.Retry = Retry{Attempts: 2, Min: time.Millisecond, Max: time.Millisecond}
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 13 || !strings.Contains(fault.Line(err), "check: tcp: port ") {
		t.Errorf("got %d: %s", fault.ExitCode(err), fault.Line(err))
	}
	if len(run.Attempts) != 2 || run.Attempts[0].Code != 13 || run.Checks == nil || run.Checks.Layer != "tcp" || run.Checks.Verdict != "fail" {
		t.Errorf("attempts %+v, checks %+v", run.Attempts, run.Checks)
	}
	var r preflight.Report
	if ok, err := b.Store.Attachment(run, evidenceName, &r); !ok || err != nil {
		t.Fatalf("no evidence is attached: %v", err)
	}
	if r.Before == "" || !strings.Contains(strings.Join(r.Compared, "\n"), "port: port ") {
		t.Errorf("compared with %q: %q", r.Before, r.Compared)
	}
	if !strings.Contains(b.log.String(), "looked at the line once more") {
		t.Errorf("the log says nothing of it:\n%s", b.log)
	}
}

// TestWarningCheck: a check that only warns does not hold a run up, and is noted.
func TestWarningCheck(t *testing.T) {
	b, j := checking(t)
	j.Checks.Levels = map[string]preflight.Level{preflight.CheckName: preflight.Require, preflight.CheckPing: preflight.Warning}
	j.Checks.Limits.MaxRTT = time.Nanosecond
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Moved != 1 || run.Checks == nil || run.Checks.Verdict != "warn" {
		t.Errorf("%v, %+v", err, run.Checks)
	}
	if !strings.Contains(b.log.String(), "max_rtt") && !strings.Contains(b.log.String(), "are allowed") {
		t.Errorf("the log says nothing of it:\n%s", b.log)
	}
	j.Checks.Levels[preflight.CheckPing] = preflight.Require
	if _, err := b.Run(t.Context(), j, Trigger{}); fault.ExitCode(err) != 13 {
		t.Errorf("required, and yet %v", err)
	}
}

// TestSpaceCheck: a target that cannot be written fails before anybody is
// called.
func TestSpaceCheck(t *testing.T) {
	b, j := checking(t)
	file := filepath.Join(b.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j.To = template(t, filepath.ToSlash(file)+"/in/")
	_, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 13 || !strings.Contains(err.Error(), "local disk") {
		t.Errorf("got %v", err)
	}
}

// TestNoEvidenceOfDisk: the line is not looked at because a folder cannot be
// written.
func TestNoEvidenceOfDisk(t *testing.T) {
	b, j := checking(t)
	file := filepath.Join(b.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j.To = template(t, filepath.ToSlash(file)+"/in/")
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 13 {
		t.Fatal(err)
	}
	var r preflight.Report
	if ok, err := b.Store.Attachment(run, evidenceName, &r); ok || err != nil {
		t.Errorf("evidence is kept: %v, %v", r.Summary, err)
	}
}

// TestClockCheck: the check of the clock is made in runs, by a login of its own,
// and leaves no file.
func TestClockCheck(t *testing.T) {
	b, j := checking(t)
	j.Checks.Levels[preflight.CheckClock] = preflight.Require
	if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Moved != 1 {
		t.Fatalf("%v\n%s", err, b.log)
	}
	b.Now = func() time.Time { return time.Now().Add(time.Hour) }
	_, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 13 || !strings.Contains(fault.Line(err), "the server's clock is ") || !strings.Contains(fault.Line(err), "behind ours") {
		t.Errorf("a clock that is an hour behind: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(b.dir, "server")) // which is the login folder
	if err != nil || len(left) != 1 {
		t.Errorf("left on the server: %v, %v", left, err)
	}
}

// TestOneBaseline: a run whose connection breaks again and again traces the way
// once: each of the probes is a connection without a login.
func TestOneBaseline(t *testing.T) {
	b, j := checking(t)
	a := attempt{job: j, run: &store.Run{ID: "r", Job: "j"}, dialer: b.Dialer, store: b.Store, now: time.Now, log: slog.New(slog.DiscardHandler)}
	for n, want := range []bool{true, false} {
		l, _, err := a.look(t.Context(), b.Dialer)
		if err != nil {
			t.Fatal(err)
		}
		r := l.end(&a)
		if traced := r.Of(preflight.CheckTrace) != nil; traced != want {
			t.Errorf("attempt %d traces the way: %v", n+1, traced)
		}
	}
}
