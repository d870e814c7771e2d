//go:build linux

package tunnel_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
)

// A way to log in: how the gateway is set up for it, and what its log says then.
type way struct {
	row  gateway.Row
	says string
}

// ways are by the names that a test hands to its other half.
func ways() map[string]way {
	let := func(how string) string { return "authentication of 'road.lab.test' with " + how + " successful" }
	return map[string]way{
		"psk":               {gateway.Row{}, let("pre-shared key")},
		"rsa":               {gateway.Row{Auth: gateway.AuthRSA}, let("RSA_EMSA_PKCS1_SHA2_256")},
		"rsa-pss":           {gateway.Row{Auth: gateway.AuthRSA, Sign: "ike:rsa/pss-sha384"}, let("RSA_EMSA_PSS_SHA2_256_SALT_32")},
		"ecdsa":             {gateway.Row{Auth: gateway.AuthECDSA}, let("ECDSA_WITH_SHA256_DER")},
		"ecdsa384":          {gateway.Row{Auth: gateway.AuthECDSA384}, let("ECDSA_WITH_SHA384_DER")},
		"ecdsa521":          {gateway.Row{Auth: gateway.AuthECDSA521}, let("ECDSA_WITH_SHA512_DER")},
		"chain":             {gateway.Row{Auth: gateway.AuthChain}, let("ECDSA_WITH_SHA256_DER")},
		"ed25519":           {gateway.Row{Auth: gateway.AuthEd25519}, let("ED25519")},
		"mschapv2":          {gateway.Row{Auth: gateway.AuthEAPMSCHAPv2}, "EAP method EAP_MSCHAPV2 succeeded, MSK established"},
		"md5":               {gateway.Row{Auth: gateway.AuthEAPMD5}, "EAP method EAP_MD5 succeeded, no MSK established"},
		"tls":               {gateway.Row{Auth: gateway.AuthEAPTLS}, "EAP method EAP_TLS succeeded, MSK established"},
		"eap-only":          {gateway.Row{Auth: gateway.AuthEAPOnly}, "EAP method EAP_TLS succeeded, MSK established"},
		"psk-and-mschapv2":  {gateway.Row{Auth: gateway.AuthPSKAndEAP}, let("EAP")},
		"rsa-then-mschapv2": {gateway.Row{Auth: gateway.AuthRSAThenEAP}, let("EAP")},
		"psk-then-mschapv2": {gateway.Row{Auth: gateway.AuthPSKThenEAP}, let("EAP")},
	}
}

// loginConfig is the client's side of one of them.
func loginConfig(t *testing.T, way, keys string) tunnel.Config {
	t.Helper()
	c := labConfig(t, "aes128-sha256-modp2048", "aes128-sha256")
	kind := way
	switch way {
	case "rsa-pss", "mschapv2", "md5", "tls", "eap-only", "rsa-then-mschapv2":
		kind = "rsa"
	}
	own := func() *ikev2.Certificate { return certificate(t, keys, kind+"-road") }
	trust := func() { c.IKE.PSK, c.IKE.Trust = nil, &ikev2.Trust{CAs: certificates(t, keys, kind+"-ca")} }
	password := &ikev2.EAP{User: gateway.User, Password: []byte(gateway.Password)}
	switch way {
	case "psk":
	case "rsa", "rsa-pss", "ecdsa", "ecdsa384", "ecdsa521", "ed25519", "chain":
		trust()
		c.IKE.Certificate = own()
		c.IKE.Certificate.PSS = way == "rsa-pss"
	case "mschapv2", "md5":
		trust()
		c.IKE.EAP = password
	case "tls", "eap-only":
		trust()
		c.IKE.EAP = &ikev2.EAP{User: gateway.RoadID, Certificate: own()}
	case "psk-and-mschapv2":
		c.IKE.PSK, c.IKE.RemotePSK, c.IKE.EAP = nil, c.IKE.PSK, password
	case "rsa-then-mschapv2":
		trust()
		c.IKE.Certificate, c.IKE.EAP = own(), password
	case "psk-then-mschapv2":
		c.IKE.EAP = password
	default:
		t.Fatalf("no way is named %q", way)
	}
	return c
}

func certificates(t *testing.T, keys, name string) []*x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(keys, name+".crt"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := ikev2.ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func certificate(t *testing.T, keys, name string) *ikev2.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(keys, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &ikev2.Certificate{Chain: certificates(t, keys, name), Key: key.(crypto.Signer)}
}

// pings sends two pings of 1,200 bytes through a tunnel.
func pings(t *testing.T, tun *tunnel.Tunnel, to string) {
	t.Helper()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := tun.Ping(ctx, netip.MustParseAddr(to), 1200)
		cancel()
		if err != nil {
			t.Errorf("ping %s: %v", to, err)
		}
	}
}

// TestAuth logs in to strongSwan in each way, and pings through.
func TestAuth(t *testing.T) {
	if gateway.Inside() {
		c := loginConfig(t, os.Getenv("WAY"), os.Getenv("KEYS"))
		pings(t, up(t, c), gateway.Lan)
		return
	}
	g := gateway.Start(t, gateway.Options{})
	for name, w := range ways() {
		said := login(t, g, name, w.row)
		if !strings.Contains(said, w.says) {
			t.Errorf("%s: the gateway's log has no %q", name, w.says)
		}
	}
}

// login has the test's other half log in in a way, and returns what the gateway
// has said meanwhile.
func login(t *testing.T, g *gateway.Gateway, name string, row gateway.Row) string {
	t.Helper()
	g.Use(row)
	before := len(g.Log())
	out := g.Again(t, "WAY="+name, "KEYS="+g.Keys())
	if !strings.Contains(out, "the tunnel is up") {
		t.Errorf("%s: %s", name, out)
	}
	return g.Log()[before:]
}

// TestOldAuth logs in to a gateway without RFC 7427, which knows RSA over SHA-1
// and the ECDSA of RFC 4754 only.
func TestOldAuth(t *testing.T) {
	if gateway.Inside() {
		c := loginConfig(t, os.Getenv("WAY"), os.Getenv("KEYS"))
		pings(t, up(t, c), gateway.Lan)
		return
	}
	g := gateway.Start(t, gateway.Options{GateConf: "signature_authentication = no"})
	for name, says := range map[string]string{
		"rsa":      "authentication of 'road.lab.test' with RSA signature successful",
		"ecdsa":    "authentication of 'road.lab.test' with ECDSA-256 signature successful",
		"ecdsa384": "authentication of 'road.lab.test' with ECDSA-384 signature successful",
		"ecdsa521": "authentication of 'road.lab.test' with ECDSA-521 signature successful",
	} {
		if said := login(t, g, name, ways()[name].row); !strings.Contains(said, says) {
			t.Errorf("%s: the gateway's log has no %q", name, says)
		}
	}
}

// A wrong is something that must not let us in, or the gateway.
type wrong struct {
	name, way string
	change    func(t *testing.T, c *tunnel.Config, keys string)
	says      string
}

func wrongs() []wrong {
	return []wrong{
		{"password", "mschapv2", func(_ *testing.T, c *tunnel.Config, _ string) { c.IKE.EAP.Password = []byte("looking glass") }, `does not let the EAP user "alice" in: wrong user or password`},
		{"user", "mschapv2", func(_ *testing.T, c *tunnel.Config, _ string) { c.IKE.EAP.User = "bob" }, `does not let the EAP user "bob" in`},
		{"password of MD5", "md5", func(_ *testing.T, c *tunnel.Config, _ string) { c.IKE.EAP.Password = []byte("looking glass") }, `does not let the EAP user "alice" in`},
		{"second password", "rsa-then-mschapv2", func(_ *testing.T, c *tunnel.Config, _ string) { c.IKE.EAP.Password = []byte("looking glass") }, "wrong user or password"},
		{"method", "mschapv2", func(_ *testing.T, c *tunnel.Config, _ string) { c.IKE.EAP.Methods = []ikemsg.EAPType{ikemsg.EAPGTC} }, `does not let the EAP user "alice" in`},
		{"CA", "rsa", func(t *testing.T, c *tunnel.Config, keys string) { c.IKE.Trust.CAs = certificates(t, keys, "ecdsa-ca") }, `signed by "CN=ca of rsa,O=Lab", which none of the CAs given vouches for`},
		{"CA of EAP-TLS", "eap-only", func(t *testing.T, c *tunnel.Config, keys string) { c.IKE.Trust.CAs = certificates(t, keys, "ecdsa-ca") }, "which none of the CAs given vouches for"},
		{"identity", "rsa", func(_ *testing.T, c *tunnel.Config, _ string) {
			c.IKE.Remote, c.IKE.Trust.Name = nil, &ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("other.lab.test")}
		}, "the gateway is gw.lab.test, and not other.lab.test"},
		{"a year later", "mschapv2", func(_ *testing.T, c *tunnel.Config, _ string) {
			c.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
		}, `the gateway's certificate "CN=gate of rsa,O=Lab" has expired on`},
		{"EAP where it wants a certificate", "rsa", func(_ *testing.T, c *tunnel.Config, _ string) {
			c.IKE.Certificate, c.IKE.EAP = nil, &ikev2.EAP{User: "x", Password: []byte("x")}
		}, "does not let road.lab.test begin to log in by EAP"},
		{"own certificate a year later", "rsa", func(_ *testing.T, c *tunnel.Config, _ string) {
			c.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
		}, `the link's certificate "CN=road of rsa,O=Lab" has expired on`},
		{"revoked", "rsa", func(t *testing.T, c *tunnel.Config, keys string) { c.IKE.Trust.CRLs = crls(t, keys, "revoked.crl") }, `"CN=gate of rsa,O=Lab" was revoked`},
		{"own certificate", "rsa", func(t *testing.T, c *tunnel.Config, keys string) {
			c.IKE.Certificate = certificate(t, keys, "ecdsa-road")
		}, "does not let road.lab.test in with the certificate"},
		{"own certificate of EAP-TLS", "tls", func(t *testing.T, c *tunnel.Config, keys string) {
			c.IKE.EAP.Certificate = stranger(t)
		}, "the gateway refuses our certificate in EAP-TLS"},
		{"a key for a certificate", "rsa", func(_ *testing.T, c *tunnel.Config, _ string) {
			c.IKE.Certificate, c.IKE.Trust, c.IKE.PSK = nil, nil, []byte(gateway.PSK)
		}, "does not let road.lab.test in"},
		{"a certificate for a key", "psk", func(t *testing.T, c *tunnel.Config, keys string) {
			c.IKE.Trust = &ikev2.Trust{CAs: certificates(t, keys, "rsa-ca")}
		}, "by a pre-shared key, and not by a certificate"},
		{"no EAP", "psk-then-mschapv2", func(_ *testing.T, c *tunnel.Config, _ string) { c.IKE.EAP = nil }, "does not let road.lab.test in"},
		{"one EAP too many", "psk", func(_ *testing.T, c *tunnel.Config, _ string) {
			c.IKE.EAP = &ikev2.EAP{User: "x", Password: []byte("x")}
		}, "has accepted the first proof of road.lab.test, and does not begin with EAP"},
	}
}

// TestAuthRefused is refused by strongSwan, or refuses it, and says which side
// it was and why.
func TestAuthRefused(t *testing.T) {
	if gateway.Inside() {
		for _, w := range wrongs() {
			if w.way == os.Getenv("WAY") {
				w.try(t, os.Getenv("KEYS"))
			}
		}
		return
	}
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{Auth: gateway.AuthECDSA}}) // for its keys
	g.Use(gateway.Row{Auth: gateway.AuthRSA})
	revoke(t, g.Keys())
	seen, tried := map[string]bool{}, 0
	for _, w := range wrongs() {
		if seen[w.way] {
			continue
		}
		seen[w.way] = true
		g.Use(ways()[w.way].row)
		for line := range strings.Lines(g.Again(t, "WAY="+w.way, "KEYS="+g.Keys())) {
			if _, text, ok := strings.Cut(line, "refused: "); ok {
				tried++
				t.Log(strings.TrimSpace(text))
			}
		}
		if sas := g.SAs(); strings.Contains(sas, "ESTABLISHED") {
			t.Errorf("%s: the gateway believes in an SA:\n%s", w.way, sas)
		}
	}
	if tried != len(wrongs()) {
		t.Errorf("%d of %d were tried", tried, len(wrongs()))
	}
}

// try does what must not succeed.
func (w wrong) try(t *testing.T, keys string) {
	t.Helper()
	c := loginConfig(t, w.way, keys)
	w.change(t, &c, keys)
	tun, err := tunnel.Up(t.Context(), c)
	if err == nil {
		tun.Close()
		t.Fatalf("%s: it is up", w.name)
	}
	if !fault.Is(err, fault.GatewayLogin) || fault.Transient(err) || !strings.Contains(err.Error(), w.says) || fault.HintOf(err) == "" {
		t.Errorf("%s: %v (%s)", w.name, err, fault.HintOf(err))
	}
	t.Logf("refused: %s: %v = %s", w.name, err, fault.HintOf(err))
}

// stranger is a certificate for the client that no CA has made.
func stranger(t *testing.T) *ikev2.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: []string{gateway.RoadID}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ikev2.Certificate{Chain: []*x509.Certificate{own}, Key: key}
}

// revoke writes a list of the RSA CA that revokes the gateway's certificate.
func revoke(t *testing.T, keys string) {
	t.Helper()
	ca := certificate(t, keys, "rsa-ca")
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: certificates(t, keys, "rsa-gate")[0].SerialNumber, RevocationTime: time.Now()}},
	}, ca.Chain[0], ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "revoked.crl"), der, 0o644); err != nil {
		t.Fatal(err)
	}
}

func crls(t *testing.T, keys, name string) []*x509.RevocationList {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(keys, name))
	if err != nil {
		t.Fatal(err)
	}
	all, err := ikev2.ParseCRLs(data)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
