// Package tunnelbench moves bytes through linehaul's tunnel and through that of
// strongSwan's own client, in turn and to the same gateway, and says who was
// how fast and what it cost.
//
//	client ---- road ==== ESP in UDP ==== gateway ---- lan ---- server
//
// The lab is internal/lab/gateway's. Gateway and reference are both strongSwan
// with ESP in their own processes (kernel-libipsec), so that each packet goes
// through a TUN device on their side; linehaul ends the tunnel in itself. The
// server is a plain one of TCP, so that no SSH is in the way; with -ssh it is
// OpenSSH's, and the client linehaul's program on both sides.
//
// It is a test binary with flags, as internal/bench is: `go test` moves a
// little, so that it stays in working order, and `make bench-tunnel` all of it.
// Linux and root only.
package tunnelbench
