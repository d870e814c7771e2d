package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A keyring is a folder of certificates and keys, made when they are needed,
// for each kind of key a CA of its own: KIND-ca.crt, KIND-gate.crt and .key,
// KIND-road.crt and .key, all in PEM. Kinds are rsa, ecdsa, ecdsa384, ecdsa521
// and ed25519, and chain, where a second CA is in between, whose certificate
// is in chain-gate.crt and chain-road.crt as well.
type keyring struct {
	t   testing.TB
	dir string
}

func newKeyring(t testing.TB, dir string) *keyring {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // a test's
		t.Fatal(err)
	}
	return &keyring{t: t, dir: dir}
}

func (k *keyring) file(name string) string { return filepath.Join(k.dir, name) }

// need makes what is not there yet of some kinds.
func (k *keyring) need(kinds []string) {
	k.t.Helper()
	for _, kind := range kinds {
		if _, err := os.Stat(k.file(kind + "-ca.crt")); err == nil {
			continue
		}
		ca, caKey := k.certificate(kind, "ca", nil, nil)
		if kind == "chain" {
			ca, caKey = k.certificate(kind, "between", ca, caKey)
		}
		k.certificate(kind, "gate", ca, caKey)
		k.certificate(kind, "road", ca, caKey)
	}
}

// give links the CAs, and the private keys of one side, to where swanctl looks
// for them.
func (k *keyring) give(s *Swan, who string) {
	for pattern, sub := range map[string]string{"*-ca.crt": "x509ca", "chain-between.crt": "x509ca", "*-" + who + ".key": "private"} {
		files, _ := filepath.Glob(k.file(pattern))
		for _, f := range files {
			link := filepath.Join(s.dir, "swanctl", sub, filepath.Base(f))
			if err := os.Symlink(f, link); err != nil && !os.IsExist(err) {
				k.t.Fatal(err)
			}
		}
	}
}

func (k *keyring) newKey(kind string) crypto.Signer {
	k.t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case "ecdsa", "chain":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.t.Fatalf("no kind of key is named %q", kind)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return key
}

// certificate makes a certificate and its key: a CA if it has no issuer.
func (k *keyring) certificate(kind, who string, ca *x509.Certificate, caKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
	k.t.Helper()
	key := k.newKey(kind)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		k.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Lab"}, CommonName: who + " of " + kind},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour), BasicConstraintsValid: true,
	}
	issuer, signer := ca, caKey
	switch who {
	case "ca":
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		issuer, signer = template, key
	case "between":
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	case "gate":
		template.DNSNames, template.IPAddresses = []string{GateID}, []net.IP{net.ParseIP(Gate), net.ParseIP(Gate6)}
	default:
		template.DNSNames = []string{RoadID}
	}
	if !template.IsCA {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		// id-kp-ipsecIKE (RFC 4945 5.1.3.12)
		template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 17}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		k.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		k.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		k.t.Fatal(err)
	}
	chain := [][]byte{der}
	if ca != nil && kind == "chain" && !template.IsCA {
		chain = append(chain, ca.Raw)
	}
	k.pem(kind+"-"+who+".crt", "CERTIFICATE", chain...)
	k.pem(kind+"-"+who+".key", "PRIVATE KEY", private)
	return made, key
}

func (k *keyring) pem(name, kind string, all ...[]byte) {
	k.t.Helper()
	var text []byte
	for _, der := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	writeFile(k.t, k.file(name), string(text))
}
