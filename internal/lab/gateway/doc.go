// Package gateway is a network with a real IPsec gateway in it, for tests:
// strongSwan's charon, with the SSH server that is reached through it only.
//
//	road 192.0.2.2 ------- 192.0.2.1 gate 10.77.0.1 ------- 10.77.0.2 lan
//	2001:db8:1::2                                  fd77::1  fd77::2  sshd, DNS
//
//	road 192.168.55.2 --- router 192.0.2.9 --- 192.0.2.1 gate ...     (Options.NAT)
//
// Each is a network namespace, so that the addresses are the same in every
// lab and labs do not meet. The gateway drops what comes for the lan in clear.
// Its ESP is strongSwan's own (kernel-libipsec), as not every kernel has any:
// no extended sequence numbers, and always within UDP.
//
// A client under test may run in the test's own process, with sockets of the
// road (Host.ListenPacket); as a command (Gateway.Road, Gateway.RoadUser); or
// as the same test in a process of its own, as an ordinary user
// (Gateway.Again). The reference is a strongSwan on the road (Options.Client).
//
// All programs die with the test's process, also if that is killed, and the
// namespaces with them: none has a name. Linux and root only.
package gateway
