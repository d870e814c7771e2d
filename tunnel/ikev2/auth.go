package ikev2

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// prove sends IKE_AUTH: who we are, and what is to be carried (RFC 7296 section
// 1.2).
func (m *Machine) prove(now time.Time, sa *association) error {
	f, c := &m.first, &m.config
	spi, err := m.espSPI()
	if err != nil {
		return err
	}
	payloads := []ikemsg.Payload{&ikemsg.IDi{Identity: c.Local}}
	if c.Remote != nil {
		payloads = append(payloads, &ikemsg.IDr{Identity: *c.Remote})
	}
	payloads = append(payloads, &ikemsg.Auth{
		Method: ikemsg.AuthSharedKey,
		Data:   sa.proof(c.PSK, f.message, f.peerNonce, c.Local, sa.ownAuth),
	})
	if !c.Address.IsValid() {
		payloads = append(payloads, &ikemsg.Config{Kind: ikemsg.ConfigRequest, Attributes: []ikemsg.ConfigAttribute{
			{Kind: ikemsg.InternalIP4Address}, {Kind: ikemsg.InternalIP4DNS}, {Kind: ikemsg.InternalIP4Subnet},
			{Kind: ikemsg.InternalIP6Address}, {Kind: ikemsg.InternalIP6DNS}, {Kind: ikemsg.InternalIP6Subnet},
		}})
	}
	payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.MOBIKESupported}, m.offerChild(spi, false), &ikemsg.TSi{Selectors: m.local(nil)}, &ikemsg.TSr{Selectors: selectors(c.Networks)})
	return m.ask(now, sa, &request{exchange: ikemsg.IKEAuth, payloads: payloads, done: func(now time.Time, answer *ikemsg.Message) error {
		return m.proved(now, sa, spi, answer)
	}})
}

// local are the selectors of our side: the address if there is one, and else
// any, which the gateway narrows to the one that it gives.
func (m *Machine) local(given []netip.Addr) []ikemsg.Selector {
	if m.config.Address.IsValid() {
		given = []netip.Addr{m.config.Address}
	}
	if len(given) == 0 {
		return selectors([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	}
	var all []ikemsg.Selector
	for _, a := range given {
		all = append(all, ikemsg.SelectorOf(netip.PrefixFrom(a, a.BitLen())))
	}
	return all
}

func selectors(networks []netip.Prefix) []ikemsg.Selector {
	var all []ikemsg.Selector
	for _, n := range networks {
		all = append(all, ikemsg.SelectorOf(n.Masked()))
	}
	return all
}

// proved takes the answer to IKE_AUTH.
func (m *Machine) proved(now time.Time, sa *association, spi uint32, answer *ikemsg.Message) error {
	f, c := &m.first, &m.config
	id, haveID := ikemsg.Get[*ikemsg.IDr](answer.Payloads)
	auth, haveAuth := ikemsg.Get[*ikemsg.Auth](answer.Payloads)
	if !haveID || !haveAuth {
		if err := m.refused(answer.Payloads); err != nil {
			return err
		}
		return fault.New(fault.IKE, "the gateway's answer to IKE_AUTH does not say who it is")
	}
	if auth.Method != ikemsg.AuthSharedKey {
		return fault.New(fault.GatewayLogin, "the gateway proves who it is by %v, and not by the pre-shared key", auth.Method).AsPermanent()
	}
	if err := checkProof(auth.Data, sa.proof(c.PSK, f.answer, f.nonce, id.Identity, sa.peerAuth)); err != nil {
		return err
	}
	if c.Remote != nil && (id.Kind != c.Remote.Kind || !bytes.Equal(id.Data, c.Remote.Data)) {
		return fault.New(fault.GatewayLogin, "the gateway is %s, and not %s", id.String(), c.Remote.String()).AsPermanent().
			WithHint("set the link's `remote: id` to who the gateway says to be, if it is the right one")
	}
	m.state = up
	_, m.mobike = ikemsg.FindNotify(answer.Payloads, ikemsg.MOBIKESupported)
	m.schedule(now, sa)
	up := Established{Gateway: id.Identity, Suite: sa.suite, NAT: f.nat}
	if c.Address.IsValid() {
		up.Addresses = []netip.Addr{c.Address}
	}
	if cp, ok := ikemsg.Get[*ikemsg.Config](answer.Payloads); ok && cp.Kind == ikemsg.ConfigReply && !c.Address.IsValid() {
		given(&up, cp)
	}
	// The IKE SA is there, even if the gateway makes no child (section 1.2).
	if err := m.refused(answer.Payloads); err != nil {
		return err
	}
	if len(up.Addresses) == 0 {
		return fault.New(fault.IKE, "the gateway has given no inner address").AsPermanent().
			WithHint("give the link an `address` that the gateway expects, if it assigns none")
	}
	child, err := m.newChild(now, sa, childTerms{spi: spi, answer: answer.Payloads, initiator: true, ni: f.nonce, nr: f.peerNonce, offered: m.childProposals(false)})
	if err != nil {
		return err
	}
	m.first, m.addresses = initial{}, up.Addresses
	m.do(up)
	m.do(Install{child})
	m.use(child)
	return nil
}

// given reads what the gateway assigns.
func given(up *Established, cp *ikemsg.Config) {
	const most = 16 // of each, from a gateway that cannot stop
	for _, a := range cp.Attributes {
		addr, isAddr := a.Address()
		prefix, isPrefix := a.Prefix()
		switch a.Kind { //nolint:exhaustive // the others were not asked for
		case ikemsg.InternalIP4Address, ikemsg.InternalIP6Address:
			if isAddr && !slices.Contains(up.Addresses, addr) && len(up.Addresses) < most && !addr.IsUnspecified() {
				up.Addresses = append(up.Addresses, addr)
			}
		case ikemsg.InternalIP4DNS, ikemsg.InternalIP6DNS:
			if isAddr && len(up.DNS) < most {
				up.DNS = append(up.DNS, addr)
			}
		case ikemsg.InternalIP4Subnet, ikemsg.InternalIP6Subnet:
			if isPrefix && len(up.Subnets) < most {
				up.Subnets = append(up.Subnets, prefix)
			}
		}
	}
}

func prefixes(all []netip.Prefix) string {
	var text []string
	for _, p := range all {
		text = append(text, p.String())
	}
	return strings.Join(text, ", ")
}
