package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linehaul/store"
)

// TestStandings: of each job what is under way, what waits, what ended last, and
// whether it is paused, of more jobs than one statement asks for.
func TestStandings(t *testing.T) {
	s, _ := openStore(t)
	want := map[string]string{}
	var jobs []string
	for i := range 90 {
		job := fmt.Sprintf("job-%02d", i)
		jobs = append(jobs, job)
		want[job] = past(t, s, job, store.Failed, time.Hour, "").ID
	}
	past(t, s, "other", store.OK, time.Hour, "") // nobody asks for it
	newer := past(t, s, "job-03", store.Skipped, 3*time.Minute, "")
	past(t, s, "job-03", store.OK, 30*time.Minute, "")
	first := past(t, s, "job-03", store.Running, 2*time.Minute, "")
	second := past(t, s, "job-03", store.Running, time.Minute, "")
	waiting := past(t, s, "job-04", store.Running, time.Minute, "")
	waiting.State = store.Waiting
	if err := s.Put(waiting); err != nil {
		t.Fatal(err)
	}
	want["job-03"] = newer.ID
	// Of a record that cannot be read, the one before.
	damaged := past(t, s, "job-05", store.OK, time.Minute, "")
	alter(t, s, "UPDATE lh_run SET record = 'x' WHERE id = $1", damaged.ID)
	now := time.Now()
	for job, p := range map[string]store.Pause{
		"job-06": {Since: now, Reason: "it moves"}, "job-07": {Since: now, Until: now.Add(time.Hour)}, "job-08": {Since: now.Add(-time.Hour), Until: now}, "gone": {Since: now},
	} {
		if err := s.Pause(job, p); err != nil {
			t.Fatal(err)
		}
	}
	alter(t, s, "UPDATE lh_pause SET content = '{' WHERE job = 'gone'") // nobody asks for that either

	all, err := s.Standings(now, append(jobs, "new")...)
	if err != nil || len(all) != 91 {
		t.Fatalf("%d standings, %v", len(all), err)
	}
	for job, is := range all {
		last, under := "", []string{}
		if is.Last != nil {
			last = is.Last.ID
		}
		for _, r := range append(is.Running, is.Waiting...) {
			under = append(under, r.ID)
		}
		wantUnder := map[string]string{"job-03": second.ID + " " + first.ID, "job-04": waiting.ID}[job]
		if last != want[job] || strings.Join(under, " ") != wantUnder {
			t.Errorf("%s: the last is %q, want %q; under way are %q, want %q", job, last, want[job], under, wantUnder)
		}
		if paused := is.Paused != nil; paused != (job == "job-06" || job == "job-07") {
			t.Errorf("%s: paused is %v", job, is.Paused)
		}
	}
	if is := all["job-04"]; len(is.Waiting) != 1 || all["job-06"].Paused.Reason != "it moves" {
		t.Errorf("%+v", is)
	}
	alter(t, s, "UPDATE lh_pause SET content = '{' WHERE job = 'job-06'")
	if _, err := s.Standings(now, "job-06"); err == nil || !strings.Contains(err.Error(), "job-06") {
		t.Errorf("a damaged pause: %v", err)
	}
}
