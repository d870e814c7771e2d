package job

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/bandwidth"
	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// TestMaxTransfer: no file is begun that would go over, smaller ones behind it
// are; what is left is named, and the next run takes it.
func TestMaxTransfer(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	for name, size := range map[string]int{"a": 600, "b": 500, "c": 300, "d": 200, "e": 5000} {
		b.write(t, name, make([]byte, size))
	}
	j := b.job(t, "*")
	j.Recursive = false
	j.Limits.MaxTransfer = 1000
	j.After = config.After{Source: config.SourceDelete}
	var plan []string
	err := b.Plan(t.Context(), j, func(p Planned) error {
		plan = append(plan, p.Does+" "+p.Source+" "+p.Reason)
		return nil
	})
	if got := strings.Join(plan, ", "); err != nil || got != "get a , skip b over max_transfer, get c , skip d over max_transfer, skip e over max_transfer" {
		t.Errorf("the plan is %q, %v", got, err)
	}
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 9 || fault.Transient(err) || !strings.Contains(err.Error(), "max_transfer of 1000 bytes is reached: 3 files of 5.6 KiB are left") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(fault.HintOf(err), "1 of the files are larger") {
		t.Errorf("hint %q", fault.HintOf(err))
	}
	if run.Moved != 2 || run.Bytes != 900 || run.Skipped != 3 || run.Failed != 0 || len(run.Attempts) != 1 {
		t.Errorf("%d files, %d bytes moved, %d skipped, %d failed, %d attempts", run.Moved, run.Bytes, run.Skipped, run.Failed, len(run.Attempts))
	}
	for _, name := range []string{"b", "d", "e"} {
		if !strings.Contains(b.log.String(), "source="+name+" ") {
			t.Errorf("the log does not name %s:\n%s", name, b.log)
		}
	}
	// What was moved is done with; the next run takes what fits of the rest.
	wantTree(t, b.server(), "b="+strings.Repeat("\x00", 500), "d="+strings.Repeat("\x00", 200), "e="+strings.Repeat("\x00", 5000))
	if run, err = b.Run(t.Context(), j, Trigger{}); fault.ExitCode(err) != 9 || run.Moved != 2 {
		t.Errorf("the second run moved %d: %v", run.Moved, err)
	}
	j.Limits.MaxTransfer = 5000
	if run, err = b.Run(t.Context(), j, Trigger{}); err != nil || run.Moved != 1 {
		t.Errorf("the third run moved %d: %v", run.Moved, err)
	}
}

// TestMaxDuration: the run stops, what is under way is gone on with by the next
// one, and the sources of what was moved are treated as after any run.
func TestMaxDuration(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	content := make([]byte, 12<<20)
	for i := range content {
		content[i] = byte(i>>16) ^ byte(i>>8) ^ byte(i)
	}
	b.write(t, "a small", []byte("first"))
	b.write(t, "long", content)
	j := b.job(t, "*")
	j.Retry.Attempts = 5
	j.After = config.After{Source: config.SourceDelete}
	j.Limits.MaxDuration = 3 * time.Second
	j.Limits.Bandwidth = bandwidth.Always(2e6)
	began := time.Now()
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 8 || fault.Transient(err) || !strings.Contains(err.Error(), "max_duration of 3s is over: 1 of 2 files were moved") {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(began); took < 3*time.Second || took > 6*time.Second || len(run.Attempts) != 1 {
		t.Errorf("it took %s and %d attempts", took, len(run.Attempts))
	}
	if run.State != store.Failed || !strings.Contains(run.Hint, "the next run") {
		t.Errorf("%s, hint %q", run.State, run.Hint)
	}
	if _, err := os.Stat(filepath.Join(b.server(), "a small")); !os.IsNotExist(err) {
		t.Errorf("the source of what was moved is there: %v", err)
	}
	j.Limits = Limits{}
	run, err = b.Run(t.Context(), j, Trigger{})
	if err != nil || len(run.Files) != 1 || run.Files[0].Resumed < 2<<20 {
		t.Fatalf("%+v, %v", run.Files, err)
	}
}

// TestSharedLimits: a host's limit is that of all runs to it, a link's that of
// all through it, one for another host has its own, and a job's own comes besides; a config that is read anew
// changes it for runs that are under way.
func TestSharedLimits(t *testing.T) {
	f, err := config.Decode("linehaul.yaml", []byte(`
bandwidth: 100MB/s
limits: {per_host: 9, per_link: 8}
links:
  vpn: {bandwidth: 500kB/s, runs: 3, route: {networks: 10.0.0.0/8, interface: wg0}}
  other: {route: {networks: 10.0.0.0/8, interface: wg1}}
hosts:
  bastion: {address: a, user: u, bandwidth: 5MB/s}
  hk1: {address: a, user: u, jump: bastion, bandwidth: 2MB/s}
  hk2: {address: b, user: u}
  hk3: {address: 10.0.0.3, user: u, link: vpn, runs: 2}
  hk4: {address: 10.0.0.4, user: u, link: vpn}
  hk5: {address: 10.0.0.5, user: u, link: other}
jobs:
  one: {get: "hk1:x", to: a/, bandwidth: 1MB/s}
  two: {get: "hk1:y", to: b/}
  three: {get: "hk2:y", to: b/}
  four: {get: "hk3:y", to: b/}
  five: {get: "hk4:y", to: b/}
  six: {get: "hk5:y", to: b/}
`))
	if err != nil {
		t.Fatal(err)
	}
	r := Runner{Now: time.Now, Limits: bandwidth.NewShared(time.Now)}
	want := map[string]struct {
		names string
		rate  bandwidth.Rate
	}{
		"one": {"all, host hk1, host bastion", 1e6}, "two": {"all, host hk1, host bastion", 2e6}, "three": {"all", 1e8},
		"four": {"all, link vpn", 5e5}, "five": {"all, link vpn", 5e5}, "six": {"all", 1e8},
	}
	for name, w := range want {
		var names []string
		shared := SharedLimits(f, f.Jobs[name].Host, f.Hosts[f.Jobs[name].Host].Link)
		for _, l := range shared {
			names = append(names, l.Name)
		}
		l := Limits{Bandwidth: f.Jobs[name].Bandwidth, Shared: shared}
		gate := r.gate(l)
		if got := strings.Join(names, ", "); got != w.names || gate.Rate() != w.rate {
			t.Errorf("%s: limits of %s, %s; want %s, %s", name, got, gate.Rate(), w.names, w.rate)
		}
		if name == "two" {
			f.Hosts["hk1"].Bandwidth = bandwidth.Always(3e6)
			r.Limits.Keep(SharedTables(f))
			if gate.Rate() != 3e6 {
				t.Errorf("after a reload the rate is %s", gate.Rate())
			}
			f.Hosts["hk1"].Bandwidth = bandwidth.Always(2e6)
		}
	}
	tables := SharedTables(f)
	for _, name := range []string{"all", "host hk1", "host bastion", "link vpn"} {
		if tables[name] == nil {
			t.Errorf("%s has no table", name)
		}
		delete(tables, name)
	}
	if len(tables) > 0 {
		t.Errorf("tables of %v besides", tables)
	}
	for host, want := range map[string][]store.Room{
		"hk2": {{Host: "hk2", Runs: 9}}, "hk3": {{Host: "hk3", Runs: 2}, {Link: "vpn", Runs: 3}},
		"hk4": {{Host: "hk4", Runs: 9}, {Link: "vpn", Runs: 3}}, "hk5": {{Host: "hk5", Runs: 9}, {Link: "other", Runs: 8}},
	} {
		if got := rooms(f, &remote.Host{Name: host, Link: f.Hosts[host].Link}); !slices.Equal(got, want) {
			t.Errorf("%s: room for %+v, want %+v", host, got, want)
		}
	}
	if (&Runner{}).gate(Limits{}) != nil {
		t.Error("there is a gate without a limit")
	}
}

// TestProgressIsRecorded: who reads the record sees how far a run is.
func TestProgressIsRecorded(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.write(t, "long", make([]byte, 8<<20))
	j := b.job(t, "long")
	j.Limits.Bandwidth = bandwidth.Always(2e6)
	ended := make(chan error, 1)
	go func() {
		_, err := b.Run(t.Context(), j, Trigger{})
		ended <- err
	}()
	var seen *store.Progress
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		run, ok, err := b.Store.Last(j.Name)
		if err != nil {
			t.Fatal(err)
		}
		if ok && run.Progress != nil {
			seen = run.Progress
		}
		select {
		case err := <-ended:
			tick.Stop()
			if err != nil {
				t.Fatal(err)
			}
			if seen == nil || seen.OfFiles != 1 || seen.OfBytes != 8<<20 || seen.Bytes < 1<<20 || seen.Rate < 1e6 || seen.Rate > 3e6 {
				t.Errorf("seen: %+v", seen)
			}
			if run, _, err := b.Store.Last(j.Name); err != nil || run.Progress != nil {
				t.Errorf("after the end: %+v, %v", run.Progress, err)
			}
			return
		case <-tick.C:
		}
	}
}

// TestLimitIsNoStall: what waits for its turn for longer than a server may be
// silent is not taken for a stall, by neither protocol and in neither direction.
func TestLimitIsNoStall(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	data := []byte(strings.Repeat("0123456789", 30_000))
	b.write(t, "x", data)
	local := filepath.Join(b.dir, "y")
	if err := os.WriteFile(local, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		for _, verb := range []string{"get", "put"} {
			t.Run(protocol.String()+" "+verb, func(t *testing.T) {
				t.Parallel()
				j := b.job(t, "x")
				j.Name = protocol.String() + verb
				j.To = template(t, filepath.ToSlash(t.TempDir())+"/")
				if verb == "put" {
					j.Get, j.Put, j.To = nil, []string{local}, template(t, j.Name)
				}
				j.Host.Protocol = protocol
				// A piece of 32 KiB has to wait for 0.8 seconds.
				j.Host.StallTimeout, j.Limits.Bandwidth = 500*time.Millisecond, bandwidth.Always(40_000)
				began := time.Now()
				run, err := b.Run(t.Context(), j, Trigger{})
				if err != nil || len(run.Attempts) != 1 {
					t.Fatalf("%d attempts, %v", len(run.Attempts), err)
				}
				if took := time.Since(began); took < 5*time.Second {
					t.Errorf("300 kB took %s at 40 kB/s", took)
				}
			})
		}
	}
}
