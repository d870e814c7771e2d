package echo

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// patience is how long a test waits for an answer that must come.
const patience = 5 * time.Second

// TestLoopback sends many requests side by side to this machine.
func TestLoopback(t *testing.T) {
	for _, to := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		t.Run(to.String(), func(t *testing.T) {
			if to.Is6() {
				lab.NotUnderWine(t, "Wine 8 sends no ICMPv6")
			}
			s, err := Open(Options{To: to, Timeout: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.Way() != System {
				t.Errorf("the way is %q", s.Way())
			}
			sizes := []int{0, 1, 7, 8, 56, 1400, 4000}
			for i, size := range sizes {
				if err := s.Send(uint16(65533+i), size); err != nil {
					t.Fatal(err)
				}
			}
			seen := map[uint16]bool{}
			for range sizes {
				select {
				case e := <-s.Events():
					if e.Kind != Echoed || e.From != to || e.RTT <= 0 || e.RTT > 2*time.Second || seen[e.Seq] {
						t.Errorf("%+v", e)
					}
					seen[e.Seq] = true
				case <-time.After(patience):
					t.Fatalf("nothing came after %d", len(seen))
				}
			}
		})
	}
}

// TestClose closes a socket while many requests are under way.
func TestClose(t *testing.T) {
	for range 10 {
		s, err := Open(Options{To: netip.MustParseAddr("127.0.0.1"), Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i := range uint16(50) {
			if err := s.Send(i, 56); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
		s.Close()
		n := 0
		for range s.Events() {
			n++
		}
		if took := time.Since(began); took > patience || n > 50 {
			t.Errorf("closed after %v and %d events", took, n)
		}
	}
}

// TestTooMany has more requests wait than there may be threads for.
func TestTooMany(t *testing.T) {
	s, err := Open(Options{To: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range maxCalls {
		s.sys.slots <- struct{}{}
	}
	if e := (*SendError)(nil); !errors.As(s.Send(1, 56), &e) || e.TooBig {
		t.Errorf("got %v", e)
	}
	for range maxCalls {
		<-s.sys.slots
	}
	if err := s.Send(2, 70000); err == nil {
		t.Error("70,000 bytes were sent")
	}
}
