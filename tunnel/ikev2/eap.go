package ikev2

import (
	"crypto/md5" // what EAP-MD5 is
	"io"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// What a gateway may say in EAP before it is given up. A long chain of
// certificates in TLS takes 40 rounds.
const (
	maxRounds = 200
	maxEAP    = 256 << 10
	maxLogin  = 2 * time.Minute
	maxShown  = 200 // bytes of a text for people
)

// A method is one of EAP's.
type method interface {
	// answer answers a request of the method.
	answer(now time.Time, request *ikemsg.EAP) (*ikemsg.EAP, error)
	// finish says whether an EAP-Success is to be believed now, and the key that
	// was made, which is nil for methods that make none.
	finish() (key []byte, err error)
	// failed explains an EAP-Failure.
	failed() error
	// stop ends what the method runs. It may be called at any time.
	stop()
}

// A conversation is EAP with a gateway (RFC 3748). It is over with the first
// error.
type conversation struct {
	config *EAP
	random io.Reader
	tls    func() method // EAP-TLS has to know whom to trust
	note   func(text string, args ...any)

	began  time.Time
	rounds int
	bytes  int
	kind   ikemsg.EAPType // of the method
	method method         // nil: none was agreed on
	over   bool           // with success
}

// answer takes a packet. It returns the answer to a request, or reports success
// and the key that was made, if one was.
func (c *conversation) answer(now time.Time, p *ikemsg.EAP) (reply *ikemsg.EAP, done bool, key []byte, err error) {
	c.rounds++
	c.bytes += len(p.Data)
	if c.rounds > maxRounds || c.bytes > maxEAP || now.Sub(c.began) > maxLogin {
		return nil, false, nil, fault.New(fault.IKE, "the gateway's EAP does not end: %d rounds and %d bytes in %v", c.rounds, c.bytes, now.Sub(c.began).Round(time.Second))
	}
	switch p.Code {
	case ikemsg.EAPRequest:
		reply, err = c.request(now, p)
		return reply, false, nil, err
	case ikemsg.EAPSuccess:
		if c.method == nil {
			return nil, false, nil, fault.New(fault.GatewayLogin, "the gateway calls EAP a success before it has begun").AsPermanent()
		}
		key, err = c.method.finish()
		c.over = err == nil
		return nil, c.over, key, err
	case ikemsg.EAPFailure:
		if c.method == nil {
			return nil, false, nil, fault.New(fault.GatewayLogin, "the gateway does not let the EAP user %q in", c.config.User).AsPermanent().
				WithHint("it does not know this user, or wants another method than %s", c.spoken())
		}
		return nil, false, nil, c.method.failed()
	case ikemsg.EAPResponse:
	}
	return nil, false, nil, fault.New(fault.IKE, "the gateway answers EAP with %v", p)
}

func (c *conversation) request(now time.Time, p *ikemsg.EAP) (*ikemsg.EAP, error) {
	switch p.Kind { //nolint:exhaustive // all others are methods
	case ikemsg.EAPIdentity:
		return p.Reply([]byte(c.config.User)), nil
	case ikemsg.EAPNotification: // RFC 3748 section 5.2
		c.note("the gateway says", "text", shownText(p.Data))
		return p.Reply(nil), nil
	}
	if c.method != nil {
		if p.Kind != c.kind {
			return nil, fault.New(fault.GatewayLogin, "the gateway goes on with EAP-%v after EAP-%v, which is one method too many", p.Kind, c.kind).AsPermanent()
		}
		return c.method.answer(now, p)
	}
	if !slices.Contains(c.config.Methods, p.Kind) {
		c.note("the gateway wants another EAP method", "wanted", p.Kind.String(), "offered", c.spoken())
		return p.Nak(c.config.Methods...), nil
	}
	c.kind = p.Kind
	switch p.Kind { //nolint:exhaustive // complete lets no others in
	case ikemsg.EAPMSCHAPv2:
		c.method = &mschapv2{user: c.config.User, password: c.config.Password, random: c.random}
	case ikemsg.EAPMD5:
		c.method = &md5Challenge{password: c.config.Password, user: c.config.User}
	case ikemsg.EAPGTC:
		c.method = &tokenCard{password: c.config.Password, user: c.config.User}
	case ikemsg.EAPTLS:
		c.method = c.tls()
	}
	return c.method.answer(now, p)
}

func (c *conversation) spoken() string {
	var all []string
	for _, m := range c.config.Methods {
		all = append(all, m.String())
	}
	return strings.Join(all, ", ")
}

func (c *conversation) stop() {
	if c != nil && c.method != nil {
		c.method.stop()
	}
}

// shownText is a text of the gateway's for people: not long, on one line.
func shownText(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, string(b[:min(len(b), maxShown)]))
}

// wrongPassword is what an EAP-Failure means that gives no reason.
func wrongPassword(user string) error {
	return fault.New(fault.GatewayLogin, "the gateway does not let the EAP user %q in", user).AsPermanent().
		WithHint("the password is wrong, or it does not know the user; it does not say which")
}

// md5Challenge is EAP-MD5 (RFC 3748 section 5.4): the password with a challenge,
// hashed. It proves nothing of the gateway and makes no key.
type md5Challenge struct {
	user     string
	password []byte
}

func (m *md5Challenge) answer(_ time.Time, p *ikemsg.EAP) (*ikemsg.EAP, error) {
	challenge, err := ikemsg.ParseMD5Challenge(p.Data)
	if err != nil {
		return nil, fault.New(fault.IKE, "the gateway's EAP-MD5: %w", err)
	}
	h := md5.New()
	h.Write([]byte{p.Identifier})
	h.Write(m.password)
	h.Write(challenge.Value)
	return p.Reply((&ikemsg.MD5Challenge{Value: h.Sum(nil), Name: []byte(m.user)}).Marshal()), nil
}

func (m *md5Challenge) finish() ([]byte, error) { return nil, nil }
func (m *md5Challenge) failed() error           { return wrongPassword(m.user) }
func (m *md5Challenge) stop()                   {}

// tokenCard is EAP-GTC (RFC 3748 section 5.6): the gateway asks, and gets the
// password as it is. It has proved who it is before.
type tokenCard struct {
	user     string
	password []byte
}

func (t *tokenCard) answer(_ time.Time, p *ikemsg.EAP) (*ikemsg.EAP, error) {
	return p.Reply(slices.Clone(t.password)), nil
}

func (t *tokenCard) finish() ([]byte, error) { return nil, nil }
func (t *tokenCard) failed() error           { return wrongPassword(t.user) }
func (t *tokenCard) stop()                   {}
