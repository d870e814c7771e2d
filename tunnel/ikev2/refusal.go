package ikev2

import (
	"linehaul/fault"
)

// notLetIn explains AUTHENTICATION_FAILED, which says that the gateway does not
// believe us, and not why: as far as can be told by how far the login was. What
// we do not believe of the gateway has errors of its own.
func (m *Machine) notLetIn() error {
	c, l := &m.config, &m.first.login
	who := shownIdentity(c.Local)
	refusal := func(hint, format string, args ...any) error {
		return fault.New(fault.GatewayLogin, format, args...).AsPermanent().WithHint("%s", hint)
	}
	orOther := "; it does not say which"
	if c.Remote != nil {
		orOther = ", or is another gateway than the link's `remote: id`" + orOther
	}
	switch {
	case m.state == up:
		return refusal("its log says why", "the gateway does not believe %s any more", who)
	case l.eap != nil && l.eap.over:
		return refusal("it, or the login server behind it, makes the key in another way, or has no place for this user: its log says which",
			"the gateway has let the EAP user %q in, and then not %s", c.EAP.User, who)
	case l.eap != nil && l.eap.rounds == 0:
		return refusal("it has no second login for this identity: leave the link's `eap` out", "the gateway has accepted the first proof of %s, and does not begin with EAP", who)
	case l.eap != nil:
		return refusal("it does not know this user, or has another password or method for it; it does not say which",
			"the gateway is who it should be, and does not let the EAP user %q in", c.EAP.User)
	case c.Certificate != nil:
		own := c.Certificate.Chain[0]
		return refusal("it does not trust the CA of the link's `cert`, or the `local: id` is not in it, or it knows no such identity"+orOther,
			"the gateway does not let %s in with the certificate %s of %q", who, quotedName(own), own.Issuer.String())
	case c.EAP != nil:
		return refusal("it has no login by EAP for this identity"+orOther,
			"the gateway does not let %s begin to log in by EAP", who)
	}
	return refusal("the gateway does not know this identity, or has another pre-shared key for it"+orOther, "the gateway does not let %s in", who)
}
