package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/receipt"
	"linehaul/store"
	"linehaul/store/db"
)

func at() time.Time { return time.Date(2026, 11, 23, 2, 30, 1, 123456789, time.UTC) }

// newID makes an id whose random part counts.
func newID(t testing.TB, now time.Time, n int) string {
	t.Helper()
	id, err := store.NewRunID(now, bytes.NewReader([]byte{0, 0, byte(n / 1024), byte(n / 32 % 32), byte(n % 32)}))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func put(t testing.TB, s *store.Store, r store.Run) {
	t.Helper()
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
}

// fullRun has something in every field.
func fullRun(t testing.TB) store.Run {
	zone := time.FixedZone("", 8*3600)
	return store.Run{
		ID: newID(t, at(), 1), Job: "nightly-db", Host: "hk1", Trigger: "schedule",
		Nominal: at().Truncate(time.Second).In(zone), Started: at().In(zone), Ended: at().Add(time.Minute).In(zone),
		State: store.Failed, Code: 10, Layer: "local disk", Error: `write "a<b>.txt": no space`, Hint: "check free space",
		Attempts: []store.Attempt{{Number: 1, Started: at().In(zone), Ended: at().Add(time.Second).In(zone), Code: 3, Layer: "tcp", Error: "refused"}},
		Files: []store.File{{Source: "/var/backups/a.sql.gz", Target: `D:\backup\a.sql.gz`, Bytes: 1 << 40, MTime: at().In(zone),
			SHA256: strings.Repeat("0f", 32), Verified: "size", Resumed: 7, Seconds: 0.5, Error: "short", After: "moved", AfterTarget: "/var/backups/done/a.sql.gz", AfterReason: "because", Gone: store.GoneByMirror}},
		MoreFiles: 6, Way: receipt.Get, Address: "192.0.2.7:22", HostKey: &store.HostKey{Type: "ssh-ed25519", Fingerprint: "SHA256:abc"}, Matched: 4, Moved: 1, Failed: 2, Skipped: 1, Reconnects: 5,
		PutOff: &store.PutOff{Times: 2, Since: at().In(zone), Reason: "ping: 40 % lost"},
		Checks: &store.Checks{Verdict: "warn", Layer: "route", Summary: "3 of 10 lost", Sent: 10, Loss: 0.3, MedianMS: 80, P95MS: 90, JitterMS: 2, Hops: 7},
		Line:   &store.Line{By: store.ByTheSystem, Connections: 1, Samples: 2, RTTMS: 80.5, RTT95MS: 90, MinRTTMS: 80, Sent: 1000, Resent: 8, ResentShare: 0.008, OutOfOrder: 6, SentBytes: 4, ReceivedBytes: 5, Unknown: []string{"x"}},
		Link:   &store.Link{Name: "hongkong", SPIs: []string{"87137862/065721d4"}, Sent: 1 << 20, Received: 1 << 41}, Bytes: 1 << 40, Removed: 3, Root: "/backup/20261123", LogPath: "/var/log/linehaul/a.log", Version: "1.0", PID: 42, Take: 2, Queued: true, Task: json.RawMessage(`{"missed":1}`), Node: "here", Through: "hongkong", Lane: "on_1", Writers: []string{"20261123T023001Z-123x7k2q"},
	}
}

func TestPutAndRead(t *testing.T) {
	s, dir := openStore(t)
	want := fullRun(t)
	for i := range reflect.TypeFor[store.Run]().NumField() {
		// Progress is only ever read, see TestProgress. The receipt is the store's.
		if f := reflect.TypeFor[store.Run]().Field(i); f.IsExported() && f.Name != "Progress" && f.Name != "Receipt" && reflect.ValueOf(want).Field(i).IsZero() {
			t.Errorf("the test's run has no %s", f.Name)
		}
	}
	running := want
	running.State = store.Running
	put(t, s, running)
	want, err := s.End(want)
	if err != nil || want.Receipt == nil {
		t.Fatalf("receipt %v, %v", want.Receipt, err)
	}
	got, err := s.Run(want.ID)
	if err != nil {
		t.Fatal(err)
	}
	// As text: locations do not compare.
	text := func(r store.Run) string {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got, want := text(got), text(want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if left := leftFiles(t, dir); os.Getenv(urlVar) == "" && (len(left) != 1 || !strings.HasSuffix(left[0], ".lock")) {
		t.Errorf("files %q, want only the lock of this process", left)
	}
	if info, err := os.Stat(filepath.Join(dir, db.FileName)); os.Getenv(urlVar) == "" && runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o640) {
		t.Errorf("the record may be read by %v, %v", info.Mode(), err)
	}
}

// TestEach: runs come one at a time, the newest first, until no more is wanted.
func TestEach(t *testing.T) {
	s, _ := openStore(t)
	for i := range 5 {
		r := fullRun(t)
		r.ID = newID(t, at().Add(time.Duration(i)*time.Hour), i)
		put(t, s, r)
	}
	var seen []string
	collect := func(most int) func(store.Run) bool {
		seen = nil
		return func(r store.Run) bool {
			seen = append(seen, r.ID[9:11])
			return len(seen) < most
		}
	}
	first := at().UTC().Hour()
	for _, tt := range []struct{ limit, most, want int }{{0, 9, 5}, {0, 2, 2}, {3, 9, 3}, {0, 1, 1}} {
		warnings, err := s.Each(store.Filter{Job: "nightly-db", Limit: tt.limit}, collect(tt.most))
		if err != nil || len(warnings) > 0 || len(seen) != tt.want || seen[0] != fmt.Sprintf("%02d", first+4) {
			t.Errorf("limit %d, stopped after %d: %q, %v, %v", tt.limit, tt.most, seen, warnings, err)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	s, _ := openStore(t)
	good := fullRun(t)
	tests := map[string]func(*store.Run){
		"no id":          func(r *store.Run) { r.ID = "" },
		"path in id":     func(r *store.Run) { r.ID = "../../../../../../../../x" },
		"path in job":    func(r *store.Run) { r.Job = "../x" },
		"hidden job":     func(r *store.Run) { r.Job = ".x" },
		"no job":         func(r *store.Run) { r.Job = "" },
		"dot at the end": func(r *store.Run) { r.Job = "x." },
		"long job":       func(r *store.Run) { r.Job = strings.Repeat("x", 65) },
		"odd job":        func(r *store.Run) { r.Job = "é" },
		"no state":       func(r *store.Run) { r.State = "" },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			r := good
			spoil(&r)
			if err := s.Put(r); !fault.Is(err, fault.Internal) {
				t.Errorf("put: %v", err)
			}
		})
	}
	if n := count(t, s, "lh_run"); n > 0 {
		t.Errorf("%d were recorded", n)
	}
}

// fill stores runs of two jobs, one a day, and returns their ids, oldest first.
func fill(t testing.TB, s *store.Store, n int) []string {
	t.Helper()
	var ids []string
	for i := range n {
		r := store.Run{ID: newID(t, at().AddDate(0, 0, i), i), Job: "even", State: store.OK, Started: at().AddDate(0, 0, i)}
		if i%2 == 1 {
			r.Job, r.State = "odd_1", store.Failed
		}
		put(t, s, r)
		ids = append(ids, r.ID)
	}
	return ids
}

func ids(runs []store.Run) []string {
	var out []string
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}

func TestRuns(t *testing.T) {
	s, _ := openStore(t)
	all := fill(t, s, 80) // across a year's end
	pick := func(numbers ...int) (out []string) {
		for _, n := range numbers {
			out = append(out, all[n])
		}
		return out
	}
	tests := []struct {
		name string
		f    store.Filter
		want []string
	}{
		{"newest", store.Filter{Limit: 3}, pick(79, 78, 77)},
		{"job", store.Filter{Job: "even", Limit: 2}, pick(78, 76)},
		{"job with an underscore", store.Filter{Job: "odd_1", Limit: 2}, pick(79, 77)},
		{"state", store.Filter{State: store.OK, Limit: 2}, pick(78, 76)},
		{"job and state", store.Filter{Job: "even", State: store.Failed}, nil},
		{"since", store.Filter{Since: at().AddDate(0, 0, 77)}, pick(79, 78, 77)},
		{"since just after", store.Filter{Since: at().AddDate(0, 0, 77).Add(time.Millisecond)}, pick(79, 78)},
		{"no such job", store.Filter{Job: "eve"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runs, warnings, err := s.Runs(tt.f)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v, %v", warnings, err)
			}
			if got := ids(runs); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	runs, _, err := s.Runs(store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(runs)
	if !slices.Equal(ids(runs), all) {
		t.Errorf("all runs are %q, want %q", ids(runs), all)
	}
}

func TestLast(t *testing.T) {
	s, _ := openStore(t)
	if _, found, err := s.Last("even"); found || err != nil {
		t.Errorf("of an empty store: %v, %v", found, err)
	}
	all := fill(t, s, 4)
	if r, found, err := s.Last("even"); !found || err != nil || r.ID != all[2] {
		t.Errorf("got %q, %v, %v, want %q", r.ID, found, err, all[2])
	}
	// A damaged record gives way to the one before.
	alter(t, s, "UPDATE lh_run SET record = '{' WHERE id = $1", all[2])
	if r, found, err := s.Last("even"); !found || err != nil || r.ID != all[0] {
		t.Errorf("got %q, %v, %v, want %q", r.ID, found, err, all[0])
	}
}

func TestRunByPrefix(t *testing.T) {
	s, _ := openStore(t)
	all := fill(t, s, 40)
	for _, prefix := range []string{all[3], all[3][:20], all[3][:8]} {
		if r, err := s.Run(prefix); err != nil || r.ID != all[3] {
			t.Errorf("Run(%q): %q, %v, want %q", prefix, r.ID, err, all[3])
		}
	}
	for _, none := range []string{"", "nightly-db", "20261124T023001Z-123zzzzz", "2026112x", "20271", all[3] + "0", "../../x"} {
		var missing *store.NotFoundError
		if r, err := s.Run(none); !errors.As(err, &missing) || missing.ID != none || !fault.Is(err, fault.Usage) {
			t.Errorf("Run(%q): %q, %v", none, r.ID, err)
		}
	}
	for _, short := range []string{"2", "2026", "202611", "2026112"} {
		var ambiguous *store.AmbiguousError
		if r, err := s.Run(short); !errors.As(err, &ambiguous) || len(ambiguous.IDs) < 2 || !fault.Is(err, fault.Usage) {
			t.Errorf("Run(%q): %q, %v", short, r.ID, err)
		}
	}
}

// TestDamage: a record that is damaged costs nobody else.
func TestDamage(t *testing.T) {
	s, _ := openStore(t)
	all := fill(t, s, 3)
	other := newID(t, at(), 99)
	enter := func(id, record string) {
		t.Helper()
		alter(t, s, "INSERT INTO lh_run (id, job, state, owner, take, queued, nominal, ended, cancel, record, host, link) VALUES ($1, 'even', 'ok', '', 0, 0, 0, 0, '', $2, '', '')", id, record)
	}
	enter(newID(t, at(), 50), "")
	enter(newID(t, at(), 51), "null")
	enter(newID(t, at(), 52), `{"id":"`+newID(t, at(), 52)+`","job":"even","sta`)
	enter(newID(t, at(), 53), `{"id":"`+other+`","job":"even","state":"ok","started":"2026-11-23T02:30:01Z"}`)
	// A newer version knows more than we do.
	enter(other, `{"id":"`+other+`","job":"even","state":"parked","started":"2026-11-23T02:30:01Z","tunnel":{"bytes":1}}`)
	runs, warnings, err := s.Runs(store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(runs), []string{all[2], all[1], other, all[0]}; !slices.Equal(got, want) {
		t.Errorf("runs %q, want %q", got, want)
	}
	if len(warnings) != 4 {
		t.Errorf("%d warnings, want 4: %v", len(warnings), warnings)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Error(), "damaged record of run 20261123T") {
			t.Errorf("warning %q", w)
		}
	}
	if _, err := s.Run(newID(t, at(), 52)); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a damaged run: %v", err)
	}
}

func TestSummary(t *testing.T) {
	tests := []struct {
		run  store.Run
		want string
	}{
		{store.Run{State: store.OK}, "ok"},
		{store.Run{State: store.Failed, Layer: "tcp", Error: "dial \"a\":\nrefused"}, `failed: tcp: dial "a": refused`},
		{store.Run{State: store.Interrupted, Layer: "interrupted", Error: "stopped"}, "interrupted: stopped"},
	}
	for _, tt := range tests {
		if got := tt.run.Summary(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestOpenError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(place(path)); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("open: %v", err)
	}
}

// BenchmarkLast finds the newest run of a job that ran once, before many runs
// of another.
func BenchmarkLast(b *testing.B) {
	s, _ := openStore(b)
	put(b, s, store.Run{ID: newID(b, at().AddDate(0, -2, 0), 0), Job: "rare", State: store.OK})
	for i := range 10000 {
		put(b, s, store.Run{ID: newID(b, at().Add(time.Duration(i)*time.Second), i), Job: "often", State: store.OK})
	}
	for b.Loop() {
		if _, found, err := s.Last("rare"); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}
