package ikemsg_test

import (
	"fmt"
	"strings"
	"testing"

	"linehaul/tunnel/ikemsg"
)

// names counts the values of a type that have a name, and fails on two of the
// same name.
func names(t *testing.T, most int, of func(int) fmt.Stringer) int {
	t.Helper()
	seen := map[string]int{}
	for v := range most + 1 {
		s := of(v).String()
		if s == "" {
			t.Errorf("%d has an empty name", v)
		}
		if strings.HasSuffix(s, fmt.Sprintf("(%d)", v)) {
			continue
		}
		if other, twice := seen[s]; twice {
			t.Errorf("%d and %d are both %s", other, v, s)
		}
		seen[s] = v
	}
	return len(seen)
}

func TestNames(t *testing.T) {
	for name, c := range map[string]struct {
		most, want int
		of         func(int) fmt.Stringer
	}{
		"exchanges":  {255, 7, func(v int) fmt.Stringer { return ikemsg.ExchangeType(v) }},
		"payloads":   {255, 22, func(v int) fmt.Stringer { return ikemsg.PayloadType(v) }},
		"protocols":  {255, 3, func(v int) fmt.Stringer { return ikemsg.ProtocolID(v) }},
		"notifies":   {65535, 85, func(v int) fmt.Stringer { return ikemsg.NotifyType(v) }},
		"encodings":  {255, 14, func(v int) fmt.Stringer { return ikemsg.CertEncoding(v) }},
		"methods":    {255, 9, func(v int) fmt.Stringer { return ikemsg.AuthMethod(v) }},
		"hashes":     {65535, 7, func(v int) fmt.Stringer { return ikemsg.HashAlgorithm(v) }},
		"ids":        {255, 9, func(v int) fmt.Stringer { return ikemsg.IDType(v) }},
		"selectors":  {255, 4, func(v int) fmt.Stringer { return ikemsg.SelectorType(v) }},
		"configs":    {255, 4, func(v int) fmt.Stringer { return ikemsg.ConfigType(v) }},
		"attributes": {65535, 30, func(v int) fmt.Stringer { return ikemsg.AttributeType(v) }},
		"codes":      {255, 4, func(v int) fmt.Stringer { return ikemsg.EAPCode(v) }},
		"EAP types":  {255, 16, func(v int) fmt.Stringer { return ikemsg.EAPType(v) }},
		"ops":        {255, 5, func(v int) fmt.Stringer { return ikemsg.MSCHAPv2Op(v) }},
		"transforms": {255, 12, func(v int) fmt.Stringer { return ikemsg.TransformType(v) }},
		"errors":     {255, 4, func(v int) fmt.Stringer { return ikemsg.ErrorKind(v) }},
	} {
		if got := names(t, c.most, c.of); got != c.want {
			t.Errorf("%d %s have names, want %d", got, name, c.want)
		}
	}
	for want, tr := range map[string]ikemsg.Transform{
		"AES_CBC-256":       {Type: ikemsg.TransformEncryption, ID: 12, KeyBits: 256},
		"PRF_HMAC_SHA2_384": {Type: ikemsg.TransformPRF, ID: 6},
		"HMAC_SHA2_256_128": {Type: ikemsg.TransformIntegrity, ID: 12},
		"CURVE25519":        {Type: ikemsg.TransformKeyExchange, ID: 31},
		"ML_KEM_768":        {Type: ikemsg.TransformAdditionalKE1, ID: 36},
		"ESN":               {Type: ikemsg.TransformESN, ID: 1},
		"ENCR(1234)":        {Type: ikemsg.TransformEncryption, ID: 1234},
		"ADDKE7(999)":       {Type: ikemsg.TransformAdditionalKE7, ID: 999},
		"transform(77)(1)":  {Type: 77, ID: 1},
	} {
		if tr.String() != want {
			t.Errorf("%v, want %s", tr, want)
		}
	}
	if !ikemsg.NotifyType(16383).IsError() || ikemsg.InitialContact.IsError() {
		t.Error("which notifications are errors")
	}
}

// TestStrings: no byte of a peer gets into a line as it is.
func TestStrings(t *testing.T) {
	for want, s := range map[string]fmt.Stringer{
		"road.lab.test":    &ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.lab.test")},
		"a?b?":             &ikemsg.Identity{Kind: ikemsg.IDEmail, Data: []byte("a\nb\xff")},
		"192.0.2.1":        &ikemsg.Identity{Kind: ikemsg.IDIPv4, Data: []byte{192, 0, 2, 1}},
		"keyid:0a":         &ikemsg.Identity{Kind: ikemsg.IDKey, Data: []byte("\n")},
		"strongSwan":       &ikemsg.VendorID{Data: []byte("strongSwan")},
		"0a0b":             &ikemsg.VendorID{Data: []byte("\n\v")},
		"0102030000000000": ikemsg.SPI{1, 2, 3},
		"IKE_AUTH response 7 [IDr N(INITIAL_CONTACT) CP(CFG_REPLY) EAP(SUCC) SKF(1/2)]": &ikemsg.Message{
			Header: ikemsg.Header{Exchange: ikemsg.IKEAuth, Flags: ikemsg.FlagResponse, MessageID: 7},
			Payloads: []ikemsg.Payload{
				&ikemsg.IDr{}, &ikemsg.Notify{Kind: ikemsg.InitialContact}, &ikemsg.Config{Kind: ikemsg.ConfigReply},
				&ikemsg.EAP{Code: ikemsg.EAPSuccess}, &ikemsg.Fragment{Number: 1, Total: 2},
			},
		},
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}
