package tunneltest

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// natHash is the length of a NAT detection (RFC 7296 section 2.23).
const natHash = 20

// login is what IKE_AUTH needs of IKE_SA_INIT.
type login struct {
	request, answer []byte
	ni, nr          []byte
	pi, pr          []byte
}

// first answers IKE_SA_INIT (RFC 7296 section 1.2).
func (g *Gateway) first(now time.Time, m *ikemsg.Message, datagram []byte) {
	if m.Exchange != ikemsg.IKESAInit || m.Response() || !m.FromInitiator() || m.MessageID != 0 {
		g.stats.Dropped++
		return
	}
	for _, s := range g.sas {
		if s.login != nil && bytes.Equal(s.login.request, datagram) {
			g.stats.Repeated++
			g.send([][]byte{s.login.answer})
			return
		}
	}
	offered, haveSA := ikemsg.Get[*ikemsg.SA](m.Payloads)
	ke, haveKE := ikemsg.Get[*ikemsg.KE](m.Payloads)
	nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](m.Payloads)
	if !haveSA || !haveKE || !haveNonce {
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.InvalidSyntax))
		return
	}
	if g.cookies < g.o.Faults.Cookies {
		g.cookies++
		g.cookie = g.bytes(nonceSize)
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.Cookie, g.cookie...))
		return
	}
	if c, ok := ikemsg.FindNotify(m.Payloads, ikemsg.Cookie); g.cookie != nil && (!ok || !bytes.Equal(c.Data, g.cookie)) {
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.Cookie, g.cookie...))
		return
	}
	chosen, ok := choose(g.o.IKE, offered, 0, ke.Group)
	if !ok {
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.NoProposalChosen))
		return
	}
	want := chosen.suite.KeyExchange.ID
	if f := g.o.Faults.Group; f != nil {
		if other := f(ke.Group); other != 0 {
			want = other
		}
	}
	if ke.Group != want {
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.InvalidKEPayload, binary.BigEndian.AppendUint16(nil, want)...))
		return
	}
	public, shared, err := suite.Respond(chosen.suite.KeyExchange, g.random, ke.Data)
	if err != nil {
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.InvalidSyntax))
		return
	}
	l := &login{request: bytes.Clone(datagram), ni: bytes.Clone(nonce.Data), nr: g.bytes(nonceSize)}
	s := &sa{own: g.ikeSPI(), peer: m.InitiatorSPI, suite: chosen.suite, login: l, expected: 1, until: now.Add(g.o.Patience)}
	if s.prf, err = suite.NewPRF(chosen.suite.PRF); err != nil {
		g.fail(err)
		return
	}
	seed := s.prf.Sum(s.prf.NonceKey(l.ni, l.nr), shared)
	if l.pi, l.pr, err = s.derive(seed, l.ni, l.nr); err != nil {
		g.fail(err)
		return
	}
	if _, ok := ikemsg.FindNotify(m.Payloads, ikemsg.IKEv2FragmentationSupported); ok {
		s.fragments = g.o.MaxDatagram
	}
	l.answer = g.inClear(m, s.own, []ikemsg.Payload{
		chosen.payload(nil),
		&ikemsg.KE{Group: want, Data: public},
		&ikemsg.Nonce{Data: l.nr},
		&ikemsg.Notify{Kind: ikemsg.NATDetectionSourceIP, Data: g.bytes(natHash)},
		&ikemsg.Notify{Kind: ikemsg.NATDetectionDestinationIP, Data: g.bytes(natHash)},
		&ikemsg.Notify{Kind: ikemsg.IKEv2FragmentationSupported},
	})
	g.begun = true
	// Another attempt to log in is in place of one that came to nothing.
	g.sas = append(slices.DeleteFunc(g.sas, func(o *sa) bool { return !o.proved }), s)
}

// inClear answers a message without keys, and returns the answer.
func (g *Gateway) inClear(m *ikemsg.Message, own ikemsg.SPI, payloads []ikemsg.Payload) []byte {
	if f := g.o.Faults.Answer; f != nil {
		payloads = f(m, payloads)
	}
	h := ikemsg.Header{InitiatorSPI: m.InitiatorSPI, ResponderSPI: own, Exchange: m.Exchange, Flags: ikemsg.FlagResponse}
	a := (&ikemsg.Message{Header: h, Payloads: payloads}).Marshal()
	g.send([][]byte{a})
	return a
}

// proof is the AUTH of a shared key (RFC 7296 section 2.15).
func (s *sa) proof(psk, message, nonce, key []byte, id *ikemsg.Identity) []byte {
	return s.prf.Sum(s.prf.Sum(psk, []byte("Key Pad for IKEv2")), message, nonce, s.prf.Sum(key, id.Signed()))
}

// prove answers IKE_AUTH: who the client is, who we are, and the first child.
func (g *Gateway) prove(now time.Time, s *sa, m *ikemsg.Message) (answer []ikemsg.Payload, after func()) {
	id, haveID := ikemsg.Get[*ikemsg.IDi](m.Payloads)
	auth, haveAuth := ikemsg.Get[*ikemsg.Auth](m.Payloads)
	offered, haveSA := ikemsg.Get[*ikemsg.SA](m.Payloads)
	l := s.login
	no := func(kind ikemsg.NotifyType) ([]ikemsg.Payload, func()) {
		g.stats.Refused++
		return notify(kind), func() { g.remove(s) }
	}
	switch {
	case !haveID || !haveAuth:
		return no(ikemsg.InvalidSyntax)
	case auth.Method != ikemsg.AuthSharedKey || !hmac.Equal(auth.Data, s.proof(g.o.PSK, l.request, l.nr, l.pi, &id.Identity)):
		return no(ikemsg.AuthenticationFailed)
	}
	answer = []ikemsg.Payload{
		&ikemsg.IDr{Identity: g.o.ID},
		&ikemsg.Auth{Method: ikemsg.AuthSharedKey, Data: s.proof(g.o.PSK, l.answer, l.ni, l.pr, &g.o.ID)},
	}
	// This client is here now, and not where it was before.
	s.proved, s.login, s.until, s.rekeyAt = true, nil, time.Time{}, after0(now, g.o.IKELifetime)
	g.sas = []*sa{s}
	g.children, g.retired, g.sending = nil, nil, nil
	g.stats.Logins++
	g.heard = now

	var theirs []netip.Prefix // what the client may be inside
	if c, ok := ikemsg.Get[*ikemsg.Config](m.Payloads); ok && c.Kind == ikemsg.ConfigRequest && !g.o.Faults.NoAddress {
		if len(g.o.Addresses) == 0 {
			return append(answer, notify(ikemsg.InternalAddressFailure)...), nil
		}
		for _, a := range g.o.Addresses {
			theirs = append(theirs, netip.PrefixFrom(a, a.BitLen()))
		}
		answer = append(answer, g.config())
	} else {
		theirs = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	if !haveSA { // RFC 6023
		return answer, nil
	}
	made, child, refusal := g.accept(now, s, m, offered, l.ni, l.nr, theirs, true)
	if refusal != nil {
		return append(answer, refusal...), nil
	}
	return append(answer, made...), func() {
		g.enter(child)
		if g.o.Faults.DeleteAtOnce {
			g.deleteChild(now, s, child)
		}
	}
}

// after0 is the time of something that happens after a while, if ever.
func after0(now time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d)
}

// config is what the client is given (RFC 7296 section 2.19).
func (g *Gateway) config() *ikemsg.Config {
	c := &ikemsg.Config{Kind: ikemsg.ConfigReply}
	for _, a := range g.o.Addresses {
		if a.Is4() {
			c.Attributes = append(c.Attributes, ikemsg.ConfigAttribute{Kind: ikemsg.InternalIP4Address, Value: a.AsSlice()})
		} else {
			c.Attributes = append(c.Attributes, ikemsg.ConfigAttribute{Kind: ikemsg.InternalIP6Address, Value: append(a.AsSlice(), 128)})
		}
	}
	for _, a := range g.o.DNS {
		kind := ikemsg.InternalIP4DNS
		if a.Is6() {
			kind = ikemsg.InternalIP6DNS
		}
		c.Attributes = append(c.Attributes, ikemsg.ConfigAttribute{Kind: kind, Value: a.AsSlice()})
	}
	return c
}
