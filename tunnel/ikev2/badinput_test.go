package ikev2_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

// heap is what is in use once everything that can go is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestBadInput goes through everything that a gateway or a line can do wrong, and
// prints what came of it. An attempt may end, with an error that says why.
// Nothing panics, nothing goes on for ever, memory does not grow, and no packet
// is taken that was not sent, or twice.
func TestBadInput(t *testing.T) {
	var table []string
	for _, row := range badRows() {
		t.Run(row.name, func(t *testing.T) {
			if row.client.ChildLifetime == 0 {
				l := lives(0, 0)
				row.client.ChildLifetime, row.client.IKELifetime = l.ChildLifetime, l.IKELifetime
			}
			r := newRoad(t, 8, row.client, row.gateway)
			if row.line != nil {
				row.line(r)
			}
			before, began := heap(), time.Now()
			r.try()
			if !r.ended {
				act := row.act
				if act == nil {
					act = hour
				}
				act(t, r)
			}
			took := time.Since(began)
			after := heap()
			sas, children, requests := ikev2.Sizes(r.m)
			outcome := "goes on"
			switch {
			case r.ended:
				outcome = "ends: " + fault.KindOf(r.end).String() + ": " + r.end.Error()
				if row.want == "" || row.want != "any" && (!strings.Contains(r.end.Error(), row.want) || !fault.Is(r.end, row.kind)) {
					t.Errorf("it has ended with %v (%v), want %q (%v)", r.end, fault.KindOf(r.end), row.want, row.kind)
				}
			case row.want == "any":
			case row.want != "":
				t.Errorf("it goes on, want %q\n%v", row.want, r.notes)
			default:
				r.mangle = nil
				r.settle()
				r.agree()
			}
			if row.after != nil {
				row.after(t, r)
			}
			for way := range r.arrived {
				for n, times := range r.arrived[way] {
					if times > 1 || n >= r.numbers[way] {
						t.Errorf("packet %d of %d was taken %d times", n, r.numbers[way], times)
					}
				}
			}
			if sas > 4 || children > 16 || requests > 4 {
				t.Errorf("%d IKE SAs, %d children, %d requests", sas, children, requests)
			}
			grown := int64(after) - int64(before)
			if grown > 2<<20 {
				t.Errorf("%d bytes more are in use", grown)
			}
			if took > time.Minute {
				t.Errorf("it took %v", took)
			}
			table = append(table, row.name+" | "+outcome)
			runtime.KeepAlive(r)
		})
	}
	t.Logf("\n%s\n%d rows", strings.Join(table, "\n"), len(table))
}

// TestFirstAnswerFlipped flips bits of the answer to IKE_SA_INIT, which nobody
// has authenticated at that point: each either has no effect or costs the
// attempt.
func TestFirstAnswerFlipped(t *testing.T) {
	in, out := 0, 0
	for bit := 0; bit < 4000; bit += 7 {
		r := newRoad(t, 9, lives(0, 0), tunneltest.Options{})
		flipped := false
		r.mangle = func(p parcel) [][]byte {
			if flipped || bit/8 >= len(p.data) {
				return [][]byte{p.data}
			}
			flipped = true
			p.data[bit/8] ^= 1 << (bit % 8)
			return [][]byte{p.data}
		}
		r.try()
		switch {
		case r.ended && r.end == nil, !r.ended && r.up == nil:
			t.Fatalf("bit %d: neither in nor out", bit)
		case r.ended:
			out++
		default:
			in++
			r.talk()
			r.after(time.Second)
			r.whole()
		}
	}
	t.Logf("%d times no effect, %d attempts lost", in, out)
	if in == 0 || out == 0 {
		t.Error("the bits were not flipped, or all of the same effect")
	}
}
