// Package port asks whether a TCP or UDP port of a host is open, and if it is
// not, what stands in the way.
//
// A TCP port is asked by connecting to it, and nothing is sent to who answers.
// A UDP port is asked by a question of the protocol that lives there (DNS, NTP,
// IKE) or by one that the caller has, and is called open only if somebody
// answers. What routers and firewalls say by ICMP instead is heard where the
// system tells, with who said it on Linux (IP_RECVERR of ip(7)). It takes no
// rights.
package port

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A State is what is known of a port.
type State string

// The states. Open is said only if the host's end answered.
const (
	Open           State = "open"
	Refused        State = "refused"          // TCP: a reset
	Closed         State = "closed"           // UDP: the host says by ICMP that nobody listens
	Filtered       State = "filtered"         // TCP: nothing came back in time
	Prohibited     State = "prohibited"       // a firewall forbids it, and says so
	NoRoute        State = "no route"         // this machine or a router knows no way to the host
	OpenOrFiltered State = "open or filtered" // UDP: nothing came back
	Unknown        State = "unknown"          // it was not asked: Error says why
)

// A Result is what was found of one port.
type Result struct {
	Addr      netip.Addr `json:"addr"`
	Port      int        `json:"port"`
	Network   string     `json:"network"` // "tcp" or "udp"
	State     State      `json:"state"`
	ConnectMS float64    `json:"connect_ms,omitempty"` // until the answer came
	From      netip.Addr `json:"from,omitzero"`        // who said so by ICMP, where the system tells; it may be this machine
	Payload   string     `json:"payload,omitempty"`    // UDP: what was asked, as in "DNS"
	Answer    string     `json:"answer,omitempty"`     // UDP: what the answer was, as in "NTP, stratum 2"
	Mismatch  bool       `json:"mismatch,omitempty"`   // UDP: the answer is none of what was asked
	Error     string     `json:"error,omitempty"`      // what ICMP said, or the system's words
}

// A Dialer connects, as *net.Dialer, *route.Rule and *tunnel.Tunnel do.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A ControlDialer lets its caller see each socket before it connects, as the
// Control of a net.Dialer does. By it a TCP socket can be asked later who
// refused it.
type ControlDialer interface {
	Dialer
	DialControl(ctx context.Context, network, address string, control func(network, address string, c syscall.RawConn) error) (net.Conn, error)
}

// Options are how to ask. The zero value will do.
type Options struct {
	// Dialer connects; nil is a net.Dialer. One that is a *net.Dialer or a
	// ControlDialer can tell who stands in the way.
	Dialer Dialer
	// Timeout is how long each port has to answer; 0 is 5 seconds.
	Timeout time.Duration
	// Question is sent to UDP ports; nil chooses one by the port.
	Question *Question
	// AtOnce is how many ports All asks at the same time; 0 is 16.
	AtOnce int
}

const (
	defaultTimeout = 5 * time.Second
	defaultAtOnce  = 16
)

func (o Options) defaults() Options {
	if o.Dialer == nil {
		o.Dialer = &net.Dialer{}
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.AtOnce <= 0 {
		o.AtOnce = defaultAtOnce
	}
	return o
}

// A Target is a port to ask.
type Target struct {
	Network string // "tcp" or "udp"
	At      netip.AddrPort
}

// All asks several ports, some of them at the same time. The results are in
// the order of the targets.
func All(ctx context.Context, targets []Target, o Options) []Result {
	o = o.defaults()
	results := make([]Result, len(targets))
	next := make(chan int)
	var work sync.WaitGroup
	for range min(o.AtOnce, len(targets)) {
		work.Go(func() {
			for i := range next {
				if targets[i].Network == "udp" {
					results[i] = UDP(ctx, targets[i].At, o)
				} else {
					results[i] = TCP(ctx, targets[i].At, o)
				}
			}
		})
	}
	for i := range targets {
		next <- i
	}
	close(next)
	work.Wait()
	return results
}

// errLate ends the wait for one port.
var errLate = errors.New("no answer in time")

// TCP asks a TCP port by connecting to it.
func TCP(ctx context.Context, to netip.AddrPort, o Options) Result {
	o = o.defaults()
	r := Result{Addr: to.Addr(), Port: int(to.Port()), Network: "tcp"}
	limited, cancel := context.WithTimeoutCause(ctx, o.Timeout, errLate)
	defer cancel()
	heard := &hearing{}
	defer heard.close()
	began := time.Now()
	c, err := dialTCP(limited, to, o.Dialer, heard)
	took := time.Since(began)
	if err == nil {
		r.State = Open
		r.ConnectMS = milliseconds(took)
		c.Close()
		return r
	}
	r.judge(ctx, limited, took, err, heard.take())
	return r
}

func dialTCP(ctx context.Context, to netip.AddrPort, d Dialer, heard *hearing) (net.Conn, error) {
	switch d := d.(type) {
	case *net.Dialer:
		own := *d
		own.Control, own.ControlContext = nil, func(ctx context.Context, network, address string, c syscall.RawConn) error {
			if err := heard.control(network, address, c); err != nil {
				return err
			}
			switch {
			case d.ControlContext != nil:
				return d.ControlContext(ctx, network, address, c)
			case d.Control != nil:
				return d.Control(network, address, c)
			}
			return nil
		}
		return own.DialContext(ctx, "tcp", to.String())
	case ControlDialer:
		return d.DialControl(ctx, "tcp", to.String(), heard.control)
	}
	return d.DialContext(ctx, "tcp", to.String())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
