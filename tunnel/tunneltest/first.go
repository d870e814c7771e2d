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

	left                   []suite.Transform // the key exchanges that are to come
	signed, answeredSigned []byte            // of those that were: IntAuth_i and IntAuth_r of RFC 9242
	midBytes               []byte            // the message id of IKE_AUTH, where there were any
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
	further := chosen.suite.Additional
	if _, ok := ikemsg.FindNotify(m.Payloads, ikemsg.IntermediateExchangeSupported); !ok && len(further) > 0 {
		g.inClear(m, ikemsg.SPI{}, notify(ikemsg.NoProposalChosen))
		return
	}
	l := &login{request: bytes.Clone(datagram), ni: bytes.Clone(nonce.Data), nr: g.bytes(nonceSize), left: further}
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
	answer := []ikemsg.Payload{
		chosen.payload(nil),
		&ikemsg.KE{Group: want, Data: public},
		&ikemsg.Nonce{Data: l.nr},
		&ikemsg.Notify{Kind: ikemsg.NATDetectionSourceIP, Data: g.bytes(natHash)},
		&ikemsg.Notify{Kind: ikemsg.NATDetectionDestinationIP, Data: g.bytes(natHash)},
		&ikemsg.Notify{Kind: ikemsg.IKEv2FragmentationSupported},
		&ikemsg.Notify{Kind: ikemsg.ChildlessIKEv2Supported},
	}
	if len(further) > 0 {
		answer = append(answer, &ikemsg.Notify{Kind: ikemsg.IntermediateExchangeSupported})
	}
	l.answer = g.inClear(m, s.own, answer)
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
	l := s.login
	return s.prf.Sum(s.prf.Sum(psk, []byte("Key Pad for IKEv2")), message, nonce, s.prf.Sum(key, id.Signed()), l.signed, l.answeredSigned, l.midBytes)
}

// intermediate answers IKE_INTERMEDIATE with a further key exchange, by which all
// keys are made anew once the answer is sent (RFC 9370 section 2.2.2). What was
// said is proved in IKE_AUTH (RFC 9242 section 3.3.2).
func (g *Gateway) intermediate(s *sa, m *ikemsg.Message) (answer []ikemsg.Payload, after func()) {
	l := s.login
	ke, ok := ikemsg.Get[*ikemsg.KE](m.Payloads)
	if !ok || len(l.left) == 0 || ke.Group != l.left[0].ID {
		return notify(ikemsg.InvalidSyntax), nil
	}
	public, shared, err := suite.Respond(l.left[0], g.random, ke.Data)
	if err != nil {
		return notify(ikemsg.InvalidSyntax), nil
	}
	answer = []ikemsg.Payload{&ikemsg.KE{Group: ke.Group, Data: public}}
	return answer, func() {
		sent, err := ikemsg.IntermediateAuth(s.header(m.Exchange, m.MessageID, true), answer)
		g.fail(err)
		l.signed = s.prf.Sum(l.pi, l.signed, m.IntermediateAuth())
		l.answeredSigned = s.prf.Sum(l.pr, l.answeredSigned, sent)
		l.midBytes = binary.BigEndian.AppendUint32(nil, m.MessageID+1)
		l.left = l.left[1:]
		l.pi, l.pr, err = s.derive(s.prf.Sum(s.d, shared, l.ni, l.nr), l.ni, l.nr)
		g.fail(err)
	}
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
	case !haveID || !haveAuth || len(l.left) > 0:
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
	made, agreed, refusal := g.accept(s, m, offered, l.ni, l.nr, theirs, true)
	if refusal != nil {
		return append(answer, refusal...), nil
	}
	child, ok := agreed.make(now, nil)
	if !ok {
		return append(answer, notify(ikemsg.NoProposalChosen)...), nil
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
