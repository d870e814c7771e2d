package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// batchSize has room for what TCP hands down at once, cut into packets of
	// 576 bytes; smaller ones make it two batches.
	batchSize = 80 << 10
	// mostPackets in a batch, as more of them save nothing.
	mostPackets = 128
)

// A batch is packets on their way to Send.
type batch struct {
	link    *link
	buf     []byte // batchSize of capacity, so that packets in it stay where they are
	packets [][]byte
	lost    bool // Send returned an error
	paced   bool // it holds data of TCP
}

func newBatch(l *link) *batch {
	return &batch{link: l, buf: make([]byte, 0, batchSize), packets: make([][]byte, 0, mostPackets)}
}

// room makes a packet of n bytes, to be filled at once.
func (b *batch) room(n int) []byte {
	if len(b.packets) == mostPackets || len(b.buf)+n > cap(b.buf) {
		b.send()
	}
	start := len(b.buf)
	b.buf = b.buf[:start+n]
	p := b.buf[start : start+n : start+n]
	b.packets = append(b.packets, p)
	return p
}

// send gives what there is to Send.
func (b *batch) send() {
	if len(b.packets) > 0 {
		c, send := &b.link.counts, b.link.send
		if b.paced && b.link.pacer != nil {
			send = b.link.pacer.send
		}
		if err := send(b.packets); err != nil {
			b.lost = true
			c.unsent.Add(uint64(len(b.packets)))
		} else {
			c.packetsOut.Add(uint64(len(b.packets)))
			c.bytesOut.Add(uint64(len(b.buf)))
		}
	}
	b.buf, b.packets, b.paced = b.buf[:0], b.packets[:0], false
}

// flush ends the batch, and reports whether Send took all of it.
func (b *batch) flush() bool {
	b.send()
	ok := !b.lost
	b.lost = false
	return ok
}

// add puts a packet of the stack's into the batch, cut where it is too long.
func (b *batch) add(pkt *stack.PacketBuffer) {
	r := newReader(pkt)
	if pkt.GSOOptions.Type == stack.GSONone {
		r.read(b.room(pkt.Size()))
		return
	}
	// A packet that may be cut is one of TCP, and lacks its checksum even if
	// there is nothing to cut.
	network, head := len(pkt.NetworkHeader().Slice()), pkt.HeaderSize()
	var first [header.IPv6MinimumSize*2 + header.TCPHeaderMaximumSize]byte
	headers := first[:head]
	r.read(headers)
	data := pkt.Data().Size()
	// The path's MTU may have fallen since TCP was told of it.
	most := max(min(int(pkt.GSOOptions.MSS), b.link.mtuNow()-head), 1)
	for at := 0; ; {
		n := min(most, data-at)
		p := b.room(head + n)
		// Acknowledgements of what we receive do not wait for what we send.
		b.paced = b.paced || data > 0 || header.TCP(headers[network:]).Flags()&header.TCPFlagFin != 0
		copy(p, headers)
		r.read(p[head:])
		finish(p, network, at, at/most, at+n == data)
		if at += n; at == data {
			return
		}
	}
}

// finish makes a packet of its own of a piece of a longer one: at is where the
// piece begins, and number counts them from 0.
func finish(p []byte, network, at, number int, last bool) {
	segment := header.TCP(p[network:])
	segment.SetSequenceNumber(segment.SequenceNumber() + uint32(at))
	flags := segment.Flags()
	if number > 0 {
		flags &^= header.TCPFlagCwr // RFC 3168 section 6.1.2: once a window
	}
	if !last {
		flags &^= header.TCPFlagFin | header.TCPFlagPsh
	}
	segment.SetFlags(uint8(flags))
	size := uint16(len(segment))
	var sum uint16
	if p[0]>>4 == 4 {
		h := header.IPv4(p)
		h.SetTotalLength(uint16(len(p)))
		h.SetID(h.ID() + uint16(number))
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum())
		sum = header.PseudoHeaderChecksum(header.TCPProtocolNumber, h.SourceAddress(), h.DestinationAddress(), size)
	} else {
		h := header.IPv6(p)
		h.SetPayloadLength(uint16(len(p) - header.IPv6MinimumSize))
		sum = header.PseudoHeaderChecksum(header.TCPProtocolNumber, h.SourceAddress(), h.DestinationAddress(), size)
	}
	segment.SetChecksum(0)
	binary.BigEndian.PutUint16(segment[header.TCPChecksumOffset:], ^checksum.Checksum(segment, sum))
}

// A reader reads a packet of the stack's from its beginning to its end.
type reader struct {
	next *buffer.View
	rest []byte
}

func newReader(pkt *stack.PacketBuffer) reader {
	views, skip := pkt.AsViewList()
	r := reader{next: views.Front()}
	for r.next != nil {
		r.step()
		if skip < len(r.rest) {
			r.rest = r.rest[skip:]
			break
		}
		skip -= len(r.rest)
		r.rest = nil
	}
	return r
}

func (r *reader) step() {
	r.rest = r.next.AsSlice()
	r.next = r.next.Next()
}

// read fills p, which is no longer than what is left.
func (r *reader) read(p []byte) {
	for len(p) > 0 {
		if len(r.rest) == 0 {
			r.step()
			continue
		}
		n := copy(p, r.rest)
		p, r.rest = p[n:], r.rest[n:]
	}
}
