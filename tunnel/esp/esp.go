// Package esp seals IP packets into ESP and opens what comes back: RFC 4303,
// version 3, tunnel mode only, with IPv4 and IPv6 inside. The bytes:
//
//	 0               4               8
//	+---------------+---------------+-------------+-----------+-----------------------+-----+
//	| SPI           | sequence      | IV          | IP packet | padding, its length,  | ICV |
//	|               | (low 32 bits) | (by cipher) |           | next header: 4 or 41  |     |
//	+---------------+---------------+-------------+-----------+-----------------------+-----+
//	|<---------- authenticated ---------------------------------------------------->|
//	                                              |<-------- encrypted ------------>|
//
// An Outbound is one security association of ours to send on, an Inbound one
// to receive on, and a Table holds those to receive on side by side, as a
// rekey needs it. Which algorithms protect a packet is the business of a
// Protection. Packets travel in UDP (RFC 3948): Sort tells them from IKE.
//
// Sequence numbers have 32 bits or, where that was agreed, 64 (ESN); none is
// used twice, and the replay window is that of RFC 6479. Packets of next
// header 59 are dummies, and bytes behind the inner packet are taken for
// traffic flow padding (sections 2.6 and 2.7).
//
// Left out: transport mode; finding back into step after more than 2^32
// packets were lost in a row (appendix A3); and the fields that an outer IP
// header takes over from the inner one, because a socket writes that header.
//
// The package does no I/O, owns no goroutine and reads no clock.
package esp

import "time"

// A Protection encrypts and authenticates packets under one key and in one
// direction. The package uses it for one packet at a time.
type Protection interface {
	Sizes
	// Seal is given a packet of head bytes in clear, IVSize bytes for the IV,
	// content, and ICVSize bytes for the ICV. It makes the IV from counter, which
	// never repeats, encrypts the content and writes the ICV. High is nil, or the
	// upper four bytes of an extended sequence number, which are authenticated
	// and not sent (RFC 4303 section 2.2.1). Nothing of it is kept.
	Seal(packet []byte, head int, high []byte, counter uint64)
	// Open checks the ICV of such a packet, and only then decrypts its content in
	// place.
	Open(packet []byte, head int, high []byte) error
}

// Sizes say how much room an algorithm takes in each packet.
type Sizes interface {
	IVSize() int
	ICVSize() int
	// BlockSize is what the content's length must be a multiple of: 1 if nothing.
	BlockSize() int
}

const (
	headSize    = 8 // SPI and sequence number, section 2
	trailerSize = 2 // pad length and next header, sections 2.5 and 2.6
	alignment   = 4 // the next header ends on a multiple of it, section 2.4

	nextIPv4  = 4  // an IPv4 packet inside
	nextIPv6  = 41 // an IPv6 packet inside
	nextDummy = 59 // nothing inside, section 2.6

	// minSPI is the first that a peer may choose: 0 is no SPI, and the others are
	// the registry's, section 2.1.
	minSPI = 256
)

// Options of one security association. The zero value is one of 32-bit
// sequence numbers that lives until they are used up.
type Options struct {
	ESN bool // extended sequence numbers, section 2.2.1
	// Window is how many sequence numbers back a packet may come late, for an
	// Inbound: at least minWindow, whatever is asked for.
	Window int
	// Lifetime is after what the association is not used any more; Soft is after
	// what it should be replaced, four fifths of Lifetime where it is not given.
	Lifetime, Soft Lifetime
	// Created is the instant from which Lifetime.Time counts.
	Created time.Time
}

// A Lifetime is how much an association may do, RFC 4301 section 4.4.2.1. What
// is 0 has no limit.
type Lifetime struct {
	Time    time.Duration
	Bytes   uint64 // those that are encrypted: packets with their padding
	Packets uint64
}

// A Wear says how much of its lifetime an association has behind it.
type Wear int

const (
	Fresh Wear = iota
	Worn       // past its soft lifetime: replace it
	Spent      // past its lifetime: it carries nothing any more
)

// String returns the wear as it stands in a status.
func (w Wear) String() string {
	switch w {
	case Fresh:
		return "fresh"
	case Worn:
		return "worn"
	case Spent:
		return "spent"
	}
	return "unknown"
}

// Stats are what an association has done so far. All but Packets and Bytes
// count packets that went nowhere.
type Stats struct {
	Packets   uint64
	Bytes     uint64 // of the IP packets inside
	Dummies   uint64 // next header 59, which is as it should be
	Replayed  uint64 // seen before, or too late for the window
	BadICV    uint64 // not from the peer, or damaged
	Malformed uint64 // of a length that cannot be, or with nonsense inside
	Refused   uint64 // past the lifetime, or out of sequence numbers
	Sequence  uint64 // the last one sent, or the highest one received
}

// A Drop is why a packet went nowhere. It is an error, and holds no detail, so
// that a flood of bad packets costs nothing.
type Drop uint8

const (
	ErrMalformed Drop = iota + 1 // a length that cannot be, or nonsense inside
	ErrSPI                       // no association of ours
	ErrReplay                    // seen before, or too late for the window
	ErrICV                       // the ICV is wrong
	ErrDummy                     // traffic that hides traffic: nothing is amiss
	ErrSpent                     // the association is past its lifetime
	ErrSequence                  // the association has no sequence number left
)

var _ error = ErrMalformed

// Error returns the reason in words.
func (d Drop) Error() string {
	switch d {
	case ErrMalformed:
		return "malformed ESP packet"
	case ErrSPI:
		return "ESP packet of an unknown SPI"
	case ErrReplay:
		return "ESP packet seen before, or too late for the replay window"
	case ErrICV:
		return "ESP packet with a wrong ICV"
	case ErrDummy:
		return "ESP dummy packet"
	case ErrSpent:
		return "the ESP security association is past its lifetime"
	case ErrSequence:
		return "the ESP security association has no sequence number left"
	}
	return "ESP packet dropped"
}

// limits are the two lifetimes of an association and what was used of them.
type limits struct {
	created    time.Time
	soft, hard Lifetime
	used       Lifetime // Time stays 0
}

// newLimits fills in the soft lifetime, and the one that sequence numbers set.
func newLimits(o Options) limits {
	l := limits{created: o.Created, soft: o.Soft, hard: o.Lifetime}
	if !o.ESN {
		l.hard.Packets = lower(l.hard.Packets, 1<<32-1)
	}
	l.soft.Time = lower(l.soft.Time, part(l.hard.Time))
	l.soft.Bytes = lower(l.soft.Bytes, part(l.hard.Bytes))
	l.soft.Packets = lower(l.soft.Packets, part(l.hard.Packets))
	return l
}

// lower returns the lower of two limits, where 0 is none.
func lower[T uint64 | time.Duration](a, b T) T {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// part returns what is over of a lifetime when it is time for the next
// association, in a fifth of it.
func part[T uint64 | time.Duration](t T) T {
	return t - t/5
}

// spent reports whether bytes or packets are used up.
func (l *limits) spent() bool { return reached(l.used, l.hard) }

func (l *limits) wear(now time.Time) Wear {
	u := l.used
	if !l.created.IsZero() {
		u.Time = now.Sub(l.created)
	}
	switch {
	case reached(u, l.hard):
		return Spent
	case reached(u, l.soft):
		return Worn
	}
	return Fresh
}

func reached(used, limit Lifetime) bool {
	return limit.Time != 0 && used.Time >= limit.Time ||
		limit.Bytes != 0 && used.Bytes >= limit.Bytes ||
		limit.Packets != 0 && used.Packets >= limit.Packets
}

// contentSize returns the length of what is encrypted for n bytes inside: they
// and the trailer, made up to a multiple of the block and of four bytes.
func contentSize(s Sizes, n int) int {
	m := multiple(s)
	return (n + trailerSize + m - 1) / m * m
}

// multiple returns what the content's length must be a multiple of.
func multiple(s Sizes) int {
	b := max(s.BlockSize(), 1)
	if b%alignment == 0 {
		return b
	}
	return b * alignment
}

// SealedSize returns the length of the ESP packet around n bytes.
func SealedSize(s Sizes, n int) int {
	return headSize + s.IVSize() + contentSize(s, n) + s.ICVSize()
}

// InnerSize returns the length of the longest packet whose ESP packet has at
// most n bytes, 0 if there is none. For an outer path of 1,500 bytes, n is
// that without the headers of IP and UDP.
func InnerSize(s Sizes, n int) int {
	room := n - headSize - s.IVSize() - s.ICVSize()
	return max(room-room%multiple(s)-trailerSize, 0)
}
