package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Greeting is what a server says before anybody logs in.
type Greeting struct {
	Version      string   // as in SSH-2.0-OpenSSH_9.2p1
	KeyExchanges []string // that it offers; nil if they could not be read
	HostKeyTypes []string // likewise
	HostKey      string   // fingerprint, SHA256:…
	HostKeyType  string
	Took         time.Duration // to connect and to see the key
	// Trips is how often the server was waited for: to connect, and each time
	// that it said something after we had.
	Trips int
}

// Greet connects to h, reads what the server says of itself, and holds its key
// against what is known, without a login there; at the jump hosts on the way
// there is one. What it read stands in the Greeting also where there is an
// error, which is sorted as Dial's is.
func Greet(ctx context.Context, d Dialer, h Host, log *slog.Logger) (Greeting, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := h.checkLink(d); err != nil {
		return Greeting{}, err
	}
	h = h.withDefaults()
	var jump *Conn
	if h.Jump != nil {
		var err error
		if jump, err = dial(ctx, d, *h.Jump, beside{}, log); err != nil {
			return Greeting{}, err
		}
		defer jump.Close()
		d = jump
	}
	heard := &earshot{Dialer: d}
	if h.BindAddress == "" { // which wants the system's own dialer
		d = heard
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.ConnectTimeout, errConnectTime)
	defer cancel()
	var g Greeting
	began := time.Now()
	seen := &credentials{seen: func(key ssh.PublicKey) { g.HostKey, g.HostKeyType = ssh.FingerprintSHA256(key), key.Type() }}
	c, err := dialGroups(ctx, d, h, jump, seen, log)
	if c != nil {
		c.Close()
	}
	g.Took = time.Since(began)
	heard.tell(&g)
	if errors.Is(err, errSeen) {
		err = nil
	}
	return g, err
}

// errSeen ends a handshake that has shown what it was made for.
var errSeen = errors.New("the host key was seen")

// maxEarshot is how much of a connection's beginning is kept: the version and
// the key exchange's first packet, which may have up to 35,000 bytes (RFC 4253,
// section 6.1) and has some 1,500.
const maxEarshot = 16 << 10

// An earshot is a dialer that keeps the beginning of what the last connection
// received.
type earshot struct {
	Dialer
	mu   sync.Mutex
	last *heardConn
}

// Link is that of the other dialer.
func (e *earshot) Link() string {
	if by, ok := e.Dialer.(interface{ Link() string }); ok {
		return by.Link()
	}
	return ""
}

// DialContext connects.
func (e *earshot) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := e.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = &heardConn{Conn: c}
	return e.last, nil
}

// tell fills in what was heard.
func (e *earshot) tell(g *Greeting) {
	e.mu.Lock()
	last := e.last
	e.mu.Unlock()
	if last == nil {
		return
	}
	last.mu.Lock()
	defer last.mu.Unlock()
	g.Version, g.KeyExchanges, g.HostKeyTypes = parseGreeting(last.heard)
	g.Trips = 1 + last.turns
}

type heardConn struct {
	net.Conn
	mu    sync.Mutex
	heard []byte
	spoke bool // we, since the server did
	turns int  // how often the server spoke after us
}

func (c *heardConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.spoke = true
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 && c.spoke {
		c.turns++
		c.spoke = false
	}
	c.heard = append(c.heard, b[:min(n, maxEarshot-len(c.heard))]...)
	return n, err
}

// parseGreeting reads the version and the server's first packet, as far as they
// are there:
//
//	lines, "SSH-" version CR LF
//	length(4) padding(1) SSH_MSG_KEXINIT(1) cookie(16)
//	length(4) key exchanges  length(4) host key types ...   (RFC 4253, 4.2 and 7.1)
func parseGreeting(b []byte) (version string, exchanges, types []string) {
	const head, message = 4 + 1 + 1 + 16, 20
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return "", nil, nil
		}
		b = rest
		if bytes.HasPrefix(line, []byte("SSH-")) {
			version = oneLine(strings.TrimRight(string(line), "\r"))
			break
		}
	}
	if len(b) < head || b[5] != message {
		return version, nil, nil
	}
	b = b[head:]
	exchanges, b = nameList(b)
	types, _ = nameList(b)
	return version, exchanges, types
}

// nameList reads a list of names (RFC 4251, section 5), and what follows it.
func nameList(b []byte) (names []string, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) || n == 0 {
		return nil, nil
	}
	for name := range strings.SplitSeq(string(b[:n]), ",") {
		names = append(names, oneLine(name))
	}
	return names, b[n:]
}
