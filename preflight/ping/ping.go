// Package ping measures a line by a series of ICMP echoes: how many come back,
// how long they take, and how evenly (RFC 792, RFC 4443).
//
// Requests go out at their interval, whether the one before was answered or
// not, so that a slow answer delays nothing and bursts of loss are seen as they
// are. The sockets are those of package echo; MeasureThrough asks a tunnel
// instead.
package ping

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"linehaul/fault"
	"linehaul/preflight/echo"
)

// A Sample is one echo request, and its answer if one came.
type Sample struct {
	AtMS  float64 `json:"at_ms"`  // when it was sent, from the first one's sending on
	RTTMS float64 `json:"rtt_ms"` // of the first answer; 0 if none came in time
	Lost  bool    `json:"lost,omitempty"`
	Seq   int     `json:"-"` // how many were sent before it
}

// A Series is what came of the echoes to one address. Times are in
// milliseconds, and of the answers that came; all are 0 if none did.
type Series struct {
	To   netip.Addr `json:"to"`
	Way  string     `json:"way"`  // how they were sent: "unprivileged ICMP", "raw ICMP", "the system's ICMP", "the tunnel"
	Size int        `json:"size"` // bytes of data in each

	Sent       int     `json:"sent"`
	Received   int     `json:"received"`
	Loss       float64 `json:"loss"`           // of those sent: from 0 to 1
	Late       int     `json:"late,omitempty"` // answers to those that were lost already
	Duplicates int     `json:"duplicates"`
	Reordered  int     `json:"reordered"` // answers that came after one to a later request

	MinMS    float64 `json:"min_ms"`
	MedianMS float64 `json:"median_ms"`
	P95MS    float64 `json:"p95_ms"` // 95th percentile
	MaxMS    float64 `json:"max_ms"`
	StdDevMS float64 `json:"stddev_ms"`
	JitterMS float64 `json:"jitter_ms"` // mean difference between one answer's time and the next one's

	// Said is what routers and the host answered instead, as in "10.0.0.1:
	// host unreachable", each once and at most 8 of them.
	Said []string `json:"said,omitempty"`

	Samples []Sample `json:"samples"`
}

// Options of a series. What is 0 is as in the constants.
type Options struct {
	To       netip.Addr
	From     netip.Addr // if valid: the address of ours to send from
	Device   string     // if not empty: the interface to send by, where the system can be told (Linux, macOS)
	Count    int        // how many; Endless: until the context ends, or MaxCount
	Interval time.Duration
	Timeout  time.Duration // how long an answer may take
	Size     int           // bytes of data in each
	// Each, if there is one, is told of each sample once: when it is answered,
	// refused, or has waited too long. It is called by one goroutine, which
	// sends nothing meanwhile.
	Each func(Sample)
}

// What Options leave open, and what they may be.
const (
	DefaultCount    = 10
	DefaultInterval = time.Second
	DefaultTimeout  = 2 * time.Second
	DefaultSize     = 56 // as every ping has it: 64 bytes of ICMP

	Endless     = -1
	MaxCount    = 1 << 20 // twelve days, at one a second
	MinInterval = time.Millisecond

	maxWaiting = 1 << 14 // requests without an answer at one time: sequence numbers have 16 bits
	maxSaid    = 8
)

// An Echoer sends one echo request with size bytes of data, and waits for its
// answer until the context ends. It is called by many goroutines at once.
// *tunnel.Tunnel is one.
type Echoer interface {
	Ping(ctx context.Context, to netip.Addr, size int) (rtt time.Duration, err error)
}

// A NotAllowedError says that this user may send no echoes, and what right
// would allow it.
type NotAllowedError = echo.NotAllowedError

// Measure sends a series by the system's sockets, and returns when the last
// request is answered or has waited long enough. That nothing is answered is
// no error. If the context ends before, the series holds what was settled by
// then; that is an error too, unless it was to be endless. If this user may
// not send echoes, there is a *NotAllowedError in the error's chain.
func Measure(ctx context.Context, o Options) (*Series, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	s, err := echo.Open(echo.Options{To: o.To, From: o.From, Device: o.Device, Timeout: o.Timeout})
	if err != nil {
		return nil, fault.New(fault.Check, "ping %v: %w", o.To, err)
	}
	defer s.Close()
	return run(ctx, s, s.Way(), "this machine: ", o)
}

// MeasureThrough is Measure with somebody else's echoes: a tunnel's.
func MeasureThrough(ctx context.Context, e Echoer, o Options) (*Series, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	t := newThrough(e, o)
	defer t.close()
	return run(ctx, t, "the tunnel", "", o) // whose errors say so themselves
}

// complete fills in what is not given and refuses what cannot be.
func (o Options) complete() (Options, error) {
	if o.Count == 0 {
		o.Count = DefaultCount
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	o.To, o.From = o.To.Unmap(), o.From.Unmap()
	switch {
	case o.Count != Endless && (o.Count < 0 || o.Count > MaxCount):
		return o, fault.New(fault.Usage, "a series of %d echoes: it must be between 1 and %d", o.Count, MaxCount)
	case o.Interval < MinInterval:
		return o, fault.New(fault.Usage, "an echo each %v: the least interval is %v", o.Interval, MinInterval)
	case o.Timeout < 0 || o.Timeout/o.Interval > maxWaiting:
		return o, fault.New(fault.Usage, "an answer may take %v, and an echo goes out each %v: at most %d can be waited for at a time", o.Timeout, o.Interval, maxWaiting)
	case o.Size < 0 || o.Size > echo.MaxSize:
		return o, fault.New(fault.Usage, "an echo with %d bytes of data: it must be between 1 and %d", o.Size, echo.MaxSize)
	case !o.To.IsValid() || o.To.IsUnspecified() || o.To.IsMulticast():
		return o, fault.New(fault.Usage, "%v is no address of a host that could be pinged", o.To)
	case o.From.IsValid() && o.From.Is4() != o.To.Is4():
		return o, fault.New(fault.Usage, "%v cannot be pinged from %v: IPv4 and IPv6 are two networks", o.To, o.From)
	}
	return o, nil
}

// why is the error of a series that its context ended.
func why(ctx context.Context, to netip.Addr) error {
	return fmt.Errorf("ping %v: %w", to, context.Cause(ctx))
}
