package netstack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"
)

// gsoMaxSize is how much TCP hands to the link at once: the longest that the
// length of an IPv4 packet can say, in whole kilobytes.
const gsoMaxSize = 63 << 10

// A link leads from the stack into the tunnel. TCP hands down what it has as if
// the link could cut it (host GSO), and the link does; what arrives is put
// together (GRO) before TCP sees it. Both save most of what a packet costs.
type link struct {
	mtu     atomic.Int64
	send    func([][]byte) error
	pacer   *pacer    // of what TCP sends; nil if nothing is paced
	batches sync.Pool // of *batch
	counts  counts

	// trusting says that the stack need not check a packet's checksum. It is
	// asked for each packet that is handed up, which happens under in.
	trusting atomic.Bool

	in     sync.Mutex // held to hand packets up
	gro    gro.GRO
	closed bool

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
}

var (
	_ stack.LinkEndpoint      = (*link)(nil)
	_ stack.GSOEndpoint       = (*link)(nil)
	_ stack.NetworkDispatcher = (*upward)(nil)
)

// counts are what the link has done.
type counts struct {
	packetsIn, bytesIn, packetsOut, bytesOut atomic.Uint64
	unsent                                   atomic.Uint64 // Send would not have them
	badChecksum, malformed                   atomic.Uint64
}

func newLink(mtu int, send func([][]byte) error) *link {
	l := &link{send: send}
	l.mtu.Store(int64(mtu))
	l.batches.New = func() any { return newBatch(l) }
	l.gro.Init(true)
	l.gro.Dispatcher = (*upward)(l)
	l.trusting.Store(true)
	return l
}

// Deliver takes a batch of IP packets that came out of the tunnel, and is done
// with their bytes when it returns. Larger batches cost less. It may be called
// from several goroutines, one of which works at a time; a packet that is not
// for us or is damaged is counted and dropped.
func (s *Stack) Deliver(packets [][]byte) {
	s.words.hear(packets)
	s.link.deliver(packets)
}

func (l *link) deliver(packets [][]byte) {
	l.in.Lock()
	defer l.in.Unlock()
	if l.closed {
		return
	}
	for _, p := range packets {
		l.up(p)
	}
	l.flush() // what is held back at the end of a flow would wait for a timer of TCP
}

// flush hands everything up that GRO holds. One Flush of gVisor's leaves all
// packets but one in each of its buckets, because it asks the packet that it has
// just taken out for the next one; a bucket holds groDepth of them.
func (l *link) flush() {
	const groDepth = 8
	for range groDepth {
		l.gro.Flush()
	}
}

// up hands one packet up. The stack believes the link that it has checked the
// checksums, because it cannot check what GRO has put together; so the link
// does check them, and where it cannot, in fragments and behind extension
// headers, has the stack do it.
func (l *link) up(packet []byte) {
	l.counts.packetsIn.Add(1)
	l.counts.bytesIn.Add(uint64(len(packet)))
	packet, protocol, v := inspect(packet)
	switch v {
	case malformed:
		l.counts.malformed.Add(1)
		return
	case damaged:
		l.counts.badChecksum.Add(1)
		return
	case sound, unclear:
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(buffer.NewViewWithData(packet))})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber = protocol
	if v == sound {
		pkt.RXChecksumValidated = true
		l.gro.Enqueue(pkt)
		return
	}
	l.flush() // it goes by the others otherwise
	l.trusting.Store(false)
	(*upward)(l).DeliverNetworkPacket(protocol, pkt)
	l.trusting.Store(true)
}

// upward is where GRO hands packets to. It is for package stack only.
type upward link

// DeliverNetworkPacket hands a packet to the stack.
func (u *upward) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	l := (*link)(u)
	l.mu.RLock()
	d := l.dispatcher
	l.mu.RUnlock()
	if d != nil {
		d.DeliverNetworkPacket(protocol, pkt)
	}
}

// DeliverLinkPacket has nothing to do: there are no link headers.
func (u *upward) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// close keeps packets from being handed up, and returns when none is any more.
func (l *link) close() {
	l.in.Lock()
	defer l.in.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	l.flush()
}

// WritePackets sends packets of the stack's into the tunnel.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	b := l.batches.Get().(*batch)
	defer l.batches.Put(b)
	packets := list.AsSlice()
	for _, pkt := range packets {
		b.add(pkt)
	}
	if !b.flush() {
		return 0, &tcpip.ErrNoBufferSpace{}
	}
	return len(packets), nil
}

func (l *link) mtuNow() int        { return int(l.mtu.Load()) }
func (l *link) setMTU(mtu int)     { l.mtu.Store(int64(mtu)) }
func (l *link) MTU() uint32        { return uint32(l.mtu.Load()) }
func (l *link) SetMTU(mtu uint32)  { l.mtu.Store(int64(mtu)) }
func (l *link) GSOMaxSize() uint32 { return gsoMaxSize }

func (l *link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// Capabilities says that checksums of what comes in are checked already.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	if l.trusting.Load() {
		return stack.CapabilityRXChecksumOffload
	}
	return stack.CapabilityNone
}

// Attach gives the link the stack to hand packets to; nil takes it away.
func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = d
}

func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// The link has no headers, no addresses and no goroutines of its own.

func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (l *link) AddHeader(*stack.PacketBuffer)           {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *link) MaxHeaderLength() uint16                 { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress          { return "" }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) SetOnCloseAction(func())                 {}
func (l *link) Close()                                  {}
func (l *link) Wait()                                   {}
