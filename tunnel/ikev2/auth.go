package ikev2

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// A login is what IKE_AUTH needs from its first message to its last.
//
//	prove ---> met --+------------------------------> entered   a key or a certificate
//	                 |
//	                 +---> challenged ---> sealed --> entered   EAP, alone or as the second proof
type login struct {
	spi     uint32          // of the child, ours
	gateway ikemsg.Identity // who it says to be
	proved  bool            // and that it is
	eap     *conversation   // nil: none has begun
	key     []byte          // both prove with at the end of EAP
}

// stop ends what runs for it.
func (l *login) stop() { l.eap.stop() }

// prove sends the first IKE_AUTH: who we are, the proof of it unless that is by
// EAP, and what is to be carried (RFC 7296 section 1.2).
func (m *Machine) prove(now time.Time, sa *association) error {
	f, c := &m.first, &m.config
	var child []ikemsg.Payload
	if !c.Childless {
		var err error
		if f.login.spi, err = m.espSPI(); err != nil {
			return err
		}
		child = []ikemsg.Payload{m.offerChild(f.login.spi, false), &ikemsg.TSi{Selectors: m.local(nil)}, &ikemsg.TSr{Selectors: selectors(c.Networks)}}
	}
	twice := c.EAP != nil && (c.PSK != nil || c.Certificate != nil)
	if twice && !f.rounds {
		return fault.New(fault.GatewayLogin, "the gateway takes one proof only, and the link has two").AsPermanent().
			WithHint("leave out either the link's `eap`, or `psk` and `cert` beside it")
	}
	payloads := []ikemsg.Payload{&ikemsg.IDi{Identity: c.Local}}
	if c.Certificate != nil {
		if err := checkDates(now, c.Certificate.Chain[0], "link's certificate"); err != nil {
			return err
		}
		payloads = append(payloads, c.Certificate.payloads()...)
	}
	if c.InitialContact {
		payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.InitialContact})
	}
	if c.Trust != nil {
		payloads = append(payloads, c.Trust.request())
	}
	if c.Remote != nil {
		payloads = append(payloads, &ikemsg.IDr{Identity: *c.Remote})
	}
	octets := sa.octets(f.message, f.peerNonce, c.Local, sa.ownAuth)
	switch {
	case c.Certificate != nil:
		auth, err := c.Certificate.ownAuth(f.hashes, octets, m.random)
		if err != nil {
			return err
		}
		if auth.Method == ikemsg.AuthRSA {
			m.note(Warn, "the gateway knows signatures over SHA-1 only")
		}
		payloads = append(payloads, auth)
	case c.EAP == nil || twice:
		payloads = append(payloads, &ikemsg.Auth{Method: ikemsg.AuthSharedKey, Data: sa.proof(c.PSK, octets)})
	}
	if !c.Address.IsValid() {
		payloads = append(payloads, &ikemsg.Config{Kind: ikemsg.ConfigRequest, Attributes: []ikemsg.ConfigAttribute{
			{Kind: ikemsg.InternalIP4Address}, {Kind: ikemsg.InternalIP4DNS}, {Kind: ikemsg.InternalIP4Subnet},
			{Kind: ikemsg.InternalIP6Address}, {Kind: ikemsg.InternalIP6DNS}, {Kind: ikemsg.InternalIP6Subnet},
		}})
	}
	payloads = append(append(payloads, &ikemsg.Notify{Kind: ikemsg.MOBIKESupported}), child...)
	if c.EAP.mutual() && !twice {
		payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.EAPOnlyAuthentication})
	}
	if twice {
		payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.MultipleAuthSupported}, &ikemsg.Notify{Kind: ikemsg.AnotherAuthFollows})
	}
	return m.ask(now, sa, &request{exchange: ikemsg.IKEAuth, payloads: payloads, done: func(now time.Time, answer *ikemsg.Message) error {
		return m.met(now, sa, twice, answer)
	}})
}

// local are the selectors of our side: the address if there is one, and else
// any, which the gateway narrows to the one that it gives.
func (m *Machine) local(given []netip.Addr) []ikemsg.Selector {
	if m.config.Address.IsValid() {
		given = []netip.Addr{m.config.Address}
	}
	if len(given) == 0 {
		return selectors([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	}
	var all []ikemsg.Selector
	for _, a := range given {
		all = append(all, ikemsg.SelectorOf(netip.PrefixFrom(a, a.BitLen())))
	}
	return all
}

func selectors(networks []netip.Prefix) []ikemsg.Selector {
	var all []ikemsg.Selector
	for _, n := range networks {
		all = append(all, ikemsg.SelectorOf(n.Masked()))
	}
	return all
}

// met takes the answer to the first IKE_AUTH: who the gateway is.
func (m *Machine) met(now time.Time, sa *association, twice bool, answer *ikemsg.Message) error {
	l, c := &m.first.login, &m.config
	id, haveID := ikemsg.Get[*ikemsg.IDr](answer.Payloads)
	auth, haveAuth := ikemsg.Get[*ikemsg.Auth](answer.Payloads)
	if !haveID || !haveAuth {
		if err := m.refused(answer.Payloads); err != nil {
			return err
		}
	}
	if !haveID {
		return m.turnAway(sa, fault.New(fault.IKE, "the gateway's answer to IKE_AUTH does not say who it is"))
	}
	l.gateway = ikemsg.Identity{Kind: id.Kind, Reserved: id.Reserved, Data: slices.Clone(id.Data)}
	packet, haveEAP := ikemsg.Get[*ikemsg.EAP](answer.Payloads)
	switch {
	case haveAuth:
		if err := m.checkGateway(now, sa, auth, answer.Payloads); err != nil {
			return m.turnAway(sa, err)
		}
		l.proved = true
	case !haveEAP || !c.EAP.mutual() || twice:
		return m.turnAway(sa, fault.New(fault.GatewayLogin, "the gateway does not prove who it is").AsPermanent())
	}
	if _, more := ikemsg.FindNotify(answer.Payloads, ikemsg.AnotherAuthFollows); more {
		return m.turnAway(sa, fault.New(fault.GatewayLogin, "the gateway wants to prove itself twice, which is not done here").AsPermanent())
	}
	switch {
	case c.EAP == nil && haveEAP:
		return m.turnAway(sa, fault.New(fault.GatewayLogin, "the gateway wants a login by EAP besides").AsPermanent().
			WithHint("give the link's `local` an `eap` with user and password"))
	case c.EAP == nil:
		return m.entered(now, sa, answer)
	}
	l.eap = m.converse(now)
	if twice { // RFC 4739 section 2.2
		return m.ask(now, sa, &request{exchange: ikemsg.IKEAuth, payloads: []ikemsg.Payload{&ikemsg.IDi{Identity: c.Local}}, done: func(now time.Time, answer *ikemsg.Message) error {
			return m.challenged(now, sa, answer)
		}})
	}
	if !haveEAP {
		return m.turnAway(sa, fault.New(fault.GatewayLogin, "the gateway does not log us in by EAP").AsPermanent().
			WithHint("it has something else for this identity: a pre-shared key or a certificate"))
	}
	return m.eap(now, sa, packet)
}

// converse begins EAP.
func (m *Machine) converse(now time.Time) *conversation {
	c := &m.config
	conversation := &conversation{
		config: c.EAP, random: m.random, began: now,
		note: func(text string, args ...any) { m.note(Info, text, args...) },
	}
	conversation.tls = func() method {
		return newEAPTLS(c.EAP, m.random, func(now time.Time, s tls.ConnectionState) error {
			if err := c.Trust.check(now, s.PeerCertificates); err != nil {
				return err
			}
			if c.EAP.Server != nil {
				return isFor(s.PeerCertificates[0], *c.EAP.Server)
			}
			return c.Trust.checkIdentity(s.PeerCertificates[0], m.first.login.gateway, c.Remote)
		})
	}
	return conversation
}

// challenged takes the gateway's next packet of EAP.
func (m *Machine) challenged(now time.Time, sa *association, answer *ikemsg.Message) error {
	packet, ok := ikemsg.Get[*ikemsg.EAP](answer.Payloads)
	if !ok {
		if err := m.refused(answer.Payloads); err != nil {
			return err
		}
		return m.turnAway(sa, fault.New(fault.IKE, "the gateway's answer to IKE_AUTH has no EAP"))
	}
	return m.eap(now, sa, packet)
}

// eap answers a packet, or ends EAP with the proof that both sides have the key
// that it has made. A method without a key is bound by SK_p (RFC 7296 section
// 2.16).
func (m *Machine) eap(now time.Time, sa *association, packet *ikemsg.EAP) error {
	f := &m.first
	reply, done, key, err := f.login.eap.answer(now, packet)
	if err != nil {
		if packet.Code == ikemsg.EAPFailure {
			return err // the gateway has turned us away, and need not be told
		}
		return m.turnAway(sa, err)
	}
	if !done {
		return m.ask(now, sa, &request{exchange: ikemsg.IKEAuth, payloads: []ikemsg.Payload{reply}, done: func(now time.Time, answer *ikemsg.Message) error {
			return m.challenged(now, sa, answer)
		}})
	}
	f.login.stop()
	f.login.key = key
	if key == nil {
		key = sa.ownAuth
	}
	proof := sa.proof(key, sa.octets(f.message, f.peerNonce, m.config.Local, sa.ownAuth))
	payloads := []ikemsg.Payload{&ikemsg.Auth{Method: ikemsg.AuthSharedKey, Data: proof}}
	return m.ask(now, sa, &request{exchange: ikemsg.IKEAuth, payloads: payloads, done: func(now time.Time, answer *ikemsg.Message) error {
		return m.sealed(now, sa, answer)
	}})
}

// sealed takes the gateway's proof that it has made the same key by EAP.
func (m *Machine) sealed(now time.Time, sa *association, answer *ikemsg.Message) error {
	f := &m.first
	auth, ok := ikemsg.Get[*ikemsg.Auth](answer.Payloads)
	if !ok {
		if err := m.refused(answer.Payloads); err != nil {
			return err
		}
		return m.turnAway(sa, fault.New(fault.IKE, "the gateway's last answer to IKE_AUTH has no proof"))
	}
	key := f.login.key
	if key == nil {
		key = sa.peerAuth
	}
	want := sa.proof(key, sa.octets(f.answer, f.nonce, f.login.gateway, sa.peerAuth))
	if auth.Method != ikemsg.AuthSharedKey || !sameProof(auth.Data, want) {
		return m.turnAway(sa, fault.New(fault.GatewayLogin, "the gateway does not have the key that EAP has made").AsPermanent().
			WithHint("somebody may stand between the gateway and its login server, or it makes the key in another way"))
	}
	return m.entered(now, sa, answer)
}

// checkGateway holds the gateway's proof of who it is against what was given.
func (m *Machine) checkGateway(now time.Time, sa *association, auth *ikemsg.Auth, payloads []ikemsg.Payload) error {
	f, c := &m.first, &m.config
	octets := sa.octets(f.answer, f.nonce, f.login.gateway, sa.peerAuth)
	if c.Trust != nil {
		return m.checkSignature(now, auth, octets, payloads)
	}
	if auth.Method != ikemsg.AuthSharedKey {
		return fault.New(fault.GatewayLogin, "the gateway proves who it is by %v, and not by the pre-shared key", auth.Method).AsPermanent().
			WithHint("give the link's `remote` the `ca` of its certificate, in place of a `psk`")
	}
	psk := c.RemotePSK
	if psk == nil {
		psk = c.PSK
	}
	if !sameProof(auth.Data, sa.proof(psk, octets)) {
		return fault.New(fault.GatewayLogin, "the gateway does not have our pre-shared key").AsPermanent().
			WithHint("the key differs between here and there, or belongs to another identity")
	}
	if c.Remote != nil && !sameIdentity(f.login.gateway, *c.Remote) {
		return fault.New(fault.GatewayLogin, "the gateway is %s, and not %s", shownIdentity(f.login.gateway), shownIdentity(*c.Remote)).AsPermanent().
			WithHint("set the link's `remote: id` to who the gateway says to be, if it is the right one")
	}
	return nil
}

// checkSignature is checkGateway for a certificate.
func (m *Machine) checkSignature(now time.Time, auth *ikemsg.Auth, octets []byte, payloads []ikemsg.Payload) error {
	c := &m.config
	if auth.Method == ikemsg.AuthSharedKey {
		return fault.New(fault.GatewayLogin, "the gateway proves who it is by a pre-shared key, and not by a certificate").AsPermanent().
			WithHint("give the link's `remote` a `psk` in place of the `ca`, if it is to be the gateway's")
	}
	sent, err := received(payloads)
	if err != nil {
		return err
	}
	if err := c.Trust.check(now, sent); err != nil {
		return err
	}
	if err := c.Trust.checkIdentity(sent[0], m.first.login.gateway, c.Remote); err != nil {
		return err
	}
	weak, err := signedBy(sent[0].PublicKey, auth, octets)
	if err != nil {
		return fault.New(fault.GatewayLogin, "the gateway does not have the key of its certificate %s: %w", quotedName(sent[0]), err).AsPermanent().
			WithHint("somebody stands in between, or the gateway has another key than its certificate")
	}
	if weak {
		m.note(Warn, "the gateway signs over SHA-1, which is weak", "certificate", sent[0].Subject.String())
	}
	return nil
}

// turnAway tells the gateway that we do not go on with it (RFC 7296 section
// 2.21.2), once and without waiting for an answer.
func (m *Machine) turnAway(sa *association, err error) error {
	m.tell(sa, &ikemsg.Notify{Kind: ikemsg.AuthenticationFailed})
	return err
}

// tell sends a request of one payload that nobody waits for.
func (m *Machine) tell(sa *association, p ikemsg.Payload) {
	datagrams, err := sa.seal(sa.header(ikemsg.Informational, sa.nextID, false), []ikemsg.Payload{p})
	if err != nil {
		return
	}
	sa.nextID++
	for _, d := range datagrams {
		m.do(Send{d})
	}
}

// entered takes the last answer to IKE_AUTH: both have proved who they are, and
// the gateway says what is carried.
func (m *Machine) entered(now time.Time, sa *association, answer *ikemsg.Message) error {
	f, c := &m.first, &m.config
	m.state = up
	_, m.mobike = ikemsg.FindNotify(answer.Payloads, ikemsg.MOBIKESupported)
	m.schedule(now, sa)
	up := Established{Gateway: f.login.gateway, Suite: sa.suite, NAT: f.nat}
	if c.Address.IsValid() {
		up.Addresses = []netip.Addr{c.Address}
	}
	if cp, ok := ikemsg.Get[*ikemsg.Config](answer.Payloads); ok && cp.Kind == ikemsg.ConfigReply && !c.Address.IsValid() {
		given(&up, cp)
	}
	// The IKE SA is there, even if the gateway makes no child (section 1.2). It
	// is of no use then, and the gateway must not keep it.
	err := m.enterable(&up, answer)
	var child *Child
	if err == nil && !c.Childless {
		child, err = m.firstChild(now, sa, answer)
	}
	if err != nil {
		m.tell(sa, &ikemsg.Delete{Protocol: ikemsg.ProtocolIKE})
		return err
	}
	m.first, m.addresses, m.welcome = initial{}, up.Addresses, &up
	if c.Childless {
		return m.rekeyChild(now, sa, nil, 0)
	}
	m.begins(child)
	return nil
}

// begins takes a child into use. With the first one the tunnel is there.
func (m *Machine) begins(child *Child) {
	if m.welcome != nil {
		m.do(*m.welcome)
		m.welcome = nil
	}
	m.do(Install{child})
	m.use(child)
}

// enterable is nil if the gateway gives what a tunnel needs.
func (m *Machine) enterable(up *Established, answer *ikemsg.Message) error {
	if err := m.refused(answer.Payloads); err != nil {
		return err
	}
	if len(up.Addresses) == 0 {
		return fault.New(fault.IKE, "the gateway has given no inner address").AsPermanent().
			WithHint("give the link an `address` that the gateway expects, if it assigns none")
	}
	return nil
}

// firstChild makes the child that IKE_AUTH agreed on.
func (m *Machine) firstChild(now time.Time, sa *association, answer *ikemsg.Message) (*Child, error) {
	f := &m.first
	return m.newChild(now, sa, childTerms{spi: f.login.spi, answer: answer.Payloads, initiator: true, ni: f.nonce, nr: f.peerNonce, offered: m.childProposals(false)})
}

// given reads what the gateway assigns.
func given(up *Established, cp *ikemsg.Config) {
	const most = 16 // of each, from a gateway that cannot stop
	for _, a := range cp.Attributes {
		addr, isAddr := a.Address()
		prefix, isPrefix := a.Prefix()
		switch a.Kind { //nolint:exhaustive // the others were not asked for
		case ikemsg.InternalIP4Address, ikemsg.InternalIP6Address:
			if isAddr && !slices.Contains(up.Addresses, addr) && len(up.Addresses) < most && !addr.IsUnspecified() {
				up.Addresses = append(up.Addresses, addr)
			}
		case ikemsg.InternalIP4DNS, ikemsg.InternalIP6DNS:
			if isAddr && len(up.DNS) < most {
				up.DNS = append(up.DNS, addr)
			}
		case ikemsg.InternalIP4Subnet, ikemsg.InternalIP6Subnet:
			if isPrefix && len(up.Subnets) < most {
				up.Subnets = append(up.Subnets, prefix)
			}
		}
	}
}

func prefixes(all []netip.Prefix) string {
	var text []string
	for _, p := range all {
		text = append(text, p.String())
	}
	return strings.Join(text, ", ")
}
