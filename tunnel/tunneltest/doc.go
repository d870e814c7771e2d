// Package tunneltest is the other side of a tunnel: a small gateway of IKEv2
// (RFC 7296) and ESP (RFC 4303), for tests and for `linehaul demo`.
//
// It has two faces. A Gateway is the pure responder to one client: it is handed
// datagrams and the time, and returns what it answers, so that a day of rekeys
// takes a moment:
//
//	g, err := tunneltest.New(options, random)
//	answers := g.Handle(now, datagram)
//	answers = g.RekeyChild(now)
//
// A Server is that on a UDP socket, for any number of clients, with a TCP/IP
// behind it on which servers listen that can be reached through the tunnel
// only:
//
//	s, err := tunneltest.Start(tunneltest.ServerOptions{...})
//	l, err := s.Listen(22)
//
// A client finds it at s.Addr(), where it speaks as on port 4500: IKE has four
// zero bytes before it (RFC 3948 section 2.2).
//
// A Gateway logs in by pre-shared key, gives an inner address, narrows what is
// asked for, makes, rekeys and deletes child SAs, rekeys and deletes the IKE SA,
// with as many key exchanges as are proposed (RFC 9242, RFC 9370), asks whether
// the client is there, and resolves what both sides begin at the same time
// (sections 2.8.1 and 2.25). By Faults it does all of this wrongly.
//
// Left out: certificates, EAP, MOBIKE, more than one pair of ESP SAs at a time
// but for rekeys.
package tunneltest
