package tunnel

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/keylog"
	"linehaul/tunnel/netstack"
	"linehaul/tunnel/pcapng"
)

// A Config says which tunnel it is.
type Config struct {
	// Gateway is a name or address. A port beside it that is not 500 is spoken to
	// as 4500 is, from the beginning.
	Gateway string
	IKE     ikev2.Config
	// MTU is that of the packets inside. Default: netstack.DefaultMTU.
	MTU int
	Log *slog.Logger // may be nil
	// DNS are name servers behind the gateway, in place of those that it gives.
	// Domains are those whose names are asked there; others are asked of the
	// system's then. Without any, all names are asked behind the gateway.
	DNS     []netip.Addr
	Domains []string
	// Lookup resolves the gateway's name; nil is the system's way.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Bytes is after how many ESP's keys are replaced, each way; 0: only where the
	// cipher is one that should not do more.
	Bytes uint64
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Random is where keys come from; nil is crypto/rand.
	Random io.Reader

	// Event is told of what happens, by the goroutine that runs the tunnel: it
	// must not wait. It may be nil.
	Event func(Event, Status)
	// Capture takes down all packets, inside and outside; nil: none. See
	// NewCapture.
	Capture *pcapng.Writer
	// Keys is told all keys, by which a recording of the line can be read; nil:
	// nobody is.
	Keys *keylog.Log
}

// A Tunnel carries connections until it ends. Its methods may be called
// concurrently.
type Tunnel struct {
	log     *slog.Logger
	now     func() time.Time
	machine *ikev2.Machine
	link    *link
	mtu     int
	dns     []netip.Addr
	domains []string
	bytes   uint64

	networks []netip.Prefix
	carried  atomic.Pointer[[]ikemsg.Selector] // what the gateway has made of them

	inbound  esp.Table
	pairs    map[uint32]*esp.Outbound // by the inbound SPI; run's
	outbound atomic.Pointer[esp.Outbound]
	answered atomic.Bool  // something came from the gateway
	heard    atomic.Int64 // when ESP came last, in nanoseconds since 1970
	spoke    atomic.Bool  // something was sent since the last look
	seen     time.Time    // the last look; run's

	ike     chan []byte   // messages for the machine
	closing chan struct{} // closed by Close
	ready   chan struct{} // closed when the tunnel carries
	done    chan struct{} // closed when all has ended
	shut    sync.Once
	work    sync.WaitGroup

	shown atomic.Pointer[snapshot]
	tap   *tap
	keys  *keylog.Log

	mu      sync.Mutex
	stack   *netstack.Stack
	err     error
	account account // gateway and event are not changed, gone is run's
}

// Up brings a tunnel up, and returns when it carries. Of a gateway with several
// addresses, those that are silent are passed over.
func Up(ctx context.Context, c Config) (*Tunnel, error) {
	addrs, port, err := c.resolve(ctx)
	if err != nil {
		return nil, err
	}
	for i, a := range addrs {
		c.IKE.FirstPatience = 0
		if i < len(addrs)-1 {
			c.IKE.FirstPatience = passOver
		}
		var t *Tunnel
		var answered bool
		if t, answered, err = up(ctx, c, a, port); err == nil {
			return t, nil
		}
		if answered || ctx.Err() != nil || i == len(addrs)-1 {
			break
		}
		if c.Log != nil {
			c.Log.Warn("an address of the gateway does not answer, trying the next one", "address", a.String(), "error", err.Error())
		}
	}
	return nil, fmt.Errorf("tunnel to %s: %w", c.Gateway, err)
}

// up brings a tunnel up with one address of the gateway, and reports whether
// anything came from it.
func up(ctx context.Context, c Config, gateway netip.Addr, port string) (*Tunnel, bool, error) {
	t := &Tunnel{
		log: c.Log, now: c.Now, mtu: c.MTU, dns: c.DNS, domains: c.Domains, bytes: c.Bytes, networks: c.IKE.Networks, ike: make(chan []byte, 16),
		pairs: map[uint32]*esp.Outbound{}, closing: make(chan struct{}), ready: make(chan struct{}), done: make(chan struct{}),
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.now == nil {
		t.now = time.Now
	}
	c.IKE.Port4500 = c.IKE.Port4500 || floated(c.Gateway)
	t.keys, t.account = c.Keys, account{gateway: c.Gateway, event: c.Event}
	if c.Capture != nil {
		t.tap = &tap{c.Capture, t.now}
	}
	c.IKE.ExposeSecrets = c.Keys != nil
	var err error
	if t.machine, err = ikev2.New(c.IKE, c.Random); err != nil {
		return nil, false, err
	}
	if t.link, err = dialGateway(ctx, gateway, port, c.IKE.Port4500); err != nil {
		return nil, false, err
	}
	t.link.tap = t.tap
	t.account.first[0], t.account.first[1] = t.link.ends()
	t.work.Go(func() { t.read(t.link.current()) })
	go t.run()
	select {
	case <-t.ready:
		return t, true, nil
	case <-t.done:
		return nil, t.answered.Load(), t.Err()
	case <-ctx.Done():
		t.Close() //nolint:errcheck // it is given up
		return nil, t.answered.Load(), context.Cause(ctx)
	}
}

// DialContext connects through the tunnel, and in no other way. Names are asked
// of the name servers behind the gateway.
func (t *Tunnel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	t.mu.Lock()
	stack := t.stack
	t.mu.Unlock()
	if stack == nil {
		return nil, fault.New(fault.ESP, "dial %s: the tunnel is not up", address)
	}
	return stack.DialContext(ctx, network, address)
}

// Ping asks an address behind the gateway for an answer.
func (t *Tunnel) Ping(ctx context.Context, to netip.Addr, size int) (time.Duration, error) {
	t.mu.Lock()
	stack := t.stack
	t.mu.Unlock()
	if stack == nil {
		return 0, fault.New(fault.ESP, "ping %s: the tunnel is not up", to)
	}
	return stack.Ping(ctx, to, size)
}

// PingWhole is Ping with a packet that nobody behind the gateway may cut: see
// netstack.Stack.
func (t *Tunnel) PingWhole(ctx context.Context, to netip.Addr, size int) (time.Duration, error) {
	t.mu.Lock()
	stack := t.stack
	t.mu.Unlock()
	if stack == nil {
		return 0, fault.New(fault.ESP, "ping %s: the tunnel is not up", to)
	}
	return stack.PingWhole(ctx, to, size)
}

// LookupHost asks the name servers behind the gateway, or the system's for names
// of other domains, as a dial does.
func (t *Tunnel) LookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	t.mu.Lock()
	stack := t.stack
	t.mu.Unlock()
	if stack == nil {
		return nil, fault.New(fault.ESP, "resolve %s: the tunnel is not up", host)
	}
	return stack.LookupHost(ctx, host)
}

// NameServers are those that are asked for a host through the tunnel; none if
// the system's are asked for it, or there are none. Those for no host are all.
func (t *Tunnel) NameServers(host string) []netip.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stack == nil {
		return nil
	}
	var all []netip.Addr
	for _, s := range t.stack.NameServers(host) {
		all = append(all, s.Addr())
	}
	return all
}

// MTU is the length of the longest packet inside; 0: the tunnel is not up.
func (t *Tunnel) MTU() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stack == nil {
		return 0
	}
	return t.stack.MTU()
}

// SetMTU changes the length of the longest packet inside from now on, of
// connections that are open as well.
func (t *Tunnel) SetMTU(mtu int) error {
	t.mu.Lock()
	stack := t.stack
	t.mu.Unlock()
	if stack == nil {
		return fault.New(fault.ESP, "set the MTU: the tunnel is not up")
	}
	return stack.SetMTU(mtu)
}

// Done is closed when the tunnel has ended.
func (t *Tunnel) Done() <-chan struct{} { return t.done }

// Err is why it has ended, nil if it was closed or has not ended yet.
func (t *Tunnel) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Close tells the gateway, and waits until everything has ended.
func (t *Tunnel) Close() error {
	t.shut.Do(func() { close(t.closing) })
	<-t.done
	return nil
}

// run owns the machine.
func (t *Tunnel) run() {
	defer close(t.done)
	defer t.work.Wait()
	defer t.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	actions := t.machine.Start(t.now())
	closing := t.closing
	defer t.observe()
	for t.carryOut(actions) {
		t.observe()
		if at := t.machine.Deadline(); !at.IsZero() {
			timer.Reset(max(0, at.Sub(t.now())))
		}
		select {
		case d := <-t.ike:
			actions = t.machine.Handle(t.now(), d)
		case <-timer.C:
			if heard := t.heard.Load(); heard != 0 {
				t.machine.Heard(time.Unix(0, heard))
			}
			actions = t.machine.Expire(t.now())
		case <-watch.C:
			actions = t.watch()
		case <-closing:
			closing = nil
			actions = t.machine.Close(t.now())
		}
	}
}

// end closes the connections over the tunnel, and the sockets.
func (t *Tunnel) end() {
	t.mu.Lock()
	stack, err := t.stack, t.err
	t.mu.Unlock()
	if err == nil {
		err = net.ErrClosed
	}
	if stack != nil {
		stack.CloseWith(err)
	}
	t.link.close()
}

// carryOut does what the machine wants, and reports false when it has ended.
func (t *Tunnel) carryOut(actions []ikev2.Action) bool {
	for _, a := range actions {
		switch a := a.(type) {
		case ikev2.Send:
			t.link.sendIKE(a.Datagram)
		case ikev2.Float:
			if err := t.move(); err != nil {
				t.fail(err)
				return false
			}
		case ikev2.Established:
			if err := t.begin(a); err != nil {
				t.fail(err)
				return false
			}
		case ikev2.Install:
			t.install(a.Child)
		case ikev2.Use:
			t.use(a.Child)
		case ikev2.Remove:
			t.remember(a.SPI)
			t.inbound.Remove(a.SPI)
			delete(t.pairs, a.SPI)
		case ikev2.SecretIKE, ikev2.SecretESP:
			t.secret(a)
		case ikev2.Note:
			t.log.Log(context.Background(), level(a.Level), a.Text, a.Args...)
		case ikev2.Ended:
			t.fail(a.Err)
			return false
		}
	}
	return true
}

func (t *Tunnel) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func level(l ikev2.Level) slog.Level {
	switch l {
	case ikev2.Debug:
		return slog.LevelDebug
	case ikev2.Warn:
		return slog.LevelWarn
	case ikev2.Info:
	}
	return slog.LevelInfo
}

// begin makes the TCP/IP that the tunnel ends in.
func (t *Tunnel) begin(up ikev2.Established) error {
	o := netstack.Options{MTU: t.mtu, Send: t.send, Reach: t.reach}
	for _, a := range up.Addresses {
		o.Addresses = append(o.Addresses, netip.PrefixFrom(a, a.BitLen()))
	}
	servers := up.DNS
	if len(t.dns) > 0 {
		servers = t.dns
	}
	if o.Domains = t.domains; len(o.Domains) > 0 {
		o.Outside = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	for _, a := range servers {
		o.DNS = append(o.DNS, netip.AddrPortFrom(a, 53))
	}
	stack, err := netstack.New(o)
	if err != nil {
		return err
	}
	t.log.Info("the tunnel is up", "gateway", up.Gateway.String(), "suite", up.Suite.String(), "addresses", fmt.Sprint(up.Addresses))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stack, t.account.up, t.account.since = stack, up, t.now()
	t.account.nat[0], t.account.nat[1] = up.NAT.NAT(t.account.first[0], t.account.first[1])
	return nil
}

// reach refuses what does not lie behind the gateway, or what the gateway does
// not carry (RFC 4301 section 5.1).
func (t *Tunnel) reach(a netip.Addr) error {
	if slices.ContainsFunc(t.networks, func(n netip.Prefix) bool { return n.Contains(a) }) {
		carried := t.carried.Load()
		if carried == nil || slices.ContainsFunc(*carried, func(s ikemsg.Selector) bool { return s.Contains(a) }) {
			return nil
		}
		return fault.New(fault.Route, "the gateway does not carry %s, but %v only", a, *carried).AsPermanent().
			WithHint("it has narrowed the link's `networks` to what it has for us")
	}
	return fault.New(fault.Route, "%s is in none of the link's networks", a).AsPermanent().
		WithHint("add its network to the link, if the gateway carries it")
}

// install makes the two ESP SAs of a child, and receives by the inbound one.
func (t *Tunnel) install(c *ikev2.Child) {
	o := esp.Options{ESN: c.Suite.ESN, Created: c.Made, Soft: esp.Lifetime{Bytes: t.bytes}}
	if o.Soft.Bytes == 0 && c.Out.BlockSize() == smallBlock {
		o.Soft.Bytes = smallBlockBytes
	}
	t.inbound.Add(esp.NewInbound(c.InSPI, c.In, o))
	t.pairs[c.InSPI] = esp.NewOutbound(c.OutSPI, c.Out, o)
}

// use sends by the outbound ESP SA of a child. There is one of it, as its
// sequence numbers are never to be used again.
func (t *Tunnel) use(c *ikev2.Child) {
	t.outbound.Store(t.pairs[c.InSPI])
	t.carried.Store(&c.Remote)
	select {
	case <-t.ready:
	default:
		close(t.ready)
	}
}

// send seals packets of the TCP/IP and sends them.
func (t *Tunnel) send(packets [][]byte) error {
	sa := t.outbound.Load()
	if sa == nil {
		return fault.New(fault.ESP, "the tunnel has no outbound keys")
	}
	t.spoke.Store(true)
	t.tap.inner(true, packets...)
	return t.link.sendESP(sa, packets)
}

// read takes what comes in at a socket until that is closed.
func (t *Tunnel) read(s *socket) {
	var inner [][]byte
	for batch := range s.batches() {
		inner = inner[:0]
		for _, d := range batch {
			t.tap.outer(s, false, d)
			if !s.marked {
				t.toMachine(d)
				continue
			}
			switch esp.Sort(d) {
			case esp.IKE:
				t.toMachine(esp.TrimIKE(d))
			case esp.Packet:
				if packet, _, err := t.inbound.Open(d); err == nil {
					inner = append(inner, packet)
				}
			case esp.Keepalive, esp.Junk:
			}
		}
		t.tap.inner(false, inner...)
		if len(inner) > 0 {
			t.heard.Store(t.now().UnixNano())
			t.mu.Lock()
			stack := t.stack
			t.mu.Unlock()
			if stack != nil {
				stack.Deliver(inner)
			}
		}
	}
}

// toMachine hands a message over. If there are too many, it is lost, as any
// datagram may be.
func (t *Tunnel) toMachine(d []byte) {
	t.answered.Store(true)
	select {
	case t.ike <- append([]byte(nil), d...):
	default:
	}
}
