package ikev2

import (
	"errors"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

const (
	// maxCookies is how often a gateway may ask for another cookie (RFC 7296
	// section 2.6), and natHash the length of a NAT detection (section 2.23).
	maxCookies = 4
	natHash    = 20
)

// initial is what IKE_SA_INIT needs (RFC 7296 section 1.2).
type initial struct {
	own     ikemsg.SPI
	nonce   []byte
	group   suite.Transform
	ke      suite.KeyExchange
	cookie  []byte
	cookies int
	groups  []uint16 // that were tried
	request *request
	message []byte // as it was sent last
	answer  []byte

	peerNonce []byte
	// signed is what IKE_INTERMEDIATE exchanges were, one after the other, as
	// each side sent them.
	signed, peerSigned []byte
	hashes             []ikemsg.HashAlgorithm // that the gateway knows signatures over (RFC 7427)
	rounds             bool                   // it takes more than one proof (RFC 4739)
	login              login
	nat                NATCheck
	otherVersion       uint8 // of IKE that an answer was of; 0: none was
	childless          bool  // it makes an IKE SA without a child (RFC 6023)
}

// begin sends IKE_SA_INIT.
func (m *Machine) begin(now time.Time) error {
	var err error
	f := &m.first
	if f.own, err = m.ikeSPI(); err != nil {
		return err
	}
	if f.nonce, err = m.bytes(nonceSize); err != nil {
		return err
	}
	groups := m.config.IKE[0].Of(suite.TypeKeyExchange)
	if len(groups) == 0 {
		return fault.New(fault.Config, "the proposal %s has no key exchange", m.config.IKE[0])
	}
	m.state = asking
	return m.beginWith(now, groups[0])
}

// beginWith sends IKE_SA_INIT with a key of a group.
func (m *Machine) beginWith(now time.Time, group suite.Transform) error {
	f := &m.first
	if f.ke == nil || f.group != group {
		var err error
		if f.ke, err = suite.NewKeyExchange(group, m.random); err != nil {
			return err
		}
		f.group = group
		f.groups = append(f.groups, group.ID)
	}
	hashes, err := m.noAddresses()
	if err != nil {
		return err
	}
	var payloads []ikemsg.Payload
	if f.cookie != nil {
		payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.Cookie, Data: f.cookie})
	}
	payloads = append(payloads,
		offer(m.config.IKE, nil),
		&ikemsg.KE{Group: group.ID, Data: f.ke.Public()},
		&ikemsg.Nonce{Data: f.nonce},
	)
	payloads = append(payloads, hashes...)
	payloads = append(payloads,
		&ikemsg.Notify{Kind: ikemsg.IKEv2FragmentationSupported},
		ikemsg.NewHashAlgorithms(ikemsg.HashSHA256, ikemsg.HashSHA384, ikemsg.HashSHA512, ikemsg.HashIdentity),
	)
	if m.hasFurther() {
		payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.IntermediateExchangeSupported})
	}
	msg := &ikemsg.Message{Header: ikemsg.Header{InitiatorSPI: f.own, Exchange: ikemsg.IKESAInit, Flags: ikemsg.FlagInitiator}, Payloads: payloads}
	f.message = msg.Marshal()
	f.request = &request{exchange: ikemsg.IKESAInit, datagrams: [][]byte{f.message}, began: now, wait: firstWait, patience: m.config.FirstPatience, lost: func() error {
		err := fault.New(fault.IKE, "the gateway has not answered IKE_SA_INIT for %v, asked %d times", m.config.FirstPatience, f.request.tries)
		if f.otherVersion != 0 {
			return err.WithHint("something there answers in version %d of IKE: the gateway may have no IKEv2, or not for us", f.otherVersion)
		}
		return err.WithHint("check the gateway's address, and that UDP ports 500 and 4500 reach it; a gateway that does not know us may keep silent, too")
	}}
	m.send(now, f.request)
	return nil
}

// heardOther notes an answer of another version of IKE (RFC 7296 section 2.5).
// Nobody has authenticated it, so that it is a hint and no more.
func (f *initial) heardOther(datagram []byte, err error) {
	var bad *ikemsg.Error
	h, headErr := ikemsg.ParseHeader(datagram)
	if errors.As(err, &bad) && bad.Kind == ikemsg.OtherVersion && headErr == nil && h.InitiatorSPI == f.own {
		f.otherVersion = h.Version >> 4
	}
}

// hasFurther reports whether more than one key exchange is offered for the IKE
// SA.
func (m *Machine) hasFurther() bool {
	return slices.ContainsFunc(m.config.IKE, func(p suite.Proposal) bool {
		return slices.ContainsFunc(p.Transforms, func(t suite.Transform) bool { return t.Type >= suite.TypeAdditionalKE1 && t.ID != suite.KENone })
	})
}

// offer makes the SA payload of proposals, which all have the same SPI.
func offer(proposals []suite.Proposal, spi []byte) *ikemsg.SA {
	sa := &ikemsg.SA{}
	for i, p := range proposals {
		one := ikemsg.Proposal{Number: uint8(i + 1), Protocol: ikemsg.ProtocolID(p.Protocol), SPI: spi}
		for _, t := range p.Transforms {
			one.Transforms = append(one.Transforms, ikemsg.Transform{Type: ikemsg.TransformType(t.Type), ID: t.ID, KeyBits: t.KeyBits})
		}
		sa.Proposals = append(sa.Proposals, one)
	}
	return sa
}

// transforms are those of a proposal in suite's words. One with an attribute
// that nobody knows is of no use.
func transforms(p ikemsg.Proposal) ([]suite.Transform, bool) {
	var all []suite.Transform
	for _, t := range p.Transforms {
		if len(t.Attributes) > 0 {
			return nil, false
		}
		all = append(all, suite.Transform{Type: suite.Type(t.Type), ID: t.ID, KeyBits: t.KeyBits})
	}
	return all, true
}

// chosen reads what the gateway chose of proposals, and its SPI.
func chosen(payloads []ikemsg.Payload, of []suite.Proposal, spiSize int) (suite.Suite, []byte, error) {
	sa, ok := ikemsg.Get[*ikemsg.SA](payloads)
	if !ok || len(sa.Proposals) != 1 {
		return suite.Suite{}, nil, fault.New(fault.IKE, "the gateway's answer has no single proposal")
	}
	p := sa.Proposals[0]
	n := int(p.Number)
	if n < 1 || n > len(of) || suite.Protocol(p.Protocol) != of[n-1].Protocol || len(p.SPI) != spiSize {
		return suite.Suite{}, nil, fault.New(fault.IKE, "the gateway chose proposal %d for %v with an SPI of %d bytes, which was not offered", n, p.Protocol, len(p.SPI))
	}
	all, ok := transforms(p)
	if !ok {
		return suite.Suite{}, nil, fault.New(fault.IKE, "the gateway chose a transform with attributes that were not offered")
	}
	s, err := of[n-1].Choose(all)
	return s, p.SPI, err
}

// handleInit takes the answer to IKE_SA_INIT, which nobody has authenticated
// yet.
func (m *Machine) handleInit(now time.Time, msg *ikemsg.Message, datagram []byte) error {
	f := &m.first
	if msg.InitiatorSPI != f.own || !msg.Response() || msg.FromInitiator() || msg.Exchange != ikemsg.IKESAInit || msg.MessageID != 0 {
		return nil
	}
	if n, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.Cookie); ok {
		if f.cookies++; f.cookies > maxCookies {
			return fault.New(fault.IKE, "the gateway has asked for a cookie %d times", f.cookies)
		}
		f.cookie = slices.Clone(n.Data)
		return m.beginWith(now, f.group)
	}
	if n, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.InvalidKEPayload); ok {
		return m.otherGroup(now, n)
	}
	if err := m.refused(msg.Payloads); err != nil {
		return err
	}
	return m.agree(now, msg, datagram)
}

// otherGroup begins again with the group that the gateway wants, if it was
// offered and not tried.
func (m *Machine) otherGroup(now time.Time, n *ikemsg.Notify) error {
	id, ok := n.Group()
	if !ok {
		return fault.New(fault.IKE, "the gateway wants another key exchange, and does not say which")
	}
	if slices.Contains(m.first.groups, id) {
		return fault.New(fault.IKE, "the gateway wants key exchange %d again, which it was given", id)
	}
	for _, p := range m.config.IKE {
		for _, t := range p.Of(suite.TypeKeyExchange) {
			if t.ID == id {
				m.note(Debug, "the gateway wants another key exchange", "group", t.String())
				return m.beginWith(now, t)
			}
		}
	}
	wanted := suite.Transform{Type: suite.TypeKeyExchange, ID: id}
	return fault.New(fault.IKE, "the gateway wants %s as key exchange, which was not offered", wanted).AsPermanent().
		WithHint("add it to the link's `ike` proposals")
}

// agree makes the IKE SA of the gateway's answer, and goes on with IKE_AUTH.
func (m *Machine) agree(now time.Time, msg *ikemsg.Message, datagram []byte) error {
	f := &m.first
	s, _, err := chosen(msg.Payloads, m.config.IKE, 0)
	if err != nil {
		return err
	}
	ke, haveKE := ikemsg.Get[*ikemsg.KE](msg.Payloads)
	nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](msg.Payloads)
	switch {
	case !haveKE || !haveNonce || msg.ResponderSPI.IsZero():
		return fault.New(fault.IKE, "the gateway's answer to IKE_SA_INIT lacks a key, a nonce or its SPI")
	case ke.Group != s.KeyExchange.ID || s.KeyExchange.ID != f.group.ID:
		return fault.New(fault.IKE, "the gateway chose %s and answered with key exchange %d", s.KeyExchange, ke.Group)
	}
	shared, err := f.ke.Shared(ke.Data)
	if err != nil {
		return err
	}
	prf, err := suite.NewPRF(s.PRF)
	if err != nil {
		return err
	}
	f.answer, f.peerNonce = slices.Clone(datagram), slices.Clone(nonce.Data)
	sa := &association{initiator: true, own: f.own, peer: msg.ResponderSPI, suite: s, nextID: 1}
	seed := prf.Sum(prf.NonceKey(f.nonce, f.peerNonce), shared)
	if sa.keys, err = derive(s, true, seed, f.nonce, f.peerNonce, f.own, msg.ResponderSPI); err != nil {
		return err
	}
	if _, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.IKEv2FragmentationSupported); ok {
		sa.fragments = m.config.MaxDatagram
	}
	if n, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.SignatureHashAlgorithms); ok {
		f.hashes = n.HashAlgorithms()
	}
	_, f.rounds = ikemsg.FindNotify(msg.Payloads, ikemsg.MultipleAuthSupported)
	f.nat = natCheck(msg)
	if _, f.childless = ikemsg.FindNotify(msg.Payloads, ikemsg.ChildlessIKEv2Supported); m.config.Childless && !f.childless {
		return fault.New(fault.IKE, "the gateway does not make an IKE SA without ESP (RFC 6023)").AsPermanent().
			WithHint("leave the link's `childless` out, or allow it at the gateway")
	}
	m.sas = []*association{sa}
	m.state = proving
	f.request = nil
	m.note(Debug, "agreed with the gateway", "suite", s.String())
	if !m.config.Port4500 {
		m.do(Float{})
	}
	if _, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.IntermediateExchangeSupported); !ok && len(s.Additional) > 0 {
		return fault.New(fault.IKE, "the gateway chose %s, and has no IKE_INTERMEDIATE to do it in", s)
	}
	return m.further(now, sa, s.Additional)
}

// refused explains an answer that says that something is not as the gateway
// wants it. It is nil if there is no such word.
func (m *Machine) refused(payloads []ikemsg.Payload) error {
	for _, n := range ikemsg.All[*ikemsg.Notify](payloads) {
		if err := m.explain(n); err != nil {
			return err
		}
	}
	return nil
}

// redirected explains a gateway that sends us to another one (RFC 5685). We have
// not said that we follow, and do not.
func redirected(n *ikemsg.Notify) error {
	err := fault.New(fault.IKE, "the gateway sends us to another gateway").AsPermanent()
	if to, ok := n.RedirectedTo(); ok {
		return err.WithHint("it is %s: if that is yours, set the link's `gateway` to it", to)
	}
	return err.WithHint("its log says which, for the link's `gateway`")
}

// firstStatus is the first notification that is no error (RFC 7296 section
// 3.10.1).
const firstStatus = 16384

func (m *Machine) explain(n *ikemsg.Notify) error {
	if n.Kind == ikemsg.Redirect {
		return redirected(n)
	}
	if n.Kind >= firstStatus {
		return nil
	}
	switch n.Kind { //nolint:exhaustive // the others say all that there is to say
	case ikemsg.NoProposalChosen:
		offered, key := m.config.IKE, "ike"
		if m.state != asking {
			offered, key = m.config.ESP, "esp"
		}
		return fault.New(fault.IKE, "the gateway takes none of what was offered for %s: %s", strings.ToUpper(key), written(offered)).AsPermanent().
			WithHint("give the link an `%s` proposal that the gateway has; its log names what it wants", key)
	case ikemsg.AuthenticationFailed:
		return m.notLetIn()
	case ikemsg.TSUnacceptable:
		return fault.New(fault.IKE, "the gateway has no policy for the networks %s", prefixes(m.config.Networks)).AsPermanent().
			WithHint("the link's `networks` and `address` must be what the gateway has for us")
	case ikemsg.InternalAddressFailure, ikemsg.FailedCPRequired:
		return fault.New(fault.IKE, "the gateway has no inner address for us (%v)", n.Kind).
			WithHint("its pool is exhausted, or it has none: give the link an `address`")
	case ikemsg.InvalidSyntax:
		if m.first.childless && !m.config.Childless { // in the login
			return fault.New(fault.IKE, "the gateway refuses: %v", n.Kind).
				WithHint("perhaps it agrees on ESP after the login only: try `childless: true` in the link")
		}
	}
	return fault.New(fault.IKE, "the gateway refuses: %v", n.Kind)
}

func written(proposals []suite.Proposal) string {
	var all []string
	for _, p := range proposals {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}
