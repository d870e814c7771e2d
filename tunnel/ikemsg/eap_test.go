package ikemsg_test

import (
	"bytes"
	"reflect"
	"testing"

	"linehaul/tunnel/ikemsg"
)

func TestEAPPackets(t *testing.T) {
	request := &ikemsg.EAP{Code: ikemsg.EAPRequest, Identifier: 7, Kind: ikemsg.EAPGTC, Data: []byte("token?")}
	for _, c := range []struct {
		p    *ikemsg.EAP
		want string
		text string
	}{
		{request, "01 07 000b 06 746f6b656e3f", "REQ/GTC"},
		{request.Reply([]byte("1234")), "02 07 0009 06 31323334", "RES/GTC"},
		{request.Nak(ikemsg.EAPMSCHAPv2, ikemsg.EAPTLS), "02 07 0007 03 1a 0d", "RES/NAK"},
		{request.Nak(), "02 07 0006 03 00", "RES/NAK"},
		{&ikemsg.EAP{Code: ikemsg.EAPFailure, Identifier: 8}, "04 08 0004", "FAIL"},
	} {
		want := spaced(t, c.want)
		if got := c.p.Marshal(); !bytes.Equal(got, want) {
			t.Errorf("%v is written as %x, want %x", c.p, got, want)
		}
		if c.p.String() != c.text {
			t.Errorf("%v, want %s", c.p, c.text)
		}
		back, err := ikemsg.ParseEAP(want)
		if err != nil || !reflect.DeepEqual(back, c.p) {
			t.Errorf("%x is read as %+v, %v", want, back, err)
		}
		for n := range want {
			_, err := ikemsg.ParseEAP(want[:n])
			refused(t, err, ikemsg.Malformed)
		}
	}
}

func TestMSCHAPv2(t *testing.T) {
	r := &ikemsg.NTResponse{PeerChallenge: [16]byte{1, 2}, Response: [24]byte{3, 4}, Name: []byte("alice")}
	response := ikemsg.NewResponse(5, r)
	back, err := ikemsg.ParseMSCHAPv2(response.Marshal())
	if err != nil || !reflect.DeepEqual(back, response) {
		t.Fatalf("%+v, %v, want %+v", back, err, response)
	}
	again, err := back.Response()
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Fatalf("%+v, %v, want %+v", again, err, r)
	}
	if got := response.Marshal(); !bytes.Equal(got[:5], spaced(t, "02 05 003b 31")) || len(got) != 59 {
		t.Errorf("response %x", got)
	}

	challenge := ikemsg.NewChallenge(5, [16]byte{9}, []byte("gw"))
	if got := challenge.Marshal(); !bytes.Equal(got, spaced(t, "01 05 0017 10 09000000000000000000000000000000 6777")) {
		t.Errorf("challenge %x", got)
	}
	value, name, err := challenge.Challenge()
	if err != nil || value != [16]byte{9} || string(name) != "gw" {
		t.Errorf("challenge %x %q %v", value, name, err)
	}
	for n := range response.Marshal() {
		if _, err := ikemsg.ParseMSCHAPv2(response.Marshal()[:n]); err == nil {
			t.Errorf("%d bytes were read", n)
		}
	}
	for n := range challenge.Body {
		c := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Challenge, Body: challenge.Body[:n]}
		if _, _, err := c.Challenge(); (err == nil) != (n >= 17) {
			t.Errorf("a challenge of %d bytes: %v", n, err)
		}
	}
	for n := range response.Body {
		c := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Response, Body: response.Body[:n]}
		if _, err := c.Response(); (err == nil) != (n >= 50) {
			t.Errorf("a response of %d bytes: %v", n, err)
		}
	}
	// The client's answers are one byte.
	for _, op := range []ikemsg.MSCHAPv2Op{ikemsg.MSCHAPv2Success, ikemsg.MSCHAPv2Failure} {
		b := (&ikemsg.MSCHAPv2{Op: op}).Marshal()
		if len(b) != 1 {
			t.Errorf("%v: %x", op, b)
		}
		if m, err := ikemsg.ParseMSCHAPv2(b); err != nil || m.Op != op || m.Body != nil {
			t.Errorf("%v: %+v, %v", op, m, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	const s = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
	failure := func(text string) *ikemsg.MSCHAPv2 {
		return &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Failure, Body: []byte(text)}
	}
	success := func(text string) *ikemsg.MSCHAPv2 {
		return &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Success, Body: []byte(text)}
	}
	v, err := success(s + " M=Welcome M=home\n").Verdict()
	if err != nil || !v.HasAuthenticator || v.Authenticator[0] != 0x40 || v.Authenticator[19] != 0x56 || v.Message != "Welcome M=home" {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := success(s).Verdict(); err != nil || !v.HasAuthenticator {
		t.Errorf("%+v, %v", v, err)
	}
	v, err = failure("E=691 R=1 C=000102030405060708090A0B0C0D0E0F V=3 M=Authentication failed").Verdict()
	want := &ikemsg.MSCHAPv2Verdict{Code: 691, Retry: true, Version: 3, Message: "Authentication failed",
		Challenge: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := failure("E=691 R=0").Verdict(); err != nil || v.Code != 691 || v.Retry || v.Challenge != nil {
		t.Errorf("%+v, %v", v, err)
	}
	for _, m := range []*ikemsg.MSCHAPv2{
		success("S=407A"), success("S=407A5589115FD0D6209F510FE9C04566932CDA5Z"), failure("E=x"), failure("E=691 C=00"), failure("V="),
		{Op: ikemsg.MSCHAPv2Challenge},
	} {
		_, err := m.Verdict()
		refused(t, err, ikemsg.Malformed)
	}
}

func TestTLSFragment(t *testing.T) {
	for text, f := range map[string]*ikemsg.TLSFragment{
		"20":               {Start: true},
		"00":               {},
		"c0 00001000 1603": {More: true, Sized: true, Total: 4096, Data: []byte{0x16, 3}},
		"40 16":            {More: true, Data: []byte{0x16}},
	} {
		want := spaced(t, text)
		if got := f.Marshal(); !bytes.Equal(got, want) {
			t.Errorf("%+v is written as %x, want %x", f, got, want)
		}
		back, err := ikemsg.ParseTLSFragment(want)
		if err != nil || !reflect.DeepEqual(back, f) {
			t.Errorf("%x is read as %+v, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "80 000010"} {
		_, err := ikemsg.ParseTLSFragment(spaced(t, text))
		refused(t, err, ikemsg.Malformed)
	}
}

func TestMD5Challenge(t *testing.T) {
	c := &ikemsg.MD5Challenge{Value: []byte{1, 2, 3}, Name: []byte("gw")}
	if got := c.Marshal(); !bytes.Equal(got, spaced(t, "03 010203 6777")) {
		t.Errorf("written as %x", got)
	}
	back, err := ikemsg.ParseMD5Challenge(c.Marshal())
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("%+v, %v", back, err)
	}
	for n := range 4 {
		_, err := ikemsg.ParseMD5Challenge(c.Marshal()[:n])
		refused(t, err, ikemsg.Malformed)
	}
	_, err = ikemsg.ParseMD5Challenge([]byte{0, 1})
	refused(t, err, ikemsg.Malformed)
}

func TestSignature(t *testing.T) {
	b := ikemsg.JoinSignature([]byte{0x30, 0}, []byte{1, 2, 3})
	if !bytes.Equal(b, spaced(t, "02 3000 010203")) {
		t.Errorf("written as %x", b)
	}
	algorithm, signature, err := ikemsg.SplitSignature(b)
	if err != nil || !bytes.Equal(algorithm, []byte{0x30, 0}) || !bytes.Equal(signature, []byte{1, 2, 3}) {
		t.Errorf("%x %x %v", algorithm, signature, err)
	}
	for _, b := range [][]byte{nil, {0}, {0, 1}, {2, 0x30}, {2, 0x30, 0}} {
		_, _, err := ikemsg.SplitSignature(b)
		refused(t, err, ikemsg.Malformed)
	}
}
