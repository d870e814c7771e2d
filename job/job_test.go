package job

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/internal/leak"
	"linehaul/keys"
	"linehaul/logs"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/store/storetest"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestWait(t *testing.T) {
	r := Retry{Attempts: 9, Min: time.Second, Max: 10 * time.Second}
	tests := []struct {
		attempt int
		random  float64
		want    time.Duration
	}{
		{1, 0, time.Second}, {2, 0, 2 * time.Second}, {3, 0, 4 * time.Second}, {4, 0, 8 * time.Second},
		{5, 0, 10 * time.Second}, {1000, 0, 10 * time.Second}, {2, 0.5, 1500 * time.Millisecond}, {9, 0.999999, 5 * time.Second},
	}
	for _, tt := range tests {
		if got := r.Wait(tt.attempt, tt.random).Round(time.Millisecond); got != tt.want {
			t.Errorf("Wait(%d, %v) = %v, want %v", tt.attempt, tt.random, got, tt.want)
		}
	}
	if got := (Retry{Min: time.Minute, Max: time.Second}).Wait(1, 0); got != time.Second {
		t.Errorf("a first wait over the longest: %v", got)
	}
}

func template(t *testing.T, s string) *stamp.Template {
	t.Helper()
	p, err := stamp.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhereFilesLand(t *testing.T) {
	dir := filepath.ToSlash(t.TempDir())
	at := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	item := transfer.Item{Source: "/var/a/www/x.gz", Path: "a/www/x.gz", Rel: "www/x.gz", Entry: transfer.Entry{Name: "x.gz", MTime: at}}
	tests := []struct {
		name, to  string
		sources   []string
		recursive bool
		want      string // root + "|" + name, or "" for a refusal
	}{
		{"a folder by its slash", "/b/{date}/", []string{"/x"}, false, "/b/20261123/|www/x.gz"},
		{"a folder that exists", dir, []string{"/x"}, false, dir + "|www/x.gz"},
		{"a new name", dir + "/new", []string{"/x"}, false, dir + "/|new"},
		{"a new name by date", dir + "/{date}.gz", []string{"/x"}, false, dir + "/|20261123.gz"},
		{"by the file", "/b/{date}/{stem}-1{ext}", []string{"/*.gz"}, false, "/b/20261123/|x-1.gz"},
		{"by the file's path", "/b/{path}", []string{"/var/*"}, true, "/b/|a/www/x.gz"},
		{"in this folder", "{name}", []string{"/x"}, false, ".|x.gz"},
		{"one name for a wildcard", dir + "/new", []string{"/*.gz"}, false, ""},
		{"one name for two", dir + "/new", []string{"/x", "/y"}, false, ""},
		{"one name for a tree", dir + "/new", []string{"/x"}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := Job{To: template(t, tt.to), Get: tt.sources, Recursive: tt.recursive}
			d, err := j.local(stamp.Values{At: at, Job: "j", Host: "h", Run: "r"})
			if tt.want == "" {
				if fault.ExitCode(err) != 2 || !strings.Contains(fault.HintOf(err), "{name}") {
					t.Errorf("got %v with hint %q, want a refusal that names {name}", err, fault.HintOf(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			name, err := d.name(item)
			if got := d.root + "|" + name; err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// bench is a server in this process and a runner beside it.
type bench struct {
	Runner
	host remote.Host
	dir  string
	log  *lab.Buffer
}

func newBench(t *testing.T, faults remotetest.Faults) *bench {
	t.Helper()
	return newBenchOf(t, remotetest.Options{Faults: faults})
}

func newBenchOf(t *testing.T, o remotetest.Options) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), log: &lab.Buffer{}}
	if err := os.Mkdir(filepath.Join(b.dir, "server"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.Root, o.Password = filepath.Join(b.dir, "server"), "pw"
	s, err := remotetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	addr, err := net.ResolveTCPAddr("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	pin, err := keys.ParsePin(s.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	known, err := keys.NewHostKeys(keys.HostKeyOptions{Pins: []keys.Pin{pin}})
	if err != nil {
		t.Fatal(err)
	}
	b.host = remote.Host{
		Name: "h", Address: addr.IP.String(), Port: addr.Port, User: "u", HostKeys: known,
		Password: func(context.Context) ([]byte, error) { return []byte("pw"), nil },
	}
	record := storetest.Open(t, filepath.Join(b.dir, "state"))
	b.Runner = Runner{
		Dialer: &net.Dialer{}, Now: time.Now, Random: rand.Reader, Store: record, Version: "test",
		Logs:    LogPlace{Dir: filepath.Join(b.dir, "log"), Name: template(t, "{job}.log")},
		Console: logs.NewHandler(b.log, logs.Text, slog.LevelInfo),
	}
	return b
}

func (b *bench) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "server", name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) job(t *testing.T, get ...string) *Job {
	t.Helper()
	return &Job{
		Name: "j", Host: b.host, Get: get, To: template(t, filepath.ToSlash(b.dir)+"/got/"), IfNone: NoneFails, Zone: time.UTC,
		Retry: Retry{Attempts: 3, Min: 10 * time.Millisecond, Max: 20 * time.Millisecond},
	}
}

func TestLogSaysFirstWhatAndLastHow(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.write(t, "a.txt", []byte("hello\n"))
	j := b.job(t, "*.txt")
	j.Verify = VerifyAuto
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(run.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(said) < 4 || !strings.Contains(said[0], "run starts") || !strings.Contains(said[0], "job=j") ||
		!strings.Contains(said[1], "source=h:*.txt") || !strings.Contains(said[1], "target=") {
		t.Errorf("the first lines do not say what is done from where:\n%s", text)
	}
	if last := said[len(said)-1]; !strings.Contains(last, "run ended") || !strings.Contains(last, "result=ok files=1 bytes=6") {
		t.Errorf("the last line does not say the result: %s", last)
	}
	stored, err := b.Store.Run(run.ID)
	if err != nil || stored.State != store.OK || stored.Moved != 1 || len(stored.Files) != 1 || stored.Files[0].SHA256 == "" {
		t.Errorf("recorded: %+v, %v", stored, err)
	}
}

// failing refuses the first connections.
type failing struct {
	net.Dialer
	left atomic.Int32
}

func (f *failing) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	return f.Dialer.DialContext(ctx, network, address)
}

func TestTransientIsTriedAgain(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.write(t, "a.txt", []byte("hello\n"))
	d := &failing{}
	d.left.Store(2)
	b.Dialer = d
	run, err := b.Run(t.Context(), b.job(t, "a.txt"), Trigger{})
	if err != nil || len(run.Attempts) != 3 || run.Attempts[0].Code != 3 || run.Attempts[2].Code != 0 {
		t.Errorf("%+v, %v", run.Attempts, err)
	}
	d.left.Store(3)
	run, err = b.Run(t.Context(), b.job(t, "a.txt"), Trigger{})
	if fault.ExitCode(err) != 3 || len(run.Attempts) != 3 || run.State != store.Failed {
		t.Errorf("%+v, %v", run.Attempts, err)
	}
}

func TestPermanentIsTriedOnce(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	j := b.job(t, "a.txt")
	j.Host.Password = func(context.Context) ([]byte, error) { return []byte("wrong"), nil }
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 6 || len(run.Attempts) != 1 {
		t.Errorf("%d attempts, %v; want one and exit code 6", len(run.Attempts), err)
	}
}

// TestNextAttemptMovesOnlyWhatIsLeft: a file that was moved is not moved
// again because another one failed.
func TestNextAttemptMovesOnlyWhatIsLeft(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.write(t, "a.txt", []byte("steady\n"))
	b.write(t, "b.txt", bytes.Repeat([]byte("x"), 4<<20))
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { // appends until the first attempt has failed
		f, err := os.OpenFile(filepath.Join(b.dir, "server", "b.txt"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for !strings.Contains(b.log.String(), "trying again") {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				fmt.Fprint(f, "more")
			}
		}
	})
	j := b.job(t, "*.txt")
	j.Retry.Min, j.Retry.Max = time.Second, time.Second
	run, err := b.Run(t.Context(), j, Trigger{})
	close(stop)
	writer.Wait()
	if err != nil || len(run.Attempts) != 2 || run.Attempts[0].Code != 9 {
		t.Fatalf("%+v, %v\n%s", run.Attempts, err, b.log)
	}
	if n := strings.Count(b.log.String(), "fetched run="+run.ID+" attempt="); n > 1 {
		t.Errorf("the second attempt fetched %d files, want 1:\n%s", n, b.log)
	}
	if strings.Count(b.log.String(), "name=a.txt") != 1 || run.Moved != 2 || run.Failed != 0 || len(run.Files) != 2 {
		t.Errorf("moved %d, failed %d, files %d:\n%s", run.Moved, run.Failed, len(run.Files), b.log)
	}
}

func TestTimeoutOfTheWholeRun(t *testing.T) {
	b := newBench(t, remotetest.Faults{Silent: true})
	j := b.job(t, "a.txt")
	j.Timeout = 300 * time.Millisecond
	began := time.Now()
	run, err := b.Run(t.Context(), j, Trigger{})
	if !fault.Is(err, fault.Timeout) || !strings.Contains(err.Error(), "300ms") || time.Since(began) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if run.State != store.Failed || run.Code != 8 {
		t.Errorf("recorded as %q with %d", run.State, run.Code)
	}
}

func TestStopIsNotAFailure(t *testing.T) {
	b := newBench(t, remotetest.Faults{Silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	run, err := b.Run(ctx, b.job(t, "a.txt"), Trigger{})
	if fault.ExitCode(err) != 130 || run.State != store.Interrupted || len(run.Attempts) != 1 {
		t.Errorf("%q, %d attempts, %v", run.State, len(run.Attempts), err)
	}
}

// TestOldLogsGo: after the first run of a day, logs that are older than the
// limit go; files that no run wrote stay.
func TestOldLogsGo(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.write(t, "a.txt", []byte("hello\n"))
	b.Logs.Name = template(t, "{run}.log")
	b.Logs.Options.MaxAge = 24 * time.Hour
	old, err := b.Run(t.Context(), b.job(t, "a.txt"), Trigger{})
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(b.Logs.Dir, "foreign.log")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-72 * time.Hour)
	for _, f := range []string{foreign, old.LogPath} {
		if err := os.Chtimes(f, past, past); err != nil {
			t.Fatal(err)
		}
	}
	b.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if _, err := b.Run(t.Context(), b.job(t, "a.txt"), Trigger{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old.LogPath); !os.IsNotExist(err) {
		t.Errorf("the old log is still there: %v\n%s", err, b.log)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file of somebody else is gone: %v", err)
	}
}
