//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/postgres"
	"linehaul/receipt"
	"linehaul/store"
)

// queueSoak is for how long nodes are killed, LINEHAUL_QUEUE_SOAK seconds if that is
// set.
func queueSoak() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("LINEHAUL_QUEUE_SOAK")); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	return 12 * time.Second
}

// soakJobs is how many jobs fire each second.
const soakJobs = 5

// A soakNode is a machine: a folder with a config, and the process that serves it,
// started again whenever it has ended, as a service is.
type soakNode struct {
	name, file string
	mu         sync.Mutex
	now        *background
	starts     int
	kept       []*background // for their logs
}

// serve keeps the process running until stop is closed.
func (n *soakNode) serve(t *testing.T, stop <-chan struct{}) {
	for {
		b := start(t, "-q", "-c", n.file, "serve")
		n.mu.Lock()
		n.now = b
		n.starts++
		n.kept = append(n.kept, b)
		n.mu.Unlock()
		ended := make(chan struct{})
		go func() { b.cmd.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-stop:
			b.cmd.Process.Signal(syscall.SIGCONT)
			b.cmd.Process.Signal(syscall.SIGTERM)
			<-ended
			return
		}
		select {
		case <-time.After(time.Second):
		case <-stop:
			return
		}
	}
}

// signal sends a signal to the process, if there is one.
func (n *soakNode) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now != nil {
		n.now.cmd.Process.Signal(s)
	}
}

// soakNodes makes nodes that share a schedule, and a folder.
func soakNodes(t *testing.T, s *site, url string, count int) (nodes []*soakNode, got string) {
	t.Helper()
	got = t.TempDir()
	for i := range count {
		dir := t.TempDir()
		where := ""
		if url != "" {
			write(t, dir, "store", url)
			where = "store: file:store\n"
		}
		jobs := ""
		for j := range soakJobs {
			jobs += fmt.Sprintf("  job%d: {schedule: '* * * * * *', timezone: UTC, catch_up: all, overlap: allow, get: 'h:%s/a.txt', to: '%s/{job}.{date}{time}.{run}'}\n", j, s.remote, got)
		}
		name := fmt.Sprint("node", i)
		nodes = append(nodes, &soakNode{name: name, file: write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
logs: {dir: log}
node: {name: %s}
limits: {runs: 20}
%shosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
%s`, name, where, s.Addr, s.User, s.key, s.Fingerprint(), jobs))})
	}
	return nodes, got
}

// TestQueueSoak: while processes that serve one schedule are killed and held, no
// firing is lost and none runs twice, by the record and by the files.
func TestQueueSoak(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		s := newSite(t, lab.SSHD{})
		s.write(t, "a.txt", []byte("a line\n"))
		server := postgres.Start(t)
		nodes, got := soakNodes(t, s, server.NewDatabase(t), 3)
		soak(t, nodes, got, queueSoak(), func(n *soakNode) {
			if rand.IntN(2) == 0 {
				t.Logf("%s is killed", n.name)
				n.signal(syscall.SIGKILL)
				return
			}
			t.Logf("%s is held", n.name)
			n.signal(syscall.SIGSTOP)
			time.Sleep(store.Lease + 2*time.Second)
			n.signal(syscall.SIGCONT)
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		s := newSite(t, lab.SSHD{})
		s.write(t, "a.txt", []byte("a line\n"))
		nodes, got := soakNodes(t, s, "", 1)
		soak(t, nodes, got, queueSoak(), func(n *soakNode) { n.signal(syscall.SIGKILL) })
		t.Logf("started %d times", nodes[0].starts)
	})
}

// soak has nodes serve while something is done to one of them again and again, and
// counts what ran.
func soak(t *testing.T, nodes []*soakNode, got string, long time.Duration, harm func(*soakNode)) {
	t.Helper()
	program(t) // is built
	stop := make(chan struct{})
	var serving sync.WaitGroup
	for _, n := range nodes {
		serving.Go(func() { n.serve(t, stop) })
	}
	end := sync.OnceFunc(func() { close(stop); serving.Wait() })
	defer end()
	for deadline := time.Now().Add(time.Minute); len(history(t, nodes[0])) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing fired:\n%s", nodes[0].log(t))
		}
	}
	began := time.Now()
	for time.Since(began) < long {
		time.Sleep(time.Second + rand.N(2*time.Second))
		harm(nodes[rand.IntN(len(nodes))])
	}
	until := time.Now()
	// What was under way when its process died is taken by another one.
	eventuallyQuiet(t, nodes[0])
	end()

	t.Cleanup(func() {
		for _, n := range nodes {
			if t.Failed() {
				t.Logf("%s said\n%s\nand logged\n%s", n.name, &n.kept[len(n.kept)-1].out, n.log(t))
			}
		}
	})
	runs := history(t, nodes[0])
	ended := slices.DeleteFunc(slices.Clone(runs), func(r store.Run) bool { return r.Receipt == nil })
	if r := whole(t, nodes[0]); r.Receipts != int64(len(ended)) {
		t.Errorf("%d receipts, and %d runs that have one", r.Receipts, len(ended))
	}
	files := map[string][]string{} // job and time -> runs
	names, err := os.ReadDir(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range names {
		job, rest, _ := strings.Cut(f.Name(), ".")
		at, run, _ := strings.Cut(rest, ".")
		files[job+" "+at] = append(files[job+" "+at], run)
	}
	ran := map[string][]store.Run{}
	first, last := map[string]time.Time{}, map[string]time.Time{}
	takes, other := 0, 0
	for _, r := range runs {
		if r.State == store.Skipped && r.Error == "" || r.Nominal.IsZero() {
			continue
		}
		key := r.Job + " " + r.Nominal.UTC().Format("20060102150405")
		ran[key] = append(ran[key], r)
		if f := first[r.Job]; f.IsZero() || r.Nominal.Before(f) {
			first[r.Job] = r.Nominal
		}
		if r.Nominal.After(last[r.Job]) {
			last[r.Job] = r.Nominal
		}
		if r.Take > 1 {
			takes++
		}
		if r.State != store.OK && r.State != store.Waiting {
			other++
			t.Errorf("run %s of %s at %s is %s: %s", r.ID, r.Job, r.Nominal, r.State, r.Error)
		}
	}
	fired, lost, twice := 0, 0, 0
	for j := range soakJobs {
		job := fmt.Sprint("job", j)
		if first[job].IsZero() || last[job].Before(until.Add(-3*time.Second)) {
			t.Errorf("%s fired from %s to %s, and was to until %s", job, first[job], last[job], until)
			continue
		}
		// The end of what was recorded is left out, as runs under way at the stop are.
		for at := first[job]; at.Before(until.Truncate(time.Second)); at = at.Add(time.Second) {
			key := job + " " + at.UTC().Format("20060102150405")
			switch n := len(ran[key]); {
			case n == 0:
				lost++
				t.Errorf("%s did not fire", key)
			case n > 1:
				twice++
				t.Errorf("%s fired %d times", key, n)
			default:
				fired++
				if run := ran[key][0]; run.State == store.OK && !slices.Equal(files[key], []string{run.ID}) {
					t.Errorf("%s: the files are of the runs %q, the record is of %s", key, files[key], run.ID)
				}
			}
		}
	}
	starts := 0
	for _, n := range nodes {
		starts += n.starts
	}
	t.Logf("%d firings of %d jobs in %s over %d starts of %d nodes: lost %d, twice %d, taken over %d, not ok %d",
		fired, soakJobs, until.Sub(began).Round(time.Second), starts, len(nodes), lost, twice, takes, other)
}

// whole has a node verify all receipts, and returns what it says.
func whole(t *testing.T, n *soakNode) receipt.Report {
	t.Helper()
	o := linehaul(t, time.Minute, "-c", n.file, "verify", "--json")
	var r receipt.Report
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || o.code != 0 || !r.OK {
		t.Errorf("the receipts are not as they should be: %v\n%s", err, o)
	}
	return r
}

// history is what a node's config has recorded.
func history(t *testing.T, n *soakNode) (runs []store.Run) {
	t.Helper()
	o := linehaul(t, time.Minute, "-c", n.file, "history", "--json", "-n", "1000000")
	if o.code != 0 {
		t.Fatal(o)
	}
	if err := json.Unmarshal([]byte(o.stdout), &runs); err != nil {
		t.Fatal(err)
	}
	return runs
}

// eventuallyQuiet waits until no old run waits or is under way any more.
func eventuallyQuiet(t *testing.T, n *soakNode) {
	t.Helper()
	since := time.Now()
	for deadline := since.Add(2 * time.Minute); ; time.Sleep(time.Second) {
		open := []string{}
		for _, r := range history(t, n) {
			if (r.State == store.Waiting || r.State == store.Running) && r.Nominal.Before(since) {
				open = append(open, fmt.Sprint(r.ID, " ", r.State, " take ", r.Take))
			}
		}
		if len(open) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("these did not end: %q\n%s", open, n.log(t))
		}
	}
}

// log is what the node's service has logged.
func (n *soakNode) log(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(n.file), "log", "linehaul.log"))
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-20000):])
}

// TestTakeover: the process that pulls a large file is killed. Another one takes the
// run in less than 30 s, goes on where it was, and the file is right.
func TestTakeover(t *testing.T) {
	const size = 256 << 20
	s := newSite(t, lab.SSHD{})
	big := filepath.Join(s.remote, "big.bin")
	want := randomFile(t, big, size)
	s.Own(big)
	server := postgres.Start(t)
	url := server.NewDatabase(t)
	got := t.TempDir()
	var nodes []*soakNode
	for i := range 2 {
		dir := t.TempDir()
		write(t, dir, "store", url)
		name := fmt.Sprint("node", i)
		nodes = append(nodes, &soakNode{name: name, file: write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
logs: {dir: log}
store: file:store
node: {name: %s}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q, bandwidth: 20MB/s}
jobs:
  big: {get: 'h:%s/big.bin', to: '%s/'}
`, name, s.Addr, s.User, s.key, s.Fingerprint(), s.remote, got))})
	}
	var served []*background
	for _, n := range nodes {
		b := start(t, "-c", n.file, "serve")
		b.await(t, "config in force")
		served = append(served, b)
	}
	if o := linehaul(t, time.Minute, "-c", nodes[0].file, "run", "--detach", "big"); o.code != 0 {
		t.Fatal(o)
	}
	owner := -1
	for deadline := time.Now().Add(time.Minute); owner < 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the pull did not get far")
		}
		for _, r := range history(t, nodes[0]) {
			if p := r.Progress; p != nil && p.Bytes > size/4 {
				owner = slices.IndexFunc(nodes, func(n *soakNode) bool { return n.name == r.Node })
			}
		}
	}
	served[owner].cmd.Process.Kill()
	killed := time.Now()
	var run store.Run
	taken := time.Duration(0)
	for deadline := killed.Add(3 * time.Minute); run.State != store.OK; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is %+v\n%s", run, &served[1-owner].out)
		}
		run = history(t, nodes[1-owner])[0]
		if taken == 0 && run.State == store.Running && run.Take == 2 {
			taken = time.Since(killed)
		}
	}
	if taken == 0 || taken > 30*time.Second || run.Node != nodes[1-owner].name {
		t.Errorf("taken after %s, by %s", taken, run.Node)
	}
	if len(run.Files) != 1 || run.Files[0].Resumed < size/8 {
		t.Errorf("it did not go on where the other was: %+v", run.Files)
	}
	if sum := sumOf(t, filepath.Join(got, "big.bin")); sum != want {
		t.Errorf("the file is not the source")
	}
	if left := temporaries(t, got); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if all := history(t, nodes[0]); len(all) != 1 {
		t.Errorf("%d runs", len(all))
	}
	if r := whole(t, nodes[1-owner]); r.Receipts != 1 || r.Files.Same != 1 || r.Files.Unhashed != 0 || run.Receipt == nil || r.End != *run.Receipt {
		t.Errorf("it should have one receipt, with the file: %+v of %+v", r, r.Files)
	}
	t.Logf("taken after %.1f s, went on at %d of %d MiB", taken.Seconds(), run.Files[0].Resumed>>20, size>>20)
}

// TestServeHandsBack: a run that is under way when serve is asked to stop waits
// then, and is gone on with when serve starts again; what somebody cancels ends.
func TestServeHandsBack(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	big := filepath.Join(s.remote, "big.bin")
	want := randomFile(t, big, 8<<20)
	s.Own(big)
	dir := t.TempDir()
	config := func(rate string) string {
		return fmt.Sprintf(`
state: state
logs: {dir: log}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q, bandwidth: %s}
jobs:
  big: {get: 'h:%s/big.bin', to: got/}
`, s.Addr, s.User, s.key, s.Fingerprint(), rate, s.remote)
	}
	n := &soakNode{file: write(t, dir, "linehaul.yaml", config("100KB/s"))}
	state := func() store.Run {
		t.Helper()
		return history(t, n)[0]
	}
	await := func(what string, ok func(store.Run) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(state()); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it never %s: %+v\n%s", what, state(), n.log(t))
			}
		}
	}
	b := start(t, "-c", n.file, "serve")
	if o := linehaul(t, time.Minute, "-c", n.file, "run", "--detach", "big"); o.code != 0 {
		t.Fatal(o)
	}
	await("began", func(r store.Run) bool { return r.Progress != nil && r.Progress.Bytes > 0 })
	if o := linehaul(t, time.Minute, "-c", n.file, "jobs"); !strings.Contains(o.stdout, "running ") {
		t.Errorf("jobs does not say that it runs: %s", o)
	}
	if code := b.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("serve ended with %d:\n%s", code, &b.out)
	}
	if r := state(); r.State != store.Waiting || !r.Ended.IsZero() {
		t.Errorf("serve has stopped, and the run is %+v", r)
	}
	write(t, dir, "linehaul.yaml", config("100MB/s"))
	b = start(t, "-c", n.file, "serve")
	await("ended", func(r store.Run) bool { return r.State == store.OK })
	if r := state(); len(r.Attempts) != 2 || r.Moved != 1 {
		t.Errorf("%+v", r)
	}
	if sumOf(t, filepath.Join(dir, "got", "big.bin")) != want {
		t.Error("the file is not the source")
	}
	b.end(t, syscall.SIGTERM)

	write(t, dir, "linehaul.yaml", config("100KB/s"))
	b = start(t, "-c", n.file, "serve")
	if o := linehaul(t, time.Minute, "-c", n.file, "run", "--detach", "big"); o.code != 0 {
		t.Fatal(o)
	}
	await("began", func(r store.Run) bool { return r.State == store.Running })
	if o := linehaul(t, time.Minute, "-c", n.file, "cancel", state().ID, "--reason", "the disk is wanted"); o.code != 0 || !strings.Contains(o.stderr, "told to end") {
		t.Error(o)
	}
	await("was cancelled", func(r store.Run) bool { return r.State == store.Interrupted })
	if r := state(); r.Error != "cancelled: the disk is wanted" && !strings.HasSuffix(r.Error, "cancelled: the disk is wanted") || r.Code != 130 {
		t.Errorf("%+v", r)
	}
	if code := b.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}
