package suite

import (
	"bytes"
	"testing"

	"linehaul/fault"
)

// FuzzOpen: whatever arrives, only what was sealed is opened, and nothing but
// the packet is touched.
func FuzzOpen(f *testing.F) {
	all := suites()
	senders, receivers := make([]*Protection, len(all)), make([]*Protection, len(all))
	r := source()
	for i, s := range all {
		senders[i], receivers[i] = pair(f, s, r)
		packet := make([]byte, 8+senders[i].IVSize()+32+senders[i].ICVSize())
		senders[i].Seal(packet, 8, nil, 1)
		f.Add(byte(i), packet, 8, []byte(nil))
		f.Add(byte(i), packet[:len(packet)-1], 8, []byte{0, 0, 0, 1})
		f.Add(byte(i), packet, 8+senders[i].IVSize(), []byte(nil))
	}
	f.Add(byte(0), []byte{}, -1, []byte{1})
	f.Fuzz(func(t *testing.T, n byte, packet []byte, head int, high []byte) {
		i := int(n) % len(all)
		room := append(bytes.Clone(packet), "behind"...)
		opened := room[:len(packet)]
		err := receivers[i].Open(opened, head, high)
		if string(room[len(packet):]) != "behind" {
			t.Fatalf("%s: Open wrote behind the packet", all[i])
		}
		if err != nil {
			if err != ErrCheck && err != ErrLength {
				t.Fatalf("%s: %v", all[i], err)
			}
			return
		}
		if head != 8 {
			return // where the head ends is the caller's word, which an integrity algorithm of its own does not see
		}
		// It must be a seed: sealing it again gives the same.
		senders[i].Seal(opened, head, high, 1)
		if !bytes.Equal(opened, packet) {
			t.Fatalf("%s: opened %x, which nobody sealed", all[i], packet)
		}
	})
}

// FuzzPublic: whatever public value arrives, a key exchange gives a secret of
// the right length or an error, on both sides.
func FuzzPublic(f *testing.F) {
	// The large groups are as the small ones, and slow.
	var quick []Transform
	var keys []KeyExchange
	for _, method := range methods() {
		if method.PublicSize() <= 132 || isKEM(method.ID) {
			k, err := NewKeyExchange(method, source())
			if err != nil {
				f.Fatal(err)
			}
			quick, keys = append(quick, method), append(keys, k)
			f.Add(byte(len(keys)-1), k.Public())
			f.Add(byte(len(keys)-1), make([]byte, method.ReplySize()))
		}
	}
	f.Fuzz(func(t *testing.T, n byte, public []byte) {
		i := int(n) % len(keys)
		shared, err := keys[i].Shared(public)
		if err == nil && (len(shared) < 32 || len(public) != quick[i].ReplySize()) || err != nil && (shared != nil || !fault.Is(err, fault.IKE)) {
			t.Fatalf("%s: %d bytes, %v", quick[i], len(shared), err)
		}
		reply, shared, err := Respond(quick[i], source(), public)
		if err == nil && (len(shared) < 32 || len(reply) != quick[i].ReplySize() || len(public) != quick[i].PublicSize()) ||
			err != nil && (shared != nil || reply != nil || !fault.Is(err, fault.IKE)) {
			t.Fatalf("%s answers: %d bytes, %v", quick[i], len(shared), err)
		}
	})
}
