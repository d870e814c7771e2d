package store_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// moved makes files as a get has moved them.
func moved(n int) (files []store.File) {
	for i := range n {
		files = append(files, store.File{
			Source: fmt.Sprintf("/out/%d", i), Target: fmt.Sprintf("/backup/%d", i), Bytes: int64(i), MTime: at(), SHA256: strings.Repeat("ab", 32),
		})
	}
	return files
}

// ends records a run from its beginning to its end, with that many files.
func ends(t testing.TB, s *store.Store, n int, files int) store.Run {
	t.Helper()
	r := store.Run{ID: newID(t, at().Add(time.Duration(n)*time.Hour), n), Job: "nightly", Way: receipt.Get, Started: at(), State: store.Running}
	put(t, s, r)
	l := s.FileList(r)
	for i, f := range moved(files) {
		if err := l.Add(f, i); err != nil {
			t.Fatal(err)
		}
	}
	r.State, r.Moved, r.Ended = store.OK, files, at().Add(time.Minute)
	if err := l.End(&r); err != nil {
		t.Fatal(err)
	}
	r, err := s.End(r)
	if err != nil || r.Receipt == nil {
		t.Fatalf("run %d has the receipt %v, %v", n, r.Receipt, err)
	}
	return r
}

// verified is what Verify says of a store, but for the files on the disk.
func verified(t testing.TB, s *store.Store) *receipt.Report {
	t.Helper()
	receipts := s.Receipts()
	report, err := receipt.Verify(t.Context(), receipts, receipts, receipt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantWhole(t testing.TB, s *store.Store, receipts int64) {
	t.Helper()
	if r := verified(t, s); !r.OK || r.Notes > 0 || r.Receipts != receipts || !r.Anchored {
		t.Errorf("want %d receipts without a problem, got\n%s", receipts, r)
	}
}

// headOf is the receipt of a run.
func headOf(t testing.TB, s *store.Store, r store.Run) receipt.Head {
	t.Helper()
	heads, err := s.Receipts().Heads(t.Context(), r.Receipt.Seq-1, 1)
	if err != nil || len(heads) != 1 || receipt.HashOf(heads[0].Text) != r.Receipt.Hash {
		t.Fatalf("%+v, %v, want the hash %s", heads, err, r.Receipt.Hash)
	}
	h, err := receipt.Decode(heads[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// linesOf is the list of a run's receipt.
func linesOf(t testing.TB, s *store.Store, r store.Run) (files []receipt.File) {
	t.Helper()
	var out bytes.Buffer
	if err := receipt.WriteList(t.Context(), s.Receipts(), r.Receipt.Seq, &out); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(&out)
	for lines.Scan() {
		f, err := receipt.DecodeFile(lines.Text())
		if err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		files = append(files, f)
	}
	return files
}

// TestReceipts: runs leave receipts with all their files, however many there are, and
// one each: also if their end is recorded again.
func TestReceipts(t *testing.T) {
	s, _ := openStore(t)
	wantWhole(t, s, 0)
	sizes := []int{0, 1, 499, 500, 501, store.MaxFiles, store.MaxFiles + 1, 2501}
	for i, n := range sizes {
		r := ends(t, s, i, n)
		again, err := s.End(r)
		if err != nil || r.Receipt.Seq != int64(i)+1 || again.Receipt == nil || *again.Receipt != *r.Receipt {
			t.Errorf("%d files: receipt %v, then %v, %v", n, r.Receipt, again.Receipt, err)
		}
		if back, err := s.Run(r.ID); err != nil || back.Receipt == nil || *back.Receipt != *r.Receipt {
			t.Errorf("%d files: the record names %v, %v", n, back.Receipt, err)
		}
		h := headOf(t, s, r)
		if h.Run != r.ID || h.Files.Lines != int64(n) || h.Moved != n || h.Node != "here" || h.State != "ok" {
			t.Errorf("%d files: %+v", n, h)
		}
		lines := linesOf(t, s, r)
		if len(lines) != n {
			t.Fatalf("%d lines of %d files", len(lines), n)
		}
		for k, f := range lines {
			if f.Source != fmt.Sprintf("/out/%d", k) || f.Bytes != int64(k) {
				t.Fatalf("line %d of %d is %+v", k, n, f)
			}
		}
	}
	wantWhole(t, s, int64(len(sizes)))
	// Each list is there once, and nothing of the ends that were recorded again.
	if got, want := count(t, s, "lh_receipt_list"), 1+1+1+2+2+3+6; got != want {
		t.Errorf("%d parts of lists, want %d", got, want)
	}
}

// TestReceiptOfAll: what a receipt says is what the run's record says.
func TestReceiptOfAll(t *testing.T) {
	s, _ := openStore(t)
	r := fullRun(t)
	r.MoreFiles = 0
	r.Files[0].Target = filepath.Join(t.TempDir(), "a.gz")
	r.Files[0].Error = ""
	r, err := s.End(r)
	if err != nil {
		t.Fatal(err)
	}
	h := headOf(t, s, r)
	if h.Job != r.Job || h.Trigger != r.Trigger || !h.Nominal.Equal(r.Nominal) || !h.Started.Equal(r.Started) || !h.Ended.Equal(r.Ended) || h.Node != r.Node ||
		h.Program != r.Version || h.Way != receipt.Get || h.Host != r.Host || h.Address != r.Address || *h.HostKey != receipt.HostKey(*r.HostKey) ||
		h.Link.Name != r.Link.Name || !slices.Equal(h.Link.SPIs, r.Link.SPIs) || *h.Checks != (receipt.Checks{Verdict: "warn", Layer: "route", Summary: "3 of 10 lost"}) {
		t.Errorf("%+v", h)
	}
	if h.State != "failed" || h.Code != 10 || h.Layer != r.Layer || h.Error != r.Error || h.Attempts != 1 || h.Matched != r.Matched || h.Moved != r.Moved ||
		h.Failed != r.Failed || h.Skipped != r.Skipped || h.Removed != r.Removed || h.Bytes != r.Bytes {
		t.Errorf("%+v", h)
	}
	f, want := linesOf(t, s, r)[0], r.Files[0]
	if f.Source != want.Source || f.Target != want.Target || f.Bytes != want.Bytes || !f.MTime.Equal(want.MTime) || f.SHA256 != want.SHA256 ||
		f.Verified != want.Verified || f.Gone != want.Gone || f.After != want.After || f.AfterTo != want.AfterTarget {
		t.Errorf("%+v, want %+v", f, want)
	}
}

// TestReceiptPaths: local paths are absolute, and all of them are what the system
// has, also beyond the files that a record holds.
func TestReceiptPaths(t *testing.T) {
	s, _ := openStore(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for i, way := range []string{receipt.Get, receipt.Put} {
		r := store.Run{ID: newID(t, at(), i), Job: "by-hand", Way: way, State: store.Running}
		put(t, s, r)
		l := s.FileList(r)
		for n := range store.MaxFiles + 2 {
			f := store.File{Source: fmt.Sprintf("out/%d", n), Target: fmt.Sprintf("in/%d", n), After: "moved", AfterTarget: "done/\xfe"}
			if n >= store.MaxFiles {
				f.Source, f.Target = "out/\xff", "in/\xff\\"
			}
			if err := l.Add(f, n); err != nil {
				t.Fatal(err)
			}
		}
		r.State = store.OK
		if err := l.End(&r); err != nil {
			t.Fatal(err)
		}
		if r, err = s.End(r); err != nil {
			t.Fatal(err)
		}
		lines := linesOf(t, s, r)
		first, last := lines[0], lines[store.MaxFiles+1]
		want := []string{"out/0", filepath.Join(dir, "in/0"), "out/\xff", filepath.Join(dir, "in/\xff\\"), "done/\xfe"}
		if way == receipt.Put {
			want = []string{filepath.Join(dir, "out/0"), "in/0", filepath.Join(dir, "out/\xff"), "in/\xff\\", filepath.Join(dir, "done/\xfe")}
		}
		if runtime.GOOS == "windows" {
			continue // has no such names
		}
		if got := []string{first.Source, first.Target, last.Source, last.Target, last.AfterTo}; !slices.Equal(got, want) || first.AfterTo != last.AfterTo {
			t.Errorf("%s: %q, want %q", way, got, want)
		}
	}
	wantWhole(t, s, 2)
}

// TestReceiptStates: every run that has ended has a receipt, whoever has ended it,
// and none that has not.
func TestReceiptStates(t *testing.T) {
	s, dir := openStore(t)
	run := func(n int, state store.State) store.Run {
		return store.Run{ID: newID(t, at(), n), Job: "nightly", Way: receipt.Get, State: state}
	}
	for i, state := range []store.State{store.OK, store.Warning, store.Failed, store.Skipped, store.Missed, store.Interrupted} {
		put(t, s, run(i, state))
	}
	put(t, s, run(10, store.Running))
	handed := run(11, store.Waiting)
	handed.Queued, handed.Files = true, moved(3)
	put(t, s, handed)
	if n := count(t, s, "lh_receipt"); n != 6 {
		t.Errorf("%d receipts, want 6", n)
	}
	wantWhole(t, s, 6)
	// One that waits is cancelled, with what it has moved.
	for range 2 {
		if _, err := s.Cancel(handed.ID, "enough"); err != nil {
			t.Fatal(err)
		}
	}
	cancelled, err := s.Run(handed.ID)
	if err != nil || cancelled.Receipt == nil || cancelled.State != store.Interrupted {
		t.Fatalf("%+v, %v", cancelled, err)
	}
	if h := headOf(t, s, cancelled); h.State != "interrupted" || !strings.Contains(h.Error, "enough") || len(linesOf(t, s, cancelled)) != 3 {
		t.Errorf("%+v", h)
	}
	// The process of another dies.
	dead(t, dir, func(s *store.Store) { put(t, s, run(12, store.Running)) })
	for range 2 {
		if _, err := s.Recover(); err != nil {
			t.Fatal(err)
		}
	}
	if died, err := s.Run(run(12, "").ID); err != nil || died.State != store.Interrupted || died.Receipt == nil {
		t.Errorf("%+v, %v", died, err)
	}
	wantWhole(t, s, 8)
	// It is handed on when it waits in the queue, and has no receipt before it ends.
	queued := run(13, store.Running)
	queued.Queued, queued.Take = true, 1
	dead(t, dir, func(s *store.Store) { put(t, s, queued) })
	rescued, err := s.Rescue(t.Context(), func(*db.Tx, store.Run) error { return nil })
	if err != nil || len(rescued) != 1 || count(t, s, "lh_receipt") != 8 {
		t.Fatalf("%+v, %v", rescued, err)
	}
	wantWhole(t, s, 8)
	queued.Take = 2
	put(t, s, queued)
	queued.State, queued.Files = store.OK, moved(2)
	if queued, err = s.End(queued); err != nil || len(linesOf(t, s, queued)) != 2 {
		t.Errorf("%+v, %v", queued.Receipt, err)
	}
	// Who had it before can end it no more.
	queued.Take, queued.State = 1, store.Failed
	if _, err := s.End(queued); !errors.As(err, new(*store.TakenError)) {
		t.Errorf("ended by the one before: %v", err)
	}
	wantWhole(t, s, 9)
}

// TestReceiptLongList: what is left of a list whose process died before the run had
// ended goes when the run ends.
func TestReceiptLongList(t *testing.T) {
	s, _ := openStore(t)
	r := store.Run{ID: newID(t, at(), 1), Job: "nightly", Way: receipt.Get, State: store.Running, Take: 1}
	put(t, s, r)
	for part := range 3 {
		if _, err := s.DB().Exec(t.Context(), "INSERT INTO lh_receipt_list (run, list, part, lines) VALUES ($1, 'of a process that died', $2, 'x')", r.ID, part); err != nil {
			t.Fatal(err)
		}
	}
	r.State, r.Files = store.OK, moved(700)
	put(t, s, r)
	if n := count(t, s, "lh_receipt_list"); n != 2 {
		t.Errorf("%d parts of lists, want 2", n)
	}
	wantWhole(t, s, 1)
}

// helpEnd ends runs for as long as it may, as one process of several.
func helpEnd(s *store.Store) error {
	for range 40 {
		id, err := store.NewRunID(time.Now(), rand.Reader)
		if err != nil {
			return err
		}
		r := store.Run{ID: id, Job: "nightly", Way: receipt.Get, State: store.Running}
		if err := s.Put(r); err != nil {
			return err
		}
		r.State, r.Files = store.OK, moved(3)
		if err := s.Put(r); err != nil {
			return err
		}
		fmt.Println(id)
	}
	return errors.New("done")
}

// TestReceiptsAtOnce: three processes that end runs at once make one chain without a
// gap; a fourth verifies it meanwhile.
func TestReceiptsAtOnce(t *testing.T) {
	s, dir := openStore(t)
	const processes, runs = 3, 40
	var helpers []*helper
	for range processes {
		helpers = append(helpers, startHelper(t, "end", dir))
	}
	for _, h := range helpers {
		h.line(t)
	}
	for range 3 {
		if r := verified(t, s); !r.OK {
			t.Errorf("while runs end:\n%s", r)
		}
	}
	for _, h := range helpers {
		last := ""
		for h.out.Scan() {
			last = h.out.Text()
		}
		if h.cmd.Wait(); last != "done" {
			t.Errorf("a process ended with %q", last)
		}
	}
	wantWhole(t, s, processes*runs)
	receipts := s.Receipts()
	named, err := receipts.Named(t.Context(), 0, 1000)
	if err != nil || len(named) != processes*runs || named[len(named)-1].Seq != processes*runs {
		t.Errorf("%d runs name receipts, the last %+v, %v", len(named), named[len(named)-1], err)
	}
}

// TestKilledEnd: a process that is killed when it ends runs leaves a whole chain.
func TestKilledEnd(t *testing.T) {
	s, dir := openStore(t)
	for round := range 4 {
		h := startHelper(t, "put", dir)
		for range 1 + round {
			h.line(t)
		}
		h.kill(t)
		if r := verified(t, s); !r.OK {
			t.Errorf("after round %d:\n%s", round, r)
		}
	}
	waitLease()
	if _, err := s.Recover(); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, s, int64(count(t, s, "lh_run")))
}

// TestForgetReceipts: receipts go from the front, with their lists and with what runs
// say of them that are gone; the chain begins behind them.
func TestForgetReceipts(t *testing.T) {
	s, _ := openStore(t)
	var runs []store.Run
	for i := range 6 {
		runs = append(runs, ends(t, s, i, 501))
	}
	free := func(before string, want int64) {
		t.Helper()
		if got, err := s.FreeReceipts(t.Context(), before); err != nil || got != want {
			t.Errorf("free up to %d, %v, want %d", got, err, want)
		}
	}
	free("", 0)
	for _, i := range []int{0, 1, 3} {
		alter(t, s, "DELETE FROM lh_run WHERE id = $1", runs[i].ID)
	}
	wantWhole(t, s, 6) // a receipt outlives its run
	free("", 2)
	free(runs[3].ID, 4) // the third is too old to hold its own
	forget := func(upTo int64, begin, left int64) {
		t.Helper()
		if err := s.ForgetReceipts(t.Context(), upTo); err != nil {
			t.Fatal(err)
		}
		r := verified(t, s)
		if !r.OK || r.Begin.Seq != begin || r.Receipts != left || begin > 0 && r.Begin != *runs[begin-1].Receipt {
			t.Errorf("after up to %d went:\n%s", upTo, r)
		}
		if n := count(t, s, "lh_receipt_list"); int64(n) != 2*left {
			t.Errorf("%d parts of lists of %d receipts", n, left)
		}
	}
	forget(0, 0, 6)
	forget(2, 2, 4)
	forget(1, 2, 4)
	free("", 2)
	forget(4, 4, 2)
	// The third run says what it said.
	if r, err := s.Run(runs[2].ID); err != nil || r.Receipt == nil || *r.Receipt != *runs[2].Receipt {
		t.Errorf("%v, %v", r.Receipt, err)
	}
	if n := count(t, s, "lh_receipt_run"); n != 3 {
		t.Errorf("%d runs name receipts, want 3", n)
	}
	alter(t, s, "DELETE FROM lh_run WHERE id = $1", runs[2].ID)
	forget(100, 6, 0)
	if next := ends(t, s, 7, 1); next.Receipt.Seq != 7 {
		t.Errorf("the next receipt is %v", next.Receipt)
	}
	if r := verified(t, s); !r.OK || r.Receipts != 1 {
		t.Errorf("%s", r)
	}
}

// TestSpoiled: runs end and are recorded whatever somebody has done to the receipts,
// and each such thing is found afterwards.
func TestSpoiled(t *testing.T) {
	for name, tt := range map[string]struct {
		statement string
		want      receipt.Kind
	}{
		"changed":         {`UPDATE lh_receipt SET head = replace(head, '"moved":2', '"moved":3') WHERE seq = 2`, receipt.ReceiptChanged},
		"no receipt":      {"UPDATE lh_receipt SET head = 'x' WHERE seq = 2", receipt.ReceiptUnreadable},
		"the last went":   {"DELETE FROM lh_receipt WHERE seq = 3", receipt.ReceiptDropped},
		"one went":        {"DELETE FROM lh_receipt WHERE seq = 2", receipt.ReceiptDropped},
		"one came":        {"INSERT INTO lh_receipt (seq, run, list, hash, head) SELECT 4, run, list, hash, head FROM lh_receipt WHERE seq = 3", receipt.ReceiptAdded},
		"the run":         {"UPDATE lh_receipt_run SET hash = '" + strings.Repeat("0a", 32) + "' WHERE seq = 2", receipt.RunDisagrees},
		"the run's place": {"DELETE FROM lh_receipt_run WHERE seq = 2", receipt.RunWithout},
		"a line changed":  {"UPDATE lh_receipt_list SET lines = replace(lines, '/out/1', '/out/2') WHERE run = (SELECT run FROM lh_receipt WHERE seq = 2)", receipt.ListChanged},
		"a line came":     {"UPDATE lh_receipt_list SET lines = lines || lines WHERE run = (SELECT run FROM lh_receipt WHERE seq = 2)", receipt.ListLong},
		"no lines":        {"DELETE FROM lh_receipt_list WHERE run = (SELECT run FROM lh_receipt WHERE seq = 2)", receipt.ListShort},
		"the end":         {"DELETE FROM lh_chain WHERE place = 'end'", receipt.ChainBroken},
		"the end's hash":  {"UPDATE lh_chain SET hash = 'x' WHERE place = 'end'", receipt.ChainBroken},
		"the beginning":   {"INSERT INTO lh_chain (place, seq, hash) VALUES ('begin', 1, '" + strings.Repeat("0a", 32) + "')", receipt.CheckpointChanged},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := openStore(t)
			for i := range 3 {
				ends(t, s, i, 2)
			}
			alter(t, s, tt.statement)
			ends(t, s, 4, 2)
			ends(t, s, 5, 2)
			if r := verified(t, s); r.OK || r.ByKind[tt.want] == 0 {
				t.Errorf("want %s, got\n%s", tt.want, r)
			}
		})
	}
}

// TestReceiptsBefore: runs that ended before there were receipts, as in a database of
// an earlier linehaul, are not missed.
func TestReceiptsBefore(t *testing.T) {
	s, _ := openStore(t)
	old := store.Run{ID: newID(t, at(), 1), Job: "nightly", State: store.OK, Files: moved(2)}
	put(t, s, old)
	for _, statement := range []string{"DELETE FROM lh_receipt", "UPDATE lh_receipt_run SET seq = 0, hash = ''", "UPDATE lh_chain SET seq = 0, hash = '' WHERE place = 'end'"} {
		alter(t, s, statement) // as the step of the schema does
	}
	wantWhole(t, s, 0)
	if again, err := s.End(old); err != nil || again.Receipt != nil {
		t.Errorf("%v, %v", again.Receipt, err)
	}
	if r := ends(t, s, 2, 1); r.Receipt.Seq != 1 {
		t.Errorf("%v", r.Receipt)
	}
	wantWhole(t, s, 1)
}

// TestReceiptsEnd: reading ends with its context.
func TestReceiptsEnd(t *testing.T) {
	s, _ := openStore(t)
	ends(t, s, 1, 1)
	why := fault.New(fault.Interrupted, "enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := receipt.Verify(ctx, s.Receipts(), s.Receipts(), receipt.Options{}); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

// TestPruneReceipts: receipts leave with the runs of the history, and the chain begins
// behind them.
func TestPruneReceipts(t *testing.T) {
	s, _ := openStore(t)
	const day = 24 * time.Hour
	prune := func(k store.Keep, runs int, begin, left int64) {
		t.Helper()
		n, err := s.Prune(t.Context(), k, func([]string) error { return nil })
		if err != nil || n != runs {
			t.Errorf("%d runs removed, %v, want %d", n, err, runs)
		}
		if r := verified(t, s); !r.OK || r.Begin.Seq != begin || r.Receipts != left {
			t.Errorf("want %d receipts after number %d, got\n%s", left, begin, r)
		}
	}
	past(t, s, "rare", store.OK, 50*day, "") // stays as the newest of its job
	for i := range 5 {
		past(t, s, "often", store.OK, time.Duration(40-i)*day, "")
	}
	past(t, s, "often", store.OK, 2*day, "")
	prune(store.Keep{MaxAge: 30 * day}, 5, 6, 1)
	for range 5 {
		past(t, s, "often", store.OK, day, "")
	}
	prune(store.Keep{Runs: 2}, 4, 10, 2)
	past(t, s, "seldom", store.OK, day, "") // keeps what comes after it
	for range 3 {
		past(t, s, "often", store.OK, day, "")
	}
	prune(store.Keep{Runs: 2}, 3, 12, 4)
}

// BenchmarkEnd is how long it takes to record the end of a run with so many files,
// with its list and its receipt.
func BenchmarkEnd(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, _ := openStore(b)
			for i := range b.N {
				ends(b, s, i, n)
			}
		})
	}
}
