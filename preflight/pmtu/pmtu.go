// Package pmtu finds the largest packet that passes to a host without being
// cut into fragments (RFC 1191, RFC 8201), by trying: the largest first, then
// sizes between the largest that passed and the smallest that did not. What a
// router says would pass is tried as well, and not just believed.
//
// One packet that gets lost says nothing of its size. A size counts as too long
// only after several, and a black hole is named only after many more, sent in
// turns with packets of the largest size that does pass (RFC 8899 section 4.3
// has the same caution).
package pmtu

import (
	"context"
	"net/netip"
	"time"

	"linehaul/fault"
	"linehaul/preflight/echo"
)

// A Result is what was found. Sizes are of IP packets, in bytes.
type Result struct {
	To        netip.Addr `json:"to"`
	Way       string     `json:"way"`
	MTU       int        `json:"mtu"`            // the largest that came back; 0: none did
	Least     int        `json:"least"`          // the smallest that was tried
	Interface int        `json:"interface"`      // the MTU of the interface that it leaves by; 0: not known
	Said      int        `json:"said,omitempty"` // what a router said would pass; 0: none did
	By        netip.Addr `json:"by,omitzero"`    // the last router that said so; not valid: nobody, or this machine itself
	// BlackHole: smaller packets pass, larger ones do not, and nobody says so.
	BlackHole bool `json:"black_hole,omitempty"`
	// Unsure: the time was over before the search was, or too few packets of any
	// size came back to tell sizes from losses. MTU is what passed all the same.
	Unsure  bool   `json:"unsure,omitempty"`
	Refused string `json:"refused,omitempty"` // what came instead of answers, as in "10.0.0.1: host unreachable"
	Tries   []Try  `json:"tries,omitempty"`   // the smallest first
}

// A Try is one size that was tried.
type Try struct {
	Size   int  `json:"size"`
	Probes int  `json:"probes"`
	Passed bool `json:"passed"` // or a larger one did
}

// Options of a search. What is 0 is as in the constants.
type Options struct {
	To   netip.Addr
	From netip.Addr // if valid: the address of ours to send from
	// Device, if not empty, is the interface to send by, where the system can be
	// told (Linux, macOS).
	Device string
	// Most is the largest size to try: the MTU of the interface, or ordinary if
	// that is not known.
	Most  int
	Limit time.Duration // how long the search may take
}

// A Prober sends one echo request with size bytes of data in one piece, and
// waits for its answer until the context ends. If somebody says that it is too
// long, there is a TooBig in the error's chain. It is called by many goroutines
// at once.
type Prober interface {
	PingWhole(ctx context.Context, to netip.Addr, size int) (rtt time.Duration, err error)
}

// TooBig is an error that says that a packet is too long to pass whole: what
// would pass, 0 if that was not said, and who said so, if it was not this
// machine.
type TooBig interface {
	error
	TooBig() (mtu int, by netip.Addr)
}

// Limits, and what Options leave open.
const (
	DefaultLimit = 12 * time.Second

	ordinary  = 1500 // Ethernet's
	largest   = 65535
	usual4    = 576  // RFC 791 section 3.1: what every host takes in
	usual6    = 1280 // RFC 8200 section 5: what every link carries
	smallData = 56   // of the packet that tells whether the host answers at all
	echoBytes = 8    // the header of an echo
	header4   = 20
	header6   = 40
)

// Find searches by the system's sockets. That nothing comes back is no error.
// If this user may not send echoes, there is an *echo.NotAllowedError in the
// error's chain; where the system cannot send a packet of this protocol whole,
// errors.ErrUnsupported.
func Find(ctx context.Context, o Options) (*Result, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	s, err := echo.Open(echo.Options{To: o.To, From: o.From, Device: o.Device, Whole: true, Timeout: firstWait})
	if err != nil {
		return nil, fault.New(fault.Check, "find the path MTU to %v: %w", o.To, err)
	}
	out := interfaceMTU(o.To, o.From)
	if o.Most == 0 {
		o.Most = out
	}
	p := newSocket(s)
	defer p.close()
	return search(ctx, p, s.Way(), out, o)
}

// FindThrough searches by somebody else's echoes: a tunnel's. Most should be
// the MTU inside of it.
func FindThrough(ctx context.Context, p Prober, o Options) (*Result, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	return search(ctx, p, "the tunnel", o.Most, o)
}

func (o Options) complete() (Options, error) {
	o.To, o.From = o.To.Unmap(), o.From.Unmap()
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	switch {
	case !o.To.IsValid() || o.To.IsUnspecified() || o.To.IsMulticast():
		return o, fault.New(fault.Usage, "%v is no address of a host whose path could be measured", o.To)
	case o.From.IsValid() && o.From.Is4() != o.To.Is4():
		return o, fault.New(fault.Usage, "%v cannot be reached from %v: IPv4 and IPv6 are two networks", o.To, o.From)
	case o.Most != 0 && (o.Most <= small(o.To) || o.Most > largest):
		return o, fault.New(fault.Usage, "a packet of %d bytes: it must be between %d and %d", o.Most, small(o.To)+1, largest)
	case o.Limit < 0:
		return o, fault.New(fault.Usage, "a search of %v", o.Limit)
	}
	return o, nil
}

// headers is how much of a packet is not data.
func headers(to netip.Addr) int {
	if to.Is6() {
		return header6 + echoBytes
	}
	return header4 + echoBytes
}

func small(to netip.Addr) int { return headers(to) + smallData }

func usual(to netip.Addr) int {
	if to.Is6() {
		return usual6
	}
	return usual4
}
