package ikev2

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// A tlsServer is the other side of EAP-TLS: crypto/tls in a coroutine too, that
// sends in small parts.
type tlsServer struct {
	eapTLS
	part int
	last bool // it has sent all of its flight
	id   uint8
}

func newTLSServer(t *testing.T, config *tls.Config, commitment []byte) *tlsServer {
	t.Helper()
	s := &tlsServer{part: 100}
	s.next, s.end = iter.Pull(func(wait func(struct{}) bool) {
		c := tls.Server(&flights{&s.eapTLS, func() bool { return wait(struct{}{}) }}, config)
		s.outcome = c.Handshake()
		state := c.ConnectionState()
		if s.outcome == nil && state.Version == tls.VersionTLS13 {
			c.Write(commitment)
			key, err := state.ExportKeyingMaterial(labelTLS13, []byte{13}, 128)
			s.key, s.outcome = key[:64], err
		} else if s.outcome == nil {
			s.key, s.outcome = state.ExportKeyingMaterial(labelTLS12, nil, 64)
		}
		s.over = true
	})
	t.Cleanup(s.end)
	s.next()
	return s
}

// request is the next packet of the server's, given the client's answer.
func (s *tlsServer) request(t *testing.T, r *ikemsg.EAP) *ikemsg.EAP {
	t.Helper()
	s.id++
	f := &ikemsg.TLSFragment{Start: true}
	if r != nil {
		got, err := ikemsg.ParseTLSFragment(r.Data)
		if err != nil || r.Identifier != s.id-1 || len(r.Data) > tlsFragment+5 {
			t.Fatalf("%v of %d bytes, %v", r, len(r.Data), err)
		}
		s.partial = append(s.partial, got.Data...)
		switch {
		case got.More:
			return &ikemsg.EAP{Code: ikemsg.EAPRequest, Identifier: s.id, Kind: ikemsg.EAPTLS, Data: (&ikemsg.TLSFragment{}).Marshal()}
		case len(s.partial) > 0:
			s.in.Write(s.partial)
			s.partial = nil
			s.next()
		}
		f = &ikemsg.TLSFragment{Data: s.out}
		if len(s.out) > s.part {
			f.More, f.Data = true, s.out[:s.part]
		}
		s.out = s.out[len(f.Data):]
		if len(f.Data) == 0 {
			s.last = true
		}
	}
	return &ikemsg.EAP{Code: ikemsg.EAPRequest, Identifier: s.id, Kind: ikemsg.EAPTLS, Data: f.Marshal()}
}

// shake has both speak until the server has nothing more to say.
func shake(t *testing.T, client *eapTLS, s *tlsServer) (rounds int, err error) {
	t.Helper()
	var reply *ikemsg.EAP
	for rounds = range maxRounds {
		request := s.request(t, reply)
		if s.last {
			return rounds, nil
		}
		if reply, err = client.answer(midnight(), request); err != nil {
			return rounds, err
		}
	}
	return rounds, errors.New("it does not end")
}

type tlsCase struct {
	server     func(*tls.Config)
	change     func(*EAP)
	check      func(time.Time, tls.ConnectionState) error
	commitment []byte
	says       string
}

func TestEAPTLS(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	gate := issue(t, "gate", root, nil)
	// A long chain makes a long flight of the client's too.
	between := issue(t, "ca between", root, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{strings.Repeat("long ", 400)} })
	alice := issue(t, "alice", between, nil)
	clients := x509.NewCertPool()
	clients.AddCert(root.Certificate)
	trust := &Trust{CAs: []*x509.Certificate{root.Certificate}, Name: &ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("gw.test")}}
	check := func(now time.Time, s tls.ConnectionState) error {
		if err := trust.check(now, s.PeerCertificates); err != nil {
			return err
		}
		return isFor(s.PeerCertificates[0], *trust.Name)
	}
	version := func(v uint16, suites ...uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.CipherSuites = v, v, suites }
	}
	mine := &Certificate{Chain: []*x509.Certificate{alice.Certificate, between.Certificate}, Key: alice.key}
	stranger := issue(t, "alice", nil, nil)
	other := func(e *EAP) {
		e.Certificate = &Certificate{Chain: []*x509.Certificate{stranger.Certificate}, Key: stranger.key}
	}
	for name, tt := range map[string]tlsCase{
		"1.2 with SHA-256":    {server: version(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)},
		"1.2 with SHA-384":    {server: version(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)},
		"1.2 with ChaCha20":   {server: version(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)},
		"1.3":                 {server: version(tls.VersionTLS13)},
		"1.3 without tickets": {server: func(c *tls.Config) { c.MinVersion, c.SessionTicketsDisabled = tls.VersionTLS13, true }},
		"1.3, not done":       {server: version(tls.VersionTLS13), commitment: []byte("x"), says: "data where it should say that it is done"},
		"1.1":                 {server: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, says: "EAP-TLS"},
		"1.2, unknown client": {server: version(tls.VersionTLS12), change: other, says: "the gateway refuses our certificate in EAP-TLS"},
		"1.3, unknown client": {server: version(tls.VersionTLS13), change: other, says: "the gateway refuses our certificate in EAP-TLS"},
		"server of another CA": {check: func(now time.Time, s tls.ConnectionState) error {
			return (&Trust{CAs: []*x509.Certificate{stranger.Certificate}}).check(now, s.PeerCertificates)
		}, says: "none of the CAs given vouches for"},
		"server of another name": {check: func(_ time.Time, s tls.ConnectionState) error {
			return isFor(s.PeerCertificates[0], ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("radius.test")})
		}, says: "calls itself radius.test"},
	} {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{gate.Raw}, PrivateKey: gate.key}},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients, Time: midnight,
			}
			if tt.server != nil {
				tt.server(config)
			}
			e := &EAP{User: "alice", Certificate: mine}
			if tt.change != nil {
				tt.change(e)
			}
			if tt.check == nil {
				tt.check = check
			}
			if tt.commitment == nil {
				tt.commitment = []byte{0}
			}
			client := newEAPTLS(e, rand.Reader, tt.check)
			defer client.stop()
			s := newTLSServer(t, config, tt.commitment)
			rounds, err := shake(t, client, s)
			if tt.says != "" {
				if !fault.Is(err, fault.GatewayLogin) || fault.Transient(err) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v", err)
				}
				if key, err := client.finish(); err == nil || key != nil {
					t.Errorf("it finishes with %x", key)
				}
				return
			}
			key, finish := client.finish()
			if err != nil || finish != nil || len(key) != mskSize || !bytes.Equal(key, s.key) {
				t.Fatalf("%v, %v, %v\n%x\n%x", err, finish, s.outcome, key, s.key)
			}
			if rounds < 8 {
				t.Errorf("%d rounds: nothing was in parts", rounds)
			}
			if strings.HasPrefix(name, "1.2") {
				suite := config.CipherSuites[0]
				if ours, err := client.master.export(suite, labelTLS12, mskSize); err != nil || !bytes.Equal(ours, key) {
					t.Errorf("without RFC 7627: %x, %v", ours, err)
				}
			}
		})
	}
}

// TestEAPTLSDisorder gives EAP-TLS what does not belong where it comes.
func TestEAPTLSDisorder(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	e := &EAP{User: "alice", Certificate: &Certificate{Chain: []*x509.Certificate{root.Certificate}, Key: root.key}}
	fragment := func(f ikemsg.TLSFragment) *ikemsg.EAP { return ask(ikemsg.EAPTLS, f.Marshal()...) }
	// The hello has two parts, and the second one is asked for.
	ack := fragment(ikemsg.TLSFragment{})
	start, part := fragment(ikemsg.TLSFragment{Start: true}), fragment(ikemsg.TLSFragment{More: true, Data: make([]byte, 1000)})
	for name, tt := range map[string][]*ikemsg.EAP{
		"nothing":         {ask(ikemsg.EAPTLS)},
		"no start":        {part},
		"twice":           {start, ack, start},
		"too early":       {start, part},
		"too long, said":  {start, ack, fragment(ikemsg.TLSFragment{More: true, Sized: true, Total: 1 << 31, Data: []byte{22}})},
		"no TLS":          {start, ack, fragment(ikemsg.TLSFragment{Data: []byte("HTTP/1.1 400 Bad Request\r\n")})},
		"too long":        append([]*ikemsg.EAP{start, ack}, slices.Repeat([]*ikemsg.EAP{part}, maxFlight/1000+1)...),
		"length cut":      {start, ack, ask(ikemsg.EAPTLS, 0x80, 0, 0)},
		"alert":           {start, ack, fragment(ikemsg.TLSFragment{Data: []byte{21, 3, 3, 0, 2, 2, 40}})},
		"hello cut short": {start, ack, fragment(ikemsg.TLSFragment{Data: []byte{22, 3, 3, 0, 4, 2, 0, 0, 0}})},
	} {
		t.Run(name, func(t *testing.T) {
			c := newEAPTLS(e, rand.Reader, func(time.Time, tls.ConnectionState) error { return errors.New("never asked") })
			defer c.stop()
			var err error
			for i, p := range tt {
				if err != nil {
					t.Fatalf("packet %d of %d: %v", i, len(tt), err)
				}
				_, err = c.answer(midnight(), p)
			}
			if k := fault.KindOf(err); k != fault.IKE && k != fault.GatewayLogin {
				t.Errorf("%v", err)
			}
			if key, err := c.finish(); err == nil {
				t.Errorf("it finishes with %x", key)
			}
			c.stop()
			c.stop() // it may be called at any time
		})
	}
	// A machine that ends in the middle leaves nothing; the leak test of the
	// package sees it.
	c := newEAPTLS(e, rand.Reader, nil)
	if _, err := c.answer(midnight(), start); err != nil {
		t.Fatal(err)
	}
	(&login{eap: &conversation{method: c}}).stop()
	if !c.over || c.outcome == nil {
		t.Errorf("the handshake goes on: %v", c.outcome)
	}
}
