package store_test

import (
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/store"
)

// TestAttach: what is kept beside a run is read again, replaced, not taken for
// a run, and bounded.
func TestAttach(t *testing.T) {
	s, _ := openStore(t)
	r := fullRun(t)
	put(t, s, r)
	var got []int
	if found, err := s.Attachment(r, "line", &got); found || err != nil {
		t.Errorf("before there is any: %v, %v", found, err)
	}
	for _, want := range [][]int{{1, 2, 3}, {4}} {
		if err := s.Attach(r, "line", want); err != nil {
			t.Fatal(err)
		}
		got = nil
		if found, err := s.Attachment(r, "line", &got); !found || err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, %v; want %v", got, found, err, want)
		}
	}
	if err := s.Attach(r, "checks", "other"); err != nil {
		t.Fatal(err)
	}
	runs, warnings, err := s.Runs(store.Filter{})
	if err != nil || len(warnings) != 0 || len(runs) != 1 || runs[0].Job != r.Job {
		t.Errorf("the list of runs: %+v, %v, %v", runs, warnings, err)
	}
	if byID, err := s.Run(r.ID); err != nil || byID.Job != r.Job {
		t.Errorf("the run by its id: %+v, %v", byID, err)
	}
	for name, v := range map[string]any{
		"":                      1,
		"../x":                  1,
		"A":                     1,
		"a.b":                   1,
		strings.Repeat("a", 33): 1,
		"channel":               make(chan int),
		"large":                 strings.Repeat("x", 16<<20),
	} {
		if err := s.Attach(r, name, v); !fault.Is(err, fault.Internal) {
			t.Errorf("%.40q is kept: %v", name, err)
		}
	}
	if _, err := s.Attachment(store.Run{ID: "x", Job: r.Job, State: store.OK}, "line", &got); !fault.Is(err, fault.Internal) {
		t.Errorf("what is no run: %v", err)
	}
}

// TestRetransmitted: a share is written as people say it.
func TestRetransmitted(t *testing.T) {
	for share, want := range map[float64]string{0: "0.0%", 0.008: "0.8%", 0.0004: "0.040%", 1: "100.0%", 0.1234: "12.3%"} {
		if got := (&store.Line{ResentShare: share}).Retransmitted(); got != want {
			t.Errorf("%v is %q, want %q", share, got, want)
		}
	}
}

// TestAttachDamaged: one that is damaged, or larger than any that we write,
// is an error.
func TestAttachDamaged(t *testing.T) {
	s, _ := openStore(t)
	r := fullRun(t)
	put(t, s, r)
	if err := s.Attach(r, "line", 1); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cut off": `[1, 2`, "large": "[" + strings.Repeat(" ", 16<<20) + "]"} {
		alter(t, s, "UPDATE lh_attachment SET content = $1", text)
		var got []int
		if _, err := s.Attachment(r, "line", &got); !fault.Is(err, fault.LocalDisk) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
