package ikev2_test

import (
	"bytes"
	"testing"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/tunneltest"
)

// How a fuzzer's bytes come into a conversation.
const (
	asDatagram = iota // as they are
	asRequest         // sealed by the gateway, as its next request
	asAnswer          // likewise, as the answer to the client's request
	ways
)

// conversation is a login, with a rekey of everything by each side and a
// deletion after it.
func conversation(t testing.TB, r *road) {
	t.Helper()
	r.try()
	for _, next := range []func(*tunneltest.Gateway, time.Time) [][]byte{
		(*tunneltest.Gateway).Probe, (*tunneltest.Gateway).RekeyChild, (*tunneltest.Gateway).RekeyIKE, (*tunneltest.Gateway).Probe,
	} {
		r.fromGateway(next(r.g, r.now))
		r.talking(time.Second, 200*time.Millisecond)
	}
	r.after(20 * time.Second) // the client's rekeys
	r.fromGateway(r.g.DeleteChild(r.now))
	r.after(10 * time.Second)
}

// FuzzConversation puts a datagram into the middle of a conversation: before
// the one of a number that comes to the client. Nothing panics, nothing goes on
// for ever, and what nobody sealed does no harm once there are keys.
func FuzzConversation(f *testing.F) {
	config := lives(12*time.Second, 15*time.Second)
	count := 0
	// What the gateway says in truth is the seeds: as datagrams, and as what is
	// inside of them.
	r := newRoad(f, 10, config, tunneltest.Options{Faults: tunneltest.Faults{Answer: func(request *ikemsg.Message, all []ikemsg.Payload) []ikemsg.Payload {
		m := ikemsg.Message{Header: request.Header, Payloads: all}
		chain := m.Marshal()
		f.Add(byte(count), byte(asAnswer), byte(request.Exchange), chain[16], chain[28:])
		f.Add(byte(count), byte(asRequest), byte(request.Exchange), chain[16], chain[28:])
		return all
	}}})
	r.mangle = func(p parcel) [][]byte {
		if !p.esp {
			f.Add(byte(count), byte(asDatagram), byte(0), byte(0), bytes.Clone(p.data))
			count++
		}
		return [][]byte{p.data}
	}
	conversation(f, r)
	if r.ended || count < 15 {
		f.Fatalf("%d messages, %v", count, r.end)
	}
	for _, chain := range [][]byte{{0, 0, 0, 8, 1, 0, 0, 0}, {0, 0, 0, 12, 3, 4, 0, 1, 1, 2, 3, 4}} {
		f.Add(byte(3), byte(asRequest), byte(ikemsg.Informational), byte(ikemsg.PayloadDelete), chain)
	}
	f.Fuzz(func(t *testing.T, at, way, exchange, first byte, data []byte) {
		if len(data) > 60_000 {
			return
		}
		r := newRoad(t, 10, config, tunneltest.Options{})
		n := 0
		var asked ikemsg.Header
		r.lose = func(_ int, p parcel) bool {
			if h, err := ikemsg.ParseHeader(p.data); err == nil && !p.esp && !p.toClient && !h.Response() {
				asked = h
			}
			return false
		}
		r.mangle = func(p parcel) [][]byte {
			if p.esp {
				return [][]byte{p.data}
			}
			n++
			if n-1 != int(at)%count {
				return [][]byte{p.data}
			}
			d := data
			switch way % ways {
			case asRequest:
				d = r.g.Forge(func(h *ikemsg.Header) { h.Exchange = ikemsg.ExchangeType(exchange) }, ikemsg.PayloadType(first), data)
			case asAnswer:
				d = r.g.Forge(func(h *ikemsg.Header) {
					h.Exchange, h.MessageID = ikemsg.ExchangeType(exchange), asked.MessageID
					h.Flags |= ikemsg.FlagResponse
				}, ikemsg.PayloadType(first), data)
			}
			return [][]byte{d, p.data}
		}
		conversation(t, r)
		if r.up != nil && r.g.Stats().Logins == 0 {
			t.Error("it believes a gateway that has not let it in")
		}
		if way%ways == asDatagram && int(at)%count > 0 {
			if r.ended {
				t.Errorf("what nobody sealed has ended it: %v", r.end)
			}
			r.settle()
			r.whole()
		}
	})
}
