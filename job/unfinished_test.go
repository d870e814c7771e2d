package job

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"linehaul/store"
	"linehaul/store/storetest"
)

// TestUnfinished: every run since the last success may have left something to
// go on with, however many there were: a file that is gone on with keeps the
// name that the first of them gave it.
func TestUnfinished(t *testing.T) {
	s := storetest.Open(t, t.TempDir())
	at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	put := func(state store.State) string {
		t.Helper()
		at = at.Add(time.Minute)
		id, err := store.NewRunID(at, rand.Reader)
		if err == nil {
			err = s.Put(store.Run{ID: id, Job: "a", Started: at, Ended: at, State: state})
		}
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	const failed = 120
	put(store.Failed)
	put(store.OK)
	first := put(store.Interrupted)
	for range failed - 1 {
		put(store.Failed)
	}
	put(store.Skipped)
	now := store.Run{ID: put(store.Running), Job: "a"}
	before := (&Runner{Store: s}).unfinished(&now, slog.New(slog.DiscardHandler))
	if len(before) != failed || before[failed-1].ID != first {
		t.Errorf("%d runs, want the %d since the last success", len(before), failed)
	}
}
