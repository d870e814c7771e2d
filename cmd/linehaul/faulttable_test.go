//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/faulty"
	"linehaul/internal/lab"
	"linehaul/transfer/remote/remotetest"
)

// A faultRow is one thing that goes wrong.
type faultRow struct {
	fault string
	// The outcomes that are wanted, as "exit code, what was left"; empty for a
	// direction in which the fault makes no sense.
	get, put string
	// late is wanted as well over several sessions: what the server says may come
	// when a file that is durable has its name.
	late string
	// one leaves out the trial over several sessions.
	one bool
	// size is that of the file; 0 for the usual ones.
	size int64
	// verify is how copies are held against their source; size if empty.
	verify string
	// connect is how long connecting may take; 0 for long enough.
	connect time.Duration
	// trip is the round trip to a server that has several sessions; 0 for farAway.
	trip time.Duration
	// files makes the source a folder of so many small files.
	files int
	// name is that of the file; data.bin if empty.
	name string
	// more are further keys of the job.
	more string
	// sessions is how many the server takes on a connection; 0 for any number.
	sessions int
	// stays says that the fault does not pass: there is no next run.
	stays bool
	// arm makes the fault.
	arm func(x *trial)
	// look says what was left, where it is not one file.
	look func(x *trial) string
	// run runs the job, where the program alone will not do.
	run func(x *trial) outcome
}

const (
	// oneSize has a journal, sharedSize goes over several sessions.
	oneSize, sharedSize = 5 << 20, 17 << 20
	// farAway is the round trip that calls for three sessions, and sealTrip one on
	// which a file is made durable behind each session's last write.
	farAway, sealTrip = 20 * time.Millisecond, 40 * time.Millisecond
	// faultStall is when a silent server counts as stalled.
	faultStall = 3 * time.Second
	// trialLimit is how long a run may take at most, on a busy machine.
	trialLimit = 80 * time.Second
	// trialsAtOnce go on beside each other: most of the time they wait.
	trialsAtOnce = 8
)

// How a trial moves the file: over one session, over several, and over several of a
// server that may do what it is asked in any order.
const (
	inOne      = "one"
	inSeveral  = "several"
	inAnyOrder = "several in any order"
)

// A trial is a row in one direction: a server behind a line, with a file on
// one side and a config whose job moves it to the other.
type trial struct {
	*testing.T
	way       string // "get", "put"
	server    *faulty.Server
	line      *delay.Line
	own       string // folder of the config
	source    string // the file that is moved, wherever it is
	folder    string // where it goes
	target    string
	data      []byte // of the source, as it was
	config    string
	editing   sync.Mutex
	untouched bool // the source is to be what it was
	program   string
	within    *lab.Process // has the mounts that the program sees; nil for the test's own
	mounted   string       // where it has one of its own
	before    []string     // the command that starts the program elsewhere; may be empty
	work      sync.WaitGroup
	heal      func() // ends the fault, for the next run
	stop      func() // ends what goes on beside the run; may be called again
}

// trialConfig is the config of a trial.
const trialConfig = `state: %q
hosts:
  far: {address: %q, user: u, password: 'file:password', host_keys: %q, stall_timeout: %s, connect_timeout: %s, keepalive: 1s}
jobs:
  move: {%s%s, verify: %s, timeout: 60s, retry: {attempts: 3, backoff: 50ms..200ms}, checks: {ping: off, evidence: false}}
`

func newTrial(t *testing.T, row faultRow, way, how string) *trial {
	x := &trial{T: t, way: way, own: t.TempDir(), untouched: true, heal: func() {}, stop: func() {}}
	root, local := t.TempDir(), t.TempDir()
	x.server = &faulty.Server{Root: root}
	from, to := root, local
	if way == "put" {
		from, to = local, root
	}
	// As OpenSSH, the server is known to keep the order of requests.
	size, rtt, sessions, version := int64(oneSize), time.Duration(0), 1, "SSH-2.0-OpenSSH_9.9 faulty"
	if how != inOne {
		size, rtt, sessions = sharedSize, cmp.Or(row.trip, farAway), 0
	}
	if how == inAnyOrder {
		version = "SSH-2.0-faulty"
	}
	if row.size != 0 {
		size = row.size
	}
	if row.sessions != 0 {
		sessions = row.sessions
	}
	name := cmp.Or(row.name, "data.bin")
	x.source, x.folder = filepath.Join(from, name), filepath.Join(to, "in")
	x.target = filepath.Join(x.folder, name)
	x.data = make([]byte, max(size, 0))
	rng := rand.NewChaCha8([32]byte{byte(size)})
	rng.Read(x.data)
	if err := os.Mkdir(x.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{x.source: x.data, x.target: []byte(oldText), filepath.Join(x.own, "password"): []byte("sesame")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if row.files > 0 {
		x.source = filepath.Join(from, "tree")
		makeSmall(t, x.source, row.files)
	}
	ssh, err := remotetest.Start(context.Background(), remotetest.Options{
		Root: root, Password: "sesame", Version: version, SFTP: x.server.Serve,
		Faults: remotetest.Faults{MaxSessions: sessions},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ssh.Close() })
	if x.line, err = delay.Listen(ssh.Addr(), delay.Options{RTT: rtt}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.stop(); x.line.Close(); x.work.Wait() })
	job := fmt.Sprintf("get: 'far:/%s', to: %q", filepath.Base(x.source), x.folder+"/")
	if way == "put" {
		job = fmt.Sprintf("put: %q, to: 'far:/in/'", x.source)
	}
	if row.files > 0 {
		job += ", recursive: true"
	}
	x.config = write(t, x.own, "linehaul.yaml", fmt.Sprintf(trialConfig, filepath.Join(x.own, "state"), x.line.Addr(), ssh.Fingerprint(), faultStall,
		cmp.Or(row.connect, 30*time.Second), job, row.more, cmp.Or(row.verify, "size")))
	// This test binary is linehaul, too, with the race detector if it has that
	// itself: it goes by its name.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x.program = filepath.Join(x.own, "linehaul")
	if err := os.Symlink(self, x.program); err != nil {
		t.Fatal(err)
	}
	return x
}

// makeSmall makes a folder of small files that differ in nothing but their
// content.
func makeSmall(t *testing.T, dir string, files int) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), small(i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// small is the content of one of them.
func small(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%07d\n", i), 100) }

// lookAtSmall says what there is of them below the target folder.
func lookAtSmall(files int) func(x *trial) string {
	return func(x *trial) string {
		whole, torn := 0, 0
		for i := range files {
			got, err := os.ReadFile(filepath.Join(x.folder, "tree", fmt.Sprint("f", i)))
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err == nil && bytes.Equal(got, small(i)):
				whole++
			default:
				torn++
			}
		}
		text := "some whole, the others absent"
		switch {
		case torn > 0:
			text = fmt.Sprintf("TORN: %d files", torn)
		case whole == files:
			text = "all whole"
		case whole == files-1:
			text = "all but one whole"
		}
		if len(temporaries(x, x.folder)) > 0 {
			text += ", temporary files"
		}
		return text
	}
}

// run runs the job once.
func (x *trial) run() outcome {
	x.Helper()
	args := slices.Concat(x.before, []string{x.program, "-c", x.config, "run", "move"})
	cmd := exec.Command(args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		x.Fatal(err)
	}
	// A program of Go's then says where it hangs.
	late := time.AfterFunc(trialLimit, func() { cmd.Process.Signal(syscall.SIGQUIT) })
	err := cmd.Wait()
	if !late.Stop() {
		x.Fatalf("it did not end: %v\n%s", err, stderr.String())
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
}

// left says what is there after a run.
func (x *trial) left() string {
	var text string
	now, err := os.ReadFile(x.source)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.Error(err)
	}
	got, err := os.ReadFile(x.target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = "absent"
	case err != nil:
		text = err.Error()
	case string(got) == oldText:
		text = "old"
	case bytes.Equal(got, now):
		text = "whole"
	case bytes.Equal(got, x.data):
		text = "whole, as it was before"
	case len(got) == len(x.data):
		text = "MIXED"
	default:
		text = fmt.Sprintf("TORN: %d bytes", len(got))
	}
	parts := temporaries(x, x.folder)
	switch {
	case len(parts) == 2 && filepath.Ext(parts[0]) != filepath.Ext(parts[1]):
		text += ", part and journal"
	case len(parts) > 0:
		text += fmt.Sprintf(", %d temporary files", len(parts))
	}
	return text
}

// midway counts the requests that carry content.
const midway = 12

// inMidFile calls f in the middle of the file, once, when the server has a
// request for content before it.
func (x *trial) inMidFile(f func()) func(faulty.Request) faulty.Verdict {
	return x.onContent(func(n int64) faulty.Verdict {
		if n == midway {
			f()
		}
		return faulty.Verdict{}
	})
}

// onContent is asked at each request that carries the content of the file, by
// its number.
func (x *trial) onContent(f func(n int64) faulty.Verdict) func(faulty.Request) faulty.Verdict {
	var n atomic.Int64
	return func(r faulty.Request) faulty.Verdict {
		if r.Op != "read" && r.Op != "write" || strings.HasSuffix(r.Path, ".todo") {
			return faulty.Verdict{}
		}
		return f(n.Add(1))
	}
}

// edit changes the source in a way that keeps its time unless it is told to.
func (x *trial) edit(keepTime bool, f func(path string) error) {
	x.editing.Lock()
	defer x.editing.Unlock()
	x.untouched = false
	info, err := os.Stat(x.source)
	if err == nil {
		err = f(x.source)
	}
	mtime := time.Now().Add(time.Hour)
	if err == nil && keepTime {
		mtime = info.ModTime()
	}
	if err = errors.Join(err, os.Chtimes(x.source, mtime, mtime)); err != nil {
		x.Error(err)
	}
}

// A tableLine is what a trial found.
type tableLine struct {
	fault, way, got, next string
	sessions, order       int
}

// TestFaultTable lets everything go wrong that may, in both directions, over
// one session and over several, and prints what came of it: the exit code and
// what was left. The target is absent, old or whole each time, and the source
// what it was; when the fault has passed, the next run of the job succeeds and
// leaves nothing else behind.
func TestFaultTable(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for many servers to misbehave")
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var lines []tableLine
	// The race detector sees every sixth row, a few at a time; make test runs the
	// whole table without it besides.
	atOnce, step := trialsAtOnce, 1
	if raced {
		atOnce, step = 3, 6
	}
	slots := make(chan struct{}, atOnce)
	for order, row := range slices.Concat(faultRows(), afterRows(faultRows())) {
		if order%step != 0 {
			continue
		}
		for _, way := range []string{"get", "put"} {
			want := row.get
			if way == "put" {
				want = row.put
			}
			for _, how := range []string{inOne, inSeveral, inAnyOrder} {
				if want == "" || how != inOne && row.one {
					continue
				}
				slots <- struct{}{}
				all.Go(func() {
					defer func() { <-slots }()
					name := fmt.Sprintf("%s/%s/%s", row.fault, way, how)
					t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
						line := tryFault(t, row, way, how, want)
						line.order = order
						mu.Lock()
						defer mu.Unlock()
						lines = append(lines, line)
					})
				})
			}
		}
	}
	all.Wait()
	printFaults(t, lines)
}

// tryFault runs a row in one direction and judges it.
func tryFault(t *testing.T, row faultRow, way, how, want string) tableLine {
	x := newTrial(t, row, way, how)
	look := x.left
	if row.look != nil {
		look = func() string { return row.look(x) }
	}
	row.arm(x)
	run := x.run
	if row.run != nil {
		run = func() outcome { return row.run(x) }
	}
	o := run()
	got := fmt.Sprintf("%d, %s", o.code, look())
	line := tableLine{fault: row.fault, way: way, sessions: x.server.Most(), got: got, next: "-"}
	// A change that nobody could see may come when all is read already.
	late := want == "0, MIXED" && got == "0, whole" || how != inOne && got == row.late
	if got != want && !late && (!raced || !isSafe(o.code, look())) {
		t.Errorf("%s, want %s\n%s", got, want, o)
	}
	if o.code != 0 {
		checkSaid(t, o)
	}
	if x.untouched && row.files == 0 && row.size >= 0 {
		if now, err := os.ReadFile(x.source); err != nil || !bytes.Equal(now, x.data) {
			t.Errorf("the source is not what it was: %d bytes, %v", len(now), err)
		}
	}
	if o.code != 0 && !row.stays {
		x.stop()
		x.heal()
		x.server.Set(faulty.Faults{})
		x.line.Resume()
		x.line.Slow(0)
		o = x.run()
		line.next = fmt.Sprintf("%d, %s", o.code, look())
		if left := temporaries(x, x.folder); len(left) > 0 {
			t.Errorf("the next run left %q", left)
		}
		if o.code != 0 || (row.look == nil || row.files == 0) && line.next != "0, whole" || row.files > 0 && line.next != "0, all whole" {
			t.Errorf("the next run: %s\n%s", line.next, o)
		}
	}
	return line
}

// isSafe reports whether nothing is lost or torn, and the exit code says which.
// Under the race detector on a busy machine, what was meant for the middle of a
// file may come when it is done, or twice.
func isSafe(code int, left string) bool {
	if code == 0 {
		return left == "whole" || left == "all whole" || left == "whole, as it was before"
	}
	left = strings.TrimSuffix(strings.TrimSuffix(left, ", part and journal"), sourceThere)
	return left == "old" || left == "absent" || left == "whole" || left == "some whole, the others absent" || left == "all but one whole"
}

// checkSaid wants one line that names the layer, and a hint.
func checkSaid(t *testing.T, o outcome) {
	t.Helper()
	var said []string
	for l := range strings.Lines(o.stderr) {
		if !strings.HasPrefix(l, "linehaul: warning: ") {
			said = append(said, l)
		}
	}
	if len(said) != 2 || !strings.HasPrefix(said[0], "linehaul: ") || !strings.HasPrefix(said[1], "  hint: ") {
		t.Errorf("want one line and one hint: %s", o)
	}
}

func printFaults(t *testing.T, lines []tableLine) {
	slices.SortStableFunc(lines, func(a, b tableLine) int {
		if a.order != b.order {
			return a.order - b.order
		}
		if a.way != b.way {
			return strings.Compare(a.way, b.way)
		}
		return a.sessions - b.sessions
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%-52s %-4s %8s  %-44s %s\n", "fault", "way", "sessions", "exit code, what was left", "the next run")
	for _, l := range lines {
		fmt.Fprintf(&b, "%-52s %-4s %8d  %-44s %s\n", l.fault, l.way, l.sessions, l.got, l.next)
	}
	t.Logf("%d trials\n%s", len(lines), b.String())
}
