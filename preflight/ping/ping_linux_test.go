package ping

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// TestSeries measures a line of two hosts, by both kinds of sockets.
func TestSeries(t *testing.T) {
	near, far := lab.NewNet(t), lab.NewNet(t)
	near.Join("out", "10.1.0.1/24", far, "in", "10.1.0.2/24")
	far.IP("address add fd01::2/64 dev in nodad")
	near.IP("address add fd01::1/64 dev out nodad")
	for _, way := range []struct{ groups, name string }{{"1 0", "raw ICMP"}, {"0 2147483647", "unprivileged ICMP"}} {
		near.Set("ipv4/ping_group_range", way.groups)
		for _, to := range []string{"10.1.0.2", "fd01::2"} {
			var told []Sample
			o := Options{
				To: netip.MustParseAddr(to), Count: 50, Interval: 4 * time.Millisecond, Size: 200,
				Each: func(s Sample) { told = append(told, s) },
			}
			var s *Series
			err := near.Do(func() (err error) {
				s, err = Measure(t.Context(), o)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if s.Way != way.name || s.Sent != 50 || s.Received != 50 || s.Loss != 0 || s.Duplicates+s.Late > 0 || len(s.Said) > 0 || len(told) != 50 {
				t.Errorf("%+v", s)
			}
			if s.MinMS <= 0 || s.MinMS > s.MedianMS || s.MedianMS > s.P95MS || s.P95MS > s.MaxMS || s.MaxMS > 2000 {
				t.Errorf("times: %+v", s)
			}
			if last := s.Samples[49]; last.Seq != 49 || last.AtMS < 196 {
				t.Errorf("the last one: %+v", last)
			}
		}
	}
}

// TestNobody has no answer come: the end comes with the last one's patience.
func TestNobody(t *testing.T) {
	n := lab.NewNet(t)
	n.Join("hole", "10.1.0.1/24", lab.NewNet(t), "in", "10.1.0.3/24")
	n.IP("neighbour add 10.1.0.2 lladdr 02:00:00:00:00:02 dev hole")
	o := Options{To: netip.MustParseAddr("10.1.0.2"), Count: 5, Interval: 10 * time.Millisecond, Timeout: 100 * time.Millisecond}
	var s *Series
	err := n.Do(func() (err error) {
		s, err = Measure(t.Context(), o)
		return err
	})
	if err != nil || s.Sent != 5 || s.Received != 0 || s.Loss != 1 || s.MedianMS != 0 || !s.Samples[4].Lost {
		t.Errorf("%+v, %v", s, err)
	}
	o.To = netip.MustParseAddr("192.0.2.1")
	err = n.Do(func() (err error) {
		s, err = Measure(t.Context(), o)
		return err
	})
	if err != nil || s.Sent != 5 || s.Received != 0 || len(s.Said) != 1 || s.Said[0] != "this machine: network is unreachable" {
		t.Errorf("without a route: %+v, %v", s, err)
	}
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	o = Options{To: netip.MustParseAddr("127.0.0.1"), Interval: time.Millisecond, Count: 1000, Each: func(s Sample) {
		if s.Seq == 20 {
			cancel(stop)
		}
	}}
	err = n.Do(func() (err error) {
		s, err = Measure(ctx, o)
		return err
	})
	if !errors.Is(err, stop) || s.Received < 20 || s.Received > 100 {
		t.Errorf("stopped: %+v, %v", s, err)
	}
}
