package ikev2_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/leak"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func begin() time.Time { return time.Date(2026, 11, 28, 2, 30, 0, 0, time.UTC) }

func TestParseIdentity(t *testing.T) {
	for text, want := range map[string]struct {
		kind ikemsg.IDType
		data string
	}{
		"gw.example.net":        {ikemsg.IDFQDN, "gw.example.net"},
		"branch@example.net":    {ikemsg.IDEmail, "branch@example.net"},
		"192.0.2.1":             {ikemsg.IDIPv4, "\xc0\x00\x02\x01"},
		"2001:db8::1":           {ikemsg.IDIPv6, " \x01\r\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"},
		"ipv4:192.0.2.1":        {ikemsg.IDIPv4, "\xc0\x00\x02\x01"},
		"fqdn:192.0.2.1":        {ikemsg.IDFQDN, "192.0.2.1"},
		"email:x":               {ikemsg.IDEmail, "x"},
		"keyid:branch:7":        {ikemsg.IDKey, "branch:7"},
		"C=CH, CN=ab":           {ikemsg.IDName, "\x30\x1a\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x0c\x02CH\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02ab"},
		"dn:OU=x=y":             {ikemsg.IDName, "\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x0b\x0c\x03x=y"},
		"fqdn:with:colons.test": {ikemsg.IDFQDN, "with:colons.test"},
	} {
		id, err := ikev2.ParseIdentity(text)
		if err != nil || id.Kind != want.kind || string(id.Data) != want.data {
			t.Errorf("%q: %v %q, %v", text, id.Kind, id.Data, err)
		}
	}
	for _, text := range []string{"", "ipv4:gw", "ipv4:::1", "ipv6:192.0.2.1", "tyqe:x", "dn:x", "NO=x, CN=y", "dn:"} {
		if id, err := ikev2.ParseIdentity(text); err == nil {
			t.Errorf("%q is %v %q", text, id.Kind, id.Data)
		}
	}
}

// machine logs in with nothing by chance.
func machine(t testing.TB, c ikev2.Config) *ikev2.Machine {
	t.Helper()
	var seed [32]byte
	if c.PSK == nil {
		c.PSK = []byte("secret")
	}
	c.Local = ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")}
	c.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
	m, err := ikev2.New(c, rand.NewChaCha8(seed))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sent are the datagrams among actions, and end the error of the end.
func sent(actions []ikev2.Action) (datagrams [][]byte, ended bool, end error) {
	for _, a := range actions {
		switch a := a.(type) {
		case ikev2.Send:
			datagrams = append(datagrams, a.Datagram)
		case ikev2.Ended:
			ended, end = true, a.Err
		}
	}
	return datagrams, ended, end
}

// TestSilence asks again, more and more seldom, and gives up when its patience
// is over. Nothing of it takes any time.
func TestSilence(t *testing.T) {
	m := machine(t, ikev2.Config{Patience: 20 * time.Second})
	now := begin()
	first, _, _ := sent(m.Start(now))
	if len(first) != 1 {
		t.Fatalf("%d datagrams at first", len(first))
	}
	var waits []time.Duration
	for range 100 {
		at := m.Deadline()
		waits = append(waits, at.Sub(now))
		now = at
		again, ended, err := sent(m.Expire(now))
		if ended {
			if !fault.Is(err, fault.IKE) || !strings.Contains(err.Error(), "20s") {
				t.Errorf("it ended with %v", err)
			}
			break
		}
		if len(again) != 1 || !bytes.Equal(again[0], first[0]) {
			t.Fatalf("not the same again: %d datagrams", len(again))
		}
	}
	if now.Sub(begin()) != 20*time.Second || len(waits) < 5 || waits[0] != 500*time.Millisecond || waits[2] != 2*time.Second {
		t.Errorf("waits %v, %v in all", waits, now.Sub(begin()))
	}
	if !m.Deadline().IsZero() || m.Handle(now, first[0]) != nil || m.Expire(now.Add(time.Hour)) != nil {
		t.Error("it goes on after its end")
	}
}

// answerInit is an answer to a first message, in clear.
func answerInit(t *testing.T, first []byte, payloads ...ikemsg.Payload) []byte {
	t.Helper()
	m, err := ikemsg.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	a := ikemsg.Message{Header: ikemsg.Header{InitiatorSPI: m.InitiatorSPI, Exchange: ikemsg.IKESAInit, Flags: ikemsg.FlagResponse}, Payloads: payloads}
	return a.Marshal()
}

// TestCookie gives the gateway its cookie back, before everything else, and not
// for ever.
func TestCookie(t *testing.T) {
	m := machine(t, ikev2.Config{})
	now := begin()
	asked, _, _ := sent(m.Start(now))
	for i := range 100 {
		cookie := []byte{byte(i), 1, 2, 3}
		again, ended, err := sent(m.Handle(now, answerInit(t, asked[0], &ikemsg.Notify{Kind: ikemsg.Cookie, Data: cookie})))
		if ended {
			if i < 2 || !fault.Is(err, fault.IKE) {
				t.Errorf("after %d cookies: %v", i, err)
			}
			return
		}
		if len(again) != 1 {
			t.Fatalf("%d datagrams", len(again))
		}
		got, err := ikemsg.Parse(again[0])
		if err != nil {
			t.Fatal(err)
		}
		n, ok := got.Payloads[0].(*ikemsg.Notify)
		if !ok || n.Kind != ikemsg.Cookie || !bytes.Equal(n.Data, cookie) {
			t.Errorf("the first payload is %v", got.Payloads[0])
		}
		asked = again
	}
	t.Error("cookies for ever")
}

// TestOtherGroup begins again with a group that was offered, once for each, and
// with no other.
func TestOtherGroup(t *testing.T) {
	p, err := suite.Parse(suite.IKE, "aes128-sha256-x25519-ecp256-modp2048")
	if err != nil {
		t.Fatal(err)
	}
	wants := func(m *ikev2.Machine, asked []byte, group uint16) ([]byte, error) {
		again, ended, err := sent(m.Handle(begin(), answerInit(t, asked, &ikemsg.Notify{
			Kind: ikemsg.InvalidKEPayload, Data: binary.BigEndian.AppendUint16(nil, group),
		})))
		if ended {
			return nil, err
		}
		got, err := ikemsg.Parse(again[0])
		if err != nil {
			t.Fatal(err)
		}
		if ke, ok := ikemsg.Get[*ikemsg.KE](got.Payloads); !ok || ke.Group != group {
			t.Errorf("asked for %d", group)
		}
		return again[0], nil
	}
	m := machine(t, ikev2.Config{IKE: []suite.Proposal{p}})
	asked, _, _ := sent(m.Start(begin()))
	second, err := wants(m, asked[0], suite.ECP256)
	if err != nil {
		t.Fatal(err)
	}
	third, err := wants(m, second, suite.MODP2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wants(m, third, suite.ECP256); !fault.Is(err, fault.IKE) {
		t.Errorf("back and forth: %v", err)
	}
	m = machine(t, ikev2.Config{IKE: []suite.Proposal{p}})
	asked, _, _ = sent(m.Start(begin()))
	if _, err := wants(m, asked[0], suite.MODP768); !fault.Is(err, fault.IKE) || !strings.Contains(err.Error(), "modp768") {
		t.Errorf("a group that was not offered: %v", err)
	}
}

// TestRedirect is sent to another gateway in the first answer, and says so
// (RFC 5685).
func TestRedirect(t *testing.T) {
	for data, want := range map[string]string{
		"\x03\x0agw2.test.xAAAA":   "it is gw2.test.x:",
		"\x01\x04\xc0\x00\x02\x09": "it is 192.0.2.9:",
		"\x02\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01": "it is 2001:db8::1:",
		"\x03\x05gw\n.x": "its log says which", "\x01\x10\x01": "its log says which", "\x03": "its log says which",
		"\x02\x04\xc0\x00\x02\x09": "its log says which", "\x03\x00": "its log says which",
	} {
		m := machine(t, ikev2.Config{})
		asked, _, _ := sent(m.Start(begin()))
		_, ended, err := sent(m.Handle(begin(), answerInit(t, asked[0], &ikemsg.Notify{Kind: ikemsg.Redirect, Data: []byte(data)})))
		if !ended || !fault.Is(err, fault.IKE) || fault.Transient(err) || !strings.Contains(err.Error(), "to another gateway") || !strings.Contains(fault.HintOf(err), want) {
			t.Errorf("%q: %v (%s)", data, err, fault.HintOf(err))
		}
	}
}

// TestOtherVersion: answers of IKEv1 do not end the attempt, as anybody may have
// sent them, and are named when nothing else came.
func TestOtherVersion(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"IKEv1":         func(b []byte) { b[17] = 0x10 },
		"somebody else": func(b []byte) { b[17], b[3] = 0x10, b[3]+1 },
	} {
		m := machine(t, ikev2.Config{Patience: 5 * time.Second})
		asked, _, _ := sent(m.Start(begin()))
		old := answerInit(t, asked[0], &ikemsg.Notify{Kind: ikemsg.InvalidMajorVersion})
		change(old)
		if _, ended, err := sent(m.Handle(begin(), old)); ended {
			t.Fatalf("%s: %v", name, err)
		}
		ended, err := false, error(nil)
		for !ended {
			_, ended, err = sent(m.Expire(m.Deadline()))
		}
		if says := strings.Contains(fault.HintOf(err), "version 1 of IKE"); says != (name == "IKEv1") {
			t.Errorf("%s: %v (%s)", name, err, fault.HintOf(err))
		}
	}
}

// FuzzHandle gives a machine that waits for its first answer whatever comes:
// nothing panics, and nothing makes it say that it is in.
func FuzzHandle(f *testing.F) {
	var seed [32]byte
	m := machine(f, ikev2.Config{})
	asked, _, _ := sent(m.Start(begin()))
	first, err := ikemsg.Parse(asked[0])
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range [][]ikemsg.Payload{
		{&ikemsg.Notify{Kind: ikemsg.Cookie, Data: seed[:]}},
		{&ikemsg.Notify{Kind: ikemsg.InvalidKEPayload, Data: []byte{0, 19}}},
		{&ikemsg.Notify{Kind: ikemsg.NoProposalChosen}},
		first.Payloads,
	} {
		a := ikemsg.Message{Header: ikemsg.Header{InitiatorSPI: first.InitiatorSPI, ResponderSPI: ikemsg.SPI{1}, Exchange: ikemsg.IKESAInit, Flags: ikemsg.FlagResponse}, Payloads: p}
		f.Add(a.Marshal(), a.Marshal())
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		m := machine(t, ikev2.Config{})
		now := begin()
		m.Start(now)
		for _, d := range [][]byte{one, two, one} {
			for _, a := range m.Handle(now, d) {
				switch a.(type) {
				case ikev2.Established, ikev2.Install:
					t.Fatalf("it believes a gateway without a key: %x", d)
				}
			}
			now = now.Add(time.Second)
			m.Expire(now)
		}
	})
}
