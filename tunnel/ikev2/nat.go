package ikev2

import (
	"crypto/sha1" //nolint:gosec // RFC 7296 section 2.23 asks for it, and nothing is protected by it
	"encoding/binary"
	"net/netip"
	"slices"

	"linehaul/tunnel/ikemsg"
)

// A NATCheck is what the gateway has said of the addresses that it sees (RFC
// 7296 section 2.23).
type NATCheck struct {
	head   []byte   // the SPIs of IKE_SA_INIT
	source [][]byte // hashes of the addresses that it has
	target []byte   // and of ours, as it sees us
}

// natCheck reads the answer to IKE_SA_INIT.
func natCheck(msg *ikemsg.Message) NATCheck {
	c := NATCheck{head: slices.Concat(msg.InitiatorSPI[:], msg.ResponderSPI[:])}
	for _, n := range ikemsg.All[*ikemsg.Notify](msg.Payloads) {
		switch n.Kind { //nolint:exhaustive // the others say nothing of it
		case ikemsg.NATDetectionSourceIP:
			c.source = append(c.source, slices.Clone(n.Data))
		case ikemsg.NATDetectionDestinationIP:
			c.target = slices.Clone(n.Data)
		}
	}
	return c
}

// NAT reports whether there is a NAT before us, and before the gateway. The
// addresses are those of IKE_SA_INIT as our socket knows them. A gateway that
// does not say gives no.
func (c NATCheck) NAT(own, gateway netip.AddrPort) (ours, theirs bool) {
	ours = len(c.target) > 0 && !slices.Equal(c.target, c.hash(own))
	theirs = len(c.source) > 0 && !slices.ContainsFunc(c.source, func(h []byte) bool { return slices.Equal(h, c.hash(gateway)) })
	return ours, theirs
}

func (c NATCheck) hash(a netip.AddrPort) []byte {
	b := append(slices.Clone(c.head), a.Addr().Unmap().AsSlice()...)
	h := sha1.Sum(binary.BigEndian.AppendUint16(b, a.Port())) //nolint:gosec // see above
	return h[:]
}
