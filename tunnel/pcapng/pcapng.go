// Package pcapng writes captures of IP packets in the format that Wireshark and
// tcpdump read: draft-ietf-opsawg-pcapng, version 1.0. A file is blocks, each
// padded to 32 bits, in the byte order that its first one shows:
//
//	 0               4               8                                    n-4
//	+---------------+---------------+----------------------------------+---------------+
//	| type          | length n      | body                             | length n      |
//	+---------------+---------------+----------------------------------+---------------+
//
//	section header        magic, version, length of the section (unknown)
//	interface description link type, longest packet, name, description, time in nanoseconds
//	enhanced packet       interface, time, length, length, packet, direction
//
// Packets have no link layer: each begins with its IP header. Each block is
// written at once and as a whole, so that a file can be read while it grows and
// after the program was killed.
//
// Left out: reading, name resolution, statistics, and the secrets blocks, as
// Wireshark takes keys of ESP from its profile only.
package pcapng

import (
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// The blocks (sections 4.1, 4.2 and 4.3) and what stands in them.
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	packetBlock    = 6

	byteOrder   = 0x1a2b3c4d
	major       = 1
	minor       = 0
	unknownSize = ^uint64(0)

	rawIP    = 101 // LINKTYPE_RAW: IPv4 or IPv6, by the first four bits
	maxSize  = 65535
	endsWith = 4 // the length once more
)

// The options (sections 3.5, 4.1, 4.2 and 4.3).
const (
	optEnd         = 0
	optUser        = 4 // of a section: the program
	optName        = 2 // of an interface
	optDescription = 3
	optResolution  = 9
	optFlags       = 2 // of a packet

	nanoseconds = 9 // 10^-9 seconds
	inbound     = 1
	outbound    = 2
)

// An Interface is where packets of a capture were seen.
type Interface struct{ Name, Description string }

// A Writer writes one capture. It is safe for concurrent use. After its first
// error it writes nothing more: what is there is then whole up to that packet,
// and a part of it.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
	n   int // interfaces
	err error
}

// NewWriter begins a capture. Program is what made it.
func NewWriter(w io.Writer, program string, interfaces ...Interface) (*Writer, error) {
	p := &Writer{w: w, n: len(interfaces)}
	b := p.begin(sectionHeader)
	b = binary.LittleEndian.AppendUint32(b, byteOrder)
	b = binary.LittleEndian.AppendUint16(b, major)
	b = binary.LittleEndian.AppendUint16(b, minor)
	b = binary.LittleEndian.AppendUint64(b, unknownSize)
	b = option(b, optUser, []byte(program))
	p.write(option(b, optEnd, nil))
	for _, i := range interfaces {
		b = p.begin(interfaceBlock)
		b = binary.LittleEndian.AppendUint16(b, rawIP)
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint32(b, maxSize)
		b = option(b, optName, []byte(i.Name))
		b = option(b, optDescription, []byte(i.Description))
		b = option(b, optResolution, []byte{nanoseconds})
		p.write(option(b, optEnd, nil))
	}
	return p, p.err
}

// Write adds an IP packet that was seen at an interface, by its number. Packets
// that no IP can have are cut.
func (p *Writer) Write(at time.Time, iface int, out bool, packet []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || iface < 0 || iface >= p.n {
		return
	}
	size := min(len(packet), maxSize)
	stamp := uint64(at.UnixNano())
	b := p.begin(packetBlock)
	b = binary.LittleEndian.AppendUint32(b, uint32(iface))
	b = binary.LittleEndian.AppendUint32(b, uint32(stamp>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(stamp))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(packet)))
	b = pad(append(b, packet[:size]...))
	flags := uint32(inbound)
	if out {
		flags = outbound
	}
	b = option(b, optFlags, binary.LittleEndian.AppendUint32(nil, flags))
	p.write(option(b, optEnd, nil))
}

// Err is why the capture ended before its time, nil if it has not.
func (p *Writer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// begin starts a block whose length is not known yet.
func (p *Writer) begin(kind uint32) []byte {
	b := binary.LittleEndian.AppendUint32(p.buf[:0], kind)
	return append(b, 0, 0, 0, 0)
}

// write ends a block with its length and writes it.
func (p *Writer) write(b []byte) {
	size := uint32(len(b) + endsWith)
	binary.LittleEndian.PutUint32(b[4:], size)
	b = binary.LittleEndian.AppendUint32(b, size)
	p.buf = b
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

// option appends an option; what is empty is left out.
func option(b []byte, code uint16, value []byte) []byte {
	const most = 1 << 15
	value = value[:min(len(value), most)]
	if len(value) == 0 && code != optEnd {
		return b
	}
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
