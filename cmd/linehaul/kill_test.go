//go:build unix && !race

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mathrand "math/rand/v2"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
)

// A killing says how TestKill goes about it.
type killing struct {
	kills   int   // each way, of linehaul itself
	size    int64 // of the file
	rate    int64 // of each line, in bytes a second
	workers int   // files on their way at a time, each way
	most    float64
}

// killLine has a round trip that calls for a few sessions at a time.
const killLine = 20 * time.Millisecond

// killings is how often the test kills, and what: LINEHAUL_KILLS, else a few.
func killings(t *testing.T) killing {
	if n, err := strconv.Atoi(os.Getenv("LINEHAUL_KILLS")); err == nil && n > 0 {
		return killing{kills: n, size: 256 << 20, rate: 20_000_000, workers: 4, most: 1.2}
	}
	if testing.Short() {
		t.Skip("kill -9 in mid-file needs a real server and some time")
	}
	// A shorter file loses more of itself in the second between two lines of
	// the journal. Without going on, it would be moved five times.
	return killing{kills: 4, size: 64 << 20, rate: 10_000_000, workers: 4, most: 2}
}

// nominal is how long a file takes that nobody kills, if the machine can do it.
func (k killing) nominal() time.Duration {
	return time.Duration(float64(k.size)/float64(k.rate)*float64(time.Second)) + 500*time.Millisecond
}

// TestKill kills linehaul at random moments of a job, as often as it takes
// until the file is whole, and each next run of the job goes on. Now and then
// it kills the server's side of the session instead, while linehaul lives. The
// target holds the old content, none, or the new one each time; in the end
// nothing else is left, and the line has carried the file little more than
// once. That is counted on the line. What is killed is a program of its own, so
// that the race detector would see nothing: the second command of make test
// runs it.
func TestKill(t *testing.T) {
	k := killings(t)
	lab.Need(t, "sshd", "ssh-keygen")
	program(t)
	dir := roomyDir(t, int64(2*k.workers+2)*k.size)
	source := filepath.Join(dir, "big.bin")
	sum := randomFile(t, source, k.size)
	t.Cleanup(func() { // when both ways have ended
		if now := sumOf(t, source); now != sum {
			t.Error("the source has changed")
		}
	})
	for _, way := range []string{"get", "put"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r := &killRun{killing: k, way: way, source: source, sum: sum}
			var sites []*killSite
			for i := range k.workers {
				sites = append(sites, r.site(t, filepath.Join(dir, fmt.Sprint(way, i))))
			}
			var all sync.WaitGroup
			for i, s := range sites {
				all.Go(func() {
					for n := i; r.killed.Load() < int64(k.kills) && !t.Failed(); n++ {
						if err := r.file(s, n%2 == 0); err != nil {
							t.Error(err)
						}
						t.Logf("%s: %d kills by now", way, r.killed.Load())
					}
				})
			}
			all.Wait()
			r.report(t)
		})
	}
}

// A killRun is all files of one direction.
type killRun struct {
	killing
	way    string
	source string
	sum    [sha256.Size]byte

	killed, inMidFile, ofServer, whole, old, none atomic.Int64

	mu        sync.Mutex
	carriages []float64     // how many times each file went over the line
	mostKills int           // of one file
	lived     time.Duration // of all runs
}

// A killSite is a server behind a line, with a config whose job moves the file
// through it.
type killSite struct {
	*lab.Server
	key    string
	line   *delay.Line
	config string
	target string // the file under its final name, on either side
	began  int64  // what the line had carried before the file
}

// killJob is the config of one of them.
const killJob = `state: %q
hosts:
  far: {address: %q, user: %s, keys: %q, host_keys: %q}
jobs:
  move: {%s, verify: size, retry: {attempts: 5, backoff: 100ms..1s}}
`

func (r *killRun) site(t *testing.T, dir string) *killSite {
	t.Helper()
	// The login is our own: what an ordinary user may do is not the point.
	s := &killSite{key: lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519"), target: filepath.Join(dir, "big.bin")}
	s.Server = lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"}, AuthorizedKeys: []string{s.key + ".pub"}})
	err := os.Mkdir(dir, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if s.line, err = delay.Listen(s.Addr, delay.Options{RTT: killLine, Up: r.rate, Down: r.rate}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.line.Close() })
	job := fmt.Sprintf("get: 'far:%s', to: %q", r.source, dir+"/")
	if r.way == "put" {
		job = fmt.Sprintf("put: %q, to: 'far:%s/'", r.source, dir)
	}
	own := t.TempDir()
	text := fmt.Sprintf(killJob, filepath.Join(own, "state"), s.line.Addr(), s.User, s.key, s.Fingerprint(), job)
	s.config = write(t, own, "linehaul.yaml", text)
	return s
}

// killOld is what stands under the final name before.
const killOld = "last night's backup, whole and the only one\n"

// file moves the file once, with as many runs as it takes.
func (r *killRun) file(s *killSite, old bool) error {
	if err := os.Remove(s.target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if old {
		if err := os.WriteFile(s.target, []byte(killOld), 0o644); err != nil {
			return err
		}
	}
	before, began := r.carried(s), time.Now()
	s.began = before
	kills := 0
	for runs := 1; ; runs++ {
		killed, err := r.once(s)
		if err != nil {
			return fmt.Errorf("run %d of a file: %w", runs, err)
		}
		if !killed {
			break
		}
		kills++
		if err := r.afterKill(s, old); err != nil {
			return fmt.Errorf("after kill %d of a file: %w", kills, err)
		}
	}
	lived := time.Since(began)
	if got, err := fileSum(s.target); err != nil || got != r.sum {
		return fmt.Errorf("the file is not what it should be in the end: %w", err)
	}
	if left := others(s.target); len(left) > 0 {
		return fmt.Errorf("left behind in the end: %q", left)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carriages = append(r.carriages, float64(r.carried(s)-before)/float64(r.size))
	r.mostKills = max(r.mostKills, kills)
	r.lived += lived
	return nil
}

// full is how long a file takes that nobody kills, as far as it is known by now:
// on a busy machine longer than the line would have it.
func (r *killRun) full() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := 0.0
	for _, c := range r.carriages {
		sum += c
	}
	if sum == 0 {
		return r.nominal()
	}
	return max(r.nominal(), time.Duration(float64(r.lived)/sum))
}

// carried is what has passed the line in the direction of the file.
func (r *killRun) carried(s *killSite) int64 {
	up, down := s.line.Delivered()
	if r.way == "put" {
		return up
	}
	return down
}

// once runs the job and kills it at some moment. One time in six the server's
// side is killed first, and the run has to live with that. Once there were
// kills enough, nobody is killed any more.
func (r *killRun) once(s *killSite) (killed bool, err error) {
	var out lab.Buffer
	binary, err := binary()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(binary, "-c", s.config, "run", "move")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Most moments are counted in what the line carries, so that a slow machine is
	// not always killed before it begins; some in time. A third comes too late.
	moment := func() func() bool {
		if mathrand.IntN(6) == 0 {
			at := time.Now().Add(time.Duration(mathrand.Float64() * float64(r.full())))
			return func() bool { return time.Now().After(at) }
		}
		carried := r.carried(s)
		at := carried + int64(1.5*mathrand.Float64()*float64(max(r.size-(carried-s.began), r.size/8)))
		return func() bool { return r.carried(s) > at }
	}
	limit := time.After(20*r.full() + time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for due := moment(); ; {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, out.String())
			}
			return false, err
		case <-limit:
			cmd.Process.Kill()
			<-ended
			return false, fmt.Errorf("it does not end:\n%s", out.String())
		case <-tick.C:
		}
		switch {
		case r.killed.Load() >= int64(r.kills), !due():
		case mathrand.IntN(6) == 0:
			s.SignalChildren(syscall.SIGKILL)
			r.ofServer.Add(1)
			due = moment()
		default:
			cmd.Process.Kill()
			<-ended
			if cmd.ProcessState.Exited() { // it was done in that moment
				return false, nil
			}
			r.killed.Add(1)
			return true, nil
		}
	}
}

// afterKill looks at what is there after linehaul was killed.
func (r *killRun) afterKill(s *killSite, old bool) error {
	got, err := os.ReadFile(s.target)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !old:
		r.none.Add(1)
	case err != nil:
		return err
	case old && string(got) == killOld:
		r.old.Add(1)
	case sha256.Sum256(got) == r.sum:
		r.whole.Add(1)
	default:
		return fmt.Errorf("torn: the final name holds %d bytes that are neither the old file nor the new one", len(got))
	}
	left := others(s.target)
	for _, name := range left {
		if filepath.Ext(name) == ".part" {
			r.inMidFile.Add(1)
		}
	}
	// A put makes its temporary file while it looks for one to go on with: killed
	// in that moment, it leaves an empty one, which the next run removes.
	left = slices.DeleteFunc(left, func(name string) bool {
		info, err := os.Stat(filepath.Join(filepath.Dir(s.target), name))
		return err == nil && info.Size() == 0
	})
	if len(left) > 2 { // the unfinished file and its journal
		return fmt.Errorf("what earlier runs left was neither taken over nor removed: %q", left)
	}
	return nil
}

// report prints what became of it, and says whether that is good.
func (r *killRun) report(t *testing.T) {
	if len(r.carriages) == 0 {
		t.Fatal("no file got through")
	}
	slices.Sort(r.carriages)
	median, highest := r.carriages[len(r.carriages)/2], r.carriages[len(r.carriages)-1]
	t.Logf("%s: %d files of %d MiB at %d MB/s, each whole in the end; %d kills of linehaul, of these %d in mid-file, and %d of the server's side; at most %d of one file",
		r.way, len(r.carriages), r.size>>20, r.rate/1_000_000, r.killed.Load(), r.inMidFile.Load(), r.ofServer.Load(), r.mostKills)
	t.Logf("%s: after a kill the target was absent %d times, old %d, new %d, torn 0; left behind in the end 0",
		r.way, r.none.Load(), r.old.Load(), r.whole.Load())
	t.Logf("%s: carried by the line, in sizes of the file: median %.3f, highest %.3f", r.way, median, highest)
	if median > r.most {
		t.Errorf("median %.3f, want at most %.2f", median, r.most)
	}
	if median < 1 {
		t.Errorf("median %.3f: the line was gone around, or it counts wrong", median)
	}
	if r.inMidFile.Load() == 0 {
		t.Error("no kill came in mid-file: the test shows nothing")
	}
}
