package main

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/tunnel"
	"linehaul/tunnel/proxy"
)

type proxyFlags struct {
	lookFlags
	listen   string
	forwards []string
	anyone   bool
}

// proxyAt is where programs look for SOCKS.
const proxyAt = "127.0.0.1:1080"

func (a *app) tunnelProxyCmd() *cobra.Command {
	var o proxyFlags
	c := &cobra.Command{
		Use:   "proxy LINK",
		Short: "Let other programs through a link: SOCKS, HTTP CONNECT, forwarded ports",
		Long: `Bring up a link and keep it as ` + "`linehaul tunnel up`" + ` does, and let other programs
connect through it: by SOCKS 5 (TCP, and UDP by UDP ASSOCIATE) and by HTTP CONNECT
on one port, and by ports that lead to one place behind the gateway (-L). Names
are asked of the name servers behind the gateway. What is not behind the gateway
is refused.

Any user of this machine may use these ports, and nobody else: an address that
others reach is refused unless --anyone-may-connect is given, as there is no
password.`,
		Example: `  linehaul tunnel proxy hongkong
  curl --socks5-hostname 127.0.0.1:1080 http://intranet.example/
  linehaul tunnel proxy hongkong -L 3390:10.20.0.9:3389`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeLinks,
		RunE: func(c *cobra.Command, args []string) error {
			if len(o.forwards) > 0 && !c.Flags().Changed("listen") {
				o.listen = ""
			}
			return a.tunnelProxy(c.Context(), args[0], o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", proxyAt, "where SOCKS and HTTP clients connect: an `ADDRESS:PORT`; with -L, nowhere unless this is given")
	f.StringArrayVarP(&o.forwards, "forward", "L", nil, "a port that leads to one place: `[BIND:]PORT:HOST:HOSTPORT` (repeatable)")
	f.BoolVar(&o.anyone, "anyone-may-connect", false, "listen at addresses that other machines reach, too: whoever does goes through the link")
	o.add(f)
	return c
}

// A door is a port that programs connect to.
type door struct {
	net.Listener
	target string // empty: what the client says
}

func (a *app) tunnelProxy(ctx context.Context, name string, o proxyFlags) error {
	doors, err := openDoors(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		for _, d := range doors {
			d.Close()
		}
	}()
	return a.holdUp(ctx, name, o.lookFlags, func(ctx context.Context, s *tunnel.Shared) error {
		server := proxy.New(proxy.Options{Dialer: s, Log: a.logger(), Now: a.now})
		var work sync.WaitGroup
		errs := make([]error, len(doors))
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for i, d := range doors {
			if d.target == "" {
				a.note("SOCKS 5 and HTTP CONNECT at %s", d.Addr())
			} else {
				a.note("%s leads to %s", d.Addr(), d.target)
			}
			work.Go(func() {
				defer cancel()
				if d.target == "" {
					errs[i] = server.Serve(ctx, d)
				} else {
					errs[i] = server.Forward(ctx, d, d.target)
				}
			})
		}
		work.Wait()
		return errors.Join(errs...)
	})
}

// openDoors listens at all places, or at none.
func openDoors(ctx context.Context, o proxyFlags) (doors []door, err error) {
	var wanted []proxy.Forward
	if o.listen != "" {
		if _, _, err := net.SplitHostPort(o.listen); err != nil {
			return nil, fault.New(fault.Usage, "--listen %q: want ADDRESS:PORT, such as %s", o.listen, proxyAt)
		}
		wanted = append(wanted, proxy.Forward{Listen: o.listen})
	}
	for _, text := range o.forwards {
		f, err := proxy.ParseForward(text)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, f)
	}
	for _, w := range wanted {
		if !o.anyone && !proxy.Loopback(w.Listen) {
			return nil, fault.New(fault.Usage, "other machines reach %s, and could go through the link without a password", w.Listen).
				WithHint("listen at 127.0.0.1, or say --anyone-may-connect")
		}
	}
	for _, w := range wanted {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", w.Listen)
		if err != nil {
			for _, d := range doors {
				d.Close()
			}
			return nil, fault.New(fault.Usage, "listen at %s: %w", w.Listen, err).WithHint("another program has the port, or the address is not this machine's")
		}
		doors = append(doors, door{l, w.Target})
	}
	return doors, nil
}
