package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"linehaul/fault"
)

// A zone is a name server's answers: of each name, addresses or an alias.
type zone map[string][]string

// A nameServer answers on port 53 of a stack, by UDP and TCP.
type nameServer struct {
	at    netip.AddrPort
	zone  zone
	spoil func(udp bool, answer *dnsmessage.Message) (more []dnsmessage.Message, silent bool)

	mu    sync.Mutex
	asked []string // name, type, protocol
}

func serveNames(t *testing.T, s *Stack, at netip.AddrPort, z zone) *nameServer {
	t.Helper()
	n := &nameServer{at: at, zone: z}
	pc, err := s.ListenPacket(at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, a := range n.answer(t, buf[:size], true) {
				pc.WriteTo(a, from)
			}
		}
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				question := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, question); err != nil {
					return
				}
				for _, a := range n.answer(t, question, false) {
					c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
				}
			})
		}
	})
	t.Cleanup(func() {
		pc.Close()
		l.Close()
		all.Wait()
	})
	return n
}

func (n *nameServer) answer(t *testing.T, packet []byte, udp bool) [][]byte {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil || len(m.Questions) != 1 || !m.RecursionDesired || len(m.Additionals) != 1 {
		t.Errorf("a question that is none: %+v, %v", m, err)
		return nil
	}
	q := m.Questions[0]
	protocol := "tcp"
	if udp {
		protocol = "udp"
	}
	n.mu.Lock()
	n.asked = append(n.asked, q.Name.String()+" "+strings.TrimPrefix(q.Type.String(), "Type")+" "+protocol)
	n.mu.Unlock()
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := q.Name.String()
	for range 20 {
		values, ok := n.zone[strings.ToLower(name)]
		if !ok {
			m.RCode = dnsmessage.RCodeNameError
			break
		}
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 60}
		next := ""
		for _, v := range values {
			a, err := netip.ParseAddr(v)
			switch {
			case err != nil:
				next = v
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(v)}})
			case a.Is4() && q.Type == dnsmessage.TypeA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
			case a.Is6() && q.Type == dnsmessage.TypeAAAA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	all := []dnsmessage.Message{m}
	if n.spoil != nil {
		more, silent := n.spoil(udp, &all[0])
		if silent {
			return nil
		}
		all = append(more, all...)
	}
	var packets [][]byte
	for _, m := range all {
		b, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		packets = append(packets, b)
	}
	return packets
}

func (n *nameServer) log() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	sorted := slices.Clone(n.asked)
	slices.Sort(sorted)
	return sorted
}

func testZone() zone {
	return zone{
		"files.lab.test.": {"10.77.0.2", "10.77.0.3", "fd00:77::2"},
		"old.lab.test.":   {"www.lab.test."},
		"www.lab.test.":   {"Files.lab.test."},
		"six.lab.test.":   {"fd00:77::2"},
		"empty.lab.test.": {},
		"loop.lab.test.":  {"pool.lab.test."},
		"pool.lab.test.":  {"loop.lab.test."},
	}
}

var (
	server4 = netip.AddrPortFrom(theirs4, 53)
	server6 = netip.AddrPortFrom(theirs6, 53)
)

func withDNS(servers ...netip.AddrPort) change {
	return func(us, _ *Options, _, _ *wire) { us.DNS = servers }
}

func texts(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

func TestLookupHost(t *testing.T) {
	for _, server := range []netip.AddrPort{server4, server6} {
		t.Run(server.String(), func(t *testing.T) {
			p := newPair(t, withDNS(server))
			n := serveNames(t, p.them, server, testZone())
			for _, tc := range []struct {
				host    string
				version int
				want    string
				kind    fault.Kind
			}{
				{"files.lab.test", 0, "10.77.0.2 10.77.0.3 fd00:77::2", 0},
				{"FILES.lab.test.", 0, "10.77.0.2 10.77.0.3 fd00:77::2", 0},
				{"files.lab.test", 4, "10.77.0.2 10.77.0.3", 0},
				{"files.lab.test", 6, "fd00:77::2", 0},
				{"old.lab.test", 0, "10.77.0.2 10.77.0.3 fd00:77::2", 0},
				{"six.lab.test", 0, "fd00:77::2", 0},
				{"six.lab.test", 4, "", fault.Name},
				{"empty.lab.test", 0, "", fault.Name},
				{"loop.lab.test", 0, "", fault.Name},
				{"nobody.lab.test", 0, "", fault.Name},
				{"", 0, "", fault.Name},
				{"a..b", 0, "", fault.Name},
				{strings.Repeat("a", 64) + ".test", 0, "", fault.Name},
				{strings.Repeat("abcdefg.", 40), 0, "", fault.Name},
				{"10.1.2.3", 0, "10.1.2.3", 0},
				{"::ffff:10.1.2.3", 4, "10.1.2.3", 0},
				{"fd00::9", 4, "", fault.Config},
				{"fe80::1%eth0", 0, "", fault.Config},
			} {
				got, err := p.us.lookup(t.Context(), tc.host, tc.version)
				if texts(got) != tc.want || (tc.want == "") != fault.Is(err, tc.kind) {
					t.Errorf("%q, version %d: %q, %v", tc.host, tc.version, texts(got), err)
				}
			}
			if log := n.log(); len(log) == 0 || slices.ContainsFunc(log, func(s string) bool { return strings.HasSuffix(s, "tcp") }) {
				t.Errorf("asked %q", log)
			}
		})
	}
}

// TestDialByName connects to a name; where the first of its addresses is
// silent or refuses, the next one has its turn.
func TestDialByName(t *testing.T) {
	p := newPair(t, withDNS(server4))
	l := p.listen(t, theirs6)
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	serveNames(t, p.them, server4, zone{"host.lab.test.": {"10.77.0.2", "fd00:77::2"}, "far.lab.test.": {"10.77.0.99", "fd00:77::2"}})
	for _, host := range []string{"host.lab.test", "far.lab.test"} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		c, err := p.us.DialContext(ctx, "tcp", net.JoinHostPort(host, netip.AddrPortFrom(theirs6, port).String()[len("[fd00:77::2]:"):]))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != theirs6 {
			t.Errorf("%s: connected to %v", host, got)
		}
		c.Close()
	}
	for _, address := range []string{"host.lab.test", "host.lab.test:", "host.lab.test:nothing-known", "host.lab.test:70000"} {
		if _, err := p.us.DialContext(t.Context(), "tcp", address); !fault.Is(err, fault.Config) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := p.us.DialContext(t.Context(), "sctp", "10.77.0.2:22"); err == nil {
		t.Error("connected by SCTP")
	}
	if _, err := p.us.DialContext(t.Context(), "tcp", "nobody.lab.test:22"); !fault.Is(err, fault.Name) {
		t.Errorf("a name that is none: %v", err)
	}
}

// TestBadAnswers: servers that are silent, fail, cut, or whose answers somebody
// forges.
func TestBadAnswers(t *testing.T) {
	type spoil = func(udp bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool)
	forged := func(m *dnsmessage.Message, change func(*dnsmessage.Message)) dnsmessage.Message {
		f := *m
		f.Questions = slices.Clone(m.Questions)
		f.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{6, 6, 6, 6}},
		}}
		change(&f)
		return f
	}
	const good = "10.77.0.2 10.77.0.3 fd00:77::2"
	for name, tc := range map[string]struct {
		first spoil // what the first server does; the second one is good
		alone bool  // there is no second one
		want  string
		says  string
	}{
		"silent":        {func(bool, *dnsmessage.Message) ([]dnsmessage.Message, bool) { return nil, true }, false, good, ""},
		"silent, alone": {func(bool, *dnsmessage.Message) ([]dnsmessage.Message, bool) { return nil, true }, true, "", "no answer"},
		"fails": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			m.RCode = dnsmessage.RCodeServerFailure
			return nil, false
		}, false, good, ""},
		"refuses, alone": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			m.RCode = dnsmessage.RCodeRefused
			return nil, false
		}, true, "", "Refused"},
		"says no": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			m.RCode = dnsmessage.RCodeNameError
			return nil, false
		}, false, "", "no such host"},
		"cuts": {func(udp bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			if udp {
				m.Truncated, m.Answers = true, nil
			}
			return nil, false
		}, true, good, ""},
		"wrong number": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			return []dnsmessage.Message{forged(m, func(f *dnsmessage.Message) { f.ID++ })}, false
		}, true, good, ""},
		"wrong name": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			return []dnsmessage.Message{forged(m, func(f *dnsmessage.Message) { f.Questions[0].Name = dnsmessage.MustNewName("evil.test.") })}, false
		}, true, good, ""},
		"wrong type": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			return []dnsmessage.Message{forged(m, func(f *dnsmessage.Message) { f.Questions[0].Type = dnsmessage.TypeTXT })}, false
		}, true, good, ""},
		"a question": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			return []dnsmessage.Message{forged(m, func(f *dnsmessage.Message) { f.Response = false })}, false
		}, true, good, ""},
		"answers for others": {func(_ bool, m *dnsmessage.Message) ([]dnsmessage.Message, bool) {
			f := forged(m, func(*dnsmessage.Message) {})
			f.Answers[0].Header.Name = dnsmessage.MustNewName("evil.test.")
			m.Answers = append(f.Answers, m.Answers...)
			return nil, false
		}, true, good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			servers := []netip.AddrPort{server4, netip.AddrPortFrom(theirs4, 5353)}
			if tc.alone {
				servers = servers[:1]
			}
			p := newPair(t, withDNS(servers...))
			p.us.patience = 200 * time.Millisecond
			serveNames(t, p.them, server4, testZone()).spoil = tc.first
			serveNames(t, p.them, netip.AddrPortFrom(theirs4, 5353), testZone())
			got, err := p.us.LookupHost(t.Context(), "files.lab.test")
			if texts(got) != tc.want {
				t.Errorf("got %q, %v", texts(got), err)
			}
			if tc.says != "" && (!fault.Is(err, fault.Name) || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestSplit: names of the domains are asked inside, others outside, and without
// name servers an error says so.
func TestSplit(t *testing.T) {
	outside := errors.New("asked outside")
	p := newPair(t, withDNS(server4), func(us, _ *Options, _, _ *wire) {
		us.Domains = []string{"lab.test", ".Corp."}
		us.Outside = func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "gw.example.net" {
				return []netip.Addr{netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("::ffff:10.77.0.3")}, nil
			}
			return nil, outside
		}
	})
	n := serveNames(t, p.them, server4, zone{"a.lab.test.": {"10.77.0.2"}, "lab.test.": {"10.77.0.2"}, "x.y.corp.": {"10.77.0.2"}})
	for _, host := range []string{"a.lab.test", "A.LAB.TEST.", "lab.test", "x.y.corp"} {
		if got, err := p.us.LookupHost(t.Context(), host); texts(got) != "10.77.0.2" {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	asked := len(n.log())
	for _, host := range []string{"b.example.net", "notlab.test", "lab.test.example.net"} {
		if _, err := p.us.LookupHost(t.Context(), host); !errors.Is(err, outside) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if got, err := p.us.LookupHost(t.Context(), "gw.example.net"); texts(got) != "10.77.0.2 10.77.0.3" {
		t.Errorf("%v, %v", got, err)
	}
	if len(n.log()) != asked {
		t.Errorf("what is outside was asked inside: %q", n.log()[asked:])
	}
	none := newPair(t)
	if _, err := none.us.LookupHost(t.Context(), "a.lab.test"); !fault.Is(err, fault.Name) || fault.HintOf(err) == fault.Name.Hint() {
		t.Errorf("without a name server: %v, %s", err, fault.HintOf(err))
	}
}

// TestLookupEnds with its context, and with the stack.
func TestLookupEnds(t *testing.T) {
	p := newPair(t, withDNS(netip.MustParseAddrPort("10.77.0.99:53")))
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, enough)
	defer cancel()
	if _, err := p.us.LookupHost(ctx, "a.test"); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := p.us.LookupHost(t.Context(), "a.test")
		ended <- err
	}()
	for p.us.Stats().PacketsOut < 4 { // two questions before, and two now
	}
	p.us.CloseWith(enough)
	if err := <-ended; !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// FuzzAnswer reads any bytes as the answer to a question: what comes out is of
// the kind that was asked for, and nothing panics.
func FuzzAnswer(f *testing.F) {
	q, err := newQuestion(strings.NewReader("id"), dnsmessage.MustNewName("old.lab.test."), dnsmessage.TypeA)
	if err != nil {
		f.Fatal(err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(q.packet); err != nil {
		f.Fatal(err)
	}
	m.Response = true
	m.Additionals = nil
	add := func() {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add()
	h := func(name string) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET}
	}
	m.Answers = []dnsmessage.Resource{
		{Header: h("old.lab.test."), Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("new.lab.test.")}},
		{Header: h("new.lab.test."), Body: &dnsmessage.AResource{A: [4]byte{10, 1, 2, 3}}},
		{Header: h("new.lab.test."), Body: &dnsmessage.TXTResource{TXT: []string{"text"}}},
	}
	add()
	m.RCode = dnsmessage.RCodeNameError
	add()
	f.Fuzz(func(t *testing.T, b []byte) {
		if !q.fits(b) {
			return
		}
		q.cut(b)
		addrs, err := q.read(b)
		for _, a := range addrs {
			if err != nil || !a.Is4() {
				t.Fatalf("%v, %v", a, err)
			}
		}
	})
}
