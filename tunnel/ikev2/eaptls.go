package ikev2

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

const (
	// tlsFragment is how much of TLS one packet carries, so that IKE_AUTH fits
	// into a datagram on every path.
	tlsFragment = 1024
	// maxFlight is the most that the gateway may send in one go (RFC 5216
	// section 3 allows 64 KiB too).
	maxFlight = 64 << 10
	// labelTLS12 and labelTLS13 name the key that is made (RFC 5216 section 2.3,
	// RFC 9190 section 2.3), of which the first 64 bytes are the MSK.
	labelTLS12 = "client EAP encryption"
	labelTLS13 = "EXPORTER_EAP_TLS_Key_Material"
	mskSize    = 64
)

// eapTLS is EAP-TLS: a TLS handshake in EAP packets, with TLS 1.2 (RFC 5216) or
// 1.3 (RFC 9190).
//
// crypto/tls wants to block in Read until the other side's next flight is
// there, and the machine must not block, nor start what runs beside it. So the
// handshake is a coroutine (iter.Pull): it runs inside of next, until it reads
// what has not come yet or is over, and nothing else runs meanwhile. What comes
// out for what goes in is as fixed as with a function, but for the keys that
// crypto/tls draws from its own source. It ends with the machine, by stop.
type eapTLS struct {
	user   string
	config *tls.Config
	now    time.Time // for the dates of certificates

	next func() (struct{}, bool) // goes on with the handshake; nil: it has not begun
	end  func()

	partial []byte       // of a flight of the gateway's
	in      bytes.Buffer // what TLS has not read yet
	out     []byte       // what TLS has written and was not sent
	more    bool         // a part of it was

	master  keyLog
	key     []byte
	over    bool
	outcome error
}

// newEAPTLS makes one. Check holds the server's certificates against what is
// trusted, at the time given.
func newEAPTLS(c *EAP, random io.Reader, check func(now time.Time, s tls.ConnectionState) error) *eapTLS {
	e := &eapTLS{user: c.User}
	chain := tls.Certificate{PrivateKey: c.Certificate.Key, Leaf: c.Certificate.Chain[0]}
	for _, cert := range c.Certificate.Chain {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	e.config = &tls.Config{
		MinVersion: tls.VersionTLS12, // RFC 9190 section 2.1.1
		Rand:       random,
		Time:       func() time.Time { return e.now },
		// Our one certificate, whatever CAs the server names.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &chain, nil },
		// The checks are ours, in VerifyConnection: the server has the name of a
		// gateway or of an authentication server, which need not be a host's, and
		// there are CRLs.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return check(e.now, s) },
		KeyLogWriter:       &e.master,
	}
	return e
}

// begin starts the coroutine.
func (e *eapTLS) begin() {
	e.next, e.end = iter.Pull(func(wait func(struct{}) bool) {
		e.outcome = e.handshake(tls.Client(&flights{e, func() bool { return wait(struct{}{}) }}, e.config))
		e.over = true
	})
}

// handshake is the coroutine.
func (e *eapTLS) handshake(c *tls.Conn) error {
	if err := c.Handshake(); err != nil { //nolint:noctx // there is nothing to wait for
		return err
	}
	s := c.ConnectionState()
	if s.Version != tls.VersionTLS13 {
		var err error
		if e.key, err = s.ExportKeyingMaterial(labelTLS12, nil, mskSize); err != nil {
			e.key, err = e.master.export(s.CipherSuite, labelTLS12, mskSize)
		}
		return err
	}
	// One byte of zero says that the server has nothing more to say, and lets us
	// in (RFC 9190 section 2.5).
	var done [1]byte
	if _, err := io.ReadFull(c, done[:]); err != nil {
		return err
	}
	if done[0] != 0 {
		return errors.New("the server sends data where it should say that it is done")
	}
	key, err := s.ExportKeyingMaterial(labelTLS13, []byte{byte(ikemsg.EAPTLS)}, 2*mskSize)
	if err == nil {
		e.key = key[:mskSize]
	}
	return err
}

func (e *eapTLS) answer(now time.Time, p *ikemsg.EAP) (*ikemsg.EAP, error) {
	e.now = now
	f, err := ikemsg.ParseTLSFragment(p.Data)
	if err != nil {
		return nil, fault.New(fault.IKE, "the gateway's EAP-TLS: %w", err)
	}
	switch {
	case f.Start && e.next == nil:
		e.begin()
		e.next()
	case e.next == nil || f.Start:
		return nil, fault.New(fault.IKE, "the gateway begins EAP-TLS in its middle")
	case e.more && len(f.Data) == 0: // it wants the next part
	case e.more:
		return nil, fault.New(fault.IKE, "the gateway speaks in EAP-TLS before it has heard all")
	default:
		if len(e.partial)+len(f.Data) > maxFlight || f.Total > maxFlight {
			return nil, fault.New(fault.IKE, "the gateway sends more than %d bytes at a time in EAP-TLS", maxFlight)
		}
		e.partial = append(e.partial, f.Data...)
		if f.More {
			return p.Reply((&ikemsg.TLSFragment{}).Marshal()), nil
		}
		e.master.heard(e.partial)
		e.in.Write(e.partial)
		e.partial = nil
		if !e.over {
			e.next()
		}
	}
	if e.over && e.outcome != nil {
		return nil, e.explain()
	}
	return p.Reply(e.fragment().Marshal()), nil
}

// fragment takes the next part of what is to be sent, which may be nothing.
func (e *eapTLS) fragment() *ikemsg.TLSFragment {
	f := &ikemsg.TLSFragment{Data: e.out}
	if len(e.out) > tlsFragment {
		f.More = true
		f.Sized, f.Total = !e.more, uint32(len(e.out)) // RFC 5216 section 3.1: in the first one
		if !f.Sized {
			f.Total = 0
		}
		f.Data = e.out[:tlsFragment]
	}
	e.out, e.more = e.out[len(f.Data):], f.More
	return f
}

// explain says whose fault it is that TLS has failed.
func (e *eapTLS) explain() error {
	var ours *fault.Error
	var alert *net.OpError
	switch {
	case errors.As(e.outcome, &ours):
		return e.outcome
	case errors.As(e.outcome, &alert) && alert.Op == "remote error":
		return fault.New(fault.GatewayLogin, "the gateway refuses our certificate in EAP-TLS: %w", e.outcome).AsPermanent().
			WithHint("it does not trust the CA of the link's `eap: cert`, or that has expired, or is of another user")
	}
	return fault.New(fault.GatewayLogin, "EAP-TLS with the gateway: %w", e.outcome).AsPermanent()
}

func (e *eapTLS) finish() ([]byte, error) {
	if !e.over || e.outcome != nil || e.key == nil {
		return nil, fault.New(fault.GatewayLogin, "the gateway ends EAP-TLS before it has shown who it is").AsPermanent()
	}
	return e.key, nil
}

func (e *eapTLS) failed() error {
	return fault.New(fault.GatewayLogin, "the gateway does not let the EAP user %q in with our certificate", e.user).AsPermanent().
		WithHint("it does not know this user, or wants another certificate for it")
}

func (e *eapTLS) stop() {
	if e.end != nil {
		e.end()
	}
}

// flights are the connection that TLS believes to have.
type flights struct {
	*eapTLS
	wait func() bool // for the gateway's next flight; false: there is none
}

func (f *flights) Read(p []byte) (int, error) {
	for f.in.Len() == 0 {
		if !f.wait() {
			return 0, net.ErrClosed
		}
	}
	return f.in.Read(p)
}

func (f *flights) Write(p []byte) (int, error) {
	f.out = append(f.out, p...)
	return len(p), nil
}

// Close and what follows are there for net.Conn.
func (f *flights) Close() error                     { return nil }
func (f *flights) LocalAddr() net.Addr              { return nil }
func (f *flights) RemoteAddr() net.Addr             { return nil }
func (f *flights) SetDeadline(time.Time) error      { return nil }
func (f *flights) SetReadDeadline(time.Time) error  { return nil }
func (f *flights) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*flights)(nil)
