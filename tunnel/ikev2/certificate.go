package ikev2

import (
	"crypto/rsa"
	"crypto/sha1" // what RFC 7296 section 3.7 names CAs by
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

const (
	maxChain = 16   // certificates that a gateway may send
	leastRSA = 2048 // bits of its key: RFC 8247 section 4.1.2
	showTime = "2006-01-02 15:04:05 MST"
)

// request is the CERTREQ payload: the hashes of the public keys of the CAs (RFC
// 7296 section 3.7).
func (t *Trust) request() *ikemsg.CertReq {
	r := &ikemsg.CertReq{Encoding: ikemsg.CertX509Signature}
	for _, ca := range t.CAs {
		hash := sha1.Sum(ca.RawSubjectPublicKeyInfo)
		r.Data = append(r.Data, hash[:]...)
	}
	return r
}

// quotedName is whom a certificate is for.
func quotedName(c *x509.Certificate) string { return fmt.Sprintf("%q", c.Subject.String()) }

// badCertificate is one that does not pass a check. The hint says what to do.
func badCertificate(hint string, format string, args ...any) error {
	return fault.New(fault.GatewayLogin, format, args...).AsPermanent().WithHint("%s", hint)
}

// received reads the certificates that the gateway has sent, its own first.
func received(payloads []ikemsg.Payload) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, p := range ikemsg.All[*ikemsg.Cert](payloads) {
		if p.Encoding != ikemsg.CertX509Signature {
			continue // others are not asked for
		}
		c, err := x509.ParseCertificate(p.Data)
		if err != nil {
			return nil, badCertificate("the gateway's certificate must be made anew", "certificate %d of the gateway cannot be read: %w", len(all)+1, err)
		}
		if all = append(all, c); len(all) > maxChain {
			return nil, badCertificate("a gateway sends its own and those between it and its CA", "the gateway sends more than %d certificates", maxChain)
		}
	}
	return all, nil
}

// check holds a chain of certificates, the gateway's own first, against the
// CAs: trust, dates, what the key may be used for, and revocation. Who it is for
// is checkIdentity's.
func (t *Trust) check(now time.Time, sent []*x509.Certificate) error {
	if len(sent) == 0 {
		return badCertificate("the gateway must be set up to send its certificate (strongSwan: send_cert = always)", "the gateway has sent no certificate")
	}
	own := sent[0]
	if err := checkDates(now, own, "gateway's certificate"); err != nil {
		return err
	}
	if err := checkUse(own); err != nil {
		return err
	}
	o := x509.VerifyOptions{CurrentTime: now, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, ca := range t.CAs {
		o.Roots.AddCert(ca)
	}
	for _, c := range sent[1:] {
		o.Intermediates.AddCert(c)
	}
	// What checkUse has read, and Go's x509 calls unhandled.
	chains, err := own.Verify(o)
	if err != nil {
		return t.explain(now, sent, err)
	}
	if len(t.CRLs) == 0 {
		return nil
	}
	for _, chain := range chains {
		if err = t.notRevoked(now, chain); err == nil {
			return nil
		}
	}
	return err
}

// checkDates says of what it is that has run out.
func checkDates(now time.Time, c *x509.Certificate, what string) error {
	switch {
	case now.Before(c.NotBefore):
		return badCertificate("check this machine's clock, which says "+now.UTC().Format(showTime), "the %s %s is not valid before %s", what, quotedName(c), c.NotBefore.UTC().Format(showTime))
	case now.After(c.NotAfter):
		return badCertificate("it must be renewed, or this machine's clock is wrong, which says "+now.UTC().Format(showTime), "the %s %s has expired on %s", what, quotedName(c), c.NotAfter.UTC().Format(showTime))
	}
	return nil
}

// checkUse checks what the key of a gateway's own certificate may be used for,
// by the profile of RFC 4945.
func checkUse(c *x509.Certificate) error {
	// Section 5.1.3.2: either bit, if the extension is there at all.
	if c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return badCertificate("its key usage needs digitalSignature", "the key of the gateway's certificate %s may not be used to sign", quotedName(c))
	}
	// Section 5.1.3.12, and serverAuth, which is what most CAs put there.
	ipsecIKE := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 17}
	none := len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0
	fits := slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool { return u == x509.ExtKeyUsageAny || u == x509.ExtKeyUsageServerAuth }) ||
		slices.ContainsFunc(c.UnknownExtKeyUsage, ipsecIKE.Equal)
	if !none && !fits {
		return badCertificate("its extended key usage needs serverAuth or ipsecIKE, or has to be left out", "the gateway's certificate %s is for something else than a gateway", quotedName(c))
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		return badCertificate("it needs a new key", "the gateway's certificate %s has an RSA key of %d bits, and %d are the least", quotedName(c), key.N.BitLen(), leastRSA)
	}
	return nil
}

// explain says which check of a chain has failed, in our words.
func (t *Trust) explain(now time.Time, sent []*x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid):
		switch invalid.Reason { //nolint:exhaustive // the others say all that there is to say
		case x509.Expired:
			if err := checkDates(now, invalid.Cert, "CA certificate"); err != nil {
				return err
			}
		case x509.NotAuthorizedToSign:
			return notCA(invalid.Cert)
		case x509.TooManyIntermediates:
			return badCertificate("the chain is longer than a CA in it allows", "there are too many certificates between %s and its CA", quotedName(sent[0]))
		}
	case errors.As(err, &unknown):
		return t.unknown(now, sent)
	}
	return badCertificate("the gateway's certificate must be made anew", "the gateway's certificate %s is not valid: %w", quotedName(sent[0]), err)
}

func notCA(c *x509.Certificate) error {
	return badCertificate("its basic constraints need CA:TRUE, and its key usage keyCertSign", "%s has issued a certificate of the gateway's chain and is no CA", quotedName(c))
}

// unknown finds the place where a chain ends: from the gateway's certificate
// upwards, as far as there is somebody of the issuer's name.
func (t *Trust) unknown(now time.Time, sent []*x509.Certificate) error {
	at := sent[0]
	for range maxChain {
		var issuers []*x509.Certificate
		for _, c := range append(slices.Clone(t.CAs), sent[1:]...) {
			if sameName(c.RawSubject, at.RawIssuer) && c != at {
				issuers = append(issuers, c)
			}
		}
		if len(issuers) == 0 {
			return badCertificate("the link's `ca` needs the certificate of that CA, or the gateway has to send those in between",
				"the gateway's certificate is signed by %q, which none of the CAs given vouches for", at.Issuer.String())
		}
		var next *x509.Certificate
		for _, c := range issuers {
			err := at.CheckSignatureFrom(c)
			var old x509.InsecureAlgorithmError
			switch {
			case err == nil:
				next = c
			case errors.As(err, &old):
				return badCertificate("it must be made anew, with SHA-256", "the certificate %s is signed by %v, which can be forged", quotedName(at), at.SignatureAlgorithm)
			case errors.As(err, new(x509.ConstraintViolationError)):
				return notCA(c)
			}
		}
		if next == nil {
			return badCertificate("the CA has a new key, or it is another one of the same name", "the certificate %s is not signed by the %q that was given", quotedName(at), at.Issuer.String())
		}
		if err := checkDates(now, next, "CA certificate"); err != nil {
			return err
		}
		if slices.Contains(t.CAs, next) {
			break // it ought to have been trusted
		}
		at = next
	}
	return badCertificate("the link's `ca` needs the topmost CA of the gateway's", "no CA given vouches for the gateway's certificate %s", quotedName(sent[0]))
}

// checkIdentity holds who the gateway says to be against its certificate, and
// against who it must be: that is the same identity, or another one of the same
// certificate.
func (t *Trust) checkIdentity(own *x509.Certificate, says ikemsg.Identity, must *ikemsg.Identity) error {
	if err := isFor(own, says); err != nil {
		return err
	}
	if must == nil {
		must = t.Name
	}
	if must == nil || sameIdentity(says, *must) || isFor(own, *must) == nil {
		return nil
	}
	return badCertificate("set the link's `remote: id` to who the gateway says to be, if it is the right one",
		"the gateway is %s, and not %s", shownIdentity(says), shownIdentity(*must))
}

// isFor reports whether a certificate is for an identity: its subject, or an
// alternative name of the fitting kind (RFC 4945 section 3.1).
func isFor(c *x509.Certificate, id ikemsg.Identity) error {
	var has []string
	found := false
	switch id.Kind {
	case ikemsg.IDName:
		has = []string{c.Subject.String()}
		found = sameName(c.RawSubject, id.Data)
	case ikemsg.IDFQDN:
		has = c.DNSNames
		found = slices.ContainsFunc(has, func(n string) bool { return strings.EqualFold(n, string(id.Data)) })
	case ikemsg.IDEmail:
		has = c.EmailAddresses
		found = slices.ContainsFunc(has, func(n string) bool { return sameMail(n, string(id.Data)) })
	case ikemsg.IDIPv4, ikemsg.IDIPv6:
		for _, a := range c.IPAddresses {
			has = append(has, a.String())
			found = found || slices.Equal(shortest(a), id.Data)
		}
	case ikemsg.IDGeneralName, ikemsg.IDKey, ikemsg.IDNull:
		return badCertificate("the gateway has to name itself by its subject, a host name, an address or an e-mail address",
			"the gateway calls itself %s, which no certificate can prove", shownIdentity(id))
	}
	if found {
		return nil
	}
	of := "has none of this kind"
	if len(has) > 0 {
		of = fmt.Sprintf("is for %s", strings.Join(has, ", "))
	}
	return badCertificate("the gateway's identity must be the subject or an alternative name of its certificate",
		"the gateway calls itself %s, and its certificate %s %s", shownIdentity(id), quotedName(c), of)
}

// shortest is an address in 4 bytes if it is of IPv4.
func shortest(a []byte) []byte {
	if len(a) == 16 && slices.Equal(a[:12], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}) {
		return a[12:]
	}
	return a
}
