package ikev2

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// TestMSCHAPv2Vectors has the example of RFC 2759 section 9.2, and the keys that
// RFC 3079 section 3.5.3 makes of it.
func TestMSCHAPv2Vectors(t *testing.T) {
	peer := [16]byte(unhex(t, "21 40 23 24 25 5e 26 2a 28 29 5f 2b 3a 33 7c 7e"))
	authenticator := [16]byte(unhex(t, "5b 5d 7c 7d 7b 3f 2f 3e 3c 2c 60 21 32 26 26 28"))
	hash := passwordHash([]byte("clientPass"))
	challenge := challengeHash(peer, authenticator, "User")
	response := ntResponse(challenge, hash)
	again := hashHash(hash)
	proof := authenticatorResponse(hash, response, challenge)
	key := mschapKey(hash, response)
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"PasswordHash":          {hash[:], "44 eb ba 8d 53 12 b8 d6 11 47 44 11 f5 69 89 ae"},
		"Challenge":             {challenge[:], "d0 2e 43 86 bc e9 12 26"},
		"NT-Response":           {response[:], "82 30 9e cd 8d 70 8b 5e a0 8f aa 39 81 cd 83 54 42 33 11 4a 3d 85 d6 df"},
		"PasswordHashHash":      {again[:], "41 c0 0c 58 4b d2 d9 1c 40 17 a2 a1 2f a5 9f 3f"},
		"AuthenticatorResponse": {proof[:], "40 7a 55 89 11 5f d0 d6 20 9f 51 0f e9 c0 45 66 93 2c da 56"},
		"SendStartKey128":       {key[16:32], "8b 7c dc 14 9b 99 3a 1b a1 18 cb 15 3f 56 dc cb"}, // of the server
	} {
		if !bytes.Equal(tt.got, unhex(t, tt.want)) {
			t.Errorf("%s is %x", name, tt.got)
		}
	}
	if len(key) != mskSize || !bytes.Equal(key[32:], make([]byte, 32)) || bytes.Equal(key[:16], key[16:32]) {
		t.Errorf("the key is %x", key)
	}
	if challengeHash(peer, authenticator, `WORK\User`) != challenge {
		t.Error("the domain is part of the user")
	}
	if passwordHash([]byte("pässwörd")) == passwordHash([]byte("password")) {
		t.Error("only ASCII counts")
	}
	for i := range 256 {
		for _, b := range desKey([7]byte{byte(i), byte(i * 3), 0, 255, byte(i * 7), 1, 128}) {
			if bits := fmt.Sprintf("%b", b); strings.Count(bits, "1")%2 != 1 {
				t.Fatalf("a byte of even parity: %s", bits)
			}
		}
	}
}

// talk is a conversation of alice, whose password is wonderland.
func talk(t *testing.T, methods ...ikemsg.EAPType) *conversation {
	t.Helper()
	e := &EAP{User: "alice", Password: []byte("wonderland"), Methods: methods}
	if err := e.complete(); err != nil {
		t.Fatal(err)
	}
	return &conversation{config: e, random: bytes.NewReader(bytes.Repeat([]byte{7}, 1024)), began: midnight(), note: func(text string, args ...any) { t.Log(append([]any{text}, args...)...) }}
}

func ask(kind ikemsg.EAPType, data ...byte) *ikemsg.EAP {
	return &ikemsg.EAP{Code: ikemsg.EAPRequest, Identifier: 7, Kind: kind, Data: data}
}

// said hands a request over and returns the answer to it.
func said(t *testing.T, c *conversation, p *ikemsg.EAP) *ikemsg.EAP {
	t.Helper()
	reply, done, _, err := c.answer(midnight(), p)
	if err != nil || done || reply == nil || reply.Code != ikemsg.EAPResponse || reply.Identifier != p.Identifier {
		t.Fatalf("%v: %v, done %v, %v", p, reply, done, err)
	}
	return reply
}

// TestConversation asks who it is, tells something, and offers what is not
// spoken, before each method.
func TestConversation(t *testing.T) {
	c := talk(t, ikemsg.EAPMSCHAPv2, ikemsg.EAPMD5)
	for range 3 {
		if r := said(t, c, ask(ikemsg.EAPIdentity, []byte("Who?")...)); r.Kind != ikemsg.EAPIdentity || string(r.Data) != "alice" {
			t.Errorf("%v %q", r, r.Data)
		}
	}
	if r := said(t, c, ask(ikemsg.EAPNotification, []byte("Your password\nexpires")...)); r.Kind != ikemsg.EAPNotification || len(r.Data) != 0 {
		t.Errorf("%v %q", r, r.Data)
	}
	for _, kind := range []ikemsg.EAPType{ikemsg.EAPTTLS, ikemsg.EAPGTC, ikemsg.EAPExpanded, 99} {
		if r := said(t, c, ask(kind, 1, 2, 3)); r.Kind != ikemsg.EAPNak || !bytes.Equal(r.Data, []byte{byte(ikemsg.EAPMSCHAPv2), byte(ikemsg.EAPMD5)}) {
			t.Errorf("%v %q", r, r.Data)
		}
	}
	// MD5 of the identifier, the password and the value (RFC 1994 section 4.1),
	// by another program.
	challenge := append([]byte{16}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	c.config.Password = []byte("secret")
	r := said(t, c, ask(ikemsg.EAPMD5, append(challenge, "gateway"...)...))
	if answer, err := ikemsg.ParseMD5Challenge(r.Data); err != nil || !bytes.Equal(answer.Value, unhex(t, "821643665b430359e52ac524d29c8f95")) {
		t.Errorf("%x, %v", answer.Value, err)
	}
	if _, _, _, err := c.answer(midnight(), ask(ikemsg.EAPMSCHAPv2)); !fault.Is(err, fault.GatewayLogin) {
		t.Errorf("a second method: %v", err)
	}
	if _, done, key, err := c.answer(midnight(), &ikemsg.EAP{Code: ikemsg.EAPSuccess}); !done || key != nil || err != nil {
		t.Errorf("done %v, key %x, %v", done, key, err)
	}
}

func TestTokenCard(t *testing.T) {
	if methods := talk(t).config.Methods; !slices.Equal(methods, []ikemsg.EAPType{ikemsg.EAPMSCHAPv2, ikemsg.EAPMD5}) {
		t.Errorf("without being asked for: %v", methods)
	}
	c := talk(t, ikemsg.EAPGTC)
	if r := said(t, c, ask(ikemsg.EAPGTC, []byte("Password: ")...)); r.Kind != ikemsg.EAPGTC || string(r.Data) != "wonderland" {
		t.Errorf("%v %q", r, r.Data)
	}
	_, _, _, err := c.answer(midnight(), &ikemsg.EAP{Code: ikemsg.EAPFailure})
	refusedFor(t, err, `does not let the EAP user "alice" in`)
}

// A server of MSCHAPv2 that knows a password.
type server struct {
	password  string
	challenge [16]byte
	hash      [16]byte
	response  [24]byte
}

func (s *server) ask() *ikemsg.EAP {
	s.challenge = [16]byte{1, 2, 3}
	return ask(ikemsg.EAPMSCHAPv2, ikemsg.NewChallenge(9, s.challenge, []byte("gw")).Marshal()...)
}

// verdict judges the response, and proves itself by what it knows.
func (s *server) verdict(t *testing.T, r *ikemsg.EAP) (ok bool, success *ikemsg.EAP) {
	t.Helper()
	msg, err := ikemsg.ParseMSCHAPv2(r.Data)
	if err != nil || msg.Identifier != 9 {
		t.Fatalf("%v, %v", msg, err)
	}
	response, err := msg.Response()
	if err != nil || string(response.Name) != "alice" {
		t.Fatalf("%v, %v", response, err)
	}
	s.hash = passwordHash([]byte(s.password))
	challenge := challengeHash(response.PeerChallenge, s.challenge, string(response.Name))
	s.response = response.Response
	proof := authenticatorResponse(s.hash, s.response, challenge)
	text := fmt.Sprintf("S=%X M=Welcome", proof)
	m := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Success, Identifier: 9, Body: []byte(text)}
	return ntResponse(challenge, s.hash) == response.Response, ask(ikemsg.EAPMSCHAPv2, m.Marshal()...)
}

func TestMSCHAPv2(t *testing.T) {
	end := &ikemsg.EAP{Code: ikemsg.EAPSuccess}
	s := &server{password: "wonderland"}
	c := talk(t)
	ok, success := s.verdict(t, said(t, c, s.ask()))
	if !ok {
		t.Error("the response is wrong")
	}
	if r := said(t, c, success); !bytes.Equal(r.Data, []byte{byte(ikemsg.MSCHAPv2Success)}) {
		t.Errorf("%x", r.Data)
	}
	if _, done, key, err := c.answer(midnight(), end); !done || err != nil || !bytes.Equal(key, mschapKey(s.hash, s.response)) {
		t.Errorf("done %v, %x, %v", done, key, err)
	}

	// A gateway that does not know the password, and lets in whoever comes.
	s, c = &server{password: "looking glass"}, talk(t)
	ok, success = s.verdict(t, said(t, c, s.ask()))
	_, _, _, err := c.answer(midnight(), success)
	refusedFor(t, err, `calls the login of "alice" a success and does not know the password`)
	if ok {
		t.Error("any password will do")
	}
	// One that would rather not say.
	c = talk(t)
	said(t, c, s.ask())
	_, done, _, err := c.answer(midnight(), end)
	if done {
		t.Error("success without proof")
	}
	if !fault.Is(err, fault.GatewayLogin) || !strings.Contains(err.Error(), "before it has shown that it knows the password") {
		t.Error(err)
	}
	// A second challenge, which would let it try passwords.
	c = talk(t)
	said(t, c, s.ask())
	if _, _, _, err := c.answer(midnight(), s.ask()); !fault.Is(err, fault.IKE) {
		t.Errorf("a second challenge: %v", err)
	}
	for text, says := range map[string]string{
		"E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=No way\n": `"alice" in: wrong user or password, it says "No way"`,
		"E=647 R=0 V=3":    "the account is disabled",
		"E=648 R=0 V=3 M=": "the password has expired",
		"E=4711":           "error 4711",
	} {
		c = talk(t)
		said(t, c, s.ask())
		m := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Failure, Identifier: 9, Body: []byte(text)}
		if r := said(t, c, ask(ikemsg.EAPMSCHAPv2, m.Marshal()...)); !bytes.Equal(r.Data, []byte{byte(ikemsg.MSCHAPv2Failure)}) {
			t.Errorf("%x", r.Data)
		}
		_, _, _, err := c.answer(midnight(), &ikemsg.EAP{Code: ikemsg.EAPFailure})
		refusedFor(t, err, says)
	}
}

// TestEndlessEAP gives up gateways that do not come to an end.
func TestEndlessEAP(t *testing.T) {
	for name, packet := range map[string]*ikemsg.EAP{
		"who is there": ask(ikemsg.EAPIdentity),
		"notice":       ask(ikemsg.EAPNotification, bytes.Repeat([]byte("x"), 60_000)...),
		"methods":      ask(ikemsg.EAPPEAP, 0x20),
		"tokens":       ask(ikemsg.EAPGTC, '?'),
	} {
		c := talk(t, ikemsg.EAPGTC)
		var err error
		rounds := 0
		for ; err == nil && rounds < 1000; rounds++ {
			_, _, _, err = c.answer(midnight(), packet)
		}
		if !fault.Is(err, fault.IKE) || rounds > maxRounds+1 || c.bytes > maxEAP+len(packet.Data) {
			t.Errorf("%s: %d rounds, %d bytes, %v", name, rounds, c.bytes, err)
		}
	}
	c := talk(t)
	if _, _, _, err := c.answer(midnight().Add(maxLogin+time.Second), ask(ikemsg.EAPIdentity)); !fault.Is(err, fault.IKE) {
		t.Errorf("after %v: %v", maxLogin, err)
	}
	for name, p := range map[string]*ikemsg.EAP{
		"success at once": {Code: ikemsg.EAPSuccess}, "failure at once": {Code: ikemsg.EAPFailure}, "response": {Code: ikemsg.EAPResponse},
		"no challenge": ask(ikemsg.EAPMD5), "no message": ask(ikemsg.EAPMSCHAPv2), "success first": ask(ikemsg.EAPMSCHAPv2, 3, 1, 0, 4),
	} {
		if reply, done, _, err := talk(t).answer(midnight(), p); err == nil || done || reply != nil {
			t.Errorf("%s: %v, %v", name, reply, done)
		}
	}
}

// FuzzEAP speaks EAP with a gateway that does not know the password, and
// is not the server of EAP-TLS: whatever it says, it is never a success with a
// key, and the talk is bounded. Each packet is behind its length of two bytes.
func FuzzEAP(f *testing.F) {
	root := issue(f, "ca root", nil, nil)
	talk := func(packets ...*ikemsg.EAP) (all []byte) {
		for _, p := range packets {
			b := p.Marshal()
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(b))), b...)
		}
		return all
	}
	s := &server{}
	success := &ikemsg.EAP{Code: ikemsg.EAPSuccess}
	verdict := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Success, Identifier: 9, Body: []byte("S=407A5589115FD0D6209F510FE9C04566932CDA56 M=ok")}
	failure := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Failure, Identifier: 9, Body: []byte("E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=no")}
	f.Add(talk(ask(ikemsg.EAPIdentity), s.ask(), ask(ikemsg.EAPMSCHAPv2, verdict.Marshal()...), success))
	f.Add(talk(ask(ikemsg.EAPNotification, 'x'), s.ask(), ask(ikemsg.EAPMSCHAPv2, failure.Marshal()...), &ikemsg.EAP{Code: ikemsg.EAPFailure}))
	f.Add(talk(ask(ikemsg.EAPPEAP, 0x20), ask(ikemsg.EAPMD5, 4, 1, 2, 3, 4), success))
	f.Add(talk(ask(ikemsg.EAPTLS, 0x20), ask(ikemsg.EAPTLS, 0), ask(ikemsg.EAPTLS, 0x80, 0, 0, 0, 7, 21, 3, 3, 0, 2, 2, 40), success))
	f.Fuzz(func(t *testing.T, all []byte) {
		e := &EAP{
			User: "alice", Password: []byte("wonderland"), Certificate: &Certificate{Chain: []*x509.Certificate{root.Certificate}, Key: root.key},
			Methods: []ikemsg.EAPType{ikemsg.EAPMSCHAPv2, ikemsg.EAPTLS, ikemsg.EAPMD5},
		}
		c := &conversation{config: e, random: bytes.NewReader(bytes.Repeat([]byte{7}, 1024)), began: midnight(), note: func(string, ...any) {}}
		c.tls = func() method {
			return newEAPTLS(e, rand.Reader, func(time.Time, tls.ConnectionState) error { return errSignature })
		}
		defer c.stop()
		for len(all) >= 2 {
			n := min(int(binary.BigEndian.Uint16(all)), len(all)-2)
			p, err := ikemsg.ParseEAP(all[2 : 2+n])
			all = all[2+n:]
			if err != nil {
				continue
			}
			reply, done, key, err := c.answer(midnight(), p)
			switch {
			case key != nil || done && c.kind != ikemsg.EAPMD5:
				t.Fatalf("a success of %v with %x", c.kind, key)
			case err != nil:
				return
			case !done && (reply == nil || len(reply.Data) > 2000):
				t.Fatalf("%v is answered by %v", p, reply)
			}
		}
	})
}
