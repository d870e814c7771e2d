package job

import (
	"bytes"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/bandwidth"
	"linehaul/internal/delay"
	"linehaul/keys"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// TestSmall: no connection is begun ahead for what is known to be small.
func TestSmall(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int64) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, large := file("small", transfer.SharedSize-1), file("large", transfer.SharedSize)
	for name, tt := range map[string]struct {
		job  Job
		want bool
	}{
		"get":                          {Job{Get: []string{"a"}}, false},
		"get, at most small":           {Job{Get: []string{"a"}, Select: transfer.Select{MaxSize: transfer.SharedSize - 1}}, true},
		"get, at most large":           {Job{Get: []string{"a"}, Select: transfer.Select{MaxSize: transfer.SharedSize}}, false},
		"put of a small file":          {Job{Put: []string{small}}, true},
		"put of a large file":          {Job{Put: []string{small, large}}, false},
		"put of a folder":              {Job{Put: []string{dir}}, false},
		"put of what is not there":     {Job{Put: []string{filepath.Join(dir, "none")}}, false},
		"put of what must be found":    {Job{Put: []string{filepath.Join(dir, "smal*")}}, false},
		"put of what is at most small": {Job{Put: []string{dir}, Select: transfer.Select{MaxSize: 1}}, true},
	} {
		if got := tt.job.small(); got != tt.want {
			t.Errorf("%s: known to be small: %v", name, got)
		}
		if got, want := tt.job.large(), name == "put of a large file"; got != want {
			t.Errorf("%s: known to be large: %v", name, got)
		}
	}
}

// TestSpread: what earlier runs moved, limits and refusals decide whether others
// are begun beside the first connection.
func TestSpread(t *testing.T) {
	limited := bandwidth.NewGate(bandwidth.NewLimiter(bandwidth.Always(1<<20), time.Now))
	run := func(state store.State, moved int, bytes int64) store.Run {
		return store.Run{Job: "j", State: state, Moved: moved, Bytes: bytes}
	}
	for name, tt := range map[string]struct {
		connections int
		runs        []store.Run // the oldest first
		gate        *bandwidth.Gate
		crowded     bool
		want        bool
	}{
		"no run yet":                      {want: true},
		"the last was large":              {runs: []store.Run{run(store.OK, 1, 1), run(store.OK, 1, 1<<30)}, want: true},
		"the last was small":              {runs: []store.Run{run(store.OK, 1, 1<<30), run(store.Warning, 9, 1<<20)}},
		"the last that moved was large":   {runs: []store.Run{run(store.OK, 1, 1<<30), run(store.OK, 0, 0)}, want: true},
		"none has moved anything":         {runs: []store.Run{run(store.OK, 0, 0), run(store.OK, 0, 0)}},
		"the last failed":                 {runs: []store.Run{run(store.OK, 1, 1<<30), run(store.Failed, 1, 5)}, want: true},
		"a limit":                         {gate: limited},
		"refused before":                  {crowded: true},
		"asked for, and small":            {connections: 3, runs: []store.Run{run(store.OK, 1, 1)}, gate: limited, want: true},
		"asked for, and refused":          {connections: 3, crowded: true},
		"one is asked for, and no others": {connections: 1, runs: []store.Run{run(store.OK, 1, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, remotetest.Faults{})
			at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			for i, r := range tt.runs {
				r.Started = at.Add(time.Duration(i) * time.Hour)
				r.Ended = r.Started.Add(time.Minute)
				id, err := store.NewRunID(r.Started, b.Random)
				if err != nil {
					t.Fatal(err)
				}
				r.ID = id
				if err := b.Store.Put(r); err != nil {
					t.Fatal(err)
				}
			}
			j := b.job(t, "a")
			j.Connections = tt.connections
			a := attempt{job: j, store: b.Store, run: &store.Run{ID: "now"}, gate: tt.gate, crowded: tt.crowded}
			if got, want := a.spread(), (remote.Spread{Connections: tt.connections, Ahead: tt.want, Sessions: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			j.Verify = VerifyAuto
			if got, want := a.spread(), (remote.Spread{Connections: tt.connections, Ahead: tt.want, Commands: true}); got != want {
				t.Errorf("where commands verify: got %+v, want %+v", got, want)
			}
			j.Verify, j.Recursive = VerifySize, true
			if got := a.spread(); got.Sessions {
				t.Errorf("of a folder: got %+v", got)
			}
		})
	}
}

// newKey makes a key, and returns its file.
func newKey(t *testing.T) string {
	t.Helper()
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keys.Marshal(key, keys.OpenSSH, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRunBySeveralConnections: a run over connections that are begun beside the
// first brings the file whole, and its log and record have as many logins as the server.
func TestRunBySeveralConnections(t *testing.T) {
	file := newKey(t)
	public, err := keys.Public(file)
	if err != nil {
		t.Fatal(err)
	}
	var o remotetest.Options
	o.AuthorizedKeys = append(o.AuthorizedKeys, public)
	b := newBenchOf(t, o)
	data := bytes.Repeat([]byte("0123456789abcdef"), 24<<20/16)
	b.write(t, "large", data)
	line, err := delay.Listen(net.JoinHostPort(b.host.Address, strconv.Itoa(b.host.Port)), delay.Options{RTT: 90 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	b.host.Port = line.Port()
	b.host.KeyFiles, b.host.Password = []string{file}, nil
	run, err := b.Run(t.Context(), b.job(t, "large"), Trigger{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(b.dir, "got", "large"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, want %d as they are: %v", len(got), len(data), err)
	}
	logins := strings.Count(b.log.String(), "INFO  logged in") + strings.Count(b.log.String(), "INFO  another connection")
	if logins != 2 || line.Accepted() != 2 {
		t.Errorf("the log has %d logins, and %d connections were made:\n%s", logins, line.Accepted(), b.log)
	}
	if run.Line != nil && run.Line.Connections != logins {
		t.Errorf("the record has %d connections, the log %d", run.Line.Connections, logins)
	}
}
