package preflight_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/port"
)

// TestNameOff: what a name is, is asked as far as other checks need it, and does
// not fail a run that does not want it asked.
func TestNameOff(t *testing.T) {
	s := well()
	s.policy.Levels[preflight.CheckName] = preflight.Off
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	if f := r.Of(preflight.CheckPort); f == nil || f.Verdict != preflight.OK {
		t.Errorf("the port was not asked: %+v", f)
	}
	s.Way.Resolve = func(context.Context, string) (preflight.Name, error) {
		return preflight.Name{}, &net.DNSError{IsNotFound: true}
	}
	r = preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	if err := r.Err(); err != nil || r.Verdict != preflight.Warn {
		t.Errorf("%s, %v", r.Verdict, err)
	}
	only := preflight.Policy{Levels: map[string]preflight.Level{preflight.CheckSpace: preflight.Require}}
	s.SpaceHere = true
	if r = preflight.Look(t.Context(), s.Subject, only, time.Now, nil); len(r.Findings) != 1 {
		t.Errorf("asked for the room here alone, and got %+v", r.Findings)
	}
}

// TestUnheard: a host of which nothing is heard fails a person's look, and no
// run, which will see; one open port among silent ones is something.
func TestUnheard(t *testing.T) {
	silent := func() *scene {
		s := well()
		pings(series(10, 0, 0), nil)(s)
		for _, name := range []string{preflight.CheckPort, preflight.CheckTrace, preflight.CheckMTU, preflight.CheckSSH, preflight.CheckClock, preflight.CheckSpace} {
			s.policy.Levels[name] = preflight.Off
		}
		return s
	}
	s := silent()
	if r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil); r.Verdict != preflight.Fail {
		t.Errorf("for a person: %s: %s", r.Verdict, r.Summary)
	}
	s.policy.MustHear = preflight.ForJob().MustHear
	if r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil); r.Verdict != preflight.OK {
		t.Errorf("for a run: %s: %s", r.Verdict, r.Summary)
	}
	s = silent()
	s.policy.Levels[preflight.CheckPort] = preflight.Require
	s.policy.Ports = []preflight.Port{{Network: "udp", Number: 123}}
	s.Way.Port = func(_ context.Context, network string, _ netip.AddrPort) port.Result {
		if network == "udp" {
			return answerUDP(port.OpenOrFiltered)
		}
		return answer(port.Open)
	}
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	if f := r.Of(preflight.CheckPing); r.Verdict != preflight.OK || f.Code != "ping-filtered" || !strings.Contains(f.Text, "port 22 is open") {
		t.Errorf("with port 22 open: %s: %s; %+v", r.Verdict, r.Summary, f)
	}
}

// TestJumpHost: what is wrong on the way to a jump host is not said of the host
// behind it.
func TestJumpHost(t *testing.T) {
	s := well()
	s.Jump = "bastion"
	ports(answer(port.Refused))(s)
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	if !strings.HasPrefix(r.Summary, "jump host bastion: port 22 is closed") || r.Jump != "bastion" {
		t.Errorf("%q, %q", r.Summary, r.Jump)
	}
	s = well()
	s.Jump = "bastion"
	spaces(room(999, 1000), nil)(s)
	if r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil); strings.Contains(r.Summary, "bastion") {
		t.Errorf("a disk here: %q", r.Summary)
	}
}

// TestSeveralPorts: in words.
func TestSeveralPorts(t *testing.T) {
	for n, want := range []string{"port 22 is open, after 0s", "port 22 is open, after 0s, and so is 1 more", "port 22 is open, after 0s, and so are 2 more"} {
		s := well()
		for range n {
			s.policy.Ports = append(s.policy.Ports, preflight.Port{Network: "tcp", Number: 8022})
		}
		r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
		if got := r.Of(preflight.CheckPort).Text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestLateServer: a check that had no more time says that, and not what its
// context was told.
func TestLateServer(t *testing.T) {
	s := well()
	s.Patience = time.Millisecond
	s.Space = func(ctx context.Context) (preflight.Space, error) {
		<-ctx.Done()
		return preflight.Space{}, errors.New("list: context deadline exceeded")
	}
	s.Clock = func(ctx context.Context) (preflight.Clock, error) {
		<-ctx.Done()
		return preflight.Clock{}, context.Cause(ctx)
	}
	r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
	for _, name := range []string{preflight.CheckSpace, preflight.CheckClock} {
		if f := r.Of(name); f.Code != "late" || !strings.Contains(f.Hint, "--only "+name) {
			t.Errorf("%+v", f)
		}
	}
}
