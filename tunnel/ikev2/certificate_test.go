package ikev2

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

func midnight() time.Time { return time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) }

// An issued is a certificate and its key.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate that is good for a gateway, or for a CA if the name
// says so, but for what change does. A nil issuer is itself.
func issue(t testing.TB, name string, by *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	return issueFor(t, ecKey(t), name, by, change)
}

func issueFor(t testing.TB, key crypto.Signer, name string, by *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Test"}, CommonName: name},
		NotBefore: midnight().Add(-time.Hour), NotAfter: midnight().AddDate(0, 1, 0), BasicConstraintsValid: true,
	}
	if strings.HasPrefix(name, "ca") {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	} else {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.DNSNames, c.EmailAddresses = []string{"gw.test"}, []string{"Gate@gw.test"}
		c.IPAddresses = []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")}
	}
	if change != nil {
		change(c)
	}
	self := &issued{c, key}
	if by == nil {
		by = self
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if self.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return self
}

func list(t testing.TB, by *issued, change func(*x509.RevocationList), serials ...*big.Int) *x509.RevocationList {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: midnight().Add(-time.Hour), NextUpdate: midnight().Add(time.Hour)}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: midnight().Add(-2 * time.Hour), ReasonCode: 1})
	}
	if change != nil {
		change(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, by.Certificate, by.key)
	if err != nil {
		t.Fatal(err)
	}
	if l, err = x509.ParseRevocationList(der); err != nil {
		t.Fatal(err)
	}
	return l
}

// refusedFor holds an error against what it must say. An empty text is no error.
func refusedFor(t *testing.T, err error, says string) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("refused: %v", err)
	case says != "" && err == nil:
		t.Errorf("accepted, want %q", says)
	case says != "" && (!fault.Is(err, fault.GatewayLogin) || fault.Transient(err) || !strings.Contains(err.Error(), says) || fault.HintOf(err) == fault.GatewayLogin.Hint()):
		t.Errorf("%v (%s), want %q", err, fault.HintOf(err), says)
	}
}

// TestChain changes one thing of a chain after another.
func TestChain(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	between := issue(t, "ca between", root, nil)
	gate := issue(t, "gate", between, nil)
	namesake := issue(t, "ca root", nil, nil)
	oid := func(id ...int) asn1.ObjectIdentifier { return id }
	from := func(by *issued, change func(*x509.Certificate)) []*x509.Certificate {
		c := issue(t, "gate", by, change)
		if by == root {
			return []*x509.Certificate{c.Certificate}
		}
		return []*x509.Certificate{c.Certificate, by.Certificate}
	}
	use := func(usage x509.KeyUsage, extended []x509.ExtKeyUsage, more ...asn1.ObjectIdentifier) []*x509.Certificate {
		return from(root, func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage, c.UnknownExtKeyUsage = usage, extended, more })
	}
	signs := x509.KeyUsageDigitalSignature
	ca := func(change func(*x509.Certificate)) *issued { return issue(t, "ca between", root, change) }
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		sent []*x509.Certificate
		cas  []*issued // default: the root
		says string
	}{
		"good":                   {sent: []*x509.Certificate{gate.Certificate, between.Certificate}},
		"another CA first":       {sent: []*x509.Certificate{gate.Certificate, between.Certificate}, cas: []*issued{namesake, root}},
		"root sent too":          {sent: []*x509.Certificate{gate.Certificate, between.Certificate, root.Certificate}},
		"CA between is given":    {sent: []*x509.Certificate{gate.Certificate}, cas: []*issued{between}},
		"pinned":                 {sent: []*x509.Certificate{gate.Certificate}, cas: []*issued{gate}},
		"nothing sent":           {says: "has sent no certificate"},
		"expired":                {sent: from(root, func(c *x509.Certificate) { c.NotAfter = midnight().Add(-time.Second) }), says: `"CN=gate,O=Test" has expired on 2026-11-27 23:59:59`},
		"not yet":                {sent: from(root, func(c *x509.Certificate) { c.NotBefore = midnight().Add(time.Second) }), says: "is not valid before 2026-11-28 00:00:01"},
		"wrong CA":               {sent: []*x509.Certificate{gate.Certificate, between.Certificate}, cas: []*issued{issue(t, "ca other", nil, nil)}, says: `is signed by "CN=ca root,O=Test", which none of the CAs given vouches for`},
		"wrong CA of the name":   {sent: from(root, nil), cas: []*issued{namesake}, says: `is not signed by the "CN=ca root,O=Test" that was given`},
		"CA between is missing":  {sent: []*x509.Certificate{gate.Certificate}, says: `is signed by "CN=ca between,O=Test", which none`},
		"CA between has expired": {sent: from(ca(func(c *x509.Certificate) { c.NotAfter = midnight().Add(-time.Minute) }), nil), says: `CA certificate "CN=ca between,O=Test" has expired`},
		"CA:TRUE is missing":     {sent: from(ca(func(c *x509.Certificate) { c.IsCA = false }), nil), says: `"CN=ca between,O=Test" has issued a certificate of the gateway's chain and is no CA`},
		"keyCertSign is missing": {sent: from(ca(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), nil), says: "is no CA"},
		"CA without constraints": {sent: from(ca(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }), nil), says: "is no CA"},
		"signed by a gateway":    {sent: from(gate, nil), cas: []*issued{gate}, says: "is no CA"},
		"CA that may have none":  {sent: []*x509.Certificate{from(between, nil)[0], between.Certificate}, cas: []*issued{issueFor(t, root.key, "ca root", nil, func(c *x509.Certificate) { c.MaxPathLenZero = true })}, says: "too many certificates between"},
		"key usage":              {sent: use(x509.KeyUsageKeyEncipherment, nil), says: "may not be used to sign"},
		"nonRepudiation alone":   {sent: use(x509.KeyUsageContentCommitment, nil)},
		"no key usage":           {sent: use(0, nil)},
		"serverAuth":             {sent: use(signs, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})},
		"any extended":           {sent: use(signs, []x509.ExtKeyUsage{x509.ExtKeyUsageAny})},
		"ipsecIKE":               {sent: use(signs, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, oid(1, 3, 6, 1, 5, 5, 7, 3, 17))},
		"clientAuth":             {sent: use(signs, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}), says: "is for something else than a gateway"},
		"unknown extended":       {sent: use(signs, nil, oid(1, 3, 6, 1, 4, 1, 99999, 1)), says: "is for something else than a gateway"},
		"weak key":               {sent: []*x509.Certificate{issueFor(t, weak, "gate", root, nil).Certificate}, says: "has an RSA key of 1024 bits"},
		"critical and not known": {sent: from(root, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oid(1, 3, 6, 1, 4, 1, 99999, 2), Critical: true, Value: []byte{5, 0}}}
		}), says: "is not valid: x509: unhandled critical extension"},
		"name that CA may not use": {sent: from(ca(func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.test"}, true
		}), nil), says: "is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := &Trust{}
			if tt.cas == nil {
				tt.cas = []*issued{root}
			}
			for _, c := range tt.cas {
				trust.CAs = append(trust.CAs, c.Certificate)
			}
			refusedFor(t, trust.check(midnight(), tt.sent), tt.says)
		})
	}
}

// TestOldSignature refuses a certificate that is signed over SHA-1. Go makes none,
// so openssl has made it, from 2026 on: a CA, and its "CN=gate" by `openssl x509
// -req -sha1`.
func TestOldSignature(t *testing.T) {
	all, err := ParseCertificates([]byte(sha1Chain))
	if err != nil || len(all) != 2 {
		t.Fatal(len(all), err)
	}
	trust := &Trust{CAs: all[1:]}
	refusedFor(t, trust.check(midnight().AddDate(1, 0, 0), all[:1]), "is signed by ECDSA-SHA1, which can be forged")
}

func TestRevocation(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	between := issue(t, "ca between", root, nil)
	gate := issue(t, "gate", between, nil)
	namesake := issue(t, "ca between", nil, nil)
	noCRLs := issue(t, "ca noncrl", root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	below := issue(t, "gate", noCRLs, nil)
	signer := *noCRLs.Certificate // for Go, which would not sign with it
	signer.KeyUsage |= x509.KeyUsageCRLSign
	critical := []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}
	above := list(t, root, nil)
	for name, tt := range map[string]struct {
		lists []*x509.RevocationList
		chain []*issued // default: gate, between
		says  string
	}{
		"none":                  {},
		"good":                  {lists: []*x509.RevocationList{above, list(t, between, nil, big.NewInt(7))}},
		"revoked":               {lists: []*x509.RevocationList{above, list(t, between, nil, gate.SerialNumber)}, says: `"CN=gate,O=Test" was revoked on 2026-11-27 22:00:00 UTC: its key is known to others`},
		"revoked in one of two": {lists: []*x509.RevocationList{above, list(t, between, nil), list(t, between, nil, gate.SerialNumber)}, says: "was revoked"},
		"CA revoked":            {lists: []*x509.RevocationList{list(t, root, nil, between.SerialNumber), list(t, between, nil)}, says: `"CN=ca between,O=Test" was revoked`},
		"expired": {lists: []*x509.RevocationList{above, list(t, between, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = midnight().Add(-2*time.Hour), midnight().Add(-time.Hour)
		})}, says: "has expired on 2026-11-27 23:00:00"},
		"expired, and a newer": {lists: []*x509.RevocationList{above, list(t, between, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = midnight().Add(-2*time.Hour), midnight().Add(-time.Hour)
		}), list(t, between, nil)}},
		"from tomorrow": {lists: []*x509.RevocationList{above, list(t, between, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = midnight().Add(time.Hour), midnight().Add(2*time.Hour)
		})}, says: "which is yet to come"},
		"of another CA":        {lists: []*x509.RevocationList{above}, says: `no CRL is of "CN=ca between,O=Test", which has issued "CN=gate,O=Test"`},
		"of the CA's namesake": {lists: []*x509.RevocationList{above, list(t, namesake, nil)}, says: "is not signed by this CA"},
		"CA's own is missing":  {lists: []*x509.RevocationList{list(t, between, nil)}, says: `no CRL is of "CN=ca root,O=Test"`},
		"a part":               {lists: []*x509.RevocationList{above, list(t, between, func(l *x509.RevocationList) { l.ExtraExtensions = critical })}, says: "critical extension 2.5.29.28"},
		"an entry of another": {lists: []*x509.RevocationList{above, list(t, between, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: midnight(), ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}}}
		})}, says: "critical extension 2.5.29.29"},
		"cRLSign is missing": {lists: []*x509.RevocationList{above, list(t, &issued{&signer, noCRLs.key}, nil)}, chain: []*issued{below, noCRLs}, says: "is not signed by this CA"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := &Trust{CAs: []*x509.Certificate{root.Certificate}, CRLs: tt.lists}
			if tt.chain == nil {
				tt.chain = []*issued{gate, between}
			}
			refusedFor(t, trust.check(midnight(), []*x509.Certificate{tt.chain[0].Certificate, tt.chain[1].Certificate}), tt.says)
		})
	}
}

func TestCertificateIdentity(t *testing.T) {
	gate := issue(t, "gate", nil, nil).Certificate
	bare := issue(t, "gate", nil, func(c *x509.Certificate) { c.DNSNames = nil }).Certificate
	parse := func(text string) *ikemsg.Identity {
		id, err := ParseIdentity(text)
		if err != nil {
			t.Fatal(err)
		}
		return &id
	}
	for name, tt := range map[string]struct {
		cert       *x509.Certificate
		says       string
		must, name string
		refused    string
	}{
		"host":                       {gate, "gw.test", "gw.test", "", ""},
		"host in capitals":           {gate, "GW.Test", "gw.test", "", ""},
		"address":                    {gate, "192.0.2.1", "", "", ""},
		"address of IPv6":            {gate, "2001:db8::1", "", "", ""},
		"mail":                       {gate, "Gate@GW.test", "Gate@gw.test", "", ""},
		"subject":                    {gate, "O=Test, CN=gate", "O=test, CN=Gate", "", ""},
		"subject, and a host wanted": {gate, "O=Test, CN=gate", "gw.test", "", ""},
		"by the gateway's name":      {gate, "O=Test, CN=gate", "", "gw.test", ""},
		"another host":               {gate, "other.test", "other.test", "", "calls itself other.test, and its certificate \"CN=gate,O=Test\" is for gw.test"},
		"not the host wanted":        {gate, "gw.test", "other.test", "", "the gateway is gw.test, and not other.test"},
		"not the gateway's name":     {gate, "gw.test", "", "192.0.2.9", "the gateway is gw.test, and not 192.0.2.9"},
		"another address":            {gate, "192.0.2.2", "", "", "is for 192.0.2.1, 2001:db8::1"},
		"another user":               {gate, "gate@gw.test", "", "", "is for Gate@gw.test"},
		"the subject backwards":      {gate, "CN=gate, O=Test", "", "", "and its certificate"},
		"less of the subject":        {gate, "CN=gate", "", "", "and its certificate"},
		"host that CN has":           {bare, "gate", "", "", "has none of this kind"},
		"key id":                     {gate, "keyid:gw.test", "keyid:gw.test", "", "which no certificate can prove"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := &Trust{}
			var must *ikemsg.Identity
			if tt.must != "" {
				must = parse(tt.must)
			}
			if tt.name != "" {
				trust.Name = parse(tt.name)
			}
			refusedFor(t, trust.checkIdentity(tt.cert, *parse(tt.says), must), tt.refused)
		})
	}
}

// TestFiles reads what files hold: PEM with text around it, and DER.
func TestFiles(t *testing.T) {
	root := issue(t, "ca root", nil, nil)
	gate := issue(t, "gate", root, nil)
	text := func(c *issued) string {
		return "Subject: " + c.Subject.String() + "\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	for name, tt := range map[string]struct {
		data string
		want int
	}{
		"two in PEM":    {text(gate) + "\r\n" + text(root), 2},
		"DER":           {string(gate.Raw), 1},
		"key beside it": {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + text(gate), 1},
		"nothing":       {"", 0},
		"a key alone":   {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0},
		"damaged":       {strings.Replace(text(gate), "MII", "MIJ", 1), 0},
		"DER cut short": {string(gate.Raw[:100]), 0},
		"far too many":  {strings.Repeat(text(gate), maxCertificates+1), 0},
	} {
		all, err := ParseCertificates([]byte(tt.data))
		if len(all) != tt.want || (err == nil) != (tt.want > 0) || err != nil && !fault.Is(err, fault.Config) {
			t.Errorf("%s: %d, %v", name, len(all), err)
		}
	}
	crl := list(t, root, nil)
	if all, err := ParseCRLs(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl.Raw})); err != nil || len(all) != 1 {
		t.Error(len(all), err)
	}
	// RFC 7296 section 3.7: the SHA-1 of the whole SubjectPublicKeyInfo.
	hash := sha1.Sum(root.RawSubjectPublicKeyInfo)
	if r := (&Trust{CAs: []*x509.Certificate{root.Certificate, gate.Certificate}}).request(); len(r.Hashes()) != 2 || r.Hashes()[0] != hash || r.Encoding != ikemsg.CertX509Signature {
		t.Errorf("%v %x", r.Encoding, r.Data)
	}
	// Ours comes first, and the topmost is not sent.
	own := &Certificate{Chain: []*x509.Certificate{gate.Certificate, root.Certificate}, Key: gate.key}
	if p := own.payloads(); len(p) != 1 || string(p[0].(*ikemsg.Cert).Data) != string(gate.Raw) {
		t.Errorf("%d certificates are sent", len(p))
	}
	own.Key = root.key
	if err := own.check(); !fault.Is(err, fault.Key) {
		t.Errorf("the key of another: %v", err)
	}
}
