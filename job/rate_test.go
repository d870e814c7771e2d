package job

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/bandwidth"
	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/logs"
	"linehaul/schedule/week"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// offBy is how far a rate may be from what it should be: a few percent, on a
// machine that does other things too.
const offBy = 0.04

// keeps reports whether a rate is what it should be, up to a part of it. A machine
// that does other things is late at times, which is no fault of a limit: only
// `make rates`, on a quiet one, minds that. That a limit is exceeded is a
// failure anywhere.
func keeps(got, want, part float64) bool {
	if exact() {
		return math.Abs(got-want) <= want*part
	}
	const late = 0.25 // what waited may follow quickly
	return got <= want*(1+late)
}

func exact() bool { return os.Getenv("LINEHAUL_RATES") != "" }

// rateBench is a bench whose server is OpenSSH's, with its log at hand.
func rateBench(t *testing.T) *bench {
	t.Helper()
	return sshdBench(t, lab.SSHD{Tester: os.Getuid() == 0})
}

func sshdBench(t *testing.T, o lab.SSHD) *bench {
	t.Helper()
	lab.Need(t, "sshd", "ssh-keygen")
	key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	o.AuthorizedKeys, o.HostKeys = []string{key + ".pub"}, []string{"ed25519"}
	return serverBench(t, lab.StartSSHD(t, o), key)
}

// serverBench is a bench with a server that the key in a file may log in to.
func serverBench(t *testing.T, s *lab.Server, key string) *bench {
	t.Helper()
	pin, err := keys.ParsePin(s.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	known, err := keys.NewHostKeys(keys.HostKeyOptions{Pins: []keys.Pin{pin}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), log: &lab.Buffer{}}
	b.Runner = Runner{
		Dialer: &net.Dialer{}, Now: time.Now, Random: rand.Reader, Version: "test", Limits: bandwidth.NewShared(time.Now),
		Console: logs.NewHandler(b.log, logs.Text, slog.LevelDebug),
	}
	b.host = remote.Host{Name: "h", Address: s.Host, Port: s.Port, User: s.User, KeyFiles: []string{key}, HostKeys: known, StallTimeout: time.Minute}
	return b
}

// inMemory is a folder that anybody may look into, in memory where the system has
// a place for that: a busy disk would be slower than the limit.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "linehaul-rate-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A measured is a run that goes on while its rate is measured.
type measured struct {
	meter *transfer.Meter
	began time.Time // when the first byte came
	ended chan error
}

// startMeasured begins a run and waits for its first byte.
func startMeasured(t *testing.T, b *bench, j *Job) *measured {
	t.Helper()
	m := &measured{meter: transfer.NewMeter(time.Now), ended: make(chan error, 1)}
	r := b.Runner
	r.Progress = m.meter
	go func() {
		_, err := r.Run(t.Context(), j, Trigger{})
		m.ended <- err
	}()
	for m.bytes() == 0 {
		select {
		case err := <-m.ended:
			t.Fatalf("it ended before there was a byte: %v\n%s", err, b.log)
		case <-time.After(time.Millisecond):
		}
	}
	m.began = time.Now()
	return m
}

func (m *measured) bytes() int64 {
	r, _ := m.meter.Read()
	return r.Bytes
}

// rate is the bytes a second from one time after the first byte to another.
func (m *measured) rate(from, to time.Duration) float64 {
	<-time.After(time.Until(m.began.Add(from)))
	first, at := m.bytes(), time.Now()
	<-time.After(time.Until(m.began.Add(to)))
	return float64(m.bytes()-first) / time.Since(at).Seconds()
}

func checkRate(t *testing.T, what string, got, want, most float64) {
	t.Helper()
	t.Logf("%s: %.3f MB/s, want %.3f", what, got/1e6, want/1e6)
	if !keeps(got, want, most) {
		t.Errorf("%s: %.3f MB/s, want %.3f", what, got/1e6, want/1e6)
	}
}

// makeFiles makes a folder of files that anybody may read.
func makeFiles(t *testing.T, dir, name string, n, size int) {
	t.Helper()
	dir = filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o777)); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRateKept moves files with a limit, by each protocol, in both directions,
// large ones and many small ones, to and from OpenSSH, and measures
// what passes in the middle.
func TestRateKept(t *testing.T) {
	const rate = 3e6
	b := rateBench(t)
	memory := inMemory(t)
	far, near := filepath.Join(memory, "far"), filepath.Join(memory, "near")
	for _, dir := range []string{far, near} {
		makeFiles(t, dir, "large", 1, 13<<20)
		makeFiles(t, dir, "many", 130, 100<<10)
		makeFiles(t, dir, "some", 13, 1<<20) // SCP starts several commands for each
	}
	sources := map[remote.Protocol][]string{remote.SFTP: {"large", "many"}, remote.SCP: {"large", "some"}}
	if !exact() {
		sources = map[remote.Protocol][]string{remote.SFTP: {"many"}, remote.SCP: {"large"}}
	}
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		for _, source := range sources[protocol] {
			for _, verb := range []string{"get", "put"} {
				name := protocol.String() + " " + verb + " " + source
				t.Run(name, func(t *testing.T) {
					most := offBy
					if source == "some" {
						most *= 3 // SCP sends a file as a whole, once it is allowed to
					}
					for try := 1; ; try++ {
						j := b.job(t, filepath.Join(far, source)+"/")
						j.Recursive, j.To = true, template(t, filepath.ToSlash(inMemory(t))+"/")
						if verb == "put" {
							target := filepath.Join(far, fmt.Sprint(strings.ReplaceAll(name, " ", "-"), try))
							if err := errors.Join(os.Mkdir(target, 0o777), os.Chmod(target, 0o777)); err != nil {
								t.Fatal(err)
							}
							j.Get, j.Put, j.To = nil, []string{filepath.Join(near, source) + "/"}, template(t, target+"/")
						}
						j.Host.Protocol = protocol
						j.Limits.Bandwidth = bandwidth.Always(rate)
						if rateOf(t, b, j, name, try, rate, most) {
							return
						}
					}
				})
			}
		}
	}
}

// rateOf measures a run from its first second on, and reports whether it kept to
// the rate. A machine that does other things may be late at times, and then
// early: so the third run counts.
func rateOf(t *testing.T, b *bench, j *Job, name string, try int, rate, most float64) bool {
	t.Helper()
	own := *b
	own.log = &lab.Buffer{}
	own.Console = logs.NewHandler(own.log, logs.Text, slog.LevelDebug)
	m := startMeasured(t, &own, j)
	got := m.rate(time.Second, 3500*time.Millisecond)
	if err := <-m.ended; err != nil {
		t.Fatalf("%v\n%s", err, own.log)
	}
	sessions := strings.Count(own.log.String(), "file session open")
	t.Logf("%s: %.3f MB/s, want %.3f; %d file sessions", name, got/1e6, rate/1e6, sessions)
	if j.Host.Protocol == remote.SFTP && sessions > 2 {
		t.Errorf("%d file sessions for %d bytes a second", sessions, int(rate))
	}
	if keeps(got, rate, most) {
		return true
	}
	if try == 3 {
		t.Errorf("%s: %.3f MB/s, want %.3f", name, got/1e6, rate/1e6)
	}
	return try == 3
}

// TestRateShared: two runs at once, by different protocols, keep the limit of
// their host together, and share it.
func TestRateShared(t *testing.T) {
	const rate = 4e6
	b := rateBench(t)
	large := filepath.Join(inMemory(t), "large")
	if err := os.WriteFile(large, make([]byte, 20<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var runs []*measured
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		j := b.job(t, large)
		j.To = template(t, filepath.ToSlash(inMemory(t))+"/")
		j.Host.Protocol = protocol
		j.Limits.Shared = []SharedLimit{{"host h", bandwidth.Always(rate)}}
		runs = append(runs, startMeasured(t, b, j))
	}
	rates := make([]float64, len(runs))
	var all sync.WaitGroup
	for i, m := range runs {
		all.Go(func() { rates[i] = m.rate(1500*time.Millisecond, 5500*time.Millisecond) })
	}
	all.Wait()
	checkRate(t, "together", rates[0]+rates[1], rate, offBy)
	if exact() {
		checkRate(t, "SFTP", rates[0], rate/2, 0.1)
		checkRate(t, "SCP", rates[1], rate/2, 0.1)
	}
	for _, m := range runs {
		if err := <-m.ended; err != nil {
			t.Fatalf("%v\n%s", err, b.log)
		}
	}
}

// TestRateFollowsTimetable: at eight o'clock, in the middle of a file, another
// rate holds; nothing stalls by it.
func TestRateFollowsTimetable(t *testing.T) {
	b := rateBench(t)
	large := filepath.Join(inMemory(t), "large")
	if err := os.WriteFile(large, make([]byte, 60<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	span, err := week.Parse("08:00-18:00")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		before, after bandwidth.Rate
	}{{"down", 8e6, 1e6}, {"up", 1e6, 8e6}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := bandwidth.NewTimetable(time.UTC, tt.before, bandwidth.Rule{Span: span, Rate: tt.after})
			if err != nil {
				t.Fatal(err)
			}
			own := *b
			own.log = &lab.Buffer{}
			own.Console = logs.NewHandler(own.log, logs.Text, slog.LevelInfo)
			j := b.job(t, large)
			j.To = template(t, filepath.ToSlash(inMemory(t))+"/")
			j.Limits.Bandwidth = table
			j.Limits.MaxDuration = 8 * time.Second
			// Three seconds before eight, in a time that goes on as ours does.
			shift := time.Until(time.Date(2026, 11, 23, 7, 59, 57, 0, time.UTC))
			own.Now = func() time.Time { return time.Now().Add(shift) }
			eight := time.Now().Add(3 * time.Second)
			m := startMeasured(t, &own, j)
			late := m.began.Sub(eight.Add(-3 * time.Second))
			checkRate(t, "before eight", m.rate(500*time.Millisecond, 2500*time.Millisecond-late), float64(tt.before), 2*offBy)
			checkRate(t, "after eight", m.rate(3500*time.Millisecond-late, 6500*time.Millisecond-late), float64(tt.after), 2*offBy)
			if err := <-m.ended; !strings.Contains(fmt.Sprint(err), "max_duration") {
				t.Errorf("it ended with %v\n%s", err, own.log)
			}
		})
	}
}
