// Package path is a network with routers in a row, for tests of what measures
// lines:
//
//	client 198.18.0.1 --0-- 198.18.0.2 r1 198.18.1.1 --1-- 198.18.1.2 r2 ... --n-- 198.18.n.2 server
//	2001:db8:12:0::1        2001:db8:12:0::2                                       2001:db8:12:n::2
//
// Each is a network namespace of package netns; the links between them, which
// are counted from the client on, are the kernel's, or Lines: there the test's
// own process carries each packet from one TUN device to another, and loses,
// delays, doubles and overtakes as it is told. Kernels without netem have that
// too, and what was done is counted to the packet.
//
// A router answers for its address on the client's side (Path.Addr), without
// the kernel's limits on how many ICMP errors are sent. Linux and root only.
package path
