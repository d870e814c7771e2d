package suite

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
)

func parse(t testing.TB, p Protocol, text string) Proposal {
	t.Helper()
	proposal, err := Parse(p, text)
	if err != nil {
		t.Fatal(err)
	}
	return proposal
}

// transforms reads names; nointeg is none of integrity, which has no name.
func transforms(t testing.TB, text string) []Transform {
	t.Helper()
	var all []Transform
	for _, name := range strings.Fields(text) {
		if name == "nointeg" {
			all = append(all, Transform{Type: TypeIntegrity, ID: IntegNone})
			continue
		}
		transform, _, ok := lookup(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		all = append(all, transform)
	}
	return all
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		protocol        Protocol
		offered, chosen string
		want            string // the suite, or a part of the error
		ok              bool
	}{
		{IKE, "aes256-aes128-sha256-sha1-modp2048-x25519", "aes128 sha1 prfsha256 x25519", "aes128-sha1-prfsha256-x25519", true},
		{IKE, "aes256gcm16-prfsha384-ecp384", "ecp384 prfsha384 aes256gcm16", "aes256gcm16-prfsha384-ecp384", true},
		{IKE, "aes256gcm16-prfsha384-ecp384", "ecp384 prfsha384 aes256gcm16 nointeg", "aes256gcm16-prfsha384-ecp384", true},
		{IKE, "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_none-ke2_mlkem512", "ke2_mlkem512 aes256gcm16 prfsha384 x25519 ke1_mlkem768",
			"aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke2_mlkem512", true},
		{IKE, "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_none", "aes256gcm16 prfsha384 x25519 ke1_none", "aes256gcm16-prfsha384-x25519", true},
		{IKE, "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_none", "aes256gcm16 prfsha384 x25519", "aes256gcm16-prfsha384-x25519", true},
		{ESP, "aes256gcm16-esn-noesn", "aes256gcm16 esn", "aes256gcm16-esn", true},
		{ESP, "aes256gcm16-modp2048-none", "aes256gcm16 noesn", "aes256gcm16-noesn", true},
		{ESP, "aes256gcm16-modp2048-none", "aes256gcm16 noesn none", "aes256gcm16-noesn", true},
		{ESP, "aes256-sha256", "aes256 sha256 noesn none", "aes256-sha256-noesn", true},
		{ESP, "null-md5-modp1536", "null md5 noesn modp1536", "null-md5-modp1536-noesn", true},

		{IKE, "aes256-sha256-modp2048", "aes128 sha256 prfsha256 modp2048", "chose aes128 for IKE, which was not in aes256-sha256", false},
		{IKE, "aes256-sha256-modp2048", "aes256 sha256 prfsha256 modp1024", "chose modp1024", false},
		{IKE, "aes256-sha256-modp2048", "aes256 sha256 prfsha256", "leaves out modp2048", false},
		{IKE, "aes256-sha256-modp2048", "", "chose nothing for IKE, which leaves out aes256", false},
		{IKE, "aes256-aes128-sha256-modp2048", "aes256 aes128 sha256 prfsha256 modp2048", "two transforms of one type", false},
		{IKE, "aes256-sha256-modp2048", "aes256 sha256 sha256 prfsha256 modp2048", "two transforms of one type", false},
		{IKE, "aes256-sha256-modp2048", "aes256 sha256 prfsha256 modp2048 nointeg", "chose INTEG(0)", false},
		{IKE, "aes256gcm16-prfsha384-x25519-ke1_mlkem768", "aes256gcm16 prfsha384 x25519", "leaves out ke1_mlkem768", false},
		{IKE, "aes256gcm16-prfsha384-x25519", "aes256gcm16 prfsha384 x25519 ke1_mlkem768", "chose ke1_mlkem768", false},
		{ESP, "aes256gcm16-esn-noesn", "aes256gcm16", "leaves out esn, noesn", false},
		{ESP, "aes256gcm16-noesn", "aes256gcm16 esn", "chose esn", false},
		{ESP, "aes256gcm16", "aes256gcm16 noesn sha256", "chose sha256", false},
		{ESP, "aes256gcm16-modp2048", "aes256gcm16 noesn", "leaves out modp2048", false},
		{ESP, "aes256gcm16-modp2048", "aes256gcm16 noesn none", "chose none", false},
	} {
		p := parse(t, c.protocol, c.offered)
		s, err := p.Choose(transforms(t, c.chosen))
		switch {
		case c.ok && (err != nil || s.String() != c.want):
			t.Errorf("%s of %s: %s, %v, want %s", c.chosen, c.offered, s, err, c.want)
		case !c.ok && (!fault.Is(err, fault.IKE) || fault.Transient(err) || !strings.Contains(err.Error(), c.want) || !reflect.DeepEqual(s, Suite{})):
			t.Errorf("%s of %s: %v, %v, want %s", c.chosen, c.offered, s, err, c.want)
		}
	}
	// Proposals that Parse does not make.
	for _, p := range []Proposal{
		{}, {Protocol: ESP, Transforms: transforms(t, "aes256 noesn")}, {Protocol: ESP, Transforms: transforms(t, "aes256 nointeg")},
		{Protocol: IKE, Transforms: transforms(t, "aes256gcm16 x25519")}, {Protocol: IKE, Transforms: transforms(t, "aes256gcm16 prfsha256 none")},
	} {
		if s, err := p.Choose(p.Transforms); err == nil {
			t.Errorf("%s makes %s", p, s)
		}
	}
}

// TestAgree: what a responder answers is what the initiator's Choose takes.
func TestAgree(t *testing.T) {
	for _, c := range []struct {
		protocol     Protocol
		own, offered string
		want         string // "" for none
	}{
		{IKE, "aes128-aes256-sha256-x25519", "aes256-aes128-sha1-sha256-modp2048-x25519", "aes128 prfsha256 sha256 x25519"},
		{IKE, "aes256-sha256-x25519", "aes256-sha256-modp2048", ""},
		{IKE, "aes256gcm16-prfsha256-x25519", "aes256-sha256-x25519", ""},
		{IKE, "aes256gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-x25519-ke1_mlkem768", ""},
		{IKE, "aes256gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-x25519-ke1_mlkem768-ke1_none", "aes256gcm16 prfsha256 x25519 ke1_none"},
		{IKE, "aes256gcm16-prfsha256-x25519-ke1_mlkem768", "aes256gcm16-prfsha256-x25519", ""},
		{IKE, "aes256gcm16-prfsha256-x25519-ke1_mlkem768-ke1_none", "aes256gcm16-prfsha256-x25519", "aes256gcm16 prfsha256 x25519"},
		{ESP, "aes256gcm16-noesn-esn", "aes256gcm16-esn-noesn", "aes256gcm16 noesn"},
		{ESP, "aes256gcm16-x25519", "aes256gcm16", ""},
		{ESP, "aes256gcm16", "aes256gcm16-x25519", ""},
		{ESP, "aes256gcm16", "aes256gcm16-x25519-none", "aes256gcm16 none noesn"},
		{ESP, "aes256-sha256", "aes256gcm16", ""},
	} {
		own, offered := parse(t, c.protocol, c.own), parse(t, c.protocol, c.offered)
		chosen, ok := own.Agree(offered)
		if ok != (c.want != "") || ok && !reflect.DeepEqual(chosen, transforms(t, c.want)) {
			t.Errorf("%s of %s: %v, want %s", c.own, c.offered, Proposal{c.protocol, chosen}, c.want)
		}
	}
	own := parse(t, ESP, "aes256gcm16")
	foreign := Proposal{ESP, append(slices.Clone(own.Transforms), Transform{Type: 99, ID: 1})}
	if _, ok := own.Agree(foreign); ok {
		t.Error("agreed to a transform of a type that nobody knows")
	}
	if _, ok := own.Agree(Proposal{AH, own.Transforms}); ok {
		t.Error("agreed to AH")
	}
	for _, p := range append(Default(IKE), Default(ESP)...) {
		chosen, ok := p.Agree(p)
		if _, err := p.Choose(chosen); !ok || err != nil {
			t.Errorf("%s does not agree with itself: %v", p, err)
		}
	}
}

func TestKeySizes(t *testing.T) {
	for _, c := range []struct {
		protocol                   Protocol
		text                       string
		encryption, integrity, prf int
	}{
		{IKE, "aes256gcm16-prfsha384-ecp384", 36, 0, 48}, // RFC 5282 section 7.1
		{IKE, "aes128-sha256-modp2048", 16, 32, 32},
		{IKE, "aes192ctr-sha512-modp2048", 28, 64, 64}, // RFC 5930 section 2
		{IKE, "3des-md5-prfsha1-modp1024", 24, 16, 20},
		{IKE, "aes256-aesxcbc-x25519", 32, 16, 16},
		{ESP, "chacha20poly1305", 36, 0, 0}, // RFC 7634 section 2
		{ESP, "aes128ccm12", 19, 0, 0},      // RFC 4309 section 7.1
		{ESP, "aes256gcm8", 36, 0, 0},       // RFC 4106 section 8.1
		{ESP, "des-sha1", 8, 20, 0},
		{ESP, "blowfish256-sha384", 32, 48, 0},
		{ESP, "cast128-aescmac", 16, 16, 0},
		{ESP, "null-sha1", 0, 20, 0},
	} {
		p := parse(t, c.protocol, c.text)
		s, err := p.Choose(p.Transforms)
		if err != nil {
			t.Fatal(err)
		}
		if e, i, prf := s.KeySizes(); e != c.encryption || i != c.integrity || prf != c.prf {
			t.Errorf("%s: %d, %d, %d", s, e, i, prf)
		}
	}
}

func TestWithoutKeyExchange(t *testing.T) {
	p := parse(t, ESP, "aes256gcm16-x25519-ke1_mlkem768-esn")
	if got := p.WithoutKeyExchange(); got.String() != "aes256gcm16-esn" || len(p.Transforms) != 4 {
		t.Errorf("%s of %s", got, p)
	}
}

// TestStockGateways: the defaults agree with what gateways propose that nobody
// configured, by their manuals: strongSwan 5.9, libreswan 4, OpenIKED 7,
// FortiOS 7, Cisco IOS-XE 17 (whose default for ESP is SHA-1 only, so that it is
// not here).
func TestStockGateways(t *testing.T) {
	for _, c := range []struct {
		protocol      Protocol
		gateway, text string
	}{
		{IKE, "strongSwan", "aes128-aes192-aes256-sha256-sha384-sha512-sha1-x25519-ecp256-ecp384-ecp521-modp3072-modp4096-modp2048"},
		{ESP, "strongSwan", "aes128-aes192-aes256-sha256-sha384-sha512-sha1-noesn"},
		{IKE, "libreswan", "aes256gcm16-prfsha512-prfsha256-modp2048-modp3072-modp4096-modp8192-ecp256-ecp384-ecp521-x25519"},
		{ESP, "libreswan", "aes256gcm16-aes128gcm16-noesn"},
		{IKE, "OpenIKED", "aes256gcm16-aes128gcm16-prfsha256-prfsha384-prfsha512-prfsha1-x25519-ecp521-ecp384-ecp256-modp4096-modp3072-modp2048"},
		{ESP, "OpenIKED", "aes256gcm16-aes128gcm16-esn-noesn"},
		{IKE, "FortiOS", "aes128-aes256-sha256-modp2048-modp1536"},
		{IKE, "FortiOS, AEAD", "aes256gcm16-prfsha384-modp2048-modp1536"},
		{ESP, "FortiOS", "aes128-aes256-sha256-noesn"},
		{IKE, "IOS-XE", "aes256-sha512-sha384-ecp256-modp2048-ecp521-modp1536"},
	} {
		gateway := parse(t, c.protocol, c.text)
		if !slices.ContainsFunc(Default(c.protocol), func(p Proposal) bool { _, ok := gateway.Agree(p); return ok }) {
			t.Errorf("%s does not agree to the %s default", c.gateway, c.protocol)
		}
	}
}
