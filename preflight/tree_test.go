package preflight_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/ping"
)

// A slow check takes its time, or until its context ends.
type slow struct {
	name string
	d    time.Duration
	v    preflight.Verdict
}

func (s slow) Name() string { return s.name }

func (s slow) Run(ctx context.Context, _ *preflight.Found) preflight.Finding {
	select {
	case <-time.After(s.d):
		return preflight.Finding{Verdict: s.v, Code: "x"}
	case <-ctx.Done():
		return preflight.Finding{Verdict: preflight.Unknown, Code: "x", Text: context.Cause(ctx).Error()}
	}
}

// TestTree: what depends on nothing runs side by side, what depends on a failure
// is skipped with what depends on that, and none takes longer than it may.
func TestTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		tree := preflight.Tree{
			Now:  time.Now,
			Each: func(f preflight.Finding) { order = append(order, f.Check) },
			Tasks: []preflight.Task{
				{Check: slow{name: "a", d: 5 * time.Second, v: preflight.OK}},
				{Check: slow{name: "b", d: 4 * time.Second, v: preflight.Fail}},
				{Check: slow{name: "c", d: time.Second, v: preflight.OK}, Needs: []string{"a"}},
				{Check: slow{name: "d", d: time.Second, v: preflight.OK}, Needs: []string{"a", "b"}},
				{Check: slow{name: "e", d: time.Second, v: preflight.OK}, Needs: []string{"d", "absent"}},
				{Check: slow{name: "f", d: time.Second, v: preflight.OK}, After: []string{"b"}},
				{Check: slow{name: "g", d: time.Hour, v: preflight.OK}, Deadline: 2 * time.Second},
			},
		}
		began := time.Now()
		all := tree.Run(t.Context())
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("took %s, want 6s: the longest way through", took)
		}
		var got []string
		for _, f := range all {
			got = append(got, f.Check+" "+string(f.Verdict)+" "+f.Text)
		}
		want := []string{"a ok ", "b fail ", "c ok ", "d skipped because b failed", "e skipped because b failed", "f ok ", "g unknown the check took too long"}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if strings.Join(order[:2], "") != "gb" || len(order) != len(want) {
			t.Errorf("they came as %q", order)
		}
	})
}

// TestTreeStopped: a tree ends when its context does, and what has not run says
// why.
func TestTreeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("enough")) })
		tree := preflight.Tree{Now: time.Now, Tasks: []preflight.Task{
			{Check: slow{name: "a", d: time.Hour}},
			{Check: slow{name: "b", d: time.Hour}, Needs: []string{"a"}},
		}}
		began := time.Now()
		all := tree.Run(ctx)
		if took := time.Since(began); took != time.Second || all[0].Text != "enough" || !strings.Contains(all[1].Text, "enough") {
			t.Errorf("after %s: %+v", took, all)
		}
	})
}

// TestFilteredPing: a host that answers no echo and whose port is open is no
// failure, and the report says that ping cannot tell.
func TestFilteredPing(t *testing.T) {
	s := well()
	pings(series(10, 0, 0), nil)(s)
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	f := r.Of(preflight.CheckPing)
	if r.Verdict != preflight.OK || f.Verdict != preflight.Unknown || !strings.Contains(f.Text, "cannot tell") || f.Ping == nil {
		t.Errorf("%s: %+v", r.Verdict, f)
	}
	if !strings.Contains(r.Summary, "ICMP is filtered") {
		t.Errorf("summary %q", r.Summary)
	}
}

// TestLevels: a check that only warns does not fail the look, and one that is off
// is not made.
func TestLevels(t *testing.T) {
	s := well()
	limited(preflight.Limits{MaxLoss: 0.05})(s)
	s.policy.Levels[preflight.CheckPing] = preflight.Warning
	s.policy.Levels[preflight.CheckClock] = preflight.Off
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	if r.Verdict != preflight.Warn || r.Err() != nil || r.Of(preflight.CheckClock) != nil || r.Of(preflight.CheckPing).Code != "ping-loss" {
		t.Errorf("%s, %v: %+v", r.Verdict, r.Err(), r.Findings)
	}
}

// TestAddress: of several addresses, the one is looked at that is in the networks
// of the link.
func TestAddress(t *testing.T) {
	s := well()
	inner := netip.MustParseAddr("10.20.0.5")
	s.Networks = []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}
	s.Way.Resolve = func(context.Context, string) (preflight.Name, error) {
		return preflight.Name{Addresses: []netip.Addr{hostAddr, inner}}, nil
	}
	var asked netip.Addr
	s.Way.Ping = func(_ context.Context, o ping.Options) (*ping.Series, error) {
		asked = o.To
		return series(10, 10, 1), nil
	}
	if r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil); r.Verdict != preflight.OK || asked != inner {
		t.Errorf("%s: asked %s, want %s", r.Summary, asked, inner)
	}
}

// TestCompare: what is other than on a good night is said by hop and by day.
func TestCompare(t *testing.T) {
	s := well()
	before := preflight.Look(t.Context(), s.Subject, s.policy, func() time.Time { return time.Date(2026, 11, 21, 2, 30, 0, 0, time.UTC) }, nil)
	traces(hops(0, 0.2, 0.2), nil)(s)
	pings(series(10, 10, 200), nil)(s)
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	all := strings.Join(r.Compare(before), "\n")
	for _, want := range []string{"loss starts at hop 2 (192.0.2.1), which was clean on 21 November", "takes 200ms in the median, and took 80ms on 21 November"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if same := r.Compare(r); len(same) != 0 {
		t.Errorf("a report is other than itself: %q", same)
	}
}
