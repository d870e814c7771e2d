package store_test

import (
	"strings"
	"testing"
	"time"

	"linehaul/store"
)

func TestPause(t *testing.T) {
	s, _ := openStore(t)
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	paused := func(at time.Time) (store.Pause, bool) {
		t.Helper()
		p, ok, err := s.Paused("nightly", at)
		if err != nil {
			t.Fatal(err)
		}
		return p, ok
	}
	if _, ok := paused(now); ok {
		t.Error("paused before anybody did it")
	}
	if was, err := s.Resume("nightly"); was || err != nil {
		t.Errorf("resumed what was not paused: %v, %v", was, err)
	}
	for _, want := range []store.Pause{{Since: now, Reason: "the server moves"}, {Since: now, Until: now.Add(time.Hour)}} {
		if err := s.Pause("nightly", want); err != nil {
			t.Fatal(err)
		}
		if got, ok := paused(now); !ok || got != want {
			t.Errorf("got %+v, %v; want %+v", got, ok, want)
		}
	}
	if _, ok := paused(now.Add(time.Hour)); ok {
		t.Error("its time is over, and it is paused")
	}
	if _, ok, err := s.Paused("other", now); ok || err != nil {
		t.Errorf("another job: %v, %v", ok, err)
	}
	if was, err := s.Resume("nightly"); !was || err != nil {
		t.Errorf("resume: %v, %v", was, err)
	}
	if _, ok := paused(now); ok {
		t.Error("resumed, and paused")
	}
	for _, bad := range []string{"{", strings.Repeat(" ", 1<<17)} {
		if err := s.Pause("nightly", store.Pause{Since: now}); err != nil {
			t.Fatal(err)
		}
		alter(t, s, "UPDATE lh_pause SET content = $1", bad)
		if _, _, err := s.Paused("nightly", now); err == nil || !strings.Contains(err.Error(), "nightly") {
			t.Errorf("a damaged pause: %v", err)
		}
	}
	for _, name := range []string{"", "../x", "a/b"} {
		if err := s.Pause(name, store.Pause{}); err == nil {
			t.Errorf("paused %q", name)
		}
	}
}
