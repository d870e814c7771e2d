package pmtu

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/fault"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// A road loses by chance, and by size: hops are the MTUs of its links, those
// that are negative say nothing. Which packets of a size are lost hangs on the
// seed alone, not on the order in which goroutines send those of several sizes,
// so that a test comes out the same each time.
type road struct {
	hops []int
	loss float64
	seed uint64
	rtt  time.Duration
	mute bool // routers say that a packet is too long, but not what would pass
	down bool

	mu   sync.Mutex
	sent map[int]uint64 // by size
}

// lose decides whether a packet is lost.
func (p *road) lose(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent == nil {
		p.sent = map[int]uint64{}
	}
	p.sent[size]++
	return rand.New(rand.NewPCG(p.seed, uint64(size)<<32|p.sent[size])).Float64() < p.loss
}

func (p *road) packets() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.sent {
		n += int(of)
	}
	return n
}

func (p *road) PingWhole(ctx context.Context, to netip.Addr, size int) (time.Duration, error) {
	lost := p.lose(size)
	answer := func() error {
		for i, mtu := range p.hops {
			if size+headers(to) <= max(mtu, -mtu) {
				continue
			}
			if mtu < 0 {
				lost = true
				return nil
			}
			if p.mute {
				mtu = 0
			}
			return &tooBig{mtu, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}
		}
		if p.down {
			return errors.New("10.0.0.1: host unreachable")
		}
		return nil
	}()
	if lost {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	select {
	case <-time.After(p.rtt):
		return p.rtt, answer
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func TestSearch(t *testing.T) {
	for _, test := range []struct {
		name  string
		road  *road
		most  int
		want  Result
		limit time.Duration
	}{
		{"clean", &road{hops: []int{1500}}, 1500, Result{MTU: 1500}, 100 * time.Millisecond},
		{"a router says so", &road{hops: []int{1500, 1200}}, 1500, Result{MTU: 1200, Said: 1200}, time.Second},
		{"two routers say so", &road{hops: []int{1500, 1400, 1280}}, 1500, Result{MTU: 1280, Said: 1280}, time.Second},
		{"a router says no number", &road{hops: []int{1500, 1333}, mute: true}, 1500, Result{MTU: 1333}, time.Second},
		{"below what is usual", &road{hops: []int{1500, 300}}, 1500, Result{MTU: 300, Said: 300}, time.Second},
		{"black hole", &road{hops: []int{1500, -1200}}, 1500, Result{MTU: 1200, BlackHole: true}, 6 * time.Second},
		{"black hole by one byte", &road{hops: []int{1500, -1499}}, 1500, Result{MTU: 1499, BlackHole: true}, 6 * time.Second},
		{"black hole below what is usual", &road{hops: []int{1500, -100}}, 1500, Result{MTU: 100, BlackHole: true}, 6 * time.Second},
		{"black hole of large packets", &road{hops: []int{-1500}}, 9000, Result{MTU: 1500, BlackHole: true}, 7 * time.Second},
		{"black hole behind a router that says so", &road{hops: []int{1500, 1400, -1300}}, 1500, Result{MTU: 1300, Said: 1400, BlackHole: true}, 6 * time.Second},
		{"nobody answers", &road{hops: []int{-1}}, 1500, Result{Unsure: true}, 3 * time.Second},
		{"no way", &road{hops: []int{1500}, down: true}, 1500, Result{Refused: "10.0.0.1: host unreachable"}, 3 * time.Second},
		{"far away", &road{hops: []int{-1400}, rtt: 900 * time.Millisecond}, 1500, Result{MTU: 1400, BlackHole: true}, DefaultLimit},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := test.road
				if p.rtt == 0 {
					p.rtt = 80 * time.Millisecond
				}
				began := time.Now()
				got, err := FindThrough(t.Context(), p, Options{To: netip.MustParseAddr("192.0.2.1"), Most: test.most})
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				t.Logf("%v, %d packets, %+v", took, p.packets(), got)
				if took > test.limit {
					t.Errorf("took %v, want %v at most", took, test.limit)
				}
				if got.MTU != test.want.MTU || got.BlackHole != test.want.BlackHole || got.Said != test.want.Said ||
					got.Unsure != test.want.Unsure || got.Refused != test.want.Refused || got.By.IsValid() != (test.want.Said > 0 || p.mute) {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
				probes := 0
				for i, try := range got.Tries {
					probes += try.Probes
					if i > 0 && try.Size <= got.Tries[i-1].Size || try.Passed != (try.Size <= got.MTU) {
						t.Errorf("try %d: %+v", i, try)
					}
				}
				if probes != p.packets() || got.Least != got.Tries[0].Size || got.Interface != test.most {
					t.Errorf("%d packets sent, %+v", p.packets(), got)
				}
			})
		})
	}
}

// TestLosses never calls loss a black hole, nor misses one for it.
func TestLosses(t *testing.T) {
	for _, loss := range []float64{0.05, 0.2, 0.5} {
		wrong, missed := 0, 0
		const rounds = 200
		for seed := range uint64(rounds) {
			synctest.Test(t, func(t *testing.T) {
				clean := &road{hops: []int{1500}, loss: loss, rtt: 80 * time.Millisecond, seed: 2 * seed}
				o := Options{To: netip.MustParseAddr("192.0.2.1"), Most: 1500}
				got, err := FindThrough(t.Context(), clean, o)
				if err != nil {
					t.Fatal(err)
				}
				if got.BlackHole {
					wrong++
					t.Logf("loss %v, seed %d: %+v", loss, seed, got)
				}
				hole := &road{hops: []int{-1234}, loss: loss, rtt: 80 * time.Millisecond, seed: 2*seed + 1}
				got, err = FindThrough(t.Context(), hole, o)
				if err != nil {
					t.Fatal(err)
				}
				if !got.BlackHole || got.MTU != 1234 {
					missed++
				}
			})
		}
		t.Logf("loss %v: %d of %d clean paths called a black hole, %d of %d black holes missed", loss, wrong, rounds, missed, rounds)
		if wrong > 0 || loss <= 0.2 && missed > rounds/20 {
			t.Errorf("loss %v: too many", loss)
		}
	}
}

// TestStopped ends a search in its middle, and one by its limit.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(stop) })
		p := &road{hops: []int{-1200}, rtt: 80 * time.Millisecond}
		o := Options{To: netip.MustParseAddr("192.0.2.1"), Most: 1500}
		began := time.Now()
		got, err := FindThrough(ctx, p, o)
		if !errors.Is(err, stop) || got.BlackHole || got.MTU < 576 || got.MTU > 1200 || time.Since(began) != 3*time.Second {
			t.Errorf("%+v, %v", got, err)
		}
		o.Limit = 2500 * time.Millisecond
		got, err = FindThrough(t.Context(), p, o)
		if err != nil || got.BlackHole || !got.Unsure || got.MTU < 576 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"nowhere":          {},
		"everybody":        {To: netip.MustParseAddr("ff02::1")},
		"another protocol": {To: netip.MustParseAddr("::1"), From: netip.MustParseAddr("127.0.0.1")},
		"too small":        {To: netip.MustParseAddr("127.0.0.1"), Most: 84},
		"too large":        {To: netip.MustParseAddr("127.0.0.1"), Most: 65536},
		"limit":            {To: netip.MustParseAddr("127.0.0.1"), Limit: -1},
	} {
		if _, err := Find(t.Context(), o); !fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
