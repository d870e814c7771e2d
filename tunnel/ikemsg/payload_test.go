package ikemsg_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"linehaul/tunnel/ikemsg"
)

// A shape is a payload, its exact body, and which of the body's beginnings are
// a payload of the same type too.
type shape struct {
	name    string
	payload ikemsg.Payload
	body    string // spaced hex
	fits    func(n int) bool
}

func never(int) bool                { return false }
func always(int) bool               { return true }
func from(least int) func(int) bool { return func(n int) bool { return n >= least } }

func oneOf(lengths ...int) func(int) bool {
	return func(n int) bool { return slices.Contains(lengths, n) }
}

func shapes() []shape {
	identity := ikemsg.Identity{Kind: ikemsg.IDFQDN, Reserved: [3]byte{0, 1, 2}, Data: []byte("gw")}
	selectors := []ikemsg.Selector{
		{Kind: ikemsg.SelectorIPv4, EndPort: 0xffff, Start: netip.MustParseAddr("10.77.0.0"), End: netip.MustParseAddr("10.77.0.255")},
		{Kind: ikemsg.SelectorIPv6, Protocol: 6, StartPort: 22, EndPort: 22, Start: netip.MustParseAddr("fd77::"), End: netip.MustParseAddr("fd77::1")},
		{Kind: ikemsg.SelectorLabel, Body: []byte("abc")},
	}
	ts := "03 000000" +
		"07 00 0010 0000 ffff 0a4d0000 0a4d00ff" +
		"08 06 0028 0016 0016 fd770000000000000000000000000000 fd770000000000000000000000000001" +
		"0a 00 0007 616263"
	return []shape{
		{"SA", &ikemsg.SA{Proposals: []ikemsg.Proposal{
			{Number: 1, Protocol: ikemsg.ProtocolIKE, SPI: []byte("12345678"), Transforms: []ikemsg.Transform{
				{Type: ikemsg.TransformEncryption, ID: 12, KeyBits: 256},
				{Type: ikemsg.TransformKeyExchange, ID: 31, Attributes: []ikemsg.Attribute{{Type: 99, Value: []byte("xyz")}, {Type: 98, Short: true, Value: []byte{1, 2}}}},
			}},
			{Number: 2, Protocol: ikemsg.ProtocolESP, Transforms: []ikemsg.Transform{{Type: ikemsg.TransformESN}}},
		}}, "02 00 002f 01 01 08 02 3132333435363738" +
			"03 00 000c 01 00 000c 800e 0100" +
			"00 00 0013 04 00 001f 0063 0003 78797a 8062 0102" +
			"00 00 0010 02 03 00 01  00 00 0008 05 00 0000", never},
		{"SA of no transform", &ikemsg.SA{Proposals: []ikemsg.Proposal{{Number: 1, Protocol: ikemsg.ProtocolESP}}}, "00 00 0008 01 03 00 00", never},
		{"KE", &ikemsg.KE{Group: 31, Data: []byte{1, 2, 3}}, "001f 0000 010203", from(4)},
		{"IDi", &ikemsg.IDi{Identity: identity}, "02 000102 6777", from(4)},
		{"IDr", &ikemsg.IDr{Identity: identity}, "02 000102 6777", from(4)},
		{"IDr of an address", &ikemsg.IDr{Identity: ikemsg.Identity{Kind: ikemsg.IDIPv4, Data: []byte{192, 0, 2, 1}}}, "01 000000 c0000201", never},
		{"CERT", &ikemsg.Cert{Encoding: ikemsg.CertX509Signature, Data: []byte{0x30, 0}}, "04 3000", from(1)},
		{"CERTREQ", &ikemsg.CertReq{Encoding: ikemsg.CertX509Signature, Data: []byte("hash")}, "04 68617368", from(1)},
		{"AUTH", &ikemsg.Auth{Method: ikemsg.AuthSharedKey, Data: []byte{1, 2}}, "02 000000 0102", from(4)},
		{"Nonce", &ikemsg.Nonce{Data: []byte("0123456789abcdefg")}, "30313233343536373839616263646566 67", from(16)},
		{"Notify", &ikemsg.Notify{Protocol: ikemsg.ProtocolESP, SPI: []byte{1, 2, 3, 4}, Kind: ikemsg.RekeySA, Data: []byte{5}}, "03 04 4009 01020304 05", from(8)},
		{"Delete of children", &ikemsg.Delete{Protocol: ikemsg.ProtocolESP, SPIs: []uint32{0x01020304, 5}}, "03 04 0002 01020304 00000005", never},
		{"Delete of the IKE SA", &ikemsg.Delete{Protocol: ikemsg.ProtocolIKE}, "01 00 0000", never},
		{"VendorID", &ikemsg.VendorID{Data: []byte("linehaul")}, "6c696e656861756c", always},
		{"TSi", &ikemsg.TSi{Selectors: selectors}, ts, never},
		{"TSr", &ikemsg.TSr{Selectors: selectors}, ts, never},
		{"CP", &ikemsg.Config{Kind: ikemsg.ConfigReply, Attributes: []ikemsg.ConfigAttribute{
			{Kind: ikemsg.InternalIP4Address, Value: []byte{10, 88, 0, 1}}, {Kind: ikemsg.InternalIP6DNS},
		}}, "02 000000 0001 0004 0a580001 000a 0000", oneOf(4, 12)},
		{"EAP request", &ikemsg.EAP{Code: ikemsg.EAPRequest, Identifier: 9, Kind: ikemsg.EAPIdentity, Data: []byte("who")}, "01 09 0008 01 77686f", never},
		{"EAP success", &ikemsg.EAP{Code: ikemsg.EAPSuccess, Identifier: 9}, "03 09 0004", never},
		{"unknown", &ikemsg.Unknown{Kind: 200, Critical: true, Body: []byte{1}}, "01", always},
	}
}

// datagramOf frames a body; all lengths are right.
func datagramOf(t ikemsg.PayloadType, critical bool, body []byte) []byte {
	b := append(make([]byte, 28), 0, 0)
	b[0], b[16], b[17], b[18] = 1, byte(t), 0x20, byte(ikemsg.Informational)
	if critical {
		b[29] = 0x80
	}
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(body)))
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

func spaced(t testing.TB, s string) []byte {
	return unhex(t, strings.Join(strings.Fields(s), ""))
}

// TestShapes: exact bytes out, the same value back, and every beginning of a
// body is refused, or is what it says to be.
func TestShapes(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			body := spaced(t, s.body)
			critical := false
			if u, ok := s.payload.(*ikemsg.Unknown); ok {
				critical = u.Critical
			}
			want := datagramOf(s.payload.Type(), critical, body)
			m := &ikemsg.Message{Header: ikemsg.Header{InitiatorSPI: ikemsg.SPI{1}, Exchange: ikemsg.Informational}, Payloads: []ikemsg.Payload{s.payload}}
			if got := m.Marshal(); !bytes.Equal(got, want) {
				t.Fatalf("wrote\n%x, want\n%x", got, want)
			}
			back, err := ikemsg.Parse(want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back.Payloads, m.Payloads) {
				t.Fatalf("read %+v, want %+v", back.Payloads[0], s.payload)
			}
			for n := range len(body) {
				b := datagramOf(s.payload.Type(), critical, body[:n])
				m, err := ikemsg.Parse(b)
				if (err == nil) != s.fits(n) {
					t.Errorf("%d bytes of %d: %v", n, len(body), err)
				}
				if err != nil {
					refused(t, err, ikemsg.Malformed)
				} else if !bytes.Equal(m.Marshal(), b) {
					t.Errorf("%d bytes of %d are written as %x", n, len(body), m.Marshal())
				}
			}
			for n := range len(want) {
				if _, err := ikemsg.Parse(want[:n]); err == nil {
					t.Errorf("%d bytes of a datagram of %d were read", n, len(want))
				}
				// The lie about the length is told in the header too.
				b := bytes.Clone(want[:n])
				if n >= 28 {
					binary.BigEndian.PutUint32(b[24:], uint32(n))
				}
				if _, err := ikemsg.Parse(b); err == nil {
					t.Errorf("%d bytes of a datagram of %d were read, with a header that says so", n, len(want))
				}
			}
			if _, err := ikemsg.Parse(append(bytes.Clone(want), 0)); err == nil {
				t.Error("a byte too many was read")
			}
		})
	}
}

// refused fails the test unless err is an *Error of a kind, with a text.
func refused(t testing.TB, err error, kind ikemsg.ErrorKind) *ikemsg.Error {
	t.Helper()
	e, ok := errors.AsType[*ikemsg.Error](err)
	if !ok || e.Kind != kind || e.Msg == "" {
		t.Fatalf("error %v (%T), want one that is %v", err, err, kind)
	}
	return e
}

// TestRefused: bodies that lie.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		t    ikemsg.PayloadType
		body string
		kind ikemsg.ErrorKind
	}{
		{"a proposal that begins with 1", ikemsg.PayloadSA, "01 00 0008 01 03 00 00", ikemsg.Malformed},
		{"a proposal that says more come", ikemsg.PayloadSA, "02 00 0008 01 03 00 00", ikemsg.Malformed},
		{"a proposal that says none come", ikemsg.PayloadSA, "00 00 0008 01 03 00 00 00 00 0008 02 03 00 00", ikemsg.Malformed},
		{"a proposal of length 3", ikemsg.PayloadSA, "00 00 0003 01 03 00 00", ikemsg.Malformed},
		{"a proposal with a longer SPI", ikemsg.PayloadSA, "00 00 000a 01 03 04 00 0102", ikemsg.Malformed},
		{"a proposal that counts 2 transforms of 1", ikemsg.PayloadSA, "00 00 0010 01 03 00 02 00 00 0008 01 00 000c", ikemsg.Malformed},
		{"a proposal that counts 1 transform of 2", ikemsg.PayloadSA, "00 00 0018 01 03 00 01 03 00 0008 01 00 000c 00 00 0008 05 00 0000", ikemsg.Malformed},
		{"a proposal with bytes behind its transforms", ikemsg.PayloadSA, "00 00 0011 01 03 00 01 00 00 0008 05 00 0000 ff", ikemsg.Malformed},
		{"a transform that begins with 2", ikemsg.PayloadSA, "00 00 0010 01 03 00 01 02 00 0008 05 00 0000", ikemsg.Malformed},
		{"an attribute cut short", ikemsg.PayloadSA, "00 00 0013 01 03 00 01 00 00 000b 01 00 000c 800e 01", ikemsg.Malformed},
		{"an attribute with a longer length", ikemsg.PayloadSA, "00 00 0014 01 03 00 01 00 00 000c 01 00 000c 000e 0001", ikemsg.Malformed},
		{"a transform of five attributes", ikemsg.PayloadSA, "00 00 0024 01 03 00 01 00 00 001c 01 00 000c" + strings.Repeat("00010000", 5), ikemsg.TooLarge},
		{"a nonce of 15 bytes", ikemsg.PayloadNonce, "303132333435363738396162636465", ikemsg.Malformed},
		{"a nonce of 257 bytes", ikemsg.PayloadNonce, strings.Repeat("00", 257), ikemsg.Malformed},
		{"an IPv6 identity of 4 bytes", ikemsg.PayloadIDr, "05 000000 c0000201", ikemsg.Malformed},
		{"a Delete of 8-byte SPIs", ikemsg.PayloadDelete, "03 08 0001 0102030405060708", ikemsg.Malformed},
		{"a Delete of 0-byte SPIs", ikemsg.PayloadDelete, "03 00 0001", ikemsg.Malformed},
		{"a Delete that counts more", ikemsg.PayloadDelete, "03 04 ffff 01020304", ikemsg.Malformed},
		{"a selector from high to low", ikemsg.PayloadTSr, "01 000000 07 00 0010 0000 ffff 0a4d0001 0a4d0000", ikemsg.Malformed},
		{"a selector from port 2 to 1", ikemsg.PayloadTSr, "01 000000 07 06 0010 0002 0001 0a4d0001 0a4d0001", ikemsg.Malformed},
		{"a selector of IPv4 with the length of IPv6", ikemsg.PayloadTSr, "01 000000 07 00 0028 0000 ffff" + strings.Repeat("00", 32), ikemsg.Malformed},
		{"a selector of unknown kind and 5000 bytes", ikemsg.PayloadTSr, "01 000000 0a 00 1388" + strings.Repeat("00", 4996), ikemsg.TooLarge},
		{"an EAP packet of code 5", ikemsg.PayloadEAP, "05 01 0004", ikemsg.Malformed},
		{"an EAP success with content", ikemsg.PayloadEAP, "03 01 0005 01", ikemsg.Malformed},
		{"an EAP request without type", ikemsg.PayloadEAP, "01 01 0004", ikemsg.Malformed},
		{"a fragment 0", ikemsg.PayloadFragment, "0000 0002 00", ikemsg.Malformed},
		{"a fragment 3 of 2", ikemsg.PayloadFragment, "0003 0002 00", ikemsg.Malformed},
		{"a fragment 1 of 0", ikemsg.PayloadFragment, "0001 0000 00", ikemsg.Malformed},
		{"a fragment of too many", ikemsg.PayloadFragment, "0001 ffff 00", ikemsg.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ikemsg.Parse(datagramOf(c.t, false, spaced(t, c.body)))
			if e := refused(t, err, c.kind); e.Payload != c.t {
				t.Errorf("place %v, want %v", e.Payload, c.t)
			}
		})
	}
}

func TestHeaderRefused(t *testing.T) {
	good := datagramOf(ikemsg.PayloadVendorID, false, []byte("x"))
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		kind ikemsg.ErrorKind
	}{
		"no SPI":          {change(0, 0), ikemsg.Malformed},
		"version 1.0":     {change(17, 0x10), ikemsg.OtherVersion},
		"version 3.0":     {change(17, 0x30), ikemsg.OtherVersion},
		"a longer length": {change(27, 99), ikemsg.Malformed},
		"2^31 bytes":      {change(24, 0x80), ikemsg.Malformed},
		"too large":       {make([]byte, ikemsg.MaxDatagram+1), ikemsg.TooLarge},
		"nothing":         {nil, ikemsg.Malformed},
		"payload length":  {change(31, 3), ikemsg.Malformed},
	} {
		_, err := ikemsg.Parse(c.b)
		if err == nil {
			t.Fatalf("%s: read", name)
		}
		refused(t, err, c.kind)
	}
	if _, err := ikemsg.Parse(change(17, 0x21)); err != nil {
		t.Errorf("version 2.1: %v", err)
	}
	h, err := ikemsg.ParseHeader(change(17, 0x10))
	if err != nil || h.Version != 0x10 || h.Next != ikemsg.PayloadVendorID {
		t.Errorf("the header of IKEv1: %+v, %v", h, err)
	}
}

// TestTooManyPayloads: a datagram of 16,000 empty payloads costs no 16,000
// values.
func TestTooManyPayloads(t *testing.T) {
	b := datagramOf(200, false, nil)
	for range 16000 {
		b = append(b, 0, 0, 0, 4)
	}
	for at := 28; at+4 < len(b); at += 4 {
		b[at] = 200
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	_, err := ikemsg.Parse(b)
	refused(t, err, ikemsg.TooLarge)
}

// TestMemory: whatever a datagram holds, Parse allocates no more than a small
// multiple of its length.
func TestMemory(t *testing.T) {
	const most = 64000
	transforms := func(n int, attributes string) string {
		body := ""
		for i := range n {
			size := 8 + len(attributes)/2
			body += string([]byte{[]byte{3, 0}[btoi(i == n-1)], 0, 0, byte(size), 1, 0, 0, 12}) + string(unhex(t, attributes))
		}
		return body
	}
	proposals := func(per string, transforms int) []byte {
		var b []byte
		n := min(255, most/(8+len(per)))
		for i := range n {
			b = append(b, []byte{2, 0}[btoi(i == n-1)], 0, byte((8+len(per))>>8), byte(8+len(per)), 1, 3, 0, byte(transforms))
			b = append(b, per...)
		}
		return b
	}
	for name, c := range map[string]struct {
		t    ikemsg.PayloadType
		body []byte
		read bool
	}{
		"proposals":     {ikemsg.PayloadSA, proposals("", 0), true},
		"transforms":    {ikemsg.PayloadSA, proposals(transforms(255, ""), 255), false},
		"some":          {ikemsg.PayloadSA, proposals(transforms(4, ""), 4), true},
		"attributes":    {ikemsg.PayloadSA, proposals(transforms(50, strings.Repeat("00010000", 4)), 50), false},
		"attributes of": {ikemsg.PayloadConfig, append([]byte{2, 0, 0, 0}, make([]byte, most)...), false},
		"selectors":     {ikemsg.PayloadTSi, append([]byte{255, 0, 0, 0}, bytes.Repeat([]byte{10, 0, 0, 4}, 255)...), true},
		"SPIs":          {ikemsg.PayloadDelete, append([]byte{3, 4, most / 4 >> 8, most / 4 & 0xff}, make([]byte, most)...), true},
		"data":          {ikemsg.PayloadCert, make([]byte, most), true},
	} {
		b := datagramOf(c.t, false, c.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ikemsg.Parse(b)
		runtime.ReadMemStats(&after)
		if c.read != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			refused(t, err, ikemsg.TooLarge)
		}
		// A selector is about 20 times the four bytes that it may be.
		if got, limit := int(after.TotalAlloc-before.TotalAlloc), 4*len(b)+64<<10; got > limit {
			t.Errorf("%s: %d bytes for a datagram of %d", name, got, len(b))
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCritical(t *testing.T) {
	for critical, want := range map[bool]ikemsg.PayloadType{true: 200, false: 0} {
		m, err := ikemsg.Parse(datagramOf(200, critical, []byte("?")))
		if err != nil {
			t.Fatal(err)
		}
		if got, is := m.Critical(); got != want || is != critical {
			t.Errorf("critical %v: %v, %v", critical, got, is)
		}
	}
	// The mark on a payload that is known means nothing.
	m, err := ikemsg.Parse(datagramOf(ikemsg.PayloadVendorID, true, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, is := m.Critical(); is {
		t.Errorf("%v is critical", got)
	}
}

// TestStrangeKeyLengths: what cannot be accepted is seen as an attribute.
func TestStrangeKeyLengths(t *testing.T) {
	for name, body := range map[string]string{
		"zero":  "00 00 0014 01 03 00 01 00 00 000c 01 00 000c 800e 0000",
		"twice": "00 00 0018 01 03 00 01 00 00 0010 01 00 000c 800e 0100 800e 0080",
		"long":  "00 00 0016 01 03 00 01 00 00 000e 01 00 000c 000e 0002 0100",
	} {
		b := datagramOf(ikemsg.PayloadSA, false, spaced(t, body))
		m, err := ikemsg.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sa, ok := ikemsg.Get[*ikemsg.SA](m.Payloads)
		if !ok || len(sa.Proposals[0].Transforms[0].Attributes) != 1 {
			t.Errorf("%s: %+v", name, sa)
		}
		if !bytes.Equal(m.Marshal(), b) {
			t.Errorf("%s: written as %x", name, m.Marshal())
		}
	}
}

// TestMarshalRefuses: what does not fit is an error of Seal, and a panic of
// Marshal.
func TestMarshalRefuses(t *testing.T) {
	for name, p := range map[string]ikemsg.Payload{
		"a body of 64 KiB":       &ikemsg.Cert{Data: make([]byte, 65532)},
		"no proposal":            &ikemsg.SA{},
		"256 proposals":          &ikemsg.SA{Proposals: make([]ikemsg.Proposal, 256)},
		"256 transforms":         &ikemsg.SA{Proposals: []ikemsg.Proposal{{Transforms: make([]ikemsg.Transform, 256)}}},
		"an SPI of 256 bytes":    &ikemsg.Notify{SPI: make([]byte, 256)},
		"256 selectors":          &ikemsg.TSi{Selectors: make([]ikemsg.Selector, 256)},
		"a selector of nothing":  &ikemsg.TSr{Selectors: []ikemsg.Selector{{Kind: ikemsg.SelectorIPv4}}},
		"a nonce of nothing":     &ikemsg.Nonce{},
		"a key of 65536 bits":    &ikemsg.SA{Proposals: []ikemsg.Proposal{{Transforms: []ikemsg.Transform{{KeyBits: 65536}}}}},
		"an attribute of 64 KiB": &ikemsg.Config{Attributes: []ikemsg.ConfigAttribute{{Value: make([]byte, 65536)}}},
		"16384 SPIs":             &ikemsg.Delete{Protocol: ikemsg.ProtocolESP, SPIs: make([]uint32, 16384)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cipher := range protections(t) {
				_, err := ikemsg.Seal(header(ikemsg.Informational), []ikemsg.Payload{p}, cipher, counter(), 1280)
				if e, ok := errors.AsType[*ikemsg.Error](err); !ok || e.Payload != p.Type() {
					t.Fatalf("%v", err)
				}
			}
			defer func() {
				if recover() == nil {
					t.Error("Marshal wrote it")
				}
			}()
			(&ikemsg.Message{Payloads: []ikemsg.Payload{p}}).Marshal()
		})
	}
}

func TestSelectors(t *testing.T) {
	of := func(s string) ikemsg.Selector { return ikemsg.SelectorOf(netip.MustParsePrefix(s)) }
	lan := of("10.77.0.0/24")
	ssh := lan
	ssh.Protocol, ssh.StartPort, ssh.EndPort = 6, 22, 22
	opaque := lan
	opaque.Protocol, opaque.StartPort, opaque.EndPort = 6, 0xffff, 0
	odd := lan
	odd.Start = odd.Start.Next()
	for _, c := range []struct {
		s    ikemsg.Selector
		text string
	}{
		{lan, "10.77.0.0/24"}, {ssh, "10.77.0.0/24[tcp/22]"}, {opaque, "10.77.0.0/24[tcp/opaque]"}, {odd, "10.77.0.1-10.77.0.255"},
		{of("0.0.0.0/0"), "0.0.0.0/0"}, {of("::/0"), "::/0"}, {of("fd77::1/128"), "fd77::1/128"}, {of("10.77.0.9/30"), "10.77.0.8/30"},
	} {
		if c.s.String() != c.text {
			t.Errorf("%v, want %s", c.s, c.text)
		}
	}
	for _, c := range []struct {
		a, b ikemsg.Selector
		want bool
	}{
		{lan, lan, true}, {lan, ssh, true}, {ssh, lan, false}, {lan, of("10.77.0.2/32"), true}, {of("10.77.0.2/32"), lan, false},
		{of("0.0.0.0/0"), lan, true}, {of("::/0"), lan, false}, {lan, opaque, true}, {opaque, ssh, false}, {ssh, opaque, false}, {opaque, opaque, true},
		{lan, of("10.77.1.0/24"), false}, {odd, lan, false},
	} {
		if c.a.Covers(c.b) != c.want {
			t.Errorf("%v covers %v: %v", c.a, c.b, !c.want)
		}
	}
	for addr, want := range map[string]bool{"10.77.0.0": true, "10.77.0.255": true, "10.77.1.0": false, "10.76.255.255": false, "::ffff:10.77.0.3": true, "fd77::1": false} {
		if lan.Contains(netip.MustParseAddr(addr)) != want {
			t.Errorf("%v contains %s: %v", lan, addr, !want)
		}
	}
}

func TestConfigValues(t *testing.T) {
	for _, c := range []struct {
		kind   ikemsg.AttributeType
		value  string
		addr   string
		prefix string
	}{
		{ikemsg.InternalIP4Address, "0a580001", "10.88.0.1", "10.88.0.1/32"},
		{ikemsg.InternalIP4DNS, "0a4d0002", "10.77.0.2", ""},
		{ikemsg.InternalIP4DNS, "0a4d00", "", ""},
		{ikemsg.InternalIP6Address, "fd880000000000000000000000000001 40", "fd88::1", "fd88::1/64"},
		{ikemsg.InternalIP6Address, "fd880000000000000000000000000001", "fd88::1", "fd88::1/128"},
		{ikemsg.InternalIP6Address, "fd880000000000000000000000000001 81", "fd88::1", ""},
		{ikemsg.InternalIP4Subnet, "0a4d0009 ffffff00", "", "10.77.0.0/24"},
		{ikemsg.InternalIP4Subnet, "0a4d0009 00000000", "", "0.0.0.0/0"},
		{ikemsg.InternalIP4Subnet, "0a4d0009 ffffffff", "", "10.77.0.9/32"},
		{ikemsg.InternalIP4Subnet, "0a4d0009 ff00ff00", "", ""},
		{ikemsg.InternalIP6Subnet, "fd770000000000000000000000000009 40", "", "fd77::/64"},
		{ikemsg.ApplicationVersion, "0a4d0009", "", ""},
	} {
		a := ikemsg.ConfigAttribute{Kind: c.kind, Value: spaced(t, c.value)}
		addr, ok := a.Address()
		if got := map[bool]string{true: addr.String()}[ok]; got != c.addr {
			t.Errorf("%v %s: address %q, want %q", c.kind, c.value, got, c.addr)
		}
		prefix, ok := a.Prefix()
		if got := map[bool]string{true: prefix.String()}[ok]; got != c.prefix {
			t.Errorf("%v %s: prefix %q, want %q", c.kind, c.value, got, c.prefix)
		}
	}
}
