package port

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"linehaul/fault"
	"linehaul/internal/icmp"
)

// stateOf is what an ICMP error means for a port of a host; "" if it means
// nothing.
func stateOf(e icmp.Error, network string, host netip.Addr) State {
	switch e.Meaning() {
	case icmp.NoRoute, icmp.Exceeded:
		return NoRoute
	case icmp.Prohibited:
		return Prohibited
	case icmp.PortUnreachable:
		// A host refuses TCP by a reset, and speaks for its own UDP ports only: what
		// says otherwise is a firewall.
		if network == "tcp" || e.From.IsValid() && e.From.WithZone("") != host.Unmap().WithZone("") {
			return Prohibited
		}
		return Closed
	case icmp.TooBig, icmp.Other:
	}
	return ""
}

// judge fills in what an error means, with what was heard by ICMP. The outer
// context is the caller's, the limited one ours.
func (r *Result) judge(outer, limited context.Context, took time.Duration, err error, heard []icmp.Error) {
	for _, e := range heard {
		if state := stateOf(e, r.Network, r.Addr); state != "" {
			r.State, r.Error, r.From = state, e.String(), e.From
			r.ConnectMS = milliseconds(took)
			return
		}
	}
	r.Error = plain(err)
	state := errnoState(err, r.Network)
	switch {
	case state != "":
		r.State = state
		if state != Filtered {
			r.ConnectMS = milliseconds(took)
		}
	case outer.Err() != nil && !errors.Is(outer.Err(), context.DeadlineExceeded):
		r.State = Unknown
	case limited.Err() != nil, isTimeout(err):
		r.State, r.Error = r.silent(), ""
	case fault.Is(err, fault.Route):
		r.State = NoRoute
	case fault.Is(err, fault.TCP):
		r.State = r.silent() // a tunnel's own TCP has given up
	default:
		r.State = Unknown
	}
}

// silent is the state of a port from which nothing came.
func (r *Result) silent() State {
	if r.Network == "udp" {
		return OpenOrFiltered
	}
	return Filtered
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// plain takes off what net puts around the system's words: the address is in
// the result already.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}

// errnoState is what the system's error means, "" if it says nothing of the
// port.
func errnoState(err error, network string) State {
	refused := Refused
	if network == "udp" {
		refused = Closed
	}
	for _, e := range []struct {
		err   error
		state State
	}{
		{syscall.ECONNREFUSED, refused},
		{syscall.ECONNRESET, refused},
		{syscall.EHOSTUNREACH, NoRoute},
		{syscall.ENETUNREACH, NoRoute},
		{syscall.EHOSTDOWN, NoRoute},
		{syscall.ENETDOWN, NoRoute},
		{syscall.EACCES, Prohibited}, // ICMPv6, or a route of this machine that forbids
		{syscall.EPERM, Prohibited},  // this machine's firewall
	} {
		if errors.Is(err, e.err) {
			return e.state
		}
	}
	if errors.Is(err, syscall.ETIMEDOUT) && network == "tcp" {
		return Filtered // the system's own end of patience
	}
	return systemState(err, refused)
}
