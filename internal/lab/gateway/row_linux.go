package gateway

import (
	"fmt"
	"strings"
)

// Auth is how the two sides prove who they are.
type Auth uint8

// The ways of proof, the client's side named.
const (
	AuthPSK      Auth = iota
	AuthRSA           // a certificate with an RSA key, as the gateway
	AuthECDSA         // P-256
	AuthECDSA384      // P-384
	AuthECDSA521      // P-521
	AuthEd25519
	AuthChain       // P-256, with a CA between the topmost one and both sides
	AuthEAPMSCHAPv2 // the gateway by RSA certificate
	AuthEAPMD5      // the gateway by RSA certificate
	AuthEAPTLS      // the gateway by RSA certificate
	AuthPSKAndEAP   // EAP-MSCHAPv2, the gateway by PSK
	AuthRSAThenEAP  // two rounds (RFC 4739)
	AuthPSKThenEAP  // two rounds, the gateway by PSK
	AuthEAPOnly     // EAP-TLS, by which the gateway proves itself too (RFC 5998)
	AuthXAuthPSK    // IKEv1
	AuthXAuthHybrid // IKEv1, the gateway by RSA certificate
)

// A Row is a way to set gateway and client up. The zero value is IKEv2 with
// PSK and a virtual address.
type Row struct {
	Auth       Auth
	Version    int    // of IKE: 2 (default) or 1
	IKE, ESP   string // proposals, in strongSwan's spelling; default: AES-128, SHA-256, and modp2048 for IKE
	Aggressive bool   // IKEv1
	SiteToSite bool   // no virtual address: the client comes from InnerNet
	Outer6     bool   // the gateway is at Gate6
	Sign       string // the gateway's signature scheme, as in rsa/pss-sha384; default: strongSwan's
	Inner6     bool   // LanNet6 is behind the gateway too, and there are virtual addresses of Pool6

	// Lines for the connections, their children, and the pool of virtual
	// addresses.
	Gate, Road, GateChild, RoadChild, Pool string
}

// keys is the kind of certificates that a way of proof needs.
func (a Auth) keys() []string {
	switch a {
	case AuthRSA, AuthEAPMSCHAPv2, AuthEAPMD5, AuthEAPTLS, AuthRSAThenEAP, AuthEAPOnly, AuthXAuthHybrid:
		return []string{"rsa"}
	case AuthECDSA:
		return []string{"ecdsa"}
	case AuthECDSA384:
		return []string{"ecdsa384"}
	case AuthECDSA521:
		return []string{"ecdsa521"}
	case AuthChain:
		return []string{"chain"}
	case AuthEd25519:
		return []string{"ed25519"}
	case AuthPSK, AuthPSKAndEAP, AuthPSKThenEAP, AuthXAuthPSK:
	}
	return nil
}

const (
	pskSecret  = "ike-1 {\n secret = " + PSK + "\n}\n"
	userSecret = "eap-1 {\n id = " + User + "\n secret = " + Password + "\n}\nxauth-1 {\n id = " + User + "\n secret = " + Password + "\n}\n"
)

// section is a section of swanctl.conf.
func section(name string, lines ...string) string {
	return name + " {\n" + strings.Join(lines, "\n") + "\n}\n"
}

// proofs are the local and remote sections of the gateway and of the client:
// what the gateway shows is what the client wants to see, and the other way.
func (r Row) proofs(k *keyring) (gate, road string) {
	kind := "rsa"
	if kinds := r.Auth.keys(); len(kinds) > 0 {
		kind = kinds[0]
	}
	cert := func(who string) string { return "certs = " + k.file(kind+"-"+who+".crt") }
	gateID, roadID, ca := "id = "+GateID, "id = "+RoadID, "cacerts = "+k.file(kind+"-ca.crt")
	// The usual case, for the gateway: a certificate.
	sign := "pubkey"
	if r.Sign != "" {
		sign = r.Sign
	}
	gateLocal := section("local", "auth = "+sign, cert("gate"), gateID)
	roadRemote := section("remote", "auth = pubkey", gateID, ca)
	var gateRemote, roadLocal string
	eap := func(method string) {
		gateRemote = section("remote", "auth = "+method, "eap_id = %any")
		roadLocal = section("local", "auth = "+method, roadID, "eap_id = "+User)
	}
	psk := func() {
		gateLocal = section("local", "auth = psk", gateID)
		roadRemote = section("remote", "auth = psk", gateID)
	}
	switch r.Auth {
	case AuthPSK:
		psk()
		gateRemote = section("remote", "auth = psk")
		roadLocal = section("local", "auth = psk", roadID)
	case AuthRSA, AuthECDSA, AuthECDSA384, AuthECDSA521, AuthEd25519, AuthChain:
		gateRemote = section("remote", "auth = pubkey", ca)
		roadLocal = section("local", "auth = pubkey", cert("road"), roadID)
	case AuthEAPMSCHAPv2:
		eap("eap-mschapv2")
	case AuthEAPMD5:
		eap("eap-md5")
	case AuthEAPTLS:
		gateRemote = section("remote", "auth = eap-tls")
		roadLocal = section("local", "auth = eap-tls", cert("road"), roadID)
	case AuthPSKAndEAP:
		psk()
		eap("eap-mschapv2")
	case AuthRSAThenEAP:
		gateRemote = section("remote", "auth = pubkey", "round = 1") +
			section("remote-2", "auth = eap-mschapv2", "round = 2", "eap_id = %any")
		roadLocal = section("local", "auth = pubkey", cert("road"), roadID, "round = 1") +
			section("local-2", "auth = eap-mschapv2", "round = 2", roadID, "eap_id = "+User)
	case AuthPSKThenEAP:
		psk()
		gateRemote = section("remote", "auth = psk", "round = 1") +
			section("remote-2", "auth = eap-mschapv2", "round = 2", "eap_id = %any")
		roadLocal = section("local", "auth = psk", roadID, "round = 1") +
			section("local-2", "auth = eap-mschapv2", "round = 2", roadID, "eap_id = "+User)
	case AuthEAPOnly:
		gateLocal = section("local", "auth = eap-tls", cert("gate"), gateID)
		gateRemote = section("remote", "auth = eap-tls")
		roadLocal = section("local", "auth = eap-tls", cert("road"), roadID)
		roadRemote = section("remote", "auth = eap-tls", gateID, ca)
	case AuthXAuthPSK:
		psk()
		gateRemote = section("remote", "auth = psk") + section("remote-x", "auth = xauth")
		roadLocal = section("local", "auth = psk", roadID) + section("local-x", "auth = xauth", "xauth_id = "+User)
	case AuthXAuthHybrid:
		gateRemote = section("remote", "auth = xauth")
		roadLocal = section("local", "auth = xauth", roadID, "xauth_id = "+User)
	}
	return gateLocal + gateRemote, roadLocal + roadRemote
}

// common are the lines that both connections have.
func (r Row) common() []string {
	version, ike := 2, "aes128-sha256-modp2048"
	if r.Version != 0 {
		version = r.Version
	}
	if r.IKE != "" {
		ike = r.IKE
	}
	aggressive := "no"
	if r.Aggressive {
		aggressive = "yes"
	}
	return []string{fmt.Sprintf("version = %d", version), "aggressive = " + aggressive, "proposals = " + ike}
}

func (r Row) esp() string {
	if r.ESP == "" {
		return "esp_proposals = aes128-sha256"
	}
	return "esp_proposals = " + r.ESP
}

func (r Row) outer() string {
	if r.Outer6 {
		return Gate6
	}
	return Gate
}

// behind are the networks behind the gateway.
func (r Row) behind() string {
	if r.Inner6 {
		return LanNet + ", " + LanNet6
	}
	return LanNet
}

// gateConf is the gateway's swanctl.conf.
func (r Row) gateConf(k *keyring) string {
	proof, _ := r.proofs(k)
	pools, client := "pools = four", ""
	switch {
	case r.SiteToSite:
		pools, client = "", "remote_ts = "+InnerNet
	case r.Inner6:
		pools = "pools = four, six"
	}
	child := section("net", "local_ts = "+r.behind(), client, r.esp(), r.GateChild)
	conn := append(r.common(), "local_addrs = "+r.outer(), "send_cert = always", pools, r.Gate, proof, section("children", child))
	return section("connections", section("c", conn...)) +
		section("pools", section("four", "addrs = "+Pool, "dns = "+Lan, r.Pool), section("six", "addrs = "+Pool6)) +
		section("secrets", pskSecret, userSecret)
}

// roadConf is the swanctl.conf of a client.
func (r Row) roadConf(k *keyring) string {
	_, proof := r.proofs(k)
	virtual, client := "vips = 0.0.0.0", ""
	switch {
	case r.SiteToSite:
		virtual, client = "", "local_ts = "+InnerNet
	case r.Inner6:
		virtual = "vips = 0.0.0.0, ::"
	}
	child := section("net", "remote_ts = "+r.behind(), client, r.esp(), r.RoadChild)
	conn := append(r.common(), "remote_addrs = "+r.outer(), "send_certreq = yes", virtual, r.Road, proof, section("children", child))
	return section("connections", section("c", conn...)) + section("secrets", pskSecret, userSecret)
}
