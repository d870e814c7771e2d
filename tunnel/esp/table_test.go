package esp

import (
	"bytes"
	"errors"
	"sync"
	"testing"
)

// TestRekey: during a rekey packets of the old and the new association come in
// together, and after it the old one's do not any more.
func TestRekey(t *testing.T) {
	kind := kinds()["aes256gcm16"]
	var table Table
	if table.Find(1000) != nil {
		t.Error("an empty table knows 1000")
	}
	oldIn, newIn := NewInbound(1000, kind(t), Options{}), NewInbound(2000, kind(t), Options{})
	oldOut, newOut := NewOutbound(1000, kind(t), Options{}), NewOutbound(2000, kind(t), Options{})
	table.Add(oldIn)
	packet := ipPacket(4, 100)
	open := func(o *Outbound, by *Inbound, want error) {
		t.Helper()
		inner, got, err := table.Open(mustSeal(t, o, packet))
		if got != by || !errors.Is(err, want) || (err == nil) != bytes.Equal(inner, packet) {
			t.Errorf("SPI %d: by %v, %v, want %v, %v", o.SPI(), got, err, by, want)
		}
	}
	open(oldOut, oldIn, nil)
	open(newOut, nil, ErrSPI)
	table.Add(newIn)
	for range 10 {
		open(oldOut, oldIn, nil)
		open(newOut, newIn, nil)
	}
	table.Remove(1000)
	open(oldOut, nil, ErrSPI)
	open(newOut, newIn, nil)
	table.Remove(2000)
	table.Remove(2000)
	open(newOut, nil, ErrSPI)
	if _, _, err := table.Open([]byte{0, 0, 3}); !errors.Is(err, ErrMalformed) {
		t.Errorf("three bytes: %v", err)
	}
}

// TestConcurrentUse gives the race detector something to see: many goroutines
// seal, open, rekey and read the statistics, and no packet counts twice.
func TestConcurrentUse(t *testing.T) {
	kind := kinds()["aes256gcm16"]
	out, in := NewOutbound(testSPI, kind(t), Options{}), NewInbound(testSPI, kind(t), Options{Window: 1 << 16})
	var table Table
	table.Add(in)
	const each, senders = 300, 6
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			packet := ipPacket(6, 200)
			for range each {
				sealed := mustSeal(t, out, packet)
				double := bytes.Clone(sealed)
				for _, p := range [][]byte{sealed, double} {
					all.Go(func() { table.Open(p) })
				}
			}
		})
	}
	for i := range uint32(50) {
		all.Go(func() {
			table.Add(NewInbound(5000+i, kind(t), Options{}))
			table.Remove(5000 + i)
			out.Stats()
			in.Wear(in.limits.created)
		})
	}
	all.Wait()
	if s := in.Stats(); s.Packets != each*senders || s.Replayed != each*senders || s.BadICV != 0 || s.Sequence != each*senders {
		t.Errorf("stats %+v", s)
	}
}

func TestSort(t *testing.T) {
	ike := AppendIKE(nil, []byte("initiator and responder"))
	for _, tc := range []struct {
		name     string
		datagram []byte
		want     Kind
	}{
		{"nothing", nil, Junk},
		{"a keepalive", AppendKeepalive(nil), Keepalive},
		{"another byte", []byte{0xfe}, Junk},
		{"two bytes", []byte{0xff, 0xff}, Junk},
		{"the marker alone", []byte{0, 0, 0, 0}, Junk},
		{"IKE", ike, IKE},
		{"ESP", []byte{0xc0, 0xff, 0xee, 1, 0, 0, 0, 1, 9}, Packet},
		{"ESP without a sequence number", []byte{0xc0, 0xff, 0xee, 1, 0, 0, 0}, Junk},
		{"the lowest SPI", []byte{0, 0, 1, 0, 0, 0, 0, 1}, Packet},
		{"a reserved SPI", []byte{0, 0, 0, 255, 0, 0, 0, 1}, Junk},
		{"the highest SPI", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}, Packet},
	} {
		if got := Sort(tc.datagram); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	if got := string(TrimIKE(ike)); got != "initiator and responder" {
		t.Errorf("out of its marker: %q", got)
	}
	if got := AppendKeepalive([]byte("x")); string(got) != "x\xff" {
		t.Errorf("keepalive %q", got)
	}
}

// TestWords: every constant that a status or a log shows has a word of its own.
func TestWords(t *testing.T) {
	seen := map[string]bool{}
	add := func(s string) {
		if s == "" || seen[s] {
			t.Errorf("%q stands for two", s)
		}
		seen[s] = true
	}
	for w := Fresh; w <= Spent+1; w++ {
		add(w.String())
	}
	for d := ErrMalformed; d <= ErrSequence+1; d++ {
		add(d.Error())
	}
	for k := Junk; k <= Keepalive; k++ {
		add(k.String())
	}
}
