//go:build unix && !linux

package port

import (
	"net"

	"linehaul/internal/icmp"
)

// listenUDP does nothing: these systems tell a connected UDP socket of an ICMP
// error by the error of its next call, and not who sent it.
func listenUDP(net.Conn) {}

func saidTo(net.Conn) []icmp.Error { return nil }
