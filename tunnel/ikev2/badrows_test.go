package ikev2_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
	"linehaul/tunnel/tunneltest"
)

// A badRow is a gateway, or a line, that does something wrong.
type badRow struct {
	name    string
	client  ikev2.Config
	gateway tunneltest.Options
	line    func(r *road)               // what the line does, from the first message on
	act     func(t *testing.T, r *road) // once the client is in; nil is an hour of packets
	want    string                      // in the error that it ends with; empty: it goes on and agrees, "any": either
	kind    fault.Kind                  // of the error
	after   func(t *testing.T, r *road) // what else must hold
}

func faults(f tunneltest.Faults) tunneltest.Options { return tunneltest.Options{Faults: f} }

// answerTo changes the answers to one exchange.
func answerTo(x ikemsg.ExchangeType, change func([]ikemsg.Payload) []ikemsg.Payload) tunneltest.Options {
	return faults(tunneltest.Faults{Answer: func(request *ikemsg.Message, p []ikemsg.Payload) []ikemsg.Payload {
		if request.Exchange == x {
			return change(p)
		}
		return p
	}})
}

// without leaves the payloads of a type out.
func without(kind ikemsg.PayloadType) func([]ikemsg.Payload) []ikemsg.Payload {
	return func(all []ikemsg.Payload) []ikemsg.Payload {
		return slices.DeleteFunc(all, func(p ikemsg.Payload) bool { return p.Type() == kind })
	}
}

func selectorsOf(text string) []ikemsg.Selector {
	return []ikemsg.Selector{ikemsg.SelectorOf(netip.MustParsePrefix(text))}
}

// hour lets an hour pass with a packet each way each second.
func hour(_ *testing.T, r *road) {
	for range 3600 {
		if r.ended {
			return
		}
		r.talk()
		r.after(time.Second)
	}
}

// requests forges requests of the gateway's, each of which is a message of its
// own to the client, and the next id is theirs.
func forged(all ...func(*road) []byte) func(*testing.T, *road) {
	return func(_ *testing.T, r *road) {
		for _, f := range all {
			r.do(r.m.Handle(r.now, f(r)))
		}
		r.g.Sent()
	}
}

func badRows() []badRow {
	noise := rand.NewChaCha8([32]byte{9})
	rekeys := lives(5*time.Minute, 0)
	return []badRow{
		// The line.
		{name: "every message and packet cut at every length before it comes", client: lives(10*time.Minute, 25*time.Minute), line: func(r *road) {
			r.mangle = func(p parcel) (all [][]byte) {
				for n := range p.data {
					if !p.esp || p.number%50 == 0 {
						all = append(all, p.data[:n:n])
					}
				}
				return append(all, p.data)
			}
		}},
		{name: "the same with the header's length corrected", client: lives(10*time.Minute, 25*time.Minute), line: func(r *road) {
			r.mangle = func(p parcel) (all [][]byte) {
				for n := range p.data {
					if h, err := ikemsg.ParseHeader(p.data); err == nil && !p.esp && n >= 28 && h.Exchange != ikemsg.IKESAInit {
						d := bytes.Clone(p.data[:n])
						binary.BigEndian.PutUint32(d[24:], uint32(n))
						all = append(all, d)
					}
				}
				return append(all, p.data)
			}
		}},
		{name: "every bit of every message and packet flipped before it comes", client: lives(10*time.Minute, 25*time.Minute), line: func(r *road) {
			r.mangle = func(p parcel) (all [][]byte) {
				h, err := ikemsg.ParseHeader(p.data)
				for bit := range len(p.data) * 8 {
					if p.esp && p.number%500 != 0 || !p.esp && (err != nil || h.Exchange == ikemsg.IKESAInit) {
						break
					}
					d := bytes.Clone(p.data)
					d[bit/8] ^= 1 << (bit % 8)
					all = append(all, d)
				}
				return append(all, p.data)
			}
		}},
		{name: "everything that ever came comes again each time", client: lives(10*time.Minute, 25*time.Minute), line: func(r *road) {
			var old [][]byte
			r.mangle = func(p parcel) [][]byte {
				if len(old) < 2000 {
					old = append(old, bytes.Clone(p.data))
				}
				all := [][]byte{p.data}
				if p.esp && p.number%20 != 0 {
					return all
				}
				for _, d := range old {
					all = append(all, bytes.Clone(d))
				}
				return all
			}
		}},
		{name: "everything twice, and in any order within a second", client: lives(10*time.Minute, 25*time.Minute), line: func(r *road) {
			chance := r.chance(1)
			r.twice = func(int) int { return 1 }
			r.late = func(int) time.Duration { return time.Duration(chance.Int64N(int64(time.Second))) }
		}},
		{name: "noise of any length beside each message", line: func(r *road) {
			r.mangle = func(p parcel) [][]byte {
				all := [][]byte{p.data}
				for n := range 100 {
					d := make([]byte, n*17)
					noise.Read(d)
					all = append(all, d)
				}
				return all
			}
		}},
		{name: "a right header and noise inside, beside each message", client: lives(10*time.Minute, 25*time.Minute), line: func(r *road) {
			r.mangle = func(p parcel) [][]byte {
				all := [][]byte{p.data}
				if h, err := ikemsg.ParseHeader(p.data); err != nil || h.Exchange == ikemsg.IKESAInit {
					return all
				}
				for range 50 {
					d := bytes.Clone(p.data)
					noise.Read(d[28:])
					all = append([][]byte{d}, all...)
					d = bytes.Clone(d)
					copy(d[28:32], p.data[28:32]) // a right payload header, too
					all = append([][]byte{d}, all...)
				}
				return all
			}
		}},
		{name: "another SPI, beside each message", line: func(r *road) {
			r.mangle = func(p parcel) [][]byte {
				d := bytes.Clone(p.data)
				at := len(d) % 16
				if h, err := ikemsg.ParseHeader(d); err == nil && h.Exchange == ikemsg.IKESAInit {
					at %= 8 // the gateway's own is what it says it is: nothing proves it yet
				}
				d[at]++
				return [][]byte{d, p.data}
			}
		}},

		// The login.
		{name: "IKE_SA_INIT answered, and then nothing", gateway: faults(tunneltest.Faults{Silent: true}), kind: fault.IKE, want: "has not answered IKE_AUTH"},
		{name: "a flood of cookies", gateway: faults(tunneltest.Faults{Cookies: 1 << 30}), kind: fault.IKE, want: "asked for a cookie"},
		{name: "one group after another, for ever", gateway: faults(tunneltest.Faults{Group: func(asked uint16) uint16 {
			return suite.Curve25519 + suite.ECP256 - asked
		}}), kind: fault.IKE, want: "again, which it was given"},
		{name: "a group that was not offered", gateway: faults(tunneltest.Faults{Group: func(uint16) uint16 { return suite.MODP1024 }}), kind: fault.IKE, want: "modp1024"},
		{name: "a cipher that was not offered", gateway: answerTo(ikemsg.IKESAInit, func(all []ikemsg.Payload) []ikemsg.Payload {
			sa, _ := ikemsg.Get[*ikemsg.SA](all)
			sa.Proposals[0].Transforms[0].ID = suite.Encr3DES
			return all
		}), kind: fault.IKE, want: "was not"},
		{name: "a proposal that was not offered", gateway: answerTo(ikemsg.IKESAInit, func(all []ikemsg.Payload) []ikemsg.Payload {
			sa, _ := ikemsg.Get[*ikemsg.SA](all)
			sa.Proposals[0].Number = 77
			return all
		}), kind: fault.IKE, want: "not offered"},
		{name: "no nonce", gateway: answerTo(ikemsg.IKESAInit, without(ikemsg.PayloadNonce)), kind: fault.IKE, want: "lacks"},
		{name: "no key", gateway: answerTo(ikemsg.IKESAInit, without(ikemsg.PayloadKE)), kind: fault.IKE, want: "lacks"},
		{name: "no proposal", gateway: answerTo(ikemsg.IKESAInit, without(ikemsg.PayloadSA)), kind: fault.IKE, want: "no single proposal"},
		{name: "a key of one byte", gateway: answerTo(ikemsg.IKESAInit, func(all []ikemsg.Payload) []ikemsg.Payload {
			ke, _ := ikemsg.Get[*ikemsg.KE](all)
			ke.Data = ke.Data[:1]
			return all
		}), kind: fault.IKE, want: "x25519"},
		{name: "a key of zeros", gateway: answerTo(ikemsg.IKESAInit, func(all []ikemsg.Payload) []ikemsg.Payload {
			ke, _ := ikemsg.Get[*ikemsg.KE](all)
			clear(ke.Data)
			return all
		}), kind: fault.IKE, want: "x25519"},
		{name: "another pre-shared key", gateway: tunneltest.Options{PSK: []byte("other")}, kind: fault.GatewayLogin, want: "does not let"},
		{name: "a wrong proof", gateway: answerTo(ikemsg.IKEAuth, func(all []ikemsg.Payload) []ikemsg.Payload {
			auth, _ := ikemsg.Get[*ikemsg.Auth](all)
			auth.Data[0]++
			return all
		}), kind: fault.GatewayLogin, want: "pre-shared key"},
		{name: "no proof", gateway: answerTo(ikemsg.IKEAuth, without(ikemsg.PayloadAuth)), kind: fault.GatewayLogin, want: "does not prove who it is"},
		{name: "an empty answer to IKE_AUTH", gateway: answerTo(ikemsg.IKEAuth, func([]ikemsg.Payload) []ikemsg.Payload { return nil }), kind: fault.IKE, want: "does not say who it is"},
		{name: "a critical payload that nobody knows, in an answer", gateway: answerTo(ikemsg.IKEAuth, func(all []ikemsg.Payload) []ikemsg.Payload {
			return append(all, &ikemsg.Unknown{Kind: 222, Critical: true})
		}), kind: fault.IKE, want: "critical"},
		{name: "no inner address", gateway: faults(tunneltest.Faults{NoAddress: true}), kind: fault.IKE, want: "no inner address"},
		{name: "networks narrowed to nothing", gateway: faults(tunneltest.Faults{Narrow: func([]ikemsg.Selector, []ikemsg.Selector) ([]ikemsg.Selector, []ikemsg.Selector) {
			return nil, nil
		}}), kind: fault.IKE, want: "narrowed the networks to nothing"},
		{name: "networks widened", gateway: faults(tunneltest.Faults{Narrow: func(_, theirs []ikemsg.Selector) ([]ikemsg.Selector, []ikemsg.Selector) {
			return selectorsOf("0.0.0.0/0"), theirs
		}}), kind: fault.IKE, want: "not asked for"},
		{name: "a thousand addresses and name servers", gateway: answerTo(ikemsg.IKEAuth, func(all []ikemsg.Payload) []ikemsg.Payload {
			c, _ := ikemsg.Get[*ikemsg.Config](all)
			for i := range 500 {
				a := []byte{10, 99, byte(1 + i>>8), byte(i)}
				c.Attributes = append(c.Attributes, ikemsg.ConfigAttribute{Kind: ikemsg.InternalIP4Address, Value: a}, ikemsg.ConfigAttribute{Kind: ikemsg.InternalIP4DNS, Value: a})
			}
			return all
		}), after: func(t *testing.T, r *road) {
			if n := len(r.up.Addresses) + len(r.up.DNS); n > 32 {
				t.Errorf("it has taken %d of them", n)
			}
		}},

		// What comes later.
		{name: "each child deleted at once", gateway: faults(tunneltest.Faults{DeleteAtOnce: true}), kind: fault.ESP, want: "has deleted ESP"},
		{name: "the login ended at once", act: func(_ *testing.T, r *road) {
			r.fromGateway(r.g.DeleteIKE(r.now))
			r.after(time.Second)
		}, kind: fault.IKE, want: "has ended the tunnel"},
		{name: "all rekeyed every second", gateway: tunneltest.Options{ChildLifetime: time.Second, IKELifetime: time.Second}, act: func(t *testing.T, r *road) {
			for range 600 {
				r.talk()
				r.after(time.Second)
			}
			if r.ended || r.g.Stats().ChildRekeys < 250 || r.g.Stats().IKERekeys < 250 {
				t.Errorf("ended %v, %+v", r.end, r.g.Stats())
			}
			r.whole()
		}, want: "any"},
		{name: "rekeyed for ever, and nothing old deleted", gateway: tunneltest.Options{ChildLifetime: 2 * time.Second, IKELifetime: 3 * time.Second, Faults: tunneltest.Faults{KeepOld: true}},
			act: func(_ *testing.T, r *road) {
				for range 600 {
					r.talk()
					r.after(time.Second)
				}
			}, want: "any"},
		{name: "TEMPORARY_FAILURE to each rekey", client: rekeys, gateway: faults(tunneltest.Faults{Refuse: ikemsg.TemporaryFailure}), kind: fault.IKE, want: "come to their end"},
		{name: "NO_ADDITIONAL_SAS to each rekey", client: rekeys, gateway: faults(tunneltest.Faults{Refuse: ikemsg.NoAdditionalSAs}), kind: fault.IKE, want: "come to their end"},
		{name: "INVALID_SYNTAX to each rekey", client: rekeys, gateway: faults(tunneltest.Faults{Refuse: ikemsg.InvalidSyntax}), kind: fault.IKE, want: "come to their end"},
		{name: "CHILD_SA_NOT_FOUND to each rekey", client: rekeys, gateway: faults(tunneltest.Faults{Refuse: ikemsg.ChildSANotFound}), kind: fault.IKE, want: "CHILD_SA_NOT_FOUND"},
		{name: "TEMPORARY_FAILURE to each IKE rekey", client: lives(0, 5*time.Minute), gateway: faults(tunneltest.Faults{Refuse: ikemsg.TemporaryFailure}), kind: fault.IKE, want: "come to their end"},
		{name: "INVALID_KE_PAYLOAD to each rekey, for ever", client: lives(0, 5*time.Minute), gateway: answerTo(ikemsg.CreateChildSA, func([]ikemsg.Payload) []ikemsg.Payload {
			return []ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.InvalidKEPayload, Data: []byte{0, byte(suite.ECP256)}}}
		}), kind: fault.IKE, want: "come to their end"},
		{name: "INVALID_KE_PAYLOAD to and fro, for ever", client: lives(0, 5*time.Minute), gateway: faults(tunneltest.Faults{Answer: toAndFro()}), kind: fault.IKE, want: "come to their end"},
		{name: "a rekey answered with an empty message", client: rekeys, gateway: answerTo(ikemsg.CreateChildSA, func([]ikemsg.Payload) []ikemsg.Payload { return nil }), kind: fault.IKE, want: "no nonce"},
		{name: "a rekey answered with a cipher that was not offered", client: rekeys, gateway: answerTo(ikemsg.CreateChildSA, func(all []ikemsg.Payload) []ikemsg.Payload {
			sa, _ := ikemsg.Get[*ikemsg.SA](all)
			sa.Proposals[0].Transforms[0].ID = suite.EncrDES
			return all
		}), kind: fault.IKE, want: "was not"},
		{name: "answers to what was not asked", act: func(_ *testing.T, r *road) {
			for id := range uint32(20) {
				for _, x := range []ikemsg.ExchangeType{ikemsg.IKEAuth, ikemsg.CreateChildSA, ikemsg.Informational} {
					r.do(r.m.Handle(r.now, r.g.Forge(func(h *ikemsg.Header) {
						h.Flags |= ikemsg.FlagResponse
						h.MessageID, h.Exchange = id, x
					}, ikemsg.PayloadDelete, []byte{0, 0, 0, 8, 1, 0, 0, 0})))
				}
			}
		}},
		{name: "IKE_SA_INIT's answer again once the login is over", line: func(r *road) {
			var first []byte
			r.mangle = func(p parcel) [][]byte {
				if first == nil {
					first = bytes.Clone(p.data)
				}
				return [][]byte{bytes.Clone(first), p.data, bytes.Clone(first)}
			}
		}},
		{name: "an answer that lies about its lengths", client: ikev2.Config{Probe: time.Minute}, act: func(_ *testing.T, r *road) {
			r.lose = func(_ int, p parcel) bool { return !p.esp } // the true answer
			r.after(70 * time.Second)
			for id := range uint32(10) {
				r.do(r.m.Handle(r.now, r.g.Forge(func(h *ikemsg.Header) {
					h.Flags |= ikemsg.FlagResponse
					h.MessageID = id
				}, ikemsg.PayloadNotify, []byte{0, 0, 0xff, 0xff, 1, 2, 3, 4})))
			}
		}, kind: fault.IKE, want: "makes no sense"},
		{name: "requests that lie about their lengths", act: forged(func(r *road) []byte {
			return r.g.Forge(nil, ikemsg.PayloadSA, []byte{0, 0, 0xff, 0xff, 1, 2, 3, 4})
		})},
		{name: "a deletion of 16,000 SPIs", act: forged(func(r *road) []byte {
			n := 16_000
			chain := []byte{0, 0, 0, 0, 3, 4, byte(n >> 8), byte(n & 0xff)}
			chain = append(chain, make([]byte, 4*n)...)
			binary.BigEndian.PutUint16(chain[2:], uint16(len(chain)&0xffff))
			return r.g.Forge(nil, ikemsg.PayloadDelete, chain)
		})},
		{name: "16,000 payloads in a request", act: forged(func(r *road) []byte {
			return r.g.Forge(nil, 222, bytes.Repeat([]byte{222, 0, 0, 4}, 16_000))
		})},
		{name: "a request of no known exchange", act: forged(func(r *road) []byte {
			return r.g.Forge(func(h *ikemsg.Header) { h.Exchange = 99 }, 0, nil)
		})},
		{name: "IKE_AUTH once more", act: forged(func(r *road) []byte {
			return r.g.Forge(func(h *ikemsg.Header) { h.Exchange = ikemsg.IKEAuth }, 0, nil)
		})},
		{name: "CREATE_CHILD_SA for a child of its own", act: func(t *testing.T, r *road) {
			refused := false
			r.fromGateway(r.g.Request(r.now, ikemsg.CreateChildSA, []ikemsg.Payload{
				&ikemsg.SA{Proposals: []ikemsg.Proposal{{Number: 1, Protocol: ikemsg.ProtocolESP, SPI: []byte{1, 2, 3, 4}, Transforms: []ikemsg.Transform{{Type: 1, ID: 20, KeyBits: 128}, {Type: 5, ID: 1}}}}},
				&ikemsg.Nonce{Data: make([]byte, 32)}, &ikemsg.TSi{Selectors: selectorsOf("0.0.0.0/0")}, &ikemsg.TSr{Selectors: selectorsOf("0.0.0.0/0")},
			}, func(a *ikemsg.Message) { _, refused = ikemsg.FindNotify(a.Payloads, ikemsg.NoAdditionalSAs) }))
			r.after(time.Second)
			if !refused {
				t.Error("it was not refused")
			}
		}},
		{name: "a rekey of a child to wider networks", act: func(t *testing.T, r *road) {
			rekeyTo(t, r, "0.0.0.0/0", "0.0.0.0/0")
		}},
		{name: "a rekey of a child to other networks", act: func(t *testing.T, r *road) {
			rekeyTo(t, r, "10.78.0.0/24", "10.99.0.2/32")
		}},

		// Fragments.
		{name: "fragments, the last one missing", act: func(_ *testing.T, r *road) {
			for i := range uint16(255) {
				r.do(r.m.Handle(r.now, r.g.ForgeFragment(nil, i+1, 256, 222, []byte{0, 0, 0, 4})))
			}
		}},
		{name: "fragments, each of them a hundred times", act: forged(func(r *road) []byte {
			for range 100 {
				for i := range uint16(3) {
					if i < 2 {
						r.do(r.m.Handle(r.now, r.g.ForgeFragment(nil, i+1, 3, 222, []byte{0, 0, 0, 4}[:4-4*(i%2)])))
					}
				}
			}
			return r.g.ForgeFragment(nil, 3, 3, 0, nil)
		})},
		{name: "fragments of two divisions at a time", act: forged(
			func(r *road) []byte { return r.g.ForgeFragment(nil, 1, 2, 222, []byte{0, 0, 0, 4}) },
			func(r *road) []byte { return r.g.ForgeFragment(nil, 2, 3, 0, []byte{0, 4}) },
			func(r *road) []byte { return r.g.ForgeFragment(nil, 2, 2, 0, nil) },
			func(r *road) []byte { return r.g.ForgeFragment(nil, 3, 3, 0, nil) },
			func(r *road) []byte { return r.g.ForgeFragment(nil, 1, 3, 222, []byte{0, 0}) },
		)},
		{name: "fragments without end", act: forged(func(r *road) []byte {
			for i := range uint16(255) {
				r.do(r.m.Handle(r.now, r.g.ForgeFragment(nil, i+1, 256, 222, make([]byte, 50_000))))
			}
			return nil
		})},
		{name: "fragments with numbers that cannot be", act: func(_ *testing.T, r *road) {
			for _, n := range [][2]uint16{{0, 0}, {0, 2}, {3, 2}, {1, 0}, {1, 65535}, {65535, 65535}} {
				r.do(r.m.Handle(r.now, r.g.ForgeFragment(nil, n[0], n[1], 222, []byte{0, 0, 0, 4})))
			}
		}},
		{name: "a fragment inside of a fragment", act: forged(func(r *road) []byte {
			return r.g.ForgeFragment(nil, 1, 1, ikemsg.PayloadFragment, []byte{0, 0, 0, 8, 0, 1, 0, 1})
		})},
	}
}

// toAndFro wants x25519 and ECP 256 by turns.
func toAndFro() func(*ikemsg.Message, []ikemsg.Payload) []ikemsg.Payload {
	n := 0
	return func(request *ikemsg.Message, all []ikemsg.Payload) []ikemsg.Payload {
		if request.Exchange != ikemsg.CreateChildSA {
			return all
		}
		n++
		want := []uint16{suite.ECP256, suite.Curve25519}[n%2]
		return []ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.InvalidKEPayload, Data: binary.BigEndian.AppendUint16(nil, want)}}
	}
}

// rekeyTo asks for a child in place of the one there is, between other networks.
func rekeyTo(t *testing.T, r *road, ours, theirs string) {
	t.Helper()
	answered, refused := false, false
	child := r.g.Children()[0]
	r.fromGateway(r.g.Request(r.now, ikemsg.CreateChildSA, []ikemsg.Payload{
		&ikemsg.Notify{Kind: ikemsg.RekeySA, Protocol: ikemsg.ProtocolESP, SPI: binary.BigEndian.AppendUint32(nil, child[0])},
		&ikemsg.SA{Proposals: []ikemsg.Proposal{{Number: 1, Protocol: ikemsg.ProtocolESP, SPI: []byte{1, 2, 3, 4}, Transforms: []ikemsg.Transform{{Type: 1, ID: 20, KeyBits: 128}, {Type: 5, ID: 1}}}}},
		&ikemsg.Nonce{Data: make([]byte, 32)}, &ikemsg.TSi{Selectors: selectorsOf(ours)}, &ikemsg.TSr{Selectors: selectorsOf(theirs)},
	}, func(a *ikemsg.Message) {
		answered = true
		if n, ok := ikemsg.FindNotify(a.Payloads, ikemsg.TSUnacceptable); ok {
			refused = n != nil
			return
		}
		tsi, _ := ikemsg.Get[*ikemsg.TSi](a.Payloads)
		for _, s := range tsi.Selectors {
			if s.String() != "10.77.0.0/24" {
				t.Errorf("it takes %v", s)
			}
		}
	}))
	r.after(time.Second)
	switch {
	case !answered:
		t.Error("no answer")
	case refused:
		return
	}
	// It has made a child for the networks that it had: that is deleted again.
	r.fromGateway(r.g.Request(r.now, ikemsg.Informational, []ikemsg.Payload{&ikemsg.Delete{Protocol: ikemsg.ProtocolESP, SPIs: []uint32{0x01020304}}}, nil))
	r.after(time.Second)
}
