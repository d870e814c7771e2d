package esp

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"
)

// An Outbound is a security association to send on. It is safe for concurrent
// use; packets are sealed one after the other, in the order of their numbers.
type Outbound struct {
	spi uint32
	esn bool
	p   Protection

	mu     sync.Mutex
	next   uint64 // the next packet's sequence number, 0 when all are used
	limits limits
	stats  Stats
	high   [4]byte // what is authenticated of the next packet and not sent
}

// NewOutbound returns an association of the SPI that the peer chose, which was
// not used before: its first sequence number is 1.
func NewOutbound(spi uint32, p Protection, o Options) *Outbound {
	return &Outbound{spi: spi, esn: o.ESN, p: p, next: 1, limits: newLimits(o)}
}

// SPI returns the number by which the peer knows the association.
func (o *Outbound) SPI() uint32 { return o.spi }

// Sizes returns what the association's algorithms add to a packet.
func (o *Outbound) Sizes() Sizes { return o.p }

// Seal appends to dst the ESP packet around an IP packet, and returns dst. It
// allocates only if dst has no room for it: see SealedSize. The packet must not
// lie where dst grows. On an error, which is a Drop, dst is returned as it was.
func (o *Outbound) Seal(dst, packet []byte) ([]byte, error) {
	next := nextHeader(packet)
	if next == 0 {
		o.mu.Lock()
		o.stats.Malformed++
		o.mu.Unlock()
		return dst, ErrMalformed
	}
	return o.seal(dst, packet, 0, next)
}

// SealDummy appends to dst an ESP packet with n bytes inside that mean nothing,
// RFC 4303 section 2.6.
func (o *Outbound) SealDummy(dst []byte, n int) ([]byte, error) {
	return o.seal(dst, nil, n, nextDummy)
}

// nextHeader returns what an IP packet is called inside of ESP, 0 if it is none.
func nextHeader(packet []byte) byte {
	switch {
	case len(packet) >= ipv4Header && packet[0]>>4 == 4:
		return nextIPv4
	case len(packet) >= ipv6Header && packet[0]>>4 == 6:
		return nextIPv6
	}
	return 0
}

// seal puts a packet and fill bytes of zeros behind it into ESP.
func (o *Outbound) seal(dst, packet []byte, fill int, next byte) ([]byte, error) {
	content := contentSize(o.p, len(packet)+fill)
	head := headSize + o.p.IVSize()
	size := head + content + o.p.ICVSize()

	o.mu.Lock()
	defer o.mu.Unlock()
	seq := o.next
	switch {
	case seq == 0:
		o.stats.Refused++
		return dst, ErrSequence
	case o.limits.spent():
		o.stats.Refused++
		return dst, ErrSpent
	}

	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	out := dst[start:]
	binary.BigEndian.PutUint32(out, o.spi)
	binary.BigEndian.PutUint32(out[4:], uint32(seq))
	body := out[head : head+content]
	n := copy(body, packet)
	clear(body[n : n+fill])
	pad := body[n+fill : content-trailerSize]
	for i := range pad {
		pad[i] = byte(i + 1) // section 2.4
	}
	body[content-2] = byte(len(pad))
	body[content-1] = next
	o.p.Seal(out, headSize, o.upper(seq), seq)

	o.advance()
	o.limits.used.Bytes += uint64(content)
	o.limits.used.Packets++
	o.stats.Sequence = seq
	if next == nextDummy {
		o.stats.Dummies++
	} else {
		o.stats.Packets++
		o.stats.Bytes += uint64(len(packet))
	}
	return dst, nil
}

// upper returns what is authenticated of a sequence number and not sent.
func (o *Outbound) upper(seq uint64) []byte {
	if !o.esn {
		return nil
	}
	binary.BigEndian.PutUint32(o.high[:], uint32(seq>>32))
	return o.high[:]
}

// advance moves on to the next sequence number. There is none behind the last
// one: the association must not go round, section 3.3.3.
func (o *Outbound) advance() {
	last := uint64(math.MaxUint32)
	if o.esn {
		last = math.MaxUint64
	}
	if o.next == last {
		o.next = 0
		return
	}
	o.next++
}

// Stats returns what the association has done so far.
func (o *Outbound) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stats
}

// Wear returns how much of its lifetime the association has behind it.
func (o *Outbound) Wear(now time.Time) Wear {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next == 0 {
		return Spent
	}
	return o.limits.wear(now)
}
