package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

var (
	// errConnectTime is the cause of a context that ConnectTimeout ended.
	errConnectTime = errors.New("out of time to connect")
	// errNoHostKey says that the server has no key of the types asked for.
	errNoHostKey = errors.New("no host key of a type that was asked for")
)

// clientVersion is how we call ourselves (RFC 4253, section 4.2).
const clientVersion = "SSH-2.0-linehaul"

// An attempt is one connection on its way to be logged in.
type attempt struct {
	host     Host
	net      *meter
	keyErr   error         // why the host key was not accepted
	hostKey  ssh.PublicKey // the accepted one
	accepted atomic.Bool   // the host key was accepted, and the login has begun
	since    time.Time     // when that was
	login    *loginAttempt
}

// handshake connects, checks the server's key and logs in, once.
func handshake(ctx context.Context, d Dialer, h Host, jump *Conn, algorithms []string, creds *credentials, log *slog.Logger) (*Conn, error) {
	began := time.Now()
	nc, err := h.connect(ctx, d, jump != nil)
	if err != nil {
		return nil, dialError(ctx, h, err)
	}
	w := newWatch(time.Now)
	a := &attempt{host: h, net: newMeter(nc, w), login: &loginAttempt{creds: creds}}
	// A connection through a jump host has no deadlines, so the end of ctx
	// closes what would block: the outermost connection, and the agent.
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		if jump != nil {
			jump.fail(ctxError(ctx))
		}
		nc.Close()
		creds.close()
	})
	conn, channels, requests, err := ssh.NewClientConn(a.net, h.target(), a.config(ctx, algorithms))
	if !stop() {
		<-ended
		if err == nil {
			conn.Close() //nolint:errcheck // its connection is closed already
		}
		return nil, a.late(ctx)
	}
	if err != nil {
		return nil, a.sort(err)
	}
	most := sessionsFor(string(conn.ServerVersion()))
	c := &Conn{host: h, log: log, jump: jump, net: nc, watch: w, slots: newSlots(most), mostLoops: most, traits: &traits{}, idle: make(chan func())}
	c.spared = sync.NewCond(&c.mu)
	c.bufs.New = func() any { b := make([]byte, maxRequest); return &b }
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.info = Info{
		Address: h.target(), User: h.User, ServerVersion: oneLine(string(conn.ServerVersion())),
		HostKeyType: a.hostKey.Type(), HostKey: fingerprint(a.hostKey), KeyUsed: a.login.signed,
	}
	if jump == nil {
		c.info.Address = nc.RemoteAddr().String()
	}
	if creds.leads != nil {
		creds.leads.loggedIn(a.login.signed, !a.login.partly)
	}
	// A login takes at least loginTrips.
	const loginTrips = 4
	trip := time.Since(a.since) / loginTrips
	c.heard(trip)
	c.start(conn, channels, requests)
	if trip >= spareFrom && c.isOpenSSH() {
		c.openAhead()
	}
	log.Debug("logged in", "address", c.info.Address, "user", h.User, "server", c.info.ServerVersion,
		"host_key", c.info.HostKey, "key", c.info.KeyUsed, "took", time.Since(began).Round(time.Millisecond))
	return c, nil
}

// connect opens the connection that SSH runs over. What is behind a jump host
// is reached from there, so neither the family of addresses nor ours matters.
func (h Host) connect(ctx context.Context, d Dialer, behind bool) (net.Conn, error) {
	network := "tcp"
	if !behind && h.Network != "" {
		network = h.Network
	}
	if !behind && h.BindAddress != "" {
		plain, ok := d.(*net.Dialer)
		if !ok {
			return nil, fault.New(fault.Config, "the way to the host cannot begin at the address %q", h.BindAddress).
				WithHint("take BindAddress out: the link decides where connections come from")
		}
		bound, err := Bind(ctx, plain, h.BindAddress, network)
		if err != nil {
			return nil, err
		}
		d = bound
	}
	return d.DialContext(ctx, network, h.target())
}

// Bind returns a dialer that connects from an address of this machine, or from
// one that a name of it has; network is that of what it is to dial, as in tcp4.
func Bind(ctx context.Context, d *net.Dialer, address, network string) (*net.Dialer, error) {
	family := "ip" + strings.TrimLeft(network, "tcpud")
	found, err := net.DefaultResolver.LookupNetIP(ctx, family, address)
	if err != nil || len(found) == 0 {
		return nil, fault.New(fault.Config, "the address to connect from, %q, is none that this machine knows", address).
			WithHint("write an IP address of this machine after BindAddress")
	}
	at := netip.AddrPortFrom(found[0].Unmap(), 0)
	bound := *d
	bound.LocalAddr = net.TCPAddrFromAddrPort(at)
	if strings.HasPrefix(network, "udp") {
		bound.LocalAddr = net.UDPAddrFromAddrPort(at)
	}
	return &bound, nil
}

// start runs what a connection needs beside its calls.
func (c *Conn) start(conn ssh.Conn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	// The library would answer the server's own keepalives unseen; they are
	// noise that the watch has to know of.
	none := make(chan *ssh.Request)
	close(none)
	c.client = ssh.NewClient(conn, channels, none)
	c.spawn(func() {
		for r := range requests {
			c.watch.wasAsked()
			r.Reply(false, nil) //nolint:errcheck // the connection is gone then
		}
	})
	c.spawn(func() {
		err := c.client.Wait()
		if c.jump != nil {
			if cause := c.jump.gone(); cause != nil {
				c.fail(cause)
				return
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			c.fail(lineLost("lost the connection to %s: %w", c.host.label(), err))
			return
		}
		c.fail(fault.New(fault.TCP, "%s closed the connection", c.host.label()).WithHint(lostHint))
	})
	c.spawn(c.guard)
	if c.host.Keepalive > 0 {
		c.spawn(c.keepalive)
	}
}

// config says what we offer the server, and notes how far the handshake gets.
func (a *attempt) config(ctx context.Context, algorithms []string) *ssh.ClientConfig {
	a.login.ctx = ctx
	return &ssh.ClientConfig{
		Config:            a.algorithms(),
		ClientVersion:     clientVersion,
		User:              a.host.User,
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if a.keyErr = a.host.checkKey(key); a.keyErr != nil {
				return a.keyErr
			}
			a.hostKey = key
			a.keyErr = a.beside(ctx, algorithms)
			a.since = time.Now()
			a.accepted.Store(a.keyErr == nil)
			return a.keyErr
		},
		Auth: a.login.methods(),
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			a.login.note(c)
			return a.login.next(c), nil
		},
	}
}

// beside tells others that the host key was accepted, or waits for another
// connection's key. Its error ends the handshake.
func (a *attempt) beside(ctx context.Context, algorithms []string) (err error) {
	creds := a.login.creds
	switch {
	case creds.seen != nil:
		creds.seen(a.hostKey)
		return errSeen
	case creds.leads != nil:
		creds.lead.accepted(creds.leads, algorithms, a.trip())
	case creds.follows != nil:
		creds.offers = make([]offer, 1)
		creds.offers[0], err = creds.follows.key(ctx)
	}
	return err
}

// trip is how long a round trip takes, after the key exchange: as the system has
// measured it, or where that knows the way to the next program only, such as one
// on this machine that forwards connections, the server's answer to it.
func (a *attempt) trip() time.Duration {
	at, ok := a.net.RemoteAddr().(*net.TCPAddr)
	if near := !ok || at.IP.IsLoopback(); near {
		return a.net.answer()
	}
	s, err := a.net.TCPInfo()
	if err != nil || s.RTTMS <= 0 {
		return a.net.answer()
	}
	if s.MinRTTMS > 0 {
		s.RTTMS = s.MinRTTMS
	}
	return time.Duration(s.RTTMS * float64(time.Millisecond))
}

// algorithms are those of today, and of the past those that the host needs,
// unless somebody has chosen.
func (a *attempt) algorithms() ssh.Config {
	pick := func(chosen []string, use keys.Use) []string {
		if chosen != nil {
			return chosen
		}
		return keys.Default(use, a.host.Legacy...)
	}
	of := a.host.Algorithms
	return ssh.Config{
		KeyExchanges: pick(of.KeyExchanges, keys.ForKeyExchange),
		Ciphers:      pick(of.Ciphers, keys.ForCipher),
		MACs:         pick(of.MACs, keys.ForMAC),
	}
}

// checkKey holds the server's key against what is known of it.
func (h Host) checkKey(key ssh.PublicKey) error {
	name, port := h.KnownAs()
	err := h.HostKeys.Check(name, port, key)
	if err != nil && h.HostKeyAlias != "" {
		return fmt.Errorf("connect to %s, whose key is known as %q: %w", h.label(), h.HostKeyAlias, err)
	}
	if bits := keys.RSABits(key); err == nil && bits > 0 && bits < h.MinRSA {
		err = fault.New(fault.HostKeyChanged, "the host key of %s is an RSA key of %d bits, and RequiredRSASize asks for %d", h.label(), bits, h.MinRSA).
			WithHint("have the server get a longer key, or one of another type")
	}
	return err
}

// late says what the server did not do before ctx ended.
func (a *attempt) late(ctx context.Context) error {
	label, limit := a.host.label(), a.host.ConnectTimeout
	if !errors.Is(context.Cause(ctx), errConnectTime) {
		return fmt.Errorf("connect to %s: %w", label, ctxError(ctx))
	}
	if err := a.notSSH(); err != nil {
		return err
	}
	const hint = "the peer fell silent: check the line and the server's load, or raise `connect_timeout`"
	banner := a.banner()
	switch {
	case a.net.head.String() == "":
		return fault.New(fault.Stall, "%s accepts the connection and sends nothing within %v", label, limit).
			WithHint("something listens there and does not answer: a server without memory or processes left, a firewall, or another program than SSH")
	case banner == "":
		return fault.New(fault.Stall, "no SSH banner from %s within %v", label, limit).WithHint("%s", hint)
	case a.accepted.Load():
		return fault.New(fault.Stall, "the login to %s as %q was not finished within %v", label, a.host.User, limit).
			WithHint("the server may wait for a name service or an authentication server of its own; or raise `connect_timeout`")
	}
	return fault.New(fault.Stall, "the key exchange with %s was not finished within %v", label, limit).WithHint("%s", hint)
}

// sort finds out which layer an error of the handshake belongs to.
func (a *attempt) sort(err error) error {
	label := a.host.label()
	var none *ssh.AlgorithmNegotiationError
	switch {
	case a.keyErr != nil:
		return a.keyErr
	case a.accepted.Load():
		return a.loginError(err)
	case errors.As(err, &none):
		return a.noCommon(none)
	}
	if err := a.notSSH(); err != nil {
		return err
	}
	switch {
	case network(err) && a.net.head.String() == "", a.banner() == "":
		return fault.New(fault.SSH, "%s closes the connection before its SSH banner", label).
			WithHint("its SSH server may have too many connections open (MaxStartups) or refuse this machine (firewall, hosts.deny, fail2ban)")
	case errors.Is(err, io.EOF):
		return fault.New(fault.SSH, "%s closes the connection during the key exchange", label)
	case network(err):
		return lineLost("lost the connection to %s before the login: %w", label, err)
	}
	return fault.New(fault.SSH, "the key exchange with %s failed: %s", label, libraryText(err))
}

// libraryText is an error of the library without the prefix that all have.
func libraryText(err error) string {
	return strings.TrimPrefix(oneLine(err.Error()), "ssh: handshake failed: ")
}

// noCommon prints both sides' algorithms.
func (a *attempt) noCommon(e *ssh.AlgorithmNegotiationError) error {
	cause := errors.New(e.What)
	if strings.Contains(e.What, "host key") {
		cause = fmt.Errorf("%s: %w", e.What, errNoHostKey)
	}
	return fault.New(fault.SSH, "no common algorithm with %s for the %w; it has %s; linehaul asks for %s",
		a.host.label(), cause, algorithms(e.RequestedAlgorithms), algorithms(e.SupportedAlgorithms)).
		AsPermanent().WithHint("%s", olderHint(e))
}

// olderHint names what the host's legacy list lacks for this server, if that
// is all that is lacking.
func olderHint(e *ssh.AlgorithmNegotiationError) string {
	for _, name := range keys.LegacyNames() {
		if slices.Contains(e.RequestedAlgorithms, name) {
			return "the server is old: update it, or write `legacy: [" + name + "]` at the host"
		}
	}
	return "the server is old or strict: enable one of the algorithms that linehaul asks for in its configuration, or update it"
}

// algorithms lists names, without those that only announce an extension (RFC
// 8308, section 2.1, and OpenSSH's strict key exchange).
func algorithms(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return strings.HasPrefix(n, "ext-info-") || strings.HasPrefix(n, "kex-strict-")
	})
	return oneLine(strings.Join(names, ", "))
}

// notSSH returns an error if what answered is no SSH 2 server.
func (a *attempt) notSSH() error {
	first, banner := a.net.head.String(), a.banner()
	switch {
	case strings.HasPrefix(banner, "SSH-1.") && !strings.HasPrefix(banner, "SSH-1.99"):
		return fault.New(fault.SSH, "%s speaks SSH version 1 only, as %q", a.host.label(), shorten(banner)).AsPermanent()
	case first != "" && banner == "" && !strings.HasPrefix("SSH-", first[:min(len(first), 4)]):
		return fault.New(fault.SSH, "%s is not an SSH server: it says %q", a.host.label(), shorten(first)).AsPermanent()
	}
	return nil
}

// banner returns the line with which an SSH server begins, or "". Other lines
// may come before it (RFC 4253, section 4.2).
func (a *attempt) banner() string {
	for line := range strings.Lines(a.net.head.String()) {
		if strings.HasPrefix(line, "SSH-") {
			return strings.TrimRight(line, "\r\n")
		}
	}
	return ""
}

// shorten keeps the beginning of what a stranger sent.
func shorten(s string) string {
	const most = 80
	return oneLine(s[:min(len(s), most)])
}

// dialError sorts why there is no connection.
func dialError(ctx context.Context, h Host, err error) error {
	var (
		sorted *fault.Error
		dns    *net.DNSError
		label  = h.label()
	)
	timedOut := errors.Is(context.Cause(ctx), errConnectTime)
	switch {
	case errors.As(err, &sorted):
		return err // a tunnel or jump host knows better
	case ctx.Err() != nil && !timedOut:
		return fmt.Errorf("connect to %s: %w", label, ctxError(ctx))
	case errors.As(err, &dns):
		why := dns.Err
		switch {
		case timedOut:
			why = fmt.Sprintf("no answer within %v", h.ConnectTimeout)
		case dns.IsNotFound:
			why = "no such host"
		}
		return fault.New(fault.Name, "resolve %q for %s: %s", h.Address, h.Name, why)
	case noRoute(err):
		return fault.New(fault.Route, "connect to %s: %w", label, bare(err))
	case timedOut, errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.TCP, "connect to %s: no answer within %v", label, h.ConnectTimeout)
	}
	return fault.New(fault.TCP, "connect to %s: %w", label, bare(err))
}

// bare drops what the net package puts before a cause: our message has it.
func bare(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// lostHint is the next step where nobody says why a connection is lost.
const lostHint = "the line or the server broke the connection; the server's log may say why"

// lineLost is the failure of a connection that the line took away: one of TCP, or
// what a link gave as the reason, in whose layer it failed.
func lineLost(format, label string, err error) error {
	if link := (*fault.Error)(nil); errors.As(err, &link) {
		return fault.New(link.Kind(), format, label, link).WithHint("%s", fault.HintOf(link))
	}
	return fault.New(fault.TCP, format, label, bare(err)).WithHint(lostHint)
}

// network reports whether the line failed and not a protocol on it.
func network(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
