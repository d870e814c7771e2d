package ikev2

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A keySet has one key of each kind.
func keySet(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	all := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"p224": elliptic.P224(), "p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = key
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	all["rsa"] = key
	if _, all["ed25519"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestIdentifiers has the bytes of RFC 7427 appendix A, and RFC 8420 appendix A.
func TestIdentifiers(t *testing.T) {
	keys := keySet(t)
	for name, tt := range map[string]struct {
		key  string
		s    scheme
		want string
	}{
		"sha256WithRSAEncryption": {"rsa", scheme{hash: crypto.SHA256}, "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0b 05 00"},
		"sha384WithRSAEncryption": {"rsa", scheme{hash: crypto.SHA384}, "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0c 05 00"},
		"sha512WithRSAEncryption": {"rsa", scheme{hash: crypto.SHA512}, "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0d 05 00"},
		"ecdsa-with-SHA256":       {"p256", scheme{hash: crypto.SHA256}, "30 0a 06 08 2a 86 48 ce 3d 04 03 02"},
		"ecdsa-with-SHA384":       {"p384", scheme{hash: crypto.SHA384}, "30 0a 06 08 2a 86 48 ce 3d 04 03 03"},
		"ecdsa-with-SHA512":       {"p521", scheme{hash: crypto.SHA512}, "30 0a 06 08 2a 86 48 ce 3d 04 03 04"},
		"id-Ed25519":              {"ed25519", scheme{}, "30 05 06 03 2b 65 70"},
		"RSASSA-PSS with SHA-256": {"rsa", scheme{crypto.SHA256, true}, `30 41 06 09 2a 86 48 86 f7 0d 01 01 0a 30 34
			a0 0f 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00
			a1 1c 30 1a 06 09 2a 86 48 86 f7 0d 01 01 08 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00
			a2 03 02 01 20`},
	} {
		got, err := tt.s.identifier(keys[tt.key].Public())
		if want := unhex(t, tt.want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		back, ok := schemeOf(got, keys[tt.key].Public())
		if !ok || back != tt.s {
			t.Errorf("%s is read as %+v, %v", name, back, ok)
		}
		for other, key := range keys {
			if _, ok := schemeOf(got, key.Public()); ok != (other == tt.key || other[0] == 'p' && tt.key[0] == 'p') {
				t.Errorf("%s with a key of %s: %v", name, other, ok)
			}
		}
	}
	for what, der := range map[string]string{
		"sha1WithRSAEncryption":     "30 0d 06 09 2a 86 48 86 f7 0d 01 01 05 05 00",
		"ecdsa-with-SHA1":           "30 09 06 07 2a 86 48 ce 3d 04 01",
		"RSASSA-PSS by its default": "30 0d 06 09 2a 86 48 86 f7 0d 01 01 0a 30 00",
		"behind it":                 "30 05 06 03 2b 65 70 00",
		"cut short":                 "30 0a 06 08 2a 86 48 ce 3d 04 03",
		"another mask": `30 41 06 09 2a 86 48 86 f7 0d 01 01 0a 30 34 a0 0f 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00
			a1 1c 30 1a 06 09 2a 86 48 86 f7 0d 01 01 08 30 0d 06 09 60 86 48 01 65 03 04 02 02 05 00 a2 03 02 01 20`,
	} {
		for name, key := range keys {
			if s, ok := schemeOf(unhex(t, der), key.Public()); ok {
				t.Errorf("%s is %+v with a key of %s", what, s, name)
			}
		}
	}
}

// TestOwnAuth signs with each kind of key for gateways that know much and
// little, and reads that as a gateway does.
func TestOwnAuth(t *testing.T) {
	keys, others := keySet(t), keySet(t)
	octets := []byte("message, nonce and identity")
	all := []ikemsg.HashAlgorithm{ikemsg.HashSHA1, ikemsg.HashSHA256, ikemsg.HashSHA384, ikemsg.HashSHA512, ikemsg.HashIdentity}
	for name, tt := range map[string]struct {
		key    string
		known  []ikemsg.HashAlgorithm
		method ikemsg.AuthMethod
		want   scheme
	}{
		"rsa":                 {"rsa", all, ikemsg.AuthDigitalSignature, scheme{hash: crypto.SHA256}},
		"p256":                {"p256", all, ikemsg.AuthDigitalSignature, scheme{hash: crypto.SHA256}},
		"p384":                {"p384", all, ikemsg.AuthDigitalSignature, scheme{hash: crypto.SHA384}},
		"p521":                {"p521", all, ikemsg.AuthDigitalSignature, scheme{hash: crypto.SHA512}},
		"ed25519":             {"ed25519", all, ikemsg.AuthDigitalSignature, scheme{}},
		"p256, SHA-512 only":  {"p256", all[3:4], ikemsg.AuthDigitalSignature, scheme{hash: crypto.SHA512}},
		"p521, SHA-256, -384": {"p521", all[1:3], ikemsg.AuthDigitalSignature, scheme{hash: crypto.SHA384}},
		"rsa, SHA-1 only":     {"rsa", all[:1], ikemsg.AuthRSA, scheme{}},
		"rsa, no RFC 7427":    {"rsa", nil, ikemsg.AuthRSA, scheme{}},
		"p256, no RFC 7427":   {"p256", nil, ikemsg.AuthECDSA256, scheme{}},
		"p384, no RFC 7427":   {"p384", nil, ikemsg.AuthECDSA384, scheme{}},
		"p521, no RFC 7427":   {"p521", nil, ikemsg.AuthECDSA521, scheme{}},
		"ed25519, no RFC":     {"ed25519", all[:4], 0, scheme{}},
		"p224, no RFC":        {"p224", nil, 0, scheme{}},
	} {
		t.Run(name, func(t *testing.T) {
			own := &Certificate{Key: keys[tt.key], Chain: []*x509.Certificate{{}}}
			auth, err := own.ownAuth(tt.known, octets, rand.Reader)
			if tt.method == 0 {
				if !fault.Is(err, fault.GatewayLogin) || fault.Transient(err) {
					t.Errorf("%v, %v", auth, err)
				}
				return
			}
			if err != nil || auth.Method != tt.method {
				t.Fatalf("%v, %v", auth, err)
			}
			if auth.Method == ikemsg.AuthDigitalSignature {
				algorithm, _, err := ikemsg.SplitSignature(auth.Data)
				if s, ok := schemeOf(algorithm, own.Key.Public()); err != nil || !ok || s != tt.want {
					t.Errorf("signed by %+v", s)
				}
			}
			weak, err := signedBy(own.Key.Public(), auth, octets)
			if err != nil || weak != (tt.method == ikemsg.AuthRSA) {
				t.Errorf("weak %v, %v", weak, err)
			}
			if _, err := signedBy(own.Key.Public(), auth, octets[1:]); err == nil {
				t.Error("it is good for anything")
			}
			for other, key := range others {
				if _, err := signedBy(key.Public(), auth, octets); err == nil {
					t.Errorf("a key of %s that is not its own", other)
				}
			}
			for i := range auth.Data {
				bad := &ikemsg.Auth{Method: auth.Method, Data: slices.Clone(auth.Data)}
				bad.Data[i] ^= 1
				if _, err := signedBy(own.Key.Public(), bad, octets); err == nil {
					t.Errorf("byte %d may be anything", i)
				}
				if _, err := signedBy(own.Key.Public(), &ikemsg.Auth{Method: auth.Method, Data: auth.Data[:i]}, octets); err == nil {
					t.Errorf("%d bytes are enough", i)
				}
			}
			for _, m := range []ikemsg.AuthMethod{ikemsg.AuthSharedKey, ikemsg.AuthNull, ikemsg.AuthDSS} {
				if _, err := signedBy(own.Key.Public(), &ikemsg.Auth{Method: m, Data: auth.Data}, octets); err == nil {
					t.Errorf("as %v", m)
				}
			}
		})
	}
	// Old RSA over a better hash than the one of the RFC, and PSS.
	for _, s := range []scheme{{hash: crypto.SHA256}, {hash: crypto.SHA512}} {
		signature, err := s.sign(keys["rsa"], octets, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if weak, err := signedBy(keys["rsa"].Public(), &ikemsg.Auth{Method: ikemsg.AuthRSA, Data: signature}, octets); err != nil || weak {
			t.Errorf("%v: weak %v, %v", s.hash, weak, err)
		}
	}
	own := &Certificate{Key: keys["rsa"], Chain: []*x509.Certificate{{}}, PSS: true}
	auth, err := own.ownAuth(all, octets, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signedBy(own.Key.Public(), auth, octets); err != nil {
		t.Error(err)
	}
	if s, _, ok := own.digital(all); !ok || !s.pss {
		t.Errorf("%+v", s)
	}
}
