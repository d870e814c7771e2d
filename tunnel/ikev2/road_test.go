package ikev2_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
	"linehaul/tunnel/tunneltest"
)

// delay is how long a datagram takes from one end to the other.
const delay = 20 * time.Millisecond

// A road is a machine, a gateway in memory, and the line between them, in a time
// of its own.
type road struct {
	t   testing.TB
	now time.Time
	m   *ikev2.Machine
	g   *tunneltest.Gateway

	line []parcel
	sent int // datagrams so far

	// lose says whether the nth datagram comes to nothing; late is how much
	// longer it takes; twice, how often more it comes.
	lose  func(n int, p parcel) bool
	late  func(n int) time.Duration
	twice func(n int) int

	// mangle makes of a datagram that has arrived at the client what it gets.
	mangle func(p parcel) [][]byte

	in        map[uint32]*esp.Inbound
	outs      map[uint32]*esp.Outbound // by the inbound SPI of the pair
	out       *esp.Outbound            // in use
	up        *ikev2.Established
	ended     bool
	end       error
	installed int
	notes     []string

	numbers [2]uint32 // of packets that were sent, from the client and to it
	arrived [2]map[uint32]int
	lost    [2]map[uint32]bool // by the line
	refused []string
}

// A parcel is on its way.
type parcel struct {
	at       time.Time
	order    int
	toClient bool
	esp      bool
	number   uint32 // of the packet inside ESP
	data     []byte
}

func proposals(t testing.TB, p suite.Protocol, texts ...string) []suite.Proposal {
	t.Helper()
	var all []suite.Proposal
	for _, text := range texts {
		one, err := suite.Parse(p, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// quick is one proposal with what costs least.
func quick(p suite.Protocol) []suite.Proposal {
	encr := suite.Transform{Type: suite.TypeEncryption, ID: suite.EncrAESGCM16, KeyBits: 128}
	if p == suite.ESP {
		return []suite.Proposal{{Protocol: p, Transforms: []suite.Transform{encr, {Type: suite.TypeESN, ID: suite.ESNYes}}}}
	}
	return []suite.Proposal{{Protocol: p, Transforms: []suite.Transform{
		encr, {Type: suite.TypePRF, ID: suite.PRFHMACSHA256}, {Type: suite.TypeKeyExchange, ID: suite.Curve25519}, {Type: suite.TypeKeyExchange, ID: suite.ECP256},
	}}}
}

// newRoad puts a client and a gateway at its ends. Everything by chance comes of
// the seed.
func newRoad(t testing.TB, seed uint64, c ikev2.Config, o tunneltest.Options) *road {
	t.Helper()
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	r := &road{t: t, now: begin(), in: map[uint32]*esp.Inbound{}, outs: map[uint32]*esp.Outbound{}}
	for i := range r.arrived {
		r.arrived[i], r.lost[i] = map[uint32]int{}, map[uint32]bool{}
	}
	if c.PSK == nil {
		c.PSK = []byte("secret")
	}
	if c.Local.Data == nil {
		c.Local = ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")}
	}
	if c.Networks == nil {
		c.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
	}
	if o.PSK == nil {
		o.PSK = []byte("secret")
	}
	if o.Networks == nil {
		o.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
	}
	if o.Addresses == nil {
		o.Addresses = []netip.Addr{netip.MustParseAddr("10.99.0.2")}
	}
	// Most tests are not about ciphers: what is quick will do.
	if c.IKE == nil && o.IKE == nil {
		c.IKE, o.IKE = quick(suite.IKE), quick(suite.IKE)
	}
	if c.ESP == nil && o.ESP == nil {
		c.ESP, o.ESP = quick(suite.ESP), quick(suite.ESP)
	}
	var err error
	if r.m, err = ikev2.New(c, rand.NewChaCha8(s)); err != nil {
		t.Fatal(err)
	}
	s[31] = 1
	if r.g, err = tunneltest.New(o, rand.NewChaCha8(s)); err != nil {
		t.Fatal(err)
	}
	return r
}

// put puts a datagram on the line.
func (r *road) put(p parcel) {
	n := r.sent
	r.sent++
	if r.lose != nil && r.lose(n, p) {
		if p.esp {
			r.lost[side(p.toClient)][p.number] = true
		}
		return
	}
	copies := 1
	if r.twice != nil {
		copies += r.twice(n)
	}
	for range copies {
		q := p
		q.data = bytes.Clone(p.data)
		q.at = r.now.Add(delay)
		if r.late != nil {
			q.at = q.at.Add(r.late(n))
		}
		q.order = len(r.line) + r.sent<<8
		r.line = append(r.line, q)
	}
}

func side(toClient bool) int {
	if toClient {
		return 1
	}
	return 0
}

// fromGateway puts on the line what the gateway sends.
func (r *road) fromGateway(all [][]byte) {
	if err := r.g.Err(); err != nil {
		r.t.Fatal("gateway: ", err)
	}
	for _, d := range all {
		r.put(parcel{toClient: true, data: d})
	}
}

// do carries out what the machine wants, as the runner does.
func (r *road) do(actions []ikev2.Action) {
	said := false
	for _, a := range actions {
		switch a := a.(type) {
		case ikev2.Send:
			said = true
			r.put(parcel{data: a.Datagram})
		case ikev2.Established:
			r.up = &a
		case ikev2.Install:
			if said { // the gateway may be quicker than the runner
				r.t.Fatalf("%08x is agreed on before it can be received on", a.Child.InSPI)
			}
			o := esp.Options{ESN: a.Child.Suite.ESN, Created: a.Child.Made}
			r.in[a.Child.InSPI] = esp.NewInbound(a.Child.InSPI, a.Child.In, o)
			r.outs[a.Child.InSPI] = esp.NewOutbound(a.Child.OutSPI, a.Child.Out, o)
			r.installed++
		case ikev2.Use:
			if r.out = r.outs[a.Child.InSPI]; r.out == nil {
				r.t.Fatalf("%08x is used and was not installed", a.Child.InSPI)
			}
		case ikev2.Remove:
			delete(r.in, a.SPI)
			delete(r.outs, a.SPI)
		case ikev2.Ended:
			r.ended, r.end = true, a.Err
		case ikev2.Note:
			r.notes = keep(append(r.notes, fmt.Sprint(r.now.Sub(begin()), " ", a.Text, " ", a.Args)))
		}
	}
}

// keep forgets what is long ago.
func keep(lines []string) []string {
	if len(lines) > 200 {
		return slices.Clone(lines[100:])
	}
	return lines
}

// refuse notes an ESP packet that was not taken.
func (r *road) refuse(format string, args ...any) {
	r.refused = keep(append(r.refused, fmt.Sprintf("%v: ", r.now.Sub(begin()))+fmt.Sprintf(format, args...)))
}

// packet is an IP packet with a number in it.
func packet(from, to netip.Addr, number uint32) []byte {
	b := make([]byte, 48)
	b[0], b[8], b[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint32(b[44:], number)
	return b
}

var (
	inside = netip.MustParseAddr("10.99.0.2")
	behind = netip.MustParseAddr("10.77.0.1")
)

// talk sends one packet each way.
func (r *road) talk() {
	if r.out != nil {
		n := r.numbers[0]
		r.numbers[0]++
		sealed, err := r.out.Seal(nil, packet(inside, behind, n))
		if err != nil {
			r.t.Fatal("seal: ", err)
		}
		r.put(parcel{esp: true, number: n, data: sealed})
	}
	n := r.numbers[1]
	if sealed := r.g.Seal(packet(behind, inside, n)); sealed != nil {
		r.numbers[1]++
		r.put(parcel{toClient: true, esp: true, number: n, data: sealed})
	}
}

func (r *road) deliver(p parcel) {
	if p.toClient && r.mangle != nil {
		for _, d := range r.mangle(p) {
			p.data = d
			r.arrive(p)
		}
		return
	}
	r.arrive(p)
}

func (r *road) arrive(p parcel) {
	switch {
	case p.esp && p.toClient:
		spi, _ := esp.SPI(p.data)
		in := r.in[spi]
		if in == nil {
			r.refuse("the client knows no SPI %08x, packet %d", spi, p.number)
			return
		}
		inner, err := in.Open(p.data)
		if err == nil {
			r.arrived[1][binary.BigEndian.Uint32(inner[44:])]++
			r.m.Heard(r.now)
		} else if !errors.Is(err, esp.ErrReplay) {
			r.refuse("the client refuses packet %d: %v", p.number, err)
		}
	case p.esp:
		inner, err := r.g.Open(r.now, p.data)
		if err == nil {
			r.arrived[0][binary.BigEndian.Uint32(inner[44:])]++
		} else if !errors.Is(err, esp.ErrReplay) {
			r.refuse("the gateway refuses packet %d: %v", p.number, err)
		}
	case p.toClient:
		r.do(r.m.Handle(r.now, p.data))
	default:
		r.fromGateway(r.g.Handle(r.now, p.data))
	}
}

// next is when something happens next, and what.
func (r *road) next() (at time.Time, parcelAt int) {
	parcelAt = -1
	for i, p := range r.line {
		if parcelAt < 0 || p.at.Before(at) || p.at.Equal(at) && p.order < r.line[parcelAt].order {
			at, parcelAt = p.at, i
		}
	}
	for _, d := range []time.Time{r.m.Deadline(), r.g.Deadline()} {
		if !d.IsZero() && (at.IsZero() || d.Before(at)) {
			at, parcelAt = d, -1
		}
	}
	return at, parcelAt
}

// until runs the road until a time. It fails if there is no end of things to do
// at once.
func (r *road) until(end time.Time) {
	r.t.Helper()
	stuck := 0
	for {
		at, i := r.next()
		if at.IsZero() || at.After(end) {
			r.now = end
			return
		}
		if at.After(r.now) {
			r.now, stuck = at, 0
		}
		if stuck++; stuck > 10_000 {
			r.t.Fatalf("at %v: always something to do", r.now.Sub(begin()))
		}
		if i >= 0 {
			p := r.line[i]
			r.line = slices.Delete(r.line, i, i+1)
			r.deliver(p)
			continue
		}
		if d := r.m.Deadline(); !d.IsZero() && !d.After(r.now) {
			r.do(r.m.Expire(r.now))
		}
		if d := r.g.Deadline(); !d.IsZero() && !d.After(r.now) {
			r.fromGateway(r.g.Expire(r.now))
		}
	}
}

func (r *road) after(d time.Duration) { r.t.Helper(); r.until(r.now.Add(d)) }

// try begins a login and waits until it has come to something.
func (r *road) try() {
	r.t.Helper()
	r.do(r.m.Start(r.now))
	for range 20_000 {
		if r.up != nil && len(r.in) > 0 || r.ended {
			break
		}
		r.after(delay)
	}
}

// login brings the tunnel up.
func (r *road) login() {
	r.t.Helper()
	r.try()
	if r.ended || r.up == nil {
		r.t.Fatalf("no login: %v, %+v\n%v", r.end, r.g.Stats(), r.notes)
	}
}

// talking runs for a while with a packet each way in every millisecond or so.
func (r *road) talking(d, each time.Duration) {
	r.t.Helper()
	for end := r.now.Add(d); r.now.Before(end); {
		r.talk()
		r.after(each)
	}
}

// settle lets what is under way come to its end, on a line that loses nothing
// more.
func (r *road) settle() {
	r.t.Helper()
	r.lose, r.late, r.twice = nil, nil, nil
	r.after(35 * time.Second)
}

// agree checks that both sides have the same SAs, one pair of ESP and one IKE
// SA, and that both carry.
func (r *road) agree() {
	r.t.Helper()
	if r.ended {
		r.t.Fatalf("it has ended: %v", r.end)
	}
	children := r.g.Children()
	pairs := map[uint32]uint32{}
	for in, out := range r.outs {
		pairs[in] = out.SPI()
	}
	if len(children) != 1 || len(pairs) != 1 || pairs[children[0][1]] != children[0][0] {
		r.t.Errorf("children: the gateway has %x, the client %x", children, pairs)
	}
	if sas, children, waiting := ikev2.Sizes(r.m); sas != 1 || children != 1 || waiting != 0 {
		r.t.Errorf("the client has %d IKE SAs, %d children, and %d requests that wait", sas, children, waiting)
	}
	if spis := r.g.SPIs(); len(spis) != 1 {
		r.t.Errorf("the gateway has IKE SAs %v", spis)
	}
	before := [2]int{len(r.arrived[0]), len(r.arrived[1])}
	r.talk()
	answered := false
	r.fromGateway(r.g.Request(r.now, ikemsg.Informational, nil, func(*ikemsg.Message) { answered = true }))
	r.after(time.Second)
	if len(r.arrived[0]) != before[0]+1 || len(r.arrived[1]) != before[1]+1 {
		r.t.Errorf("ESP does not pass: %v", r.refused)
	}
	if !answered {
		r.t.Error("the client does not answer the gateway")
	}
}

// whole checks that each packet has arrived that the line did not lose, and
// none twice.
func (r *road) whole() {
	r.t.Helper()
	for i, way := range []string{"to the gateway", "to the client"} {
		for n := range r.numbers[i] {
			switch got := r.arrived[i][n]; {
			case got == 0 && !r.lost[i][n]:
				r.t.Errorf("packet %d %s is lost: %q", n, way, r.refused[:min(3, len(r.refused))])
				return
			case got > 1:
				r.t.Errorf("packet %d %s came %d times", n, way, got)
				return
			}
		}
	}
	if r.numbers[0] == 0 || r.numbers[1] == 0 {
		r.t.Error("nothing was sent")
	}
}

// chance is a source of its own for what the line does.
func (r *road) chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }
