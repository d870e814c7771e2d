package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/store"
	"linehaul/store/storetest"
)

// past records a run of a job that was started so long ago.
func past(t testing.TB, s *store.Store, job string, state store.State, ago time.Duration, log string) store.Run {
	t.Helper()
	at := time.Now().Add(-ago)
	id, err := store.NewRunID(at, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := store.Run{ID: id, Job: job, Started: at, State: store.Running}
	if log != "" {
		r.LogPath = filepath.Join("logs", strings.ReplaceAll(log, "{run}", id))
	}
	err = s.Put(r)
	if err == nil && state != store.Running {
		r.State, r.Ended = state, at.Add(time.Minute)
		err = s.Put(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// left are the runs of a store, as the test calls them.
func left(t testing.TB, s *store.Store, names map[string]string) []string {
	t.Helper()
	runs, warnings, err := s.Runs(store.Filter{})
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	var all []string
	for _, r := range runs {
		all = append(all, names[r.ID])
	}
	slices.Sort(all)
	return all
}

const day = 24 * time.Hour

// TestPrune: what is too old or too many goes, with all that belongs to it; a run
// under way, the newest of a job and its newest success stay.
func TestPrune(t *testing.T) {
	tests := []struct {
		name string
		keep store.Keep
		gone string
	}{
		{"all is kept", store.Keep{}, ""},
		{"by age", store.Keep{MaxAge: 9*day + time.Hour}, "a10 a11 b11"},
		{"by number", store.Keep{Runs: 2}, "a10 a11 a3 a4"},
		{"by both", store.Keep{MaxAge: 3*day + time.Hour, Runs: 4}, "a10 a11 a4 b11"},
		{"everything that may", store.Keep{MaxAge: time.Second, Runs: 1}, "a10 a11 a2 a3 a4 b11"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := openStore(t)
			names := map[string]string{}
			add := func(name, job string, state store.State, days int) {
				r := past(t, s, job, state, time.Duration(days)*day, "{run}.log")
				names[r.ID] = name
				if err := s.Attach(r, "checks", name); err != nil {
					t.Fatal(err)
				}
			}
			add("a11", "a", store.OK, 11)
			add("a10", "a", store.Failed, 10)
			add("a runs", "a", store.Running, 9)
			add("a warned", "a", store.Warning, 8)
			add("a5 ok", "a", store.OK, 5)
			add("a4", "a", store.Failed, 4)
			add("a3", "a", store.Skipped, 3)
			add("a2", "a", store.Failed, 2)
			add("a1", "a", store.Failed, 1)
			add("b11", "b", store.Missed, 11)
			add("b last", "b", store.Failed, 10)

			var expired []string
			err := s.Expired(t.Context(), tt.keep, func(part []store.Gone) error {
				for _, g := range part {
					expired = append(expired, names[g.ID])
				}
				return nil
			})
			slices.Sort(expired)
			if err != nil || strings.Join(expired, " ") != tt.gone {
				t.Fatalf("to go are %q, %v; want %s", expired, err, tt.gone)
			}
			var logs []string
			n, err := s.Prune(t.Context(), tt.keep, func(paths []string) error {
				for _, p := range paths {
					id := strings.TrimSuffix(filepath.Base(p), ".log")
					if _, err := s.Run(id); err != nil {
						t.Errorf("the log of %s goes after its run: %v", names[id], err)
					}
					logs = append(logs, names[id])
				}
				return nil
			})
			slices.Sort(logs)
			if err != nil || n != len(expired) || !slices.Equal(logs, expired) {
				t.Errorf("%d are gone, with the logs of %q, %v; want %q", n, logs, err, expired)
			}
			want := slices.Sorted(maps.Values(names))
			want = slices.DeleteFunc(want, func(name string) bool { return slices.Contains(expired, name) })
			if got := left(t, s, names); !slices.Equal(got, want) {
				t.Errorf("left are %q, want %q", got, want)
			}
			if got := count(t, s, "lh_attachment"); got != len(want) {
				t.Errorf("%d attachments are left, want %d", got, len(want))
			}
		})
	}
}

// TestPruneSharedLogs: a log that several runs write goes when none of them is left.
func TestPruneSharedLogs(t *testing.T) {
	s, _ := openStore(t)
	past(t, s, "a", store.OK, 9*day, "a-old.log")
	past(t, s, "a", store.OK, 8*day, "a-old.log")
	past(t, s, "a", store.OK, 7*day, "both.log")
	past(t, s, "a", store.OK, 6*day, "a-new.log")
	past(t, s, "a", store.OK, 1*day, "a-new.log")
	past(t, s, "b", store.OK, 9*day, "both.log") // the last one of b
	var logs []string
	n, err := s.Prune(t.Context(), store.Keep{MaxAge: 2 * day}, func(paths []string) error {
		logs = append(logs, paths...)
		return nil
	})
	if want := []string{filepath.Join("logs", "a-old.log")}; err != nil || n != 4 || !slices.Equal(logs, want) {
		t.Errorf("%d are gone, with the logs %q, %v; want %q", n, logs, err, want)
	}
}

// TestPruneMany: thousands go in parts between which others write, and what fails in
// between leaves the others whole.
func TestPruneMany(t *testing.T) {
	s, dir := openStore(t)
	storetest.Fill(t, s, 3, 2100, time.Now())
	other := reopen(t, dir)
	parts := 0
	stop := errors.New("no more")
	keep := store.Keep{Runs: 100}
	if _, err := s.Prune(t.Context(), keep, func([]string) error {
		if parts++; parts == 2 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) {
		t.Fatalf("it ends with %v", err)
	}
	if got := count(t, s, "lh_run"); got != 1600 {
		t.Errorf("%d are left", got)
	}
	written := 0
	n, err := s.Prune(t.Context(), keep, func([]string) error {
		written++
		past(t, other, "other", store.OK, time.Hour, "")
		return nil
	})
	if err != nil || n != 1300 || written < 3 {
		t.Errorf("%d are gone in %d parts, %v", n, written, err)
	}
	if got := count(t, s, "lh_run"); got != 300+written {
		t.Errorf("%d are left", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Prune(ctx, store.Keep{Runs: 1}, func([]string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is to end: %v", err)
	}
}

// TestPruneLateReceipts: a run that stayed longer than its receipt takes with it what
// it says of that, and receipts that one run held for long go in time.
func TestPruneLateReceipts(t *testing.T) {
	prune := func(s *store.Store, k store.Keep, wantRuns, wantNamed, wantReceipts int) {
		t.Helper()
		if _, err := s.Prune(t.Context(), k, func([]string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if runs, named, receipts := count(t, s, "lh_run"), count(t, s, "lh_receipt_run"), count(t, s, "lh_receipt"); runs != wantRuns || named != wantNamed || receipts != wantReceipts {
			t.Errorf("left are %d runs, %d that name receipts and %d receipts, want %d, %d and %d", runs, named, receipts, wantRuns, wantNamed, wantReceipts)
		}
	}
	s, _ := openStore(t)
	past(t, s, "rare", store.OK, 50*day, "") // stays as the newest of its job
	past(t, s, "often", store.OK, 40*day, "")
	past(t, s, "often", store.OK, 2*day, "")
	prune(s, store.Keep{MaxAge: 30 * day}, 2, 2, 1)
	past(t, s, "rare", store.OK, day, "")
	prune(s, store.Keep{MaxAge: 30 * day}, 2, 2, 2)

	s, _ = openStore(t)
	storetest.Fill(t, s, 1, 5000, time.Now())
	first := "WHERE id = (SELECT min(id) FROM lh_run)"
	alter(t, s, "UPDATE lh_run SET state = 'running' "+first)
	prune(s, store.Keep{Runs: 100}, 101, 5000, 5000)
	alter(t, s, "UPDATE lh_run SET state = 'ok' "+first)
	for i, receipts := range []int{3000, 1000, 97} {
		prune(s, store.Keep{Runs: 99 - i}, 99-i, receipts, receipts)
	}
}
