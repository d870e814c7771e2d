package netstack

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// longPacket is one of IPv4 and TCP as the stack hands it to the link, with n
// bytes of data in several pieces, to be cut at 1,000.
func longPacket(n int) *stack.PacketBuffer { return packetToCut(4, n, 1000) }

func packetToCut(version, n, mss int) *stack.PacketBuffer {
	data := make([]byte, n)
	newStream(1, n).Read(data)
	var payload buffer.Buffer
	for piece := range slices.Chunk(data, 7777) {
		payload.Append(buffer.NewViewWithData(piece)) //nolint:errcheck // not in a test
	}
	const options = 12
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 100, Payload: payload})
	tcp := header.TCP(pkt.TransportHeader().Push(header.TCPMinimumSize + options))
	tcp.Encode(&header.TCPFields{
		SrcPort: 1000, DstPort: 22, SeqNum: 1<<32 - 5000, AckNum: 77, DataOffset: header.TCPMinimumSize + options,
		Flags: header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin | header.TCPFlagCwr, WindowSize: 1234, Checksum: 0xbad,
	})
	copy(tcp[header.TCPMinimumSize:], "\x01\x01\x08\x0atimestamp")
	if version == 4 {
		ip := header.IPv4(pkt.NetworkHeader().Push(header.IPv4MinimumSize))
		ip.Encode(&header.IPv4Fields{
			TotalLength: uint16(pkt.Size()), ID: 0xfffe, TTL: 64, Protocol: 6, Flags: header.IPv4FlagDontFragment,
			SrcAddr: address(ours4), DstAddr: address(theirs4),
		})
		pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: uint16(mss), L3HdrLen: header.IPv4MinimumSize}
	} else {
		ip := header.IPv6(pkt.NetworkHeader().Push(header.IPv6MinimumSize))
		ip.Encode(&header.IPv6Fields{
			PayloadLength: uint16(pkt.Size() - header.IPv6MinimumSize), TransportProtocol: header.TCPProtocolNumber, HopLimit: 64,
			SrcAddr: address(ours6), DstAddr: address(theirs6),
		})
		pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv6, NeedsCsum: true, MSS: uint16(mss), L3HdrLen: header.IPv6MinimumSize}
	}
	return pkt
}

// TestSegments cuts packets of all lengths: the pieces are sound, say where they
// belong, and have the data in them, once.
func TestSegments(t *testing.T) {
	for _, version := range []int{4, 6} {
		for _, tc := range []struct{ size, mss, mtu int }{
			{0, 1000, 1400}, {1, 1000, 1400}, {999, 1000, 1400}, {1000, 1000, 1400}, {1001, 1000, 1400}, {2000, 1000, 1400},
			{60000, 1000, 1400}, {60000, 536, 1400}, {60000, 1348, 1280}, {60000, 1, 1400}, {60000, 40000, 65535}, {3000, 1000, 20},
		} {
			t.Run(fmt.Sprintf("IPv%d %+v", version, tc), func(t *testing.T) {
				var sent [][]byte
				l := newLink(tc.mtu, func(packets [][]byte) error {
					if len(packets) > mostPackets {
						t.Errorf("a batch of %d", len(packets))
					}
					for _, p := range packets {
						sent = append(sent, slices.Clone(p))
					}
					return nil
				})
				pkt := packetToCut(version, tc.size, tc.mss)
				defer pkt.DecRef()
				var list stack.PacketBufferList
				list.PushBack(pkt)
				if n, err := l.WritePackets(list); n != 1 || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
				head := pkt.HeaderSize()
				most := max(min(tc.mss, tc.mtu-head), 1)
				if want := max((tc.size+most-1)/most, 1); len(sent) != want {
					t.Fatalf("cut into %d, want %d", len(sent), want)
				}
				want := make([]byte, tc.size)
				newStream(1, tc.size).Read(want)
				var got []byte
				const sequence = int64(1<<32 - 5000)
				for i, p := range sent {
					if _, _, v := inspect(p); v != sound {
						t.Fatalf("piece %d of %d bytes is judged %d", i, len(p), v)
					}
					network := header.IPv6MinimumSize
					if version == 4 {
						network = header.IPv4MinimumSize
						if id := header.IPv4(p).ID(); id != uint16(0xfffe+i) {
							t.Fatalf("piece %d has the ID %#x", i, id)
						}
					}
					tcp := header.TCP(p[network:])
					flags := header.TCPFlagAck
					if i == 0 {
						flags |= header.TCPFlagCwr
					}
					if i == len(sent)-1 {
						flags |= header.TCPFlagFin | header.TCPFlagPsh
					}
					if tcp.SequenceNumber() != uint32(sequence+int64(len(got))) || tcp.Flags() != flags || tcp.AckNumber() != 77 ||
						!bytes.Equal(tcp.Options(), []byte("\x01\x01\x08\x0atimestam")) {
						t.Fatalf("piece %d: number %d, flags %v, options %q", i, tcp.SequenceNumber(), tcp.Flags(), tcp.Options())
					}
					got = append(got, tcp.Payload()...)
				}
				if !bytes.Equal(got, want) {
					t.Error("not the data that went in")
				}
				if c := &l.counts; c.packetsOut.Load() != uint64(len(sent)) || c.unsent.Load() != 0 {
					t.Errorf("counted %d packets", c.packetsOut.Load())
				}
			})
		}
	}
}

// TestSegmentsUnsent: an error of Send is counted for all of its packets, and
// does not stay for the next batch.
func TestSegmentsUnsent(t *testing.T) {
	fail := true
	l := newLink(1400, func([][]byte) error {
		if fail {
			return errors.New("full")
		}
		return nil
	})
	for _, want := range []uint64{3, 3} {
		pkt := longPacket(3000)
		var list stack.PacketBufferList
		list.PushBack(pkt)
		n, err := l.WritePackets(list)
		if (err != nil) != fail || (n == 1) == fail {
			t.Errorf("wrote %d, %v", n, err)
		}
		if got := l.counts.unsent.Load(); got != want {
			t.Errorf("%d packets unsent, want %d", got, want)
		}
		fail = false
		pkt.DecRef()
	}
}

// A counter counts what is handed up to it.
type counter struct{ packets, bytes int }

func (c *counter) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	c.packets++
	c.bytes += pkt.Data().Size()
}

func (c *counter) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// TestNothingHeldBack: at the end of Deliver everything has been handed up, of
// however many connections it is, and what belongs together as one.
func TestNothingHeldBack(t *testing.T) {
	for _, version := range []int{4, 6} {
		for _, flows := range []int{1, 2, 8, 9, 100} {
			var packets [][]byte
			l := newLink(1400, func(p [][]byte) error {
				for _, p := range p {
					packets = append(packets, slices.Clone(p))
				}
				return nil
			})
			for i := range flows {
				pkt := packetToCut(version, 3000, 1000)
				tcp := header.TCP(pkt.TransportHeader().Slice())
				tcp.SetFlags(uint8(header.TCPFlagAck))
				tcp.SetSourcePort(uint16(1000 + 8*i)) // so that GRO has them all in one place
				b := newBatch(l)
				b.add(pkt)
				b.flush()
				pkt.DecRef()
			}
			var up counter
			l.Attach(&up)
			sent := 0
			for _, p := range packets {
				sent += len(p)
			}
			l.deliver(packets)
			headers := sent - 3000*flows
			if want := 3000*flows + headers/3; up.packets != flows || up.bytes != want {
				t.Errorf("IPv%d, %d connections: %d packets of %d bytes were handed up, want %d bytes", version, flows, up.packets, up.bytes, want)
			}
		}
	}
}

// FuzzInspect gives any bytes to the checks of what arrives. What is sound or
// unclear is a whole packet of its version, and to change a bit that a checksum
// watches over makes it damaged or something else, never sound.
func FuzzInspect(f *testing.F) {
	for _, version := range []int{4, 6} {
		l := newLink(1400, func(packets [][]byte) error {
			f.Add(slices.Clone(packets[0]), uint16(200))
			return nil
		})
		pkt := packetToCut(version, 100, 1000)
		b := newBatch(l)
		b.add(pkt)
		b.flush()
		pkt.DecRef()
	}
	f.Add([]byte{0x45, 0, 0, 20, 0, 0, 0x20, 0, 64, 6, 0, 0}, uint16(3))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, bit uint16) {
		p, protocol, v := inspect(b)
		if v != sound && v != unclear {
			return
		}
		if !bytes.HasPrefix(b, p) || len(p) < header.IPv4MinimumSize || (protocol == header.IPv4ProtocolNumber) != (p[0]>>4 == 4) {
			t.Fatalf("%d of %d bytes are sound", len(p), len(b))
		}
		const tcp = 6
		if at := int(bit) / 8; v == sound && protocol == header.IPv6ProtocolNumber && p[6] == tcp && at >= 8 && at < len(p) {
			bad := slices.Clone(p)
			bad[at] ^= 1 << (bit % 8)
			if _, _, v := inspect(bad); v == sound {
				t.Fatalf("bit %d of a sound packet flipped, and it is sound", bit)
			}
		}
	})
}
