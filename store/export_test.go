package store_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/store/storetest"
)

// rich is a store with some of everything, and the run that has most.
func rich(t *testing.T) (*store.Store, string, store.Run) {
	t.Helper()
	s, dir := openStore(t)
	storetest.Fill(t, s, 3, 120, time.Now())
	asBeforeReceipts(t, s)
	r := past(t, s, "rich", store.Running, time.Hour, "{run}.log")
	list := s.FileList(r)
	for i := range store.MaxFiles + 700 {
		if err := list.Add(store.File{Source: fmt.Sprintf("/a/%d <&>", i), Target: "b", Bytes: int64(i)}, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := list.End(&r); err != nil {
		t.Fatal(err)
	}
	r.State, r.Ended = store.Warning, time.Now()
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"checks", "line"} {
		if err := s.Attach(r, name, map[string]string{"it": name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pause("rich", store.Pause{Since: at(), Reason: "the server <moves>"}); err != nil {
		t.Fatal(err)
	}
	return s, dir, r
}

// TestExport: each line is JSON, all that was recorded is there, and the last line
// counts it.
func TestExport(t *testing.T) {
	s, _, r := rich(t)
	for _, tt := range []struct {
		filter store.Filter
		want   map[string]int
	}{
		{store.Filter{}, map[string]int{"run": 121, "file": 700, "attachment": 2, "pause": 1}},
		{store.Filter{Job: "job-001"}, map[string]int{"run": 40}},
		{store.Filter{Job: "rich", Since: time.Now().Add(-2 * time.Hour)}, map[string]int{"run": 1, "file": 700, "attachment": 2, "pause": 1}},
		{store.Filter{Job: "none"}, map[string]int{"run": 0}},
	} {
		var out bytes.Buffer
		counts, warnings, err := s.Export(t.Context(), &out, tt.filter)
		if err != nil || len(warnings) > 0 || !maps.Equal(counts, tt.want) {
			t.Fatalf("%+v: %v, %v, %v", tt.filter, counts, warnings, err)
		}
		seen := map[string]int{"run": 0}
		var last store.ExportLine
		files := 0
		lines := bufio.NewScanner(&out)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			last = store.ExportLine{}
			if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
				t.Fatal(err)
			}
			switch last.Line {
			case store.LineExport, store.LineEnd:
				continue
			case store.LineFile:
				if want := fmt.Sprintf("/a/%d <&>", store.MaxFiles+files); last.Of != r.ID || last.File.Source != want {
					t.Errorf("file %q of %s, want %q of %s", last.File.Source, last.Of, want, r.ID)
				}
				files++
			case store.LineAttachment:
				if want := fmt.Sprintf(`{"it":%q}`, last.Name); string(last.Attachment) != want || last.Of != r.ID {
					t.Errorf("attached is %s to %s, want %s", last.Attachment, last.Of, want)
				}
			case store.LinePause:
				if last.Of != "rich" || last.Pause.Reason != "the server <moves>" {
					t.Errorf("the pause of %q is %+v", last.Of, last.Pause)
				}
			}
			seen[last.Line]++
		}
		if lines.Err() != nil || last.Line != store.LineEnd || !maps.Equal(seen, tt.want) || !maps.Equal(last.Counts, tt.want) {
			t.Errorf("%+v: %v, the last line is %+v, want %v", tt.filter, seen, last, tt.want)
		}
	}
}

// TestCheck: of a good record, what it is; of a bad one, each thing that is wrong.
func TestCheck(t *testing.T) {
	s, dir, r := rich(t)
	if err := s.LedgerImport([]store.Entry{{Job: "rich", Host: "h", Path: "/a", Size: 1, MTime: time.Now(), At: time.Now()}, {Job: "rich", Host: "h", Path: "/b", Size: 2, MTime: time.Now(), At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	p := place(dir)
	p.AsIs = true
	as, err := store.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(as.Close)
	h, err := as.Check(t.Context())
	if err != nil || len(h.Problems) > 0 || h.Runs != 121 || h.States["warning"] != 1 || h.States["failed"] != 12 || h.Schema != db.Version() || h.Newest == "" || h.Room.Bytes == 0 || h.Receipts != 1 || h.Ledger != 2 {
		t.Fatalf("%+v, %v", h, err)
	}
	runs, _, err := s.Runs(store.Filter{Job: "job-000", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	alter(t, s, "UPDATE lh_run SET record = 'nonsense' WHERE id = $1", runs[0].ID)
	alter(t, s, "UPDATE lh_run SET state = 'missed' WHERE id = $1", runs[1].ID)
	alter(t, s, "DELETE FROM lh_run WHERE id = $1", r.ID)
	alter(t, s, "UPDATE lh_receipt SET head = replace(head, 'rich', 'poor')")
	alter(t, s, "UPDATE lh_ledger SET size = -5 WHERE path = '/b'")
	if h, err = as.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(h.Problems, "\n")
	for _, want := range []string{
		"damaged record of run " + runs[0].ID, "run " + runs[1].ID + ` of job "job-000" is recorded as ok, and listed as missed`,
		`the ledger of job "rich" has a file "/b" of -5 bytes`, "receipts: ",
		"lh_attachment has 2 rows of runs that are not there, such as " + r.ID, "lh_run_files has 2 rows",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if len(h.Problems) < 6 {
		t.Errorf("%d problems:\n%s", len(h.Problems), text)
	}
	alter(t, s, "INSERT INTO lh_schema (step, at) VALUES ($1, 0)", db.Version()+1)
	if _, err := as.Check(t.Context()); !fault.Is(err, fault.Config) {
		t.Errorf("of a newer one: %v", err)
	}
}

// TestCopy: all of a store is in another one of the other kind, and back; nothing is
// in it when that fails; it refuses what is not empty, and what is in use.
func TestCopy(t *testing.T) {
	if os.Getenv(urlVar) != "" {
		return // it goes both ways already
	}
	from, dir, _ := rich(t)
	holder, err := from.Lock("rich")
	if err != nil {
		t.Fatal(err)
	}
	u, err := neturl.Parse(server.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	p := place(filepath.Join(t.TempDir(), "shared"))
	p.URL = u.String()
	shared, err := store.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shared.Close)

	if _, err := shared.CopyFrom(t.Context(), from); !fault.Is(err, fault.Overlap) {
		t.Fatalf("from one in use: %v", err)
	}
	holder.Release()
	from.Close()
	from = reopen(t, dir)
	want := exported(t, from)
	copied, err := shared.CopyFrom(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, c := range copied {
		rows[c.Table] = c.Rows
	}
	if rows["lh_run"] != 121 || rows["lh_attachment"] != 2 || rows["lh_run_files"] != 2 || rows["lh_pause"] != 1 {
		t.Errorf("copied are %v", rows)
	}
	if got := exported(t, shared); got != want {
		t.Errorf("it is another one: %d bytes, want %d", len(got), len(want))
	}
	if _, err := shared.CopyFrom(t.Context(), from); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "rows in") {
		t.Errorf("into one that has something: %v", err)
	}
	back, _ := openStore(t)
	if _, err := back.CopyFrom(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	if got := exported(t, back); got != want {
		t.Errorf("back, it is another one: %d bytes, want %d", len(got), len(want))
	}

	// A row that its table does not take, late in the copy, leaves nothing there.
	alter(t, from, "INSERT INTO lh_schedule (job, last) VALUES ('twice', 1)")
	third, _ := openStore(t)
	if _, err := third.DB().Exec(t.Context(), "CREATE TRIGGER refuse BEFORE INSERT ON lh_schedule BEGIN SELECT RAISE(ABORT, 'not here'); END"); err != nil {
		t.Fatal(err)
	}
	if _, err := third.CopyFrom(t.Context(), from); err == nil || !strings.Contains(err.Error(), "not here") {
		t.Errorf("a copy that cannot be: %v", err)
	}
	if n := count(t, third, "lh_run"); n != 0 {
		t.Errorf("%d runs are in it", n)
	}
}

// exported is all that an export has of a store, but for when it was made.
func exported(t *testing.T, s *store.Store) string {
	t.Helper()
	var out bytes.Buffer
	if _, warnings, err := s.Export(t.Context(), &out, store.Filter{}); err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	_, rest, _ := strings.Cut(out.String(), "\n")
	return rest
}
