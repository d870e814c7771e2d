package ikev2

import (
	"crypto/x509"
	"encoding/asn1"
	"time"
)

// notRevoked holds each certificate of a chain but the topmost against the list
// of its issuer (RFC 5280 section 6.3). There must be one that is in force.
func (t *Trust) notRevoked(now time.Time, chain []*x509.Certificate) error {
	for i := 0; i+1 < len(chain); i++ {
		if err := t.onList(now, chain[i], chain[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// onList looks through the lists that the issuer has signed.
func (t *Trust) onList(now time.Time, c, issuer *x509.Certificate) error {
	var why error // why the last one does not count
	found := false
	for _, l := range t.CRLs {
		if !sameName(l.RawIssuer, issuer.RawSubject) {
			continue
		}
		if why = usable(now, l, issuer); why != nil {
			continue
		}
		found = true
		for _, e := range l.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return badCertificate("the gateway needs a new certificate; do not go on if nobody knows why",
					"the certificate %s was revoked on %s%s", quotedName(c), e.RevocationTime.UTC().Format(showTime), reason(e.ReasonCode))
			}
		}
	}
	switch {
	case found:
		return nil
	case why != nil:
		return why
	}
	return badCertificate("add the list of this CA to the link's `crl`, or take `crl` out", "no CRL is of %q, which has issued %s", issuer.Subject.String(), quotedName(c))
}

// usable says why a list does not count.
func usable(now time.Time, l *x509.RevocationList, issuer *x509.Certificate) error {
	name := issuer.Subject.String()
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return badCertificate("it is of another CA of this name, or was changed: fetch it anew", "the CRL of %q is not signed by this CA: %w", name, err)
	}
	switch {
	case now.Before(l.ThisUpdate):
		return badCertificate("check this machine's clock, which says "+now.UTC().Format(showTime), "the CRL of %q is from %s, which is yet to come", name, l.ThisUpdate.UTC().Format(showTime))
	case l.NextUpdate.IsZero():
		return badCertificate("the CA has to say until when its list holds", "the CRL of %q does not say when the next one comes", name)
	case now.After(l.NextUpdate):
		return badCertificate("fetch the newest one into the link's `crl` file", "the CRL of %q has expired on %s", name, l.NextUpdate.UTC().Format(showTime))
	}
	// What is critical and not known narrows down what a list says: a part of
	// the certificates, or changes to another list (RFC 5280 section 5.2).
	for _, x := range l.Extensions {
		if x.Critical {
			return partial(name, x.Id)
		}
	}
	for _, e := range l.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical {
				return partial(name, x.Id)
			}
		}
	}
	return nil
}

func partial(name string, id asn1.ObjectIdentifier) error {
	return badCertificate("a whole list is needed, no delta and no part of one", "the CRL of %q has the critical extension %v, which is not known here", name, id)
}

// reason is why a certificate was revoked, in words (RFC 5280 section 5.3.1).
func reason(code int) string {
	words := map[int]string{
		1: ": its key is known to others", 2: ": the CA's key is known to others", 3: ": it belongs to somebody else now",
		4: ": another one is in its place", 5: ": it is not used any more", 6: ": it is on hold", 9: ": a right was withdrawn",
	}
	return words[code]
}
