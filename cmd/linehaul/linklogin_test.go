//go:build linux

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab/gateway"
	"linehaul/keys"
	"linehaul/tunnel/ikev2"
)

// TestLinkLogin reaches a host behind strongSwan by a config that logs in with
// certificates, whose keys are in the files that people have, and by EAP, and
// says what is wrong with those that are refused.
func TestLinkLogin(t *testing.T) {
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{Auth: gateway.AuthRSA}})
	here := forRoad(t, g)
	home := func(name string) string { return filepath.Join(g.Home, name) }
	give := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(home(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(home(name), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(g.Keys(), name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	give("ca.pem", read("rsa-ca.crt"))
	give("road.pem", read("rsa-road.crt"))
	give("user.password", []byte(gateway.Password+"\n"))
	private, err := keys.ParsePrivate(read("rsa-road.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]keys.Format{"road.openssh": keys.OpenSSH, "road.ppk": keys.PPK3, "road.pkcs8": keys.PKCS8} {
		phrase := []byte("open sesame")
		if f == keys.PKCS8 {
			phrase = nil
		}
		data, err := keys.Marshal(private, f, phrase, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		give(name, data)
	}
	ca, err := ikev2.ParseCertificates(read("rsa-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	gate, err := ikev2.ParseCertificates(read("rsa-gate.crt"))
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := keys.ParsePrivate(read("rsa-ca.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(name string, serial *big.Int) {
		t.Helper()
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: time.Now()}},
		}, ca[0], caKey.Key.(crypto.Signer))
		if err != nil {
			t.Fatal(err)
		}
		give(name, der)
	}
	revoke("good.crl", big.NewInt(4711))
	revoke("bad.crl", gate[0].SerialNumber)
	certificate := func(key string) string {
		return fmt.Sprintf("local: {id: %s, cert: road.pem, key: %s, passphrase: env:PHRASE}, remote: {ca: ca.pem, id: %s}", gateway.RoadID, key, gateway.GateID)
	}
	password := func(user string) string {
		return fmt.Sprintf("local: {eap: {user: %s, password: file:user.password}}, remote: {ca: ca.pem}", user) // for the gateway's address
	}
	mschapv2, both := gateway.Row{Auth: gateway.AuthEAPMSCHAPv2}, gateway.Row{Auth: gateway.AuthRSAThenEAP}
	for name, tt := range map[string]struct {
		row   gateway.Row
		login string
		fails string // what it says then
		code  int
	}{
		"OpenSSH's key":   {row: gateway.Row{Auth: gateway.AuthRSA}, login: certificate("road.openssh")},
		"PuTTY's key":     {row: gateway.Row{Auth: gateway.AuthRSA}, login: certificate("road.ppk")},
		"PKCS #8":         {row: gateway.Row{Auth: gateway.AuthRSA}, login: strings.Replace(certificate("road.pkcs8"), ", passphrase: env:PHRASE", "", 1)},
		"EAP":             {row: mschapv2, login: password(gateway.User)},
		"two":             {row: both, login: strings.Replace(certificate("road.ppk"), "local: {", "local: {eap: {user: "+gateway.User+", password: file:user.password}, ", 1)},
		"CRL":             {row: mschapv2, login: strings.Replace(password(gateway.User), "ca: ca.pem", "ca: ca.pem, crl: good.crl", 1)},
		"revoked":         {row: mschapv2, login: strings.Replace(password(gateway.User), "ca: ca.pem", "ca: ca.pem, crl: [good.crl, bad.crl]", 1), fails: "was revoked", code: 4},
		"another user":    {row: mschapv2, login: password("bob"), fails: `does not let the EAP user "bob" in`, code: 4},
		"another CA":      {row: gateway.Row{Auth: gateway.AuthRSA}, login: strings.Replace(certificate("road.ppk"), "ca: ca.pem", "ca: road.pem", 1), fails: "which none of the CAs given vouches for", code: 4},
		"another key":     {row: gateway.Row{Auth: gateway.AuthRSA}, login: certificate("id"), fails: "is not for the key beside it", code: 6},
		"wrong phrase":    {row: gateway.Row{Auth: gateway.AuthRSA}, login: strings.Replace(certificate("road.ppk"), "env:PHRASE", "env:OTHER", 1), fails: "road.ppk", code: 6},
		"no certificate":  {row: gateway.Row{Auth: gateway.AuthRSA}, login: strings.Replace(certificate("road.ppk"), "road.pem", "rood.pem", 1), fails: `rood.pem": no such file`, code: 6},
		"no PEM":          {row: gateway.Row{Auth: gateway.AuthRSA}, login: strings.Replace(certificate("road.ppk"), "road.pem", "user.password", 1), fails: "there is no CERTIFICATE in it", code: 2},
		"gateway unknown": {row: gateway.Row{Auth: gateway.AuthRSA}, login: strings.Replace(certificate("road.ppk"), "id: "+gateway.GateID, "id: other.lab.test", 1), fails: "does not let", code: 4},
	} {
		t.Run(name, func(t *testing.T) {
			g.Use(tt.row)
			give("linehaul.yaml", fmt.Appendf(nil, `links:
  lab: {ipsec: {gateway: %s, %s, networks: [%s], ike: [aes128-sha256-modp2048], esp: [aes128-sha256]}}
hosts:
  behind: {address: %s, user: %s, keys: id, host_keys: %q, link: lab}
jobs: {}
`, gateway.Gate, tt.login, gateway.LanNet, gateway.Lan, g.SSH.User, g.SSH.Fingerprint()))
			cmd := exec.Command(here, "-c", home("linehaul.yaml"), "ls", "behind:/")
			cmd.Env, cmd.Dir = append(os.Environ(), "PHRASE=open sesame", "OTHER=open barley"), g.Home
			out, err := g.RoadUser(cmd).CombinedOutput()
			if tt.fails == "" {
				if err != nil || !strings.Contains(string(out), "etc") {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.fails) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, tt.code, tt.fails, out)
			}
			if strings.Contains(string(out), "open ") || strings.Contains(string(out), gateway.Password) {
				t.Errorf("it has a secret:\n%s", out)
			}
		})
	}
}

// nobody is the user of the lab's road.
const nobody = 65534

// forRoad puts linehaul where that user can start it.
func forRoad(t *testing.T, g *gateway.Gateway) string {
	t.Helper()
	from, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(g.Dir, "linehaul")
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(here, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return here
}
