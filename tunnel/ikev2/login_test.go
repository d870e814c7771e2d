package ikev2

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A peer is a gateway that a test speaks for, word by word.
type peer struct {
	t       *testing.T
	m       *Machine
	sa      *association
	psk     []byte
	message []byte // the client's first one
	answer  []byte
	ni, nr  []byte

	request *ikemsg.Message // what the client asks now
	last    *ikemsg.Message // what it said and waits for nothing
	up      bool
	ended   bool
	err     error
}

func gatewayID() ikemsg.Identity {
	return ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("gw.test")}
}

// meet starts a machine and answers IKE_SA_INIT with some notifications.
func meet(t *testing.T, c Config, notes ...ikemsg.Payload) *peer {
	t.Helper()
	parse := func(p suite.Protocol, text string) suite.Proposal {
		one, err := suite.Parse(p, text)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	ike := parse(suite.IKE, "aes128gcm16-prfsha256-x25519")
	c.IKE, c.ESP = []suite.Proposal{ike}, []suite.Proposal{parse(suite.ESP, "aes128gcm16")}
	c.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
	if c.Local.Kind == 0 && c.Certificate == nil {
		c.Local = ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")}
	}
	m, err := New(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, m: m, psk: []byte("secret")}
	t.Cleanup(func() { m.Close(midnight()) })
	for _, a := range m.Start(midnight()) {
		if s, ok := a.(Send); ok {
			p.message = s.Datagram
		}
	}
	first, err := ikemsg.Parse(p.message)
	if err != nil {
		t.Fatal(err)
	}
	ke, _ := ikemsg.Get[*ikemsg.KE](first.Payloads)
	nonce, _ := ikemsg.Get[*ikemsg.Nonce](first.Payloads)
	public, shared, err := suite.Respond(ike.Of(suite.TypeKeyExchange)[0], rand.Reader, ke.Data)
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := ike.Choose(ike.Transforms)
	if err != nil {
		t.Fatal(err)
	}
	p.ni, p.nr = nonce.Data, bytes.Repeat([]byte{9}, 32)
	p.sa = &association{own: ikemsg.SPI{1, 2, 3, 4, 5, 6, 7, 8}, peer: first.InitiatorSPI, suite: chosen}
	prf, err := suite.NewPRF(chosen.PRF)
	if err != nil {
		t.Fatal(err)
	}
	seed := prf.Sum(prf.NonceKey(p.ni, p.nr), shared)
	if p.sa.keys, err = derive(chosen, false, seed, p.ni, p.nr, first.InitiatorSPI, p.sa.own); err != nil {
		t.Fatal(err)
	}
	reply := &ikemsg.Message{
		Header:   ikemsg.Header{InitiatorSPI: first.InitiatorSPI, ResponderSPI: p.sa.own, Exchange: ikemsg.IKESAInit, Flags: ikemsg.FlagResponse},
		Payloads: append([]ikemsg.Payload{offer(c.IKE, nil), &ikemsg.KE{Group: ke.Group, Data: public}, &ikemsg.Nonce{Data: p.nr}}, notes...),
	}
	p.answer = reply.Marshal()
	p.hear(m.Handle(midnight(), p.answer))
	return p
}

// hear takes what the machine does.
func (p *peer) hear(actions []Action) {
	p.t.Helper()
	p.request = nil
	for _, a := range actions {
		switch a := a.(type) {
		case Send:
			msg, err := ikemsg.Parse(a.Datagram)
			if err != nil {
				p.t.Fatal(err)
			}
			if p.request, err = p.sa.reassembly.Open(msg, a.Datagram, p.sa.inbound); err != nil {
				p.t.Fatal(err)
			}
			p.last = p.request
		case Established:
			p.up = true
		case Ended:
			p.ended, p.err = true, a.Err
		}
	}
}

// say answers what the client asks.
func (p *peer) say(payloads ...ikemsg.Payload) {
	p.t.Helper()
	if p.request == nil || p.ended {
		p.t.Fatalf("nothing was asked; the end: %v", p.err)
	}
	datagrams, err := p.sa.seal(p.sa.header(p.request.Exchange, p.request.MessageID, true), payloads)
	if err != nil {
		p.t.Fatal(err)
	}
	var actions []Action
	for _, d := range datagrams {
		actions = append(actions, p.m.Handle(midnight(), d)...)
	}
	p.hear(actions)
}

func (p *peer) octets() []byte { return p.sa.octets(p.answer, p.ni, gatewayID(), p.sa.ownAuth) }

func (p *peer) id() ikemsg.Payload { return &ikemsg.IDr{Identity: gatewayID()} }

// proof is by a secret, or by the gateway's pre-shared key.
func (p *peer) proof(secret []byte) ikemsg.Payload {
	if secret == nil {
		secret = p.psk
	}
	return &ikemsg.Auth{Method: ikemsg.AuthSharedKey, Data: p.sa.proof(secret, p.octets())}
}

// signed is a certificate with the proof by a key, which should be its own.
func (p *peer) signed(c *issued, key crypto.Signer) []ikemsg.Payload {
	p.t.Helper()
	auth, err := (&Certificate{Chain: []*x509.Certificate{c.Certificate}, Key: key}).ownAuth([]ikemsg.HashAlgorithm{ikemsg.HashSHA256}, p.octets(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	return []ikemsg.Payload{p.id(), &ikemsg.Cert{Encoding: ikemsg.CertX509Signature, Data: c.Raw}, auth}
}

// child is what the last answer has besides.
func (p *peer) child() []ikemsg.Payload {
	esp := offer([]suite.Proposal{p.m.config.ESP[0].WithoutKeyExchange()}, binary.BigEndian.AppendUint32(nil, 0xabcdef))
	inner := selectors([]netip.Prefix{netip.MustParsePrefix("10.88.0.1/32")})
	return []ikemsg.Payload{
		&ikemsg.Config{Kind: ikemsg.ConfigReply, Attributes: []ikemsg.ConfigAttribute{{Kind: ikemsg.InternalIP4Address, Value: []byte{10, 88, 0, 1}}}},
		esp, &ikemsg.TSi{Selectors: inner}, &ikemsg.TSr{Selectors: selectors(p.m.config.Networks)},
	}
}

// clientProof checks the client's proof by a secret.
func (p *peer) clientProof(secret []byte) {
	p.t.Helper()
	auth, ok := ikemsg.Get[*ikemsg.Auth](p.request.Payloads)
	want := p.sa.proof(secret, p.sa.octets(p.message, p.nr, p.m.config.Local, p.sa.peerAuth))
	if !ok || auth.Method != ikemsg.AuthSharedKey || !bytes.Equal(auth.Data, want) {
		p.t.Errorf("the client's proof does not fit: %v", auth)
	}
}

// isUp checks that the client is in.
func (p *peer) isUp() {
	p.t.Helper()
	if !p.up || p.ended {
		p.t.Errorf("up %v, ended %v: %v", p.up, p.ended, p.err)
	}
}

// refuses checks that the client has ended for a reason, and has told so.
func (p *peer) refuses(says string) {
	p.t.Helper()
	if !p.ended || p.up {
		p.t.Fatal("it goes on")
	}
	if p.err == nil || !strings.Contains(p.err.Error(), says) {
		p.t.Errorf("%v, want %q", p.err, says)
	}
	if n, ok := ikemsg.FindNotify(p.last.Payloads, ikemsg.AuthenticationFailed); !ok || p.last.Exchange != ikemsg.Informational {
		p.t.Errorf("the gateway was told %v, %v", p.last.Exchange, n)
	}
}

func packet(p *ikemsg.EAP) ikemsg.Payload { return p }

func withPSK() Config { return Config{PSK: []byte("secret")} }

func withEAP(methods ...ikemsg.EAPType) Config {
	return Config{RemotePSK: []byte("secret"), EAP: &EAP{User: "alice", Password: []byte("wonderland"), Methods: methods}}
}

// TestFirstAuth looks at what the first IKE_AUTH says.
func TestFirstAuth(t *testing.T) {
	p := meet(t, withPSK())
	p.clientProof([]byte("secret"))
	for _, payload := range p.request.Payloads {
		switch payload := payload.(type) {
		case *ikemsg.IDr, *ikemsg.Cert, *ikemsg.CertReq:
			t.Errorf("it has %v", payload.Type())
		case *ikemsg.Notify:
			if payload.Kind == ikemsg.InitialContact || payload.Kind == ikemsg.EAPOnlyAuthentication || payload.Kind == ikemsg.AnotherAuthFollows {
				t.Errorf("it has %v", payload.Kind)
			}
		}
	}
	root := issue(t, "ca root", nil, nil)
	road := issue(t, "road", root, nil)
	remote := gatewayID()
	c := Config{
		Remote: &remote, Trust: &Trust{CAs: []*x509.Certificate{root.Certificate}}, InitialContact: true,
		Certificate: &Certificate{Chain: []*x509.Certificate{road.Certificate, root.Certificate}, Key: road.key},
	}
	p = meet(t, c, ikemsg.NewHashAlgorithms(ikemsg.HashSHA512))
	var kinds []ikemsg.PayloadType
	for _, payload := range p.request.Payloads {
		kinds = append(kinds, payload.Type())
	}
	want := []ikemsg.PayloadType{
		ikemsg.PayloadIDi, ikemsg.PayloadCert, ikemsg.PayloadNotify, ikemsg.PayloadCertReq, ikemsg.PayloadIDr, ikemsg.PayloadAuth, ikemsg.PayloadConfig,
		ikemsg.PayloadNotify, ikemsg.PayloadSA, ikemsg.PayloadTSi, ikemsg.PayloadTSr,
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("%v", kinds)
	}
	id, _ := ikemsg.Get[*ikemsg.IDi](p.request.Payloads)
	auth, _ := ikemsg.Get[*ikemsg.Auth](p.request.Payloads)
	if id.Kind != ikemsg.IDName || !bytes.Equal(id.Data, road.RawSubject) {
		t.Errorf("without a name it is %s", shownIdentity(id.Identity))
	}
	if _, err := signedBy(road.key.Public(), auth, p.sa.octets(p.message, p.nr, id.Identity, p.sa.peerAuth)); err != nil {
		t.Error(err)
	}
	if _, ok := ikemsg.FindNotify(p.request.Payloads, ikemsg.InitialContact); !ok {
		t.Error("no INITIAL_CONTACT")
	}
	p.say(append(p.signed(road, road.key), p.child()...)...) // the road's certificate has the gateway's name in this test
	p.isUp()
}

// TestEAPLogin goes through EAP with keys and without, alone and as the second
// proof.
func TestEAPLogin(t *testing.T) {
	success := &ikemsg.EAP{Code: ikemsg.EAPSuccess}
	t.Run("no key", func(t *testing.T) {
		p := meet(t, withEAP(ikemsg.EAPGTC))
		p.say(p.id(), p.proof(nil), packet(ask(ikemsg.EAPIdentity)))
		p.say(ask(ikemsg.EAPGTC, '?'))
		if r, _ := ikemsg.Get[*ikemsg.EAP](p.request.Payloads); string(r.Data) != "wonderland" {
			t.Errorf("%v", r)
		}
		p.say(success)
		p.clientProof(p.sa.peerAuth)
		p.say(append(p.child(), p.proof(p.sa.ownAuth))...)
		p.isUp()
	})
	key := func(t *testing.T, p *peer) []byte {
		t.Helper()
		s := &server{password: "wonderland"}
		p.say(s.ask())
		response, _ := ikemsg.Get[*ikemsg.EAP](p.request.Payloads)
		_, verdict := s.verdict(t, response)
		p.say(verdict)
		p.say(success)
		return mschapKey(s.hash, s.response)
	}
	t.Run("with a key", func(t *testing.T) {
		p := meet(t, withEAP(ikemsg.EAPMSCHAPv2))
		p.say(p.id(), p.proof(nil), packet(ask(ikemsg.EAPIdentity)))
		msk := key(t, p)
		p.clientProof(msk)
		p.say(append(p.child(), p.proof(msk))...)
		p.isUp()
	})
	t.Run("second", func(t *testing.T) {
		c := withEAP(ikemsg.EAPMSCHAPv2)
		c.PSK, c.RemotePSK = c.RemotePSK, nil
		p := meet(t, c, &ikemsg.Notify{Kind: ikemsg.MultipleAuthSupported})
		p.clientProof(p.psk)
		if _, ok := ikemsg.FindNotify(p.request.Payloads, ikemsg.AnotherAuthFollows); !ok {
			t.Error("no ANOTHER_AUTH_FOLLOWS")
		}
		p.say(p.id(), p.proof(nil))
		if _, ok := ikemsg.Get[*ikemsg.IDi](p.request.Payloads); !ok || len(p.request.Payloads) != 1 {
			t.Errorf("the second login begins with %v", p.request.Payloads)
		}
		msk := key(t, p)
		p.clientProof(msk)
		p.say(append(p.child(), p.proof(msk))...)
		p.isUp()
	})
	t.Run("another key", func(t *testing.T) {
		p := meet(t, withEAP(ikemsg.EAPMSCHAPv2))
		p.say(p.id(), p.proof(nil), packet(ask(ikemsg.EAPIdentity)))
		key(t, p)
		p.say(append(p.child(), p.proof(p.sa.ownAuth))...) // as if there were none
		p.refuses("the gateway does not have the key that EAP has made")
	})
}

// TestBadGateway is let in by gateways that do not prove who they are, and ends.
func TestBadGateway(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	gate := issue(t, "gate", root, nil)
	trust := &Trust{CAs: []*x509.Certificate{root.Certificate}, Name: &ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("gw.test")}}
	eapTrust := Config{Trust: trust, EAP: &EAP{User: "alice", Password: []byte("wonderland")}}
	tlsOnly := Config{Trust: trust, EAP: &EAP{User: "alice", Certificate: &Certificate{Chain: []*x509.Certificate{gate.Certificate}, Key: gate.key}}}
	elsewhere := tlsOnly
	elsewhere.EAP = &EAP{User: "alice", Certificate: tlsOnly.EAP.Certificate, Server: &ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("radius.test")}}
	question := packet(ask(ikemsg.EAPIdentity))
	for name, tt := range map[string]struct {
		config Config
		says   func(p *peer) []ikemsg.Payload
		want   string
	}{
		"another key": {withPSK(), func(p *peer) []ikemsg.Payload { return append(p.child(), p.id(), p.proof([]byte("guess"))) }, "the gateway does not have our pre-shared key"},
		"no key":      {withPSK(), func(p *peer) []ikemsg.Payload { return append(p.child(), p.id(), p.proof([]byte{})) }, "the gateway does not have our pre-shared key"},
		"our own proof": {withPSK(), func(p *peer) []ikemsg.Payload {
			a, _ := ikemsg.Get[*ikemsg.Auth](p.request.Payloads)
			return append(p.child(), p.id(), a)
		}, "the gateway does not have our pre-shared key"},
		"NULL": {withPSK(), func(p *peer) []ikemsg.Payload {
			return append(p.child(), p.id(), &ikemsg.Auth{Method: ikemsg.AuthNull, Data: p.proof(nil).(*ikemsg.Auth).Data})
		}, "by NULL, and not by the pre-shared key"},
		"no proof":    {withPSK(), func(p *peer) []ikemsg.Payload { return append(p.child(), p.id()) }, "does not prove who it is"},
		"no identity": {withPSK(), func(p *peer) []ikemsg.Payload { return append(p.child(), p.proof(nil)) }, "does not say who it is"},
		"twice": {withPSK(), func(p *peer) []ikemsg.Payload {
			return []ikemsg.Payload{p.id(), p.proof(nil), &ikemsg.Notify{Kind: ikemsg.AnotherAuthFollows}}
		}, "wants to prove itself twice"},
		"EAP besides":    {withPSK(), func(p *peer) []ikemsg.Payload { return []ikemsg.Payload{p.id(), p.proof(nil), question} }, "wants a login by EAP besides"},
		"EAP, no proof":  {withEAP(), func(p *peer) []ikemsg.Payload { return []ikemsg.Payload{p.id(), question} }, "does not prove who it is"},
		"TLS, no proof":  {eapTrust, func(p *peer) []ikemsg.Payload { return []ikemsg.Payload{p.id(), question} }, "does not prove who it is"},
		"TLS, then none": {tlsOnly, func(p *peer) []ikemsg.Payload { return append(p.child(), p.id()) }, "does not prove who it is"},
		"TLS elsewhere":  {elsewhere, func(p *peer) []ikemsg.Payload { return []ikemsg.Payload{p.id(), question} }, "does not prove who it is"},
		"no EAP":         {withEAP(), func(p *peer) []ikemsg.Payload { return append(p.child(), p.id(), p.proof(nil)) }, "does not log us in by EAP"},
		"key for a CA":   {eapTrust, func(p *peer) []ikemsg.Payload { return []ikemsg.Payload{p.id(), p.proof(nil), question} }, "by a pre-shared key, and not by a certificate"},
		"no certificate": {eapTrust, func(p *peer) []ikemsg.Payload {
			s := p.signed(gate, gate.key)
			return []ikemsg.Payload{s[0], s[2], question}
		}, "has sent no certificate"},
		"certificate cut": {eapTrust, func(p *peer) []ikemsg.Payload {
			s := p.signed(gate, gate.key)
			s[1].(*ikemsg.Cert).Data = gate.Raw[:80]
			return append(s, question)
		}, "certificate 1 of the gateway cannot be read"},
		"another's key": {eapTrust, func(p *peer) []ikemsg.Payload { return append(p.signed(gate, root.key), question) }, "the gateway does not have the key of its certificate"},
		"no issuer": {eapTrust, func(p *peer) []ikemsg.Payload {
			c := issue(t, "gate", nil, nil)
			return append(p.signed(c, c.key), question)
		}, "none of the CAs given vouches for"},
	} {
		t.Run(name, func(t *testing.T) {
			p := meet(t, tt.config)
			p.say(tt.says(p)...)
			p.refuses(tt.want)
			if name != "no identity" && (!fault.Is(p.err, fault.GatewayLogin) || fault.Transient(p.err)) {
				t.Errorf("it is tried again: %v", p.err)
			}
		})
	}
	t.Run("a proof that is good", func(t *testing.T) {
		p := meet(t, eapTrust)
		p.say(append(p.signed(gate, gate.key), question)...)
		if p.ended {
			t.Error(p.err)
		}
	})
	t.Run("EAP for ever", func(t *testing.T) {
		p := meet(t, withEAP())
		p.say(p.id(), p.proof(nil), question)
		rounds := 0
		for ; !p.ended && rounds < 1000; rounds++ {
			p.say(question)
		}
		p.refuses("EAP does not end")
		if rounds > maxRounds {
			t.Errorf("%d rounds", rounds)
		}
	})
	t.Run("closed in EAP-TLS", func(t *testing.T) {
		p := meet(t, tlsOnly)
		p.say(p.id(), ask(ikemsg.EAPTLS, 0x20))
		method, ok := p.m.first.login.eap.method.(*eapTLS)
		if !ok || method.over {
			t.Fatal("there is no handshake")
		}
		p.hear(p.m.Close(midnight()))
		if !method.over || !p.ended {
			t.Error("the handshake goes on")
		}
	})
	t.Run("one proof only", func(t *testing.T) {
		c := withEAP()
		c.PSK, c.RemotePSK = c.RemotePSK, nil
		if p := meet(t, c); !p.ended || !fault.Is(p.err, fault.GatewayLogin) || !strings.Contains(p.err.Error(), "takes one proof only") {
			t.Error(p.err)
		}
	})
	t.Run("no child", func(t *testing.T) {
		p := meet(t, withPSK())
		p.say(p.id(), p.proof(nil), &ikemsg.Notify{Kind: ikemsg.TSUnacceptable})
		if d, ok := ikemsg.Get[*ikemsg.Delete](p.last.Payloads); !p.ended || !fault.Is(p.err, fault.IKE) || !ok || d.Protocol != ikemsg.ProtocolIKE {
			t.Errorf("%v, and the gateway was told %v", p.err, p.last.Payloads)
		}
	})
}

// TestProofs refuses configs that would log in to anybody.
func TestProofs(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	gate := issue(t, "gate", root, nil)
	cas := []*x509.Certificate{root.Certificate}
	own := &Certificate{Chain: []*x509.Certificate{gate.Certificate}, Key: gate.key}
	password := &EAP{User: "alice", Password: []byte("x")}
	id := gatewayID()
	key := []byte("x")
	for name, c := range map[string]Config{
		"nothing":             {},
		"gateway by nothing":  {EAP: password},
		"certificate alone":   {Certificate: own},
		"two proofs":          {PSK: key, Certificate: own, Trust: &Trust{CAs: cas, Name: &id}},
		"two of the gateway":  {PSK: key, RemotePSK: key, Trust: &Trust{CAs: cas, Name: &id}},
		"empty key":           {PSK: []byte{}},
		"empty remote key":    {PSK: key, RemotePSK: []byte{}},
		"no CA":               {PSK: key, Trust: &Trust{Name: &id}},
		"anybody of the CA":   {PSK: key, Trust: &Trust{CAs: cas}},
		"EAP without a user":  {RemotePSK: key, EAP: &EAP{Password: key}},
		"EAP by nothing":      {RemotePSK: key, EAP: &EAP{User: "alice"}},
		"GTC, no password":    {RemotePSK: key, EAP: &EAP{User: "alice", Methods: []ikemsg.EAPType{ikemsg.EAPGTC}}},
		"TLS, no certificate": {Trust: &Trust{CAs: cas, Name: &id}, EAP: &EAP{User: "alice", Password: key, Methods: []ikemsg.EAPType{ikemsg.EAPTLS}}},
		"TLS without a CA":    {RemotePSK: key, EAP: &EAP{User: "alice", Certificate: own}},
		"TTLS":                {RemotePSK: key, EAP: &EAP{User: "alice", Password: key, Methods: []ikemsg.EAPType{ikemsg.EAPTTLS}}},
		"certificate, no key": {Certificate: &Certificate{Chain: cas}, RemotePSK: key},
		"no identity":         {PSK: key},
	} {
		if name != "no identity" {
			c.Local = ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")}
		}
		c.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
		if _, err := New(c, nil); !fault.Is(err, fault.Config) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if password.Methods != nil {
		t.Error("the caller's config was changed")
	}
}
