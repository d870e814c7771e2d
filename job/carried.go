package job

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"linehaul/preflight/tcpinfo"
	"linehaul/store"
	"linehaul/transfer/remote"
	"linehaul/tunnel"
)

// A tally counts what a run's own connections move through a link, and notes by
// which SAs. It is safe for concurrent use.
type tally struct {
	sent, received atomic.Int64

	mu    sync.Mutex
	open  map[*tallied]struct{}
	pairs []string // the SPIs, the oldest first
}

// carrier is a connection that knows what carried it.
type carrier interface{ Carried() []tunnel.SAPair }

// dialer counts what goes through another dialer.
func (t *tally) dialer(d remote.Dialer) remote.Dialer { return tallyDialer{d, t} }

type tallyDialer struct {
	remote.Dialer
	t *tally
}

func (d tallyDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	counted := &tallied{Conn: c, t: d.t}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	if d.t.open == nil {
		d.t.open = map[*tallied]struct{}{}
	}
	d.t.open[counted] = struct{}{}
	return counted, nil
}

// Link is that of the other dialer: package remote asks for it.
func (d tallyDialer) Link() string {
	if by, ok := d.Dialer.(interface{ Link() string }); ok {
		return by.Link()
	}
	return ""
}

// tallied is one connection of a run.
type tallied struct {
	net.Conn
	t *tally
}

func (c *tallied) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.received.Add(int64(n))
	return n, err
}

func (c *tallied) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.t.sent.Add(int64(n))
	return n, err
}

func (c *tallied) Close() error {
	c.t.mu.Lock()
	if _, open := c.t.open[c]; open {
		c.t.note(c)
		delete(c.t.open, c)
	}
	c.t.mu.Unlock()
	return c.Conn.Close()
}

// TCPInfo returns the connection's figures.
func (c *tallied) TCPInfo() (tcpinfo.Sample, error) { return tcpinfo.Read(c.Conn) }

// note keeps the SPIs of what carried a connection. The caller holds mu.
func (t *tally) note(c *tallied) {
	by, ok := c.Conn.(carrier)
	if !ok {
		return
	}
	for _, p := range by.Carried() {
		if s := p.String(); !slices.Contains(t.pairs, s) {
			t.pairs = append(t.pairs, s)
		}
	}
}

// record is what it has come to.
func (t *tally) record(link string) *store.Link {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		t.note(c)
	}
	return &store.Link{Name: link, SPIs: slices.Clone(t.pairs), Sent: t.sent.Load(), Received: t.received.Load()}
}
