// Package tunnel is one IPsec tunnel to a gateway, in this process alone: it
// logs in by IKEv2, carries IP packets in ESP in UDP, and ends them in a TCP/IP
// of its own. It needs no driver, no route and no rights, and changes nothing
// on the machine. A Tunnel is a dialer: what is dialled by it has no other way
// out.
//
//	t, err := tunnel.Up(ctx, tunnel.Config{Gateway: "vpn.example.net", ...})
//	conn, err := t.DialContext(ctx, "tcp", "10.20.0.5:22")
//
// A Tunnel is up once. When it has ended, by Close or because the gateway is
// gone, all connections over it end with the reason, and another one is brought
// up in its place.
package tunnel
