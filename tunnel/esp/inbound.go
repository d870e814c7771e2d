package esp

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	ipv4Header = 20
	ipv6Header = 40
)

// An Inbound is a security association to receive on. It is safe for
// concurrent use; packets are opened one after the other.
type Inbound struct {
	spi uint32
	esn bool
	p   Protection

	mu     sync.Mutex
	window window
	limits limits
	stats  Stats
	high   [4]byte
}

// NewInbound returns an association of the SPI that we chose.
func NewInbound(spi uint32, p Protection, o Options) *Inbound {
	return &Inbound{spi: spi, esn: o.ESN, p: p, window: newWindow(o.Window), limits: newLimits(o)}
}

// SPI returns the number by which packets name the association.
func (i *Inbound) SPI() uint32 { return i.spi }

// Sizes returns what the association's algorithms add to a packet.
func (i *Inbound) Sizes() Sizes { return i.p }

// Open checks and decrypts an ESP packet in place, and returns the IP packet
// inside, which is a part of it. Nothing is allocated and nothing kept. An error
// is a Drop; the packet's bytes are then worth nothing.
func (i *Inbound) Open(packet []byte) (inner []byte, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	inner, used, drop := i.open(packet)
	if used > 0 { // it was authentic
		i.limits.used.Bytes += uint64(used)
		i.limits.used.Packets++
	}
	i.count(drop, len(inner))
	if drop != 0 {
		return nil, drop
	}
	return inner, nil
}

// open does what Open says, in the order of RFC 4303 section 3.4: the number,
// the ICV, and only then what the packet says of itself.
func (i *Inbound) open(packet []byte) (inner []byte, used int, drop Drop) {
	head := headSize + i.p.IVSize()
	content := len(packet) - head - i.p.ICVSize()
	switch {
	case content < trailerSize || content%multiple(i.p) != 0:
		return nil, 0, ErrMalformed
	case binary.BigEndian.Uint32(packet) != i.spi:
		return nil, 0, ErrSPI
	case i.limits.spent():
		return nil, 0, ErrSpent
	}
	seq, high, ok := i.number(binary.BigEndian.Uint32(packet[4:]))
	if !ok || !i.window.fresh(seq) {
		return nil, 0, ErrReplay
	}
	if err := i.p.Open(packet, headSize, high); err != nil {
		return nil, 0, ErrICV
	}
	i.window.mark(seq)
	i.stats.Sequence = i.window.top
	inner, drop = strip(packet[head : head+content])
	return inner, content, drop
}

// number returns a packet's whole sequence number, and what is authenticated of
// it without being sent.
func (i *Inbound) number(low uint32) (seq uint64, high []byte, ok bool) {
	if !i.esn {
		return uint64(low), nil, true
	}
	seq, ok = i.window.extend(low)
	binary.BigEndian.PutUint32(i.high[:], uint32(seq>>32))
	return seq, i.high[:], ok
}

// strip takes the trailer off a packet's content. What the padding holds is not
// looked at: section 2.4 asks for that where nothing else tells a packet that was
// changed, and here the ICV did. The IP packet says itself where it ends; what
// follows is traffic flow padding, section 2.7.
func strip(content []byte) (inner []byte, drop Drop) {
	n := len(content) - trailerSize
	pad, next := int(content[n]), content[n+1]
	if pad > n {
		return nil, ErrMalformed
	}
	inner = content[:n-pad]
	var size int
	switch {
	case next == nextDummy:
		return nil, ErrDummy
	case next == nextIPv4 && nextHeader(inner) == nextIPv4:
		size = int(binary.BigEndian.Uint16(inner[2:])) // RFC 791 section 3.1, total length
		if size < ipv4Header {
			return nil, ErrMalformed
		}
	case next == nextIPv6 && nextHeader(inner) == nextIPv6:
		size = ipv6Header + int(binary.BigEndian.Uint16(inner[4:])) // RFC 8200 section 3, payload length
	default:
		return nil, ErrMalformed
	}
	if size > len(inner) {
		return nil, ErrMalformed
	}
	return inner[:size:size], 0
}

// count notes what became of a packet.
func (i *Inbound) count(drop Drop, size int) {
	switch drop {
	case 0:
		i.stats.Packets++
		i.stats.Bytes += uint64(size)
	case ErrDummy:
		i.stats.Dummies++
	case ErrReplay:
		i.stats.Replayed++
	case ErrICV:
		i.stats.BadICV++
	case ErrSpent, ErrSequence:
		i.stats.Refused++
	case ErrMalformed, ErrSPI:
		i.stats.Malformed++
	}
}

// Stats returns what the association has done so far.
func (i *Inbound) Stats() Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stats
}

// Wear returns how much of its lifetime the association has behind it.
func (i *Inbound) Wear(now time.Time) Wear {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.limits.wear(now)
}
