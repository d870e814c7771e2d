package keys

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// CheckCertificate is the function of that name for the certificate beside the
// key or in it. It returns nil if there is none.
func (k *Key) CheckCertificate(user string, now time.Time) error {
	if k.Certificate == nil {
		return nil
	}
	return CheckCertificate(fmt.Sprintf("the certificate of key %q", k.Path), k.Certificate, user, now)
}

// CheckCertificate says why a server will refuse a user certificate, as far as
// that can be told here: its kind, its time, its principals (PROTOCOL.certkeys
// of OpenSSH). It returns nil if nothing speaks against it. The error is of kind
// fault.Key and begins with what, such as: the certificate "FILE".
func CheckCertificate(what string, c *ssh.Certificate, user string, now time.Time) error {
	const year = "2006-01-02 15:04 MST"
	at := func(seconds uint64) string { return time.Unix(int64(seconds), 0).Format(year) }
	seconds := uint64(max(now.Unix(), 0))
	switch {
	case c.CertType != ssh.UserCert:
		return fault.New(fault.Key, "%s is for a host and not for a user", what).
			WithHint("sign the key again, without `-h`")
	case seconds < c.ValidAfter:
		return fault.New(fault.Key, "%s is valid from %s on", what, at(c.ValidAfter)).
			WithHint("check the clock of this machine, or wait")
	case c.ValidBefore != ssh.CertTimeInfinity && seconds >= c.ValidBefore:
		return fault.New(fault.Key, "%s expired on %s", what, at(c.ValidBefore)).
			WithHint("have the key signed again")
	case len(c.ValidPrincipals) > 0 && !slices.Contains(c.ValidPrincipals, user):
		return fault.New(fault.Key, "%s is for %s, and the login is %q", what, strings.Join(c.ValidPrincipals, ", "), user).
			WithHint("log in under that name, or have the key signed for this one; a server may map principals to names by a list of its own")
	}
	return nil
}

// wellSigned reports whether a certificate is as its authority signed it
// (PROTOCOL.certkeys: the signature is over all that stands before it). Whether
// anybody trusts that authority is another matter.
func wellSigned(c *ssh.Certificate) bool {
	unsigned := *c
	unsigned.Signature = nil
	signed := unsigned.Marshal()
	const length = 4 // of the empty signature
	return c.Signature != nil && c.SignatureKey.Verify(signed[:len(signed)-length], c.Signature) == nil
}
