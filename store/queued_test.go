package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/store"
	"linehaul/store/db"
)

// enter puts a run that waits into a store.
func enter(t testing.TB, s *store.Store, r store.Run) {
	t.Helper()
	if err := s.DB().Tx(t.Context(), func(tx *db.Tx) error { return s.Enter(t.Context(), tx, r) }); err != nil {
		t.Fatal(err)
	}
}

// TestQueuedRun: a run that waits is begun by one process, rescued when that dies,
// begun by another with its next take, and written by nobody else.
func TestQueuedRun(t *testing.T) {
	s, dir := openStore(t)
	r := store.Run{ID: newID(t, at(), 1), Job: "a", Nominal: at(), Take: 1, State: store.Running, Queued: true}
	enter(t, s, r)
	if got, err := s.Run(r.ID); err != nil || got.State != store.Waiting || !got.Queued {
		t.Fatalf("%+v, %v", got, err)
	}
	dead(t, dir, func(s *store.Store) {
		put(t, s, r)
		if err := s.SetProgress(r.ID, r.Job, store.Progress{Files: 1}); err != nil {
			t.Fatal(err)
		}
	})
	if recovered, err := s.Recover(); err != nil || len(recovered) > 0 {
		t.Errorf("it is the queue's, and was recovered: %+v, %v", recovered, err)
	}
	refused := errors.New("no room in the queue")
	var queued []store.Run
	if _, err := s.Rescue(t.Context(), func(*db.Tx, store.Run) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("a queue that refuses: %v", err)
	}
	for range 2 { // the second time, there is nothing
		rescued, err := s.Rescue(t.Context(), func(_ *db.Tx, r store.Run) error { queued = append(queued, r); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if len(queued) != 1 || queued[0].Take != 2 || queued[0].State != store.Waiting || queued[0].Progress != nil {
			t.Fatalf("rescued %+v, queued %+v", rescued, queued)
		}
	}
	taken := func(err error) bool { return errors.As(err, new(*store.TakenError)) }
	if err := s.Put(r); !taken(err) {
		t.Errorf("the first take is begun again: %v", err)
	}
	r.Take = 2
	put(t, s, r)
	other := reopen(t, dir)
	if _, err := other.Lock("b"); err != nil { // it is somebody
		t.Fatal(err)
	}
	if err := other.Put(r); !taken(err) {
		t.Errorf("another process begins it too: %v", err)
	}
	back := r
	back.State = store.Waiting
	put(t, s, back) // given back
	if err := other.Put(r); err != nil {
		t.Errorf("given back, it is not to be had: %v", err)
	}
	r.State, r.Ended = store.OK, at()
	if err := s.Put(r); !taken(err) {
		t.Errorf("who gave it back ends it: %v", err)
	}
	if err := other.Put(r); err != nil {
		t.Error(err)
	}
	r.State = store.Failed
	if err := other.Put(r); !taken(err) {
		t.Errorf("what has ended is changed: %v", err)
	}
}

// TestCancel: one that waits has ended; one that is under way hears of it, with the
// reason; one that has ended is left alone.
func TestCancel(t *testing.T) {
	s, dir := openStore(t)
	waits := store.Run{ID: newID(t, at(), 1), Job: "a", Take: 1}
	enter(t, s, waits)
	if was, err := s.Cancel(waits.ID[:24], "too late"); was != store.Waiting || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	if got, err := s.Run(waits.ID); err != nil || got.State != store.Interrupted || got.Error != "cancelled: too late" || got.Code != 130 {
		t.Errorf("%+v, %v", got, err)
	}
	if was, err := s.Cancel(waits.ID, "again"); was != store.Interrupted || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	if _, err := s.Cancel("2031", "no such run"); !fault.Is(err, fault.Usage) {
		t.Errorf("%v", err)
	}
	runs := store.Run{ID: newID(t, at(), 2), Job: "a", State: store.Running}
	put(t, s, runs)
	guarded, release := s.Guard(t.Context(), runs.ID)
	defer release()
	stays, releaseStays := s.Guard(t.Context(), func() string {
		r := store.Run{ID: newID(t, at(), 3), Job: "b", State: store.Running}
		put(t, s, r)
		return r.ID
	}())
	defer releaseStays()
	if was, err := reopen(t, dir).Cancel(runs.ID, "enough"); was != store.Running || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	select {
	case <-guarded.Done():
	case <-time.After(time.Minute):
		t.Fatal("it was not heard")
	}
	if err := context.Cause(guarded); !fault.Is(err, fault.Interrupted) || err.Error() != "cancelled: enough" {
		t.Errorf("it ended with %v", err)
	}
	if stays.Err() != nil {
		t.Errorf("another run ended with it: %v", context.Cause(stays))
	}
}

// TestGuardTaken: a run that became another process's ends here.
func TestGuardTaken(t *testing.T) {
	s, _ := openStore(t)
	r := store.Run{ID: newID(t, at(), 1), Job: "a", State: store.Running}
	put(t, s, r)
	guarded, release := s.Guard(t.Context(), r.ID)
	defer release()
	alter(t, s, "UPDATE lh_run SET owner = 'other' WHERE id = $1", r.ID)
	select {
	case <-guarded.Done():
	case <-time.After(time.Minute):
		t.Fatal("it was not heard")
	}
	if err := context.Cause(guarded); !errors.As(err, new(*store.TakenError)) {
		t.Errorf("it ended with %v", err)
	}
}

// TestRoom: many begin at once, and no more are under way with a host or a link
// than there may be.
func TestRoom(t *testing.T) {
	s, dir := openStore(t)
	stores := []*store.Store{s, reopen(t, dir), reopen(t, dir)}
	rooms := []store.Room{{Host: "h", Runs: 3}, {Link: "l", Runs: 2}}
	var group sync.WaitGroup
	var mu sync.Mutex
	begun := map[string]int{}
	for i := range 12 {
		group.Go(func() {
			r := store.Run{ID: newID(t, at(), i), Job: "a", Host: "h", State: store.Running}
			with := rooms[:1]
			if i%2 == 0 {
				r.Through, with = "l", rooms
			}
			err := stores[i%3].Begin(r, with)
			mu.Lock()
			defer mu.Unlock()
			full := (*store.FullError)(nil)
			switch {
			case err == nil:
				begun["h"]++
				if r.Through != "" {
					begun["l"]++
				}
			case !errors.As(err, &full) || !fault.Is(err, fault.Overlap) || !strings.Contains(err.Error(), "there may be no more"):
				t.Errorf("refused with %v", err)
			}
		})
	}
	group.Wait()
	if begun["h"] != 3 || begun["l"] > 2 {
		t.Errorf("%v are under way", begun)
	}
}

// TestWaitingBefore: runs wait in the order of what the schedule named, and those by
// hand in the order in which they came.
func TestWaitingBefore(t *testing.T) {
	s, _ := openStore(t)
	late := store.Run{ID: newID(t, at(), 1), Job: "a", Nominal: at().Add(time.Hour), Take: 1}
	early := store.Run{ID: newID(t, at(), 2), Job: "a", Nominal: at(), Take: 1}
	hand := store.Run{ID: newID(t, at(), 3), Job: "a", Take: 1}
	other := store.Run{ID: newID(t, at(), 0), Job: "b", Nominal: at(), Take: 1}
	for _, r := range []store.Run{late, early, hand, other} {
		enter(t, s, r)
	}
	for _, tt := range []struct {
		r    store.Run
		want int
	}{{early, 0}, {late, 1}, {hand, 2}, {other, 0}} {
		if n, err := s.WaitingBefore(tt.r); n != tt.want || err != nil {
			t.Errorf("before %s of %s wait %d, %v; want %d", tt.r.ID, tt.r.Job, n, err, tt.want)
		}
	}
}

// TestNodes: who lives is listed, with what it serves, and how that differs is said.
func TestNodes(t *testing.T) {
	s, dir := openStore(t)
	if nodes, err := s.Nodes(); err != nil || len(nodes) != 0 {
		t.Errorf("%+v, %v", nodes, err)
	}
	if err := s.Serve(map[string]string{"a": "1", "b": "1", "c": "1"}); err != nil {
		t.Fatal(err)
	}
	put(t, s, store.Run{ID: newID(t, at(), 1), Job: "a", State: store.Running})
	other := reopen(t, dir)
	if err := other.Serve(map[string]string{"a": "1", "b": "2", "d": "1"}); err != nil {
		t.Fatal(err)
	}
	third := reopen(t, dir)
	lock, err := third.Lock("x")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	nodes, err := other.Nodes()
	if err != nil || len(nodes) != 3 || !nodes[0].Serves || !nodes[1].Serves || nodes[2].Serves {
		t.Fatalf("%+v, %v", nodes, err)
	}
	for _, n := range nodes {
		if n.ID == s.Self() && (n.Running != 1 || n.Name != "here" || n.Version != "1.0") {
			t.Errorf("%+v", n)
		}
	}
	me := store.Node{ID: other.Self(), Name: "Here", Jobs: map[string]string{"a": "1", "b": "2", "d": "1"}}
	got := strings.Join(me.Differences(nodes), "\n")
	if !strings.Contains(got, `is called "here" too`) || !strings.Contains(got, "not the same as here: b") || strings.Contains(got, "a, b") {
		t.Errorf("differences: %s", got)
	}
}
