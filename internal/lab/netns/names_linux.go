package netns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a DNS server in a host, over UDP. It knows what it was told, says
// of all other names that there are none, and may be told to lie.
type Names struct {
	silent  atomic.Bool
	queries atomic.Int64

	mu      sync.Mutex
	records map[question][]dnsmessage.ResourceBody
	known   map[string]bool // names that have any record
}

type question struct {
	name string // in lower case, with the dot at the end
	kind dnsmessage.Type
}

// ServeNames answers DNS queries at addresses of the host, from this process,
// until the test ends.
func (h *Host) ServeNames(t testing.TB, addrs ...string) *Names {
	t.Helper()
	n := &Names{records: map[question][]dnsmessage.ResourceBody{}, known: map[string]bool{}}
	var serving sync.WaitGroup
	var conns []net.PacketConn
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		serving.Wait()
	})
	for _, addr := range addrs {
		conn, err := h.ListenPacket(context.Background(), "udp", net.JoinHostPort(addr, "53"))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		serving.Go(func() { n.serve(conn) })
	}
	return n
}

func (n *Names) serve(conn net.PacketConn) {
	b := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		n.queries.Add(1)
		if n.silent.Load() {
			continue
		}
		if reply := n.answer(b[:size]); reply != nil {
			conn.WriteTo(reply, from)
		}
	}
}

// Silence has the server answer nothing, or answer again.
func (n *Names) Silence(silent bool) { n.silent.Store(silent) }

// Queries is how many it was asked.
func (n *Names) Queries() int { return int(n.queries.Load()) }

// Set gives a name these addresses, and no others. Without any, the name is
// forgotten.
func (n *Names) Set(name string, addrs ...netip.Addr) {
	var four, six []dnsmessage.ResourceBody
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, &dnsmessage.AResource{A: a.As4()})
		} else {
			six = append(six, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	n.put(name, dnsmessage.TypeA, four)
	n.put(name, dnsmessage.TypeAAAA, six)
}

// SetPointer gives an address a name (RFC 1035 3.5, RFC 3596 2.5).
func (n *Names) SetPointer(addr netip.Addr, name string) {
	n.put(Reverse(addr), dnsmessage.TypePTR, []dnsmessage.ResourceBody{&dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(dotted(name))}})
}

// SetText gives a name a text, as the databases of AS numbers do.
func (n *Names) SetText(name, text string) {
	n.put(name, dnsmessage.TypeTXT, []dnsmessage.ResourceBody{&dnsmessage.TXTResource{TXT: []string{text}}})
}

func (n *Names) put(name string, kind dnsmessage.Type, bodies []dnsmessage.ResourceBody) {
	name = strings.ToLower(dotted(name))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[question{name, kind}] = bodies
	n.known[name] = false
	for q, bodies := range n.records {
		if q.name == name && len(bodies) > 0 {
			n.known[name] = true
		}
	}
}

// answer is the reply to a query of one question; nil to what is none.
func (n *Names) answer(query []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil || head.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(q.Name.String())
	n.mu.Lock()
	bodies, known := n.records[question{name, q.Type}], n.known[name]
	n.mu.Unlock()
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: head.ID, Response: true, Authoritative: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q},
	}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range bodies {
		reply.Answers = append(reply.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: body,
		})
	}
	b, err := reply.Pack()
	if err != nil {
		return nil
	}
	return b
}

// Reverse is the name under which the name of an address is asked for.
func Reverse(addr netip.Addr) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	bytes := addr.AsSlice()
	for i := len(bytes) - 1; i >= 0; i-- {
		if addr.Is4() {
			b.WriteString(netip.AddrFrom4([4]byte{3: bytes[i]}).String()[len("0.0.0."):] + ".")
			continue
		}
		b.Write([]byte{digits[bytes[i]&15], '.', digits[bytes[i]>>4], '.'})
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa."
	}
	return b.String() + "ip6.arpa."
}

func dotted(name string) string { return strings.TrimSuffix(name, ".") + "." }
