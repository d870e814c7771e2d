package store_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"linehaul/store"
	"linehaul/store/db"
)

// TestProgress: it is seen while the run goes on, by whoever reads the run, and
// gone afterwards.
func TestProgress(t *testing.T) {
	s, _ := openStore(t)
	r := fullRun(t)
	ended := r
	r.State, r.Ended = store.Running, time.Time{}
	put(t, s, r)
	want := store.Progress{At: at().UTC(), Files: 1, OfFiles: 3, Failed: 1, Bytes: 5, OfBytes: 1 << 40, Rate: 7, Left: 8}
	for _, p := range []store.Progress{{OfFiles: 3}, want} {
		if err := s.SetProgress(r.ID, r.Job, p); err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func() (store.Run, error){
		"Run":  func() (store.Run, error) { return s.Run(r.ID) },
		"Last": func() (store.Run, error) { r, _, err := s.Last(r.Job); return r, err },
		"Runs": func() (store.Run, error) { all, _, err := s.Runs(store.Filter{}); return all[0], err },
	} {
		got, err := read()
		if err != nil || got.Progress == nil || *got.Progress != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got.Progress, err, want)
		}
	}
	got, _ := s.Run(r.ID)
	put(t, s, got) // as Recover does
	var data []byte
	_, err := db.One(t.Context(), s.DB(), "SELECT record FROM lh_run", nil, &data)
	if err != nil || slices.Contains(fieldsOf(t, data), "progress") {
		t.Errorf("the record holds it: %s, %v", data, err)
	}
	put(t, s, ended)
	if got, err := s.Run(r.ID); err != nil || got.Progress != nil {
		t.Errorf("after the end: %+v, %v", got.Progress, err)
	}
	if n := count(t, s, "lh_progress"); n > 0 {
		t.Errorf("%d rows are left", n)
	}
	if err := s.SetProgress("x", r.Job, want); err == nil {
		t.Error("the progress of what is no run is noted")
	}
}

// fieldsOf are the names in a JSON object.
func fieldsOf(t *testing.T, data []byte) []string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Keys(all))
}

// TestProgressDamaged: what cannot be read does no harm to the run.
func TestProgressDamaged(t *testing.T) {
	s, dir := openStore(t)
	r := fullRun(t)
	r.State, r.Queued = store.Running, false
	dead(t, dir, func(s *store.Store) {
		put(t, s, r)
		if err := s.SetProgress(r.ID, r.Job, store.Progress{Files: 1}); err != nil {
			t.Fatal(err)
		}
	})
	alter(t, s, "UPDATE lh_progress SET content = '{'")
	if got, err := s.Run(r.ID); err != nil || got.Progress != nil {
		t.Errorf("%+v, %v", got.Progress, err)
	}
	// It belongs to a process that is gone.
	dead, err := s.Recover()
	if err != nil || len(dead) != 1 {
		t.Fatalf("%d runs, %v", len(dead), err)
	}
	if n := count(t, s, "lh_progress"); n > 0 {
		t.Errorf("%d rows are left", n)
	}
}
