package tunnel

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/netstack"
)

// A Status is what a tunnel is doing. It holds no secret, and is the same in
// JSON.
type Status struct {
	Link  string `json:"link,omitempty"`
	State string `json:"state"` // of the IKE SA: asking, proving, up, leaving or ended
	Error string `json:"error,omitempty"`

	Gateway string         `json:"gateway"` // as the config names it
	Remote  netip.AddrPort `json:"remote,omitzero"`
	Local   netip.AddrPort `json:"local,omitzero"`
	// NATHere and NATThere say whether there is one before us, and before the
	// gateway, by what that says. Some say so to have ESP in UDP, as we do.
	NATHere  bool `json:"nat_here"`
	NATThere bool `json:"nat_there"`
	// LocalID is who we are, and RemoteID who the gateway proved to be.
	LocalID  string `json:"local_id"`
	RemoteID string `json:"remote_id,omitempty"`

	Since     time.Time      `json:"since,omitzero"` // that it carries; zero: it has not yet
	Addresses []netip.Addr   `json:"addresses,omitempty"`
	DNS       []netip.Addr   `json:"dns,omitempty"`
	Networks  []netip.Prefix `json:"networks"`

	DPD      DPD     `json:"dpd"`
	IKE      []IKE   `json:"ike"`
	Children []Child `json:"children"`

	// In and Out are the packets inside, of all ESP SAs since it came up.
	In  Traffic `json:"in"`
	Out Traffic `json:"out"`
	// Dropped are packets of ESP that went nowhere, of all ESP SAs.
	Dropped Dropped `json:"dropped"`
	TCP     TCP     `json:"tcp"`
}

// DPD is what is known of whether the gateway is there.
type DPD struct {
	State      string    `json:"state"` // answering, asking or silent
	Heard      time.Time `json:"heard,omitzero"`
	Unanswered time.Time `json:"unanswered_since,omitzero"`
	Tries      int       `json:"tries,omitempty"`
	Probe      float64   `json:"probe_seconds"`    // of silence, until it is asked
	Patience   float64   `json:"patience_seconds"` // until it is taken for dead
}

// IKE is one IKE SA.
type IKE struct {
	InitiatorSPI string    `json:"initiator_spi"`
	ResponderSPI string    `json:"responder_spi"`
	Initiator    bool      `json:"initiator"` // we are
	Suite        string    `json:"suite"`
	Made         time.Time `json:"made,omitzero"`
	Rekey        time.Time `json:"rekey,omitzero"`
	Expires      time.Time `json:"expires,omitzero"`
	Leaving      bool      `json:"leaving,omitempty"`
}

// Child is a pair of ESP SAs.
type Child struct {
	InSPI   string    `json:"in_spi"`
	OutSPI  string    `json:"out_spi"`
	Suite   string    `json:"suite"`
	Local   []string  `json:"local"`
	Remote  []string  `json:"remote"`
	Made    time.Time `json:"made"`
	Rekey   time.Time `json:"rekey,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	InUse   bool      `json:"in_use"` // it is what we send by
	Leaving bool      `json:"leaving,omitempty"`
	In      Traffic   `json:"in"`
	Out     Traffic   `json:"out"`
	Dropped Dropped   `json:"dropped"`
}

// Traffic counts IP packets.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Dropped counts packets of ESP by why they went nowhere.
type Dropped struct {
	Replayed  uint64 `json:"replayed"`
	BadICV    uint64 `json:"bad_icv"`
	Malformed uint64 `json:"malformed"`
	Refused   uint64 `json:"refused"` // past the lifetime, or out of sequence numbers
}

func (d *Dropped) add(s esp.Stats) {
	d.Replayed += s.Replayed
	d.BadICV += s.BadICV
	d.Malformed += s.Malformed
	d.Refused += s.Refused
}

// Any reports whether there are any.
func (d Dropped) Any() bool { return d != Dropped{} }

// String says how many there are, of those that there are.
func (d Dropped) String() string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{d.Replayed, "replayed"}, {d.BadICV, "bad ICV"}, {d.Malformed, "malformed"}, {d.Refused, "refused"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// TCP is what the TCP inside has done since the tunnel came up.
type TCP struct {
	Opened      uint64       `json:"opened"`
	Refused     uint64       `json:"refused"`
	Resets      uint64       `json:"resets"`
	Retransmits uint64       `json:"retransmits"`
	Timeouts    uint64       `json:"timeouts"`
	BadChecksum uint64       `json:"bad_checksum"`
	Connections []Connection `json:"connections"`
}

// Connection is one that is open.
type Connection struct {
	Local       netip.AddrPort `json:"local"`
	Remote      netip.AddrPort `json:"remote"`
	State       string         `json:"state"`
	RTT         float64        `json:"rtt_seconds"`
	Window      uint32         `json:"window_packets"`
	Retransmits uint64         `json:"retransmits"`
}

// An Event is something that happens to a tunnel.
type Event int

// The events.
const (
	CameUp     Event = iota // it carries
	RekeyedIKE              // there is a new IKE SA
	RekeyedESP              // it sends by a new pair of ESP SAs
	WentDown                // it has ended, by Close or with an error
)

// An SAPair names a pair of ESP SAs, and says from when on it was sent by.
type SAPair struct {
	In, Out uint32
	From    time.Time
}

// String is the two SPIs, the inbound one first.
func (p SAPair) String() string { return fmt.Sprintf("%08x/%08x", p.In, p.Out) }

// maxPairs is how many pairs are kept that are no more.
const maxPairs = 1000

// A snapshot is what run knows, for others to read. It is not changed.
type snapshot struct {
	machine  ikev2.Status
	outbound map[uint32]*esp.Outbound
	gone     Dropped // of SAs that are no more
}

// An account is what is kept for the status.
type account struct {
	gateway string
	event   func(Event, Status)
	up      ikev2.Established
	since   time.Time
	nat     [2]bool           // here and there
	first   [2]netip.AddrPort // of IKE_SA_INIT: ours and the gateway's
	gone    Dropped
	pairs   []SAPair // that were sent by, the oldest first
}

// observe keeps a snapshot of what the machine has become, and tells of what
// has changed. It is run's.
func (t *Tunnel) observe() {
	now := &snapshot{machine: t.machine.Status(), outbound: maps.Clone(t.pairs), gone: t.account.gone}
	before := t.shown.Swap(now)
	if before == nil {
		before = &snapshot{}
	}
	if now.machine.State == "ended" || t.Err() != nil {
		if before.machine.State != "ended" {
			t.tell(WentDown)
		}
		return
	}
	if a, b := newIKE(before.machine), newIKE(now.machine); a != b && before.machine.State == "up" {
		t.tell(RekeyedIKE)
	}
	a, b := inUse(before.machine), inUse(now.machine)
	if b.In == 0 || a == b {
		return
	}
	b.From = t.now()
	t.mu.Lock()
	t.account.pairs = append(t.account.pairs[max(0, len(t.account.pairs)-maxPairs):], b)
	first := len(t.account.pairs) == 1
	t.mu.Unlock()
	if first {
		t.tell(CameUp)
	} else {
		t.tell(RekeyedESP)
	}
}

func (t *Tunnel) tell(e Event) {
	if t.account.event != nil {
		t.account.event(e, t.Status())
	}
}

// Carried are the pairs of ESP SAs that were sent by since an instant, the
// oldest first.
func (t *Tunnel) Carried(since time.Time) []SAPair {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.account.pairs
	for i := len(all) - 1; i > 0; i-- {
		if !all[i].From.After(since) {
			return slices.Clone(all[i:])
		}
	}
	return slices.Clone(all)
}

// newIKE is the newest IKE SA.
func newIKE(s ikev2.Status) (spis [2][8]byte) {
	if len(s.IKE) > 0 {
		spis = [2][8]byte{s.IKE[0].Initiator, s.IKE[0].Responder}
	}
	return spis
}

// inUse is the pair that is sent by.
func inUse(s ikev2.Status) SAPair {
	for _, c := range s.Children {
		if c.InUse {
			return SAPair{In: c.InSPI, Out: c.OutSPI}
		}
	}
	return SAPair{}
}

// remember keeps what a pair of SAs has dropped, which is about to go.
func (t *Tunnel) remember(spi uint32) {
	if in := t.inbound.Find(spi); in != nil {
		t.account.gone.add(in.Stats())
	}
	if out := t.pairs[spi]; out != nil {
		t.account.gone.add(out.Stats())
	}
}

// Status returns what the tunnel is doing.
func (t *Tunnel) Status() Status {
	t.mu.Lock()
	up, since, nat, stack, err := t.account.up, t.account.since, t.account.nat, t.stack, t.err
	t.mu.Unlock()
	s := Status{
		Gateway: t.account.gateway, NATHere: nat[0], NATThere: nat[1], Since: since, Addresses: up.Addresses, DNS: up.DNS, Networks: t.networks,
		IKE: []IKE{}, Children: []Child{}, TCP: TCP{Connections: []Connection{}},
	}
	if len(up.Gateway.Data) > 0 {
		s.RemoteID = up.Gateway.String()
	}
	seen := t.shown.Load()
	if seen == nil {
		return s
	}
	s.State, s.LocalID, s.Dropped = seen.machine.State, seen.machine.Local.String(), seen.gone
	if err != nil {
		s.State, s.Error = "ended", err.Error()
	}
	s.Local, s.Remote = t.link.ends()
	s.DPD = t.dpd(seen.machine)
	for _, a := range seen.machine.IKE {
		s.IKE = append(s.IKE, IKE{
			InitiatorSPI: a.Initiator.String(), ResponderSPI: a.Responder.String(), Initiator: a.Ours,
			Suite: a.Suite.String(), Made: a.Made, Rekey: a.Rekey, Expires: a.End, Leaving: a.Leaving,
		})
	}
	for _, c := range seen.machine.Children {
		s.addChild(c, t.inbound.Find(c.InSPI), seen.outbound[c.InSPI])
	}
	if stack != nil {
		s.addStack(stack.Stats())
	}
	return s
}

// dpd says whether the gateway is there.
func (t *Tunnel) dpd(m ikev2.Status) DPD {
	d := DPD{State: "answering", Heard: m.Heard, Unanswered: m.Unanswered, Tries: m.Tries, Probe: m.Probe.Seconds(), Patience: m.Patience.Seconds()}
	if n := t.heard.Load(); n != 0 {
		if esp := time.Unix(0, n); esp.After(d.Heard) {
			d.Heard = esp
		}
	}
	switch {
	case m.Tries == 1:
		d.State = "asking"
	case m.Tries > 1:
		d.State = "silent"
	}
	return d
}

func (s *Status) addChild(c ikev2.ChildStatus, in *esp.Inbound, out *esp.Outbound) {
	one := Child{
		InSPI: fmt.Sprintf("%08x", c.InSPI), OutSPI: fmt.Sprintf("%08x", c.OutSPI), Suite: c.Suite.String(), Local: []string{}, Remote: []string{},
		Made: c.Made, Rekey: c.Rekey, Expires: c.End, InUse: c.InUse, Leaving: c.Leaving,
	}
	for _, l := range c.Local {
		one.Local = append(one.Local, l.String())
	}
	for _, r := range c.Remote {
		one.Remote = append(one.Remote, r.String())
	}
	if in != nil {
		stats := in.Stats()
		one.In = Traffic{stats.Packets, stats.Bytes}
		one.Dropped.add(stats)
		s.Dropped.add(stats)
	}
	if out != nil {
		stats := out.Stats()
		one.Out = Traffic{stats.Packets, stats.Bytes}
		one.Dropped.add(stats)
		s.Dropped.add(stats)
	}
	s.Children = append(s.Children, one)
}

func (s *Status) addStack(n netstack.Stats) {
	s.In, s.Out = Traffic{n.PacketsIn, n.BytesIn}, Traffic{n.PacketsOut, n.BytesOut}
	s.TCP.Opened, s.TCP.Refused, s.TCP.Resets = n.Opened, n.Refused, n.Resets
	s.TCP.Retransmits, s.TCP.Timeouts, s.TCP.BadChecksum = n.Retransmits, n.Timeouts, n.BadChecksum
	for _, c := range n.Conns {
		s.TCP.Connections = append(s.TCP.Connections, Connection{c.Local, c.Remote, c.State, c.RTT.Seconds(), c.Window, c.Retransmits})
	}
}

// ends are the addresses of the socket in use.
func (l *link) ends() (local, remote netip.AddrPort) {
	return l.current().ends()
}

func (s *socket) ends() (local, remote netip.AddrPort) {
	return udpPort(s.conn.LocalAddr()), udpPort(s.conn.RemoteAddr())
}

func udpPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(u.AddrPort().Addr().Unmap(), u.AddrPort().Port())
}
