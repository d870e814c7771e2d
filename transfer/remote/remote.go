// Package remote logs in to SSH servers and makes their files fit transfer's
// Remote interface, by SFTP or by SCP.
//
// Dial connects (RFC 4253), holds the server's key against what is known of
// it, and logs in (RFC 4252) with keys, an agent or a password; it never asks
// anybody. Files then opens the SFTP subsystem (draft-ietf-secsh-filexfer-02,
// version 3, with OpenSSH's posix-rename, fsync and hints), a copy of
// sftp-server that is not announced as a subsystem, or SCP with a few shell
// commands, whichever the server has.
//
// Nothing here waits for ever. Connecting has one limit for everything up to
// the end of the login. After that a watchdog ends the connection when the
// server falls silent while something is expected of it, and every pending
// call then returns that reason. A call whose context ends returns at once and
// leaves its request behind; requests left behind end with the connection, and
// Close waits for them.
//
// Left out: old algorithms (see keys), compression, X11, and terminals.
package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
	"linehaul/preflight/tcpinfo"
)

// A Dialer connects to an address. *net.Dialer is one, a tunnel is one, and so
// is a *Conn.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A Protocol is how files are transferred.
type Protocol int

// The protocols.
const (
	Auto Protocol = iota // SFTP, or SCP where there is no SFTP
	SFTP                 // SFTP alone
	SCP                  // SCP, or SFTP where the server allows nothing else
)

// String returns the word for the protocol.
func (p Protocol) String() string {
	switch p {
	case SFTP:
		return "sftp"
	case SCP:
		return "scp"
	case Auto:
	}
	return "auto"
}

// The limits that hold where Host gives none.
const (
	defaultPort           = 22
	defaultConnectTimeout = 30 * time.Second
	defaultStallTimeout   = 60 * time.Second
	defaultKeepalive      = 15 * time.Second
)

// maxJumps bounds a chain of hosts that lead to each other.
const maxJumps = 8

// Host says how to reach a server and who we are to it.
type Host struct {
	Name    string // for messages, as in hk1; Address if empty
	Address string // name or IP address, without the port
	Port    int    // 22 if 0
	User    string

	// KeyFiles are private keys to offer, in order.
	KeyFiles []string
	// Certificates are of keys among KeyFiles, or of the agent's.
	Certificates []keys.CertificateFile
	// AgentSocket is where an ssh-agent listens; empty for no agent. AgentKeys
	// says which of its keys are offered.
	AgentSocket string
	AgentKeys   AgentKeys
	Passphrase  keys.Secret // for KeyFiles; nil if there is none
	Password    keys.Secret // nil if there is none
	// Methods are the ways to log in that may be tried, in order: publickey,
	// password, keyboard-interactive. Nil stands for all of them.
	Methods []string

	// Legacy names the algorithms of the past that this server needs, of
	// keys.LegacyNames. The host keys' own are named in HostKeys besides.
	Legacy []string
	// Algorithms are those that may be used; where it has nil, those of today
	// and of Legacy. MinRSA is how many bits RSA keys must have, the server's
	// and ours.
	Algorithms keys.Algorithms
	MinRSA     int

	// HostKeys says what is known of the server. Without it nothing is.
	HostKeys *keys.HostKeys
	// HostKeyAlias is the name that the server's key is known under; Address
	// and Port if empty.
	HostKeyAlias string
	// Network is tcp4 or tcp6; either if empty. BindAddress is an address or
	// name of this machine to connect from. Both mean nothing behind a Jump.
	Network     string
	BindAddress string
	// Link is the name of the only way by which the host, or the first one that
	// it is reached through, may be dialled; any way if empty. The dialer must
	// say that it is that one, with a method Link.
	Link string
	// Jump is a host to go through; nil for none. Its own limits hold for the
	// way to it; its Protocol is unused.
	Jump     *Host
	Protocol Protocol

	// ConnectTimeout bounds name resolution, connecting, key exchange and
	// login taken together, for this host without its Jump. Keys are loaded
	// before, and so is their Passphrase. 30 s if 0.
	ConnectTimeout time.Duration
	// StallTimeout is how long the server may be silent while something is
	// expected of it, and ten times that while it answers keepalives and makes
	// a file durable. 60 s if 0.
	StallTimeout time.Duration
	// Keepalive is how often the server is asked whether it is there. 15 s if
	// 0; never if negative. AliveTimeout is how long it may leave that
	// unanswered. StallTimeout if 0.
	Keepalive    time.Duration
	AliveTimeout time.Duration

	// LoggedIn says that these credentials have been accepted a moment ago: a
	// connection that ends during the login is a broken one then, and no
	// refusal.
	LoggedIn bool

	// Warnings are told to the log of each connection.
	Warnings []Warning
}

// AgentKeys says which keys of an agent are offered.
type AgentKeys int

// The choices. All offers the keys that belong to KeyFiles or Certificates
// first, behind KeyFiles themselves.
const (
	AgentByFiles  AgentKeys = iota // AgentMatching where there are KeyFiles, else AgentAll
	AgentMatching                  // those that belong to KeyFiles or Certificates
	AgentAll
)

// A Warning says what somebody asks for and does not get.
type Warning struct {
	File  string // where it is asked for; empty if that is nowhere
	Line  int    // from 1
	What  string
	Why   string // we do not do it
	Minor bool   // it makes no difference to the connection
}

// String returns FILE:LINE: WHAT is not honoured: WHY.
func (w Warning) String() string {
	s := w.What + " is not honoured: " + w.Why
	if w.File != "" {
		s = w.File + ":" + strconv.Itoa(w.Line) + ": " + s
	}
	return s
}

// withDefaults returns a copy of h without gaps.
func (h Host) withDefaults() Host {
	if h.Name == "" {
		h.Name = h.Address
	}
	if h.Port == 0 {
		h.Port = defaultPort
	}
	if h.ConnectTimeout <= 0 {
		h.ConnectTimeout = defaultConnectTimeout
	}
	if h.StallTimeout <= 0 {
		h.StallTimeout = defaultStallTimeout
	}
	if h.Keepalive == 0 {
		h.Keepalive = defaultKeepalive
	}
	if h.AliveTimeout <= 0 {
		h.AliveTimeout = h.StallTimeout
	}
	return h
}

// First is the host that is dialled first, without gaps: the outermost of the
// Jumps, or h itself.
func (h Host) First() Host {
	for h.Jump != nil {
		h = *h.Jump
	}
	return h.withDefaults()
}

// KnownAs is the name and port that the server's key is looked up by.
func (h Host) KnownAs() (name string, port int) {
	if h.HostKeyAlias != "" {
		return h.HostKeyAlias, 0
	}
	return h.Address, h.Port
}

// target is the address as dialers take it.
func (h Host) target() string { return net.JoinHostPort(h.Address, strconv.Itoa(h.Port)) }

// label names the host and its address in messages.
func (h Host) label() string {
	label := h.target()
	if h.BindAddress != "" && h.Jump == nil {
		label += " from " + h.BindAddress
	}
	if h.Name != h.Address {
		label = h.Name + " (" + label + ")"
	}
	if h.Jump != nil {
		label += " through " + h.Jump.withDefaults().Name
	}
	return label
}

// Info describes a connection.
type Info struct {
	Address       string // ip:port, or host:port behind a jump host
	User          string
	HostKeyType   string
	HostKey       string // fingerprint, SHA256:…
	ServerVersion string // as in SSH-2.0-OpenSSH_9.2p1
	KeyUsed       string // fingerprint of the key that logged in; empty if none did
	Protocol      Protocol
}

// A Conn is a connection that is logged in. Its methods may be called
// concurrently. It is a Dialer, too: what lies behind the server can be
// reached through it.
type Conn struct {
	host   Host
	log    *slog.Logger
	jump   *Conn // owned; nil for none
	client *ssh.Client
	net    net.Conn
	watch  *watch
	slots  *slots
	bufs   sync.Pool // *[]byte of maxRequest

	traits *traits // shared by the connections of a pool

	// ctx ends with the connection; its cause says why.
	ctx    context.Context
	cancel context.CancelCauseFunc

	byCertutil atomic.Bool // it sums files up, as PowerShell does not
	inSteps    sync.Once   // says that files are replaced in steps

	mu     sync.Mutex
	rtt    time.Duration // the shortest round trip that was seen; 0: none was
	spares []*session    // open, and run nothing yet
	ahead  int           // of these are on their way
	spared *sync.Cond    // one of them has come, or not; or one of begun, or of summers

	wanted    int          // so many sessions are to begin SFTP ahead
	hasty     []*session   // on which SFTP was begun ahead, until that is settled
	settled   bool         // it is known whether the server does it
	unwanted  bool         // it does not
	begun     []*sftpFiles // begun ahead, and not taken yet
	beginning int          // sessions that are on their way to be of these

	summers   []*summer // that have nothing to do
	loops     int       // of them in all, and on their way
	mostLoops int       // how many there may be
	loopless  bool      // there can be none

	closed bool
	info   Info
	way    way            // the one that worked, if one did
	wg     sync.WaitGroup // goroutines of this connection; see spawn
	idle   chan func()    // to those that wait for something to do; see lend
}

// TCPInfo returns the figures of the TCP connection that carries the session:
// behind jump hosts, of the one to the outermost of them. Each session of a
// group has its own.
func (c *Conn) TCPInfo() (tcpinfo.Sample, error) {
	for c.jump != nil {
		c = c.jump
	}
	return tcpinfo.Read(c.net)
}

// errClosed is what calls return after Close.
var errClosed = fmt.Errorf("the connection was closed here: %w", net.ErrClosed)

// Dial connects to h and logs in. Every error is sorted by the layer that
// failed: name, route, TCP, SSH, host key, key, login, or stall if the server
// does not answer in time. The caller closes the Conn.
func Dial(ctx context.Context, d Dialer, h Host, log *slog.Logger) (*Conn, error) {
	return dialBeside(ctx, d, h, beside{}, log)
}

// beside is what a connection has to do with others that are made at the same
// time; the zero value is nothing.
type beside struct {
	leads   *lead // it goes first, and tells them
	follows *lead // another one goes first
}

func dialBeside(ctx context.Context, d Dialer, h Host, b beside, log *slog.Logger) (*Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := h.checkLink(d); err != nil {
		return nil, err
	}
	jumps := 0
	for j := h.Jump; j != nil; j = j.Jump {
		if jumps++; jumps > maxJumps {
			return nil, fault.New(fault.Config, "connect to %s: more than %d jump hosts, or hosts that lead to each other", h.withDefaults().Name, maxJumps)
		}
	}
	return dial(ctx, d, h, b, log)
}

// checkLink refuses to go around the link.
func (h Host) checkLink(d Dialer) error {
	if by, ok := d.(interface{ Link() string }); h.Link != "" && (!ok || by.Link() != h.Link) {
		return fault.New(fault.Internal, "connect to %s: that would go around its link %q", h.withDefaults().Name, h.Link)
	}
	return nil
}

// dial connects to one host after another, from the outermost on.
func dial(ctx context.Context, d Dialer, h Host, b beside, log *slog.Logger) (*Conn, error) {
	h = h.withDefaults()
	if h.HostKeys == nil {
		return nil, fault.New(fault.HostKeyUnknown, "connect to %s: no host keys are configured", h.label())
	}
	of := log // a record names one host
	log = log.With("host", h.Name)
	creds, err := b.credentials(ctx, h, log)
	if err != nil {
		return nil, err
	}
	defer creds.close()
	var jump *Conn
	if h.Jump != nil {
		if jump, err = dial(ctx, d, *h.Jump, b, of); err != nil {
			return nil, fmt.Errorf("on the way to %s: %w", h.Name, err)
		}
		d = jump
	}
	c, err := dialGroups(ctx, d, h, jump, creds, log)
	if err != nil && jump != nil {
		jump.Close()
	}
	return c, err
}

// credentials are those of a connection: its own, or those that another one
// leaves to it.
func (b beside) credentials(ctx context.Context, h Host, log *slog.Logger) (*credentials, error) {
	if b.follows != nil {
		return &credentials{follows: b.follows.at(h)}, nil
	}
	h.warn(ctx, log)
	creds, err := loadCredentials(ctx, h, log)
	if err == nil && b.leads != nil {
		creds.lead, creds.leads = b.leads, b.leads.at(h)
		b.leads.look(creds)
	}
	return creds, err
}

// warn tells what is asked for and dangerous, or not done.
func (h Host) warn(ctx context.Context, log *slog.Logger) {
	if len(h.Legacy) > 0 {
		log.Warn("algorithms of the past are allowed for this host: they can be broken, so ask for a newer server", "legacy", strings.Join(h.Legacy, ", "))
	}
	for _, w := range h.Warnings {
		level := slog.LevelWarn
		if w.Minor {
			level = slog.LevelDebug
		}
		log.Log(ctx, level, "something is asked for that linehaul does not do", "what", w.String())
	}
}

// dialGroups connects once for each group of host key algorithms until the
// server's key is accepted. A server shows one key per connection, and the one
// that is known may not be the one that it prefers.
func dialGroups(ctx context.Context, d Dialer, h Host, jump *Conn, creds *credentials, log *slog.Logger) (*Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.ConnectTimeout, errConnectTime)
	defer cancel()
	groups, err := h.hostKeyGroups()
	if err != nil {
		return nil, err
	}
	if creds.follows != nil {
		groups = creds.follows.groups(groups)
	}
	var first error
	for _, algorithms := range groups {
		c, err := handshake(ctx, d, h, jump, algorithms, creds, log)
		if err == nil {
			return c, nil
		}
		// A pin does not say which of a server's keys it is of.
		var key *keys.HostKeyError
		notPinned := errors.As(err, &key) && key.Reason == keys.NotPinned
		if !notPinned && !errors.Is(err, errNoHostKey) {
			return nil, err
		}
		// A key that was seen says more than one that the server lacks.
		if first == nil || (notPinned && errors.Is(first, errNoHostKey)) {
			first = err
		}
	}
	if first == nil {
		first = fault.New(fault.Internal, "connect to %s: no host key algorithms to ask for", h.label())
	}
	return nil, first
}

// hostKeyGroups are the lists of host key algorithms to ask for, each in a
// connection of its own.
func (h Host) hostKeyGroups() ([][]string, error) {
	groups := h.HostKeys.Groups(h.KnownAs())
	if h.Algorithms.HostKeys == nil {
		return groups, nil
	}
	var allowed [][]string
	for _, g := range groups {
		g = slices.DeleteFunc(slices.Clone(g), func(a string) bool { return !slices.Contains(h.Algorithms.HostKeys, a) })
		if len(g) > 0 {
			allowed = append(allowed, g)
		}
	}
	if len(allowed) == 0 {
		return nil, fault.New(fault.Config, "connect to %s: its HostKeyAlgorithms (%s) have none of the types of key that are known of it",
			h.label(), strings.Join(h.Algorithms.HostKeys, ", ")).WithHint("add a type of its known or pinned keys to HostKeyAlgorithms, or take the line out")
	}
	return allowed, nil
}

// Info describes the connection. Protocol is Auto until Files has chosen one.
func (c *Conn) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// DialContext connects to an address as seen from the server (RFC 4254,
// section 7.2). The connection has no deadlines; it ends with c.
func (c *Conn) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	// How long the server takes to reach the address is up to ctx.
	nc, err := leave(ctx, c, nil, func() (net.Conn, error) {
		return c.client.Dial(network, address)
	}, func(nc net.Conn) { nc.Close() })
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return nil, fault.New(fault.TCP, "connect to %s through %s: %s: %s", address, c.host.Name, refused.Reason, oneLine(refused.Message)).
			WithHint("check the address as seen from %s, and that its SSH server has AllowTcpForwarding on", c.host.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s through %s: %w", address, c.host.Name, err)
	}
	return nc, nil
}

// Close ends the connection and everything on it, and waits for what runs on
// it. It may be called again.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.fail(errClosed)
	c.wg.Wait()
	if c.jump != nil {
		return c.jump.Close()
	}
	return nil
}
