// Package ikev2 is the client's side of IKEv2 (RFC 7296): it logs in to an
// IPsec gateway, keeps the login alive, and agrees on the keys of ESP.
//
// A Machine is pure: it has no socket, no goroutine, no clock and no
// randomness of its own. Whoever runs it hands it the datagrams that came and
// the time, and carries out the Actions that it returns:
//
//	m, err := ikev2.New(config, random)
//	actions := m.Start(now)
//	for ... {
//		actions = m.Handle(now, datagram)   // something came
//		actions = m.Expire(now)             // the time of m.Deadline() is there
//	}
//
// So a recorded exchange replays byte for byte, an hour of rekeys takes a
// millisecond in a test, and a fuzzer can drive it. A Machine is not safe for
// concurrent use.
//
// One Machine is one attempt: when it has ended, with an Ended action, another
// one is begun. It holds one IKE SA, or two while one replaces the other, and
// the child SAs that were made under it.
package ikev2
