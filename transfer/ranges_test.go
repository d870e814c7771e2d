package transfer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRanges holds the set against a slow one, byte by byte.
func TestRanges(t *testing.T) {
	const size = 200
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var r ranges
		var slow [size]bool
		for range 1 + random.IntN(30) {
			from := random.Int64N(size)
			to := min(size, from+random.Int64N(20))
			r.add(span{from, to})
			for i := from; i < to; i++ {
				slow[i] = true
			}
			if !r.valid(size) {
				t.Fatalf("%v is not in order", r)
			}
		}
		count, prefix := int64(0), int64(0)
		for i, there := range slow {
			if there {
				count++
				if prefix == int64(i) {
					prefix++
				}
			}
		}
		if r.size() != count || r.prefix() != prefix {
			t.Fatalf("%v: %d bytes, prefix %d; want %d, %d", r, r.size(), r.prefix(), count, prefix)
		}
		m := r.missing(size)
		if m.size() != size-count || !m.valid(size) {
			t.Fatalf("missing of %v: %v", r, m)
		}
		for m.size() > 0 {
			s := m.take(1 + random.Int64N(7))
			for i := s.From; i < s.To; i++ {
				if slow[i] {
					t.Fatalf("%v is not missing", s)
				}
				slow[i] = true
			}
		}
		for i, there := range slow {
			if !there {
				t.Fatalf("byte %d was never taken", i)
			}
		}
	}
}

func TestJournal(t *testing.T) {
	at := time.Unix(1580608922, 5)
	first := journalEntry{"h:/x", 100, at.UnixNano(), 0o644, ranges{{0, 10}}}
	second := first
	second.Done = ranges{{0, 20}, {30, 40}}
	text := append(first.line(), second.line()...)
	if e, ok := lastEntry(text); !ok || len(e.Done) != 2 || !e.of("h:/x", 100, at) {
		t.Errorf("%+v, %v", e, ok)
	}
	// Torn or damaged at any place, the line before counts, or none.
	for cut := range len(text) {
		e, ok := lastEntry(text[:cut])
		want := 0
		switch {
		case cut >= len(text)-1:
			want = 2
		case cut >= len(first.line())-1:
			want = 1
		}
		if ok != (want > 0) || len(e.Done) != want {
			t.Fatalf("cut at %d: %+v, %v", cut, e, ok)
		}
	}
	for i := range len(second.line()) - 1 {
		bad := append(first.line(), second.line()...)
		bad[len(first.line())+i] ^= 4
		if e, ok := lastEntry(bad); !ok || len(e.Done) != 1 {
			t.Fatalf("bit of byte %d flipped: %+v, %v", i, e, ok)
		}
	}
	for _, e := range []journalEntry{
		{"h:/y", 100, at.UnixNano(), 0, nil}, {"h:/x", 101, at.UnixNano(), 0, nil}, {"h:/x", 100, at.UnixNano() + 1, 0, nil},
		{"h:/x", 100, at.UnixNano(), 0, ranges{{0, 101}}}, {"h:/x", 100, at.UnixNano(), 0, ranges{{-1, 10}}},
		{"h:/x", 100, at.UnixNano(), 0, ranges{{5, 10}, {10, 11}}}, {"h:/x", 100, at.UnixNano(), 0, ranges{{5, 5}}},
	} {
		if e.of("h:/x", 100, at) {
			t.Errorf("%+v was taken", e)
		}
	}
}
