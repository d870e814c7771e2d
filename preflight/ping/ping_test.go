package ping

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/fault"
	"linehaul/internal/leak"
	"linehaul/preflight/echo"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// samples makes a series of times in milliseconds; 0 is one that was lost.
func samples(times ...float64) (all []Sample) {
	for i, rtt := range times {
		all = append(all, Sample{Seq: i, RTTMS: rtt, Lost: rtt == 0})
	}
	return all
}

func TestSummarize(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, test := range []struct {
		name  string
		times []float64
		want  Series
	}{
		{"none", nil, Series{}},
		{"all lost", []float64{0, 0, 0}, Series{Sent: 3, Loss: 1}},
		{"one", []float64{7.5}, Series{Sent: 1, Received: 1, MinMS: 7.5, MedianMS: 7.5, P95MS: 7.5, MaxMS: 7.5}},
		{"two", []float64{10, 20}, Series{Sent: 2, Received: 2, MinMS: 10, MedianMS: 15, P95MS: 20, MaxMS: 20, StdDevMS: 5, JitterMS: 10}},
		{"odd, unsorted", []float64{9, 1, 5}, Series{Sent: 3, Received: 3, MinMS: 1, MedianMS: 5, P95MS: 9, MaxMS: 9, StdDevMS: 3.266, JitterMS: 6}},
		{"a loss between", []float64{10, 0, 14, 12}, Series{Sent: 4, Received: 3, Loss: 0.25, MinMS: 10, MedianMS: 12, P95MS: 14, MaxMS: 14, StdDevMS: 1.633, JitterMS: 3}},
		{"1 to 100", hundred, Series{Sent: 100, Received: 100, MinMS: 1, MedianMS: 50.5, P95MS: 95, MaxMS: 100, StdDevMS: 28.866, JitterMS: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Series{Samples: samples(test.times...), MinMS: 99, JitterMS: 99, Received: 99}
			got.Summarize()
			test.want.Samples = got.Samples
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// A road is a line whose answers are written down: for each request, the
// events that come, with RTT as the time after which they do.
type road struct {
	events chan echo.Event
	plan   map[int][]echo.Event
	fails  map[int]error
	sent   int
}

func (r *road) Send(seq uint16, _ int) error {
	n := r.sent
	r.sent++
	for _, e := range r.plan[n] {
		e.Seq = seq
		time.AfterFunc(e.RTT, func() { r.events <- e })
	}
	return r.fails[n]
}

func (r *road) Events() <-chan echo.Event { return r.events }

func TestRun(t *testing.T) {
	to := netip.MustParseAddr("192.0.2.1")
	router := netip.MustParseAddr("10.0.0.1")
	after := func(times ...int) (all []echo.Event) {
		for _, ms := range times {
			all = append(all, echo.Event{Kind: echo.Echoed, From: to, RTT: time.Duration(ms) * time.Millisecond})
		}
		return all
	}
	refused := []echo.Event{{Kind: echo.Refused, From: router, RTT: 3 * time.Millisecond, Said: "host unreachable"}}
	for _, test := range []struct {
		name  string
		count int
		plan  map[int][]echo.Event
		fails map[int]error
		want  Series
		took  time.Duration
		order []int // in which samples are settled
	}{
		{
			"clean", 3, map[int][]echo.Event{0: after(50), 1: after(60), 2: after(40)}, nil,
			Series{Sent: 3, Received: 3, MinMS: 40, MedianMS: 50, P95MS: 60, MaxMS: 60, StdDevMS: 8.165, JitterMS: 15},
			240 * time.Millisecond, []int{0, 1, 2},
		},
		{
			"slow answers overlap", 3, map[int][]echo.Event{0: after(350), 1: after(350), 2: after(350)}, nil,
			Series{Sent: 3, Received: 3, MinMS: 350, MedianMS: 350, P95MS: 350, MaxMS: 350},
			550 * time.Millisecond, []int{0, 1, 2},
		},
		{
			"lost, doubled, overtaken", 5,
			map[int][]echo.Event{0: after(10, 11, 12), 2: after(250), 3: after(10), 4: after(10)}, nil,
			Series{Sent: 5, Received: 4, Loss: 0.2, Duplicates: 2, Reordered: 1, MinMS: 10, MedianMS: 10, P95MS: 250, MaxMS: 250, StdDevMS: 103.923, JitterMS: 160},
			500 * time.Millisecond, []int{0, 3, 4, 2, 1},
		},
		{
			"late, then doubled", 6,
			map[int][]echo.Event{0: after(450, 460), 1: after(10), 2: after(10), 3: after(10), 4: after(10), 5: after(10)}, nil,
			Series{Sent: 6, Received: 5, Loss: 1.0 / 6, Late: 1, Duplicates: 1, MinMS: 10, MedianMS: 10, P95MS: 10, MaxMS: 10},
			510 * time.Millisecond, []int{1, 2, 3, 0, 4, 5},
		},
		{
			"refused ends at once", 3, map[int][]echo.Event{0: refused, 1: refused, 2: refused}, nil,
			Series{Sent: 3, Loss: 1, Said: []string{"10.0.0.1: host unreachable"}},
			203 * time.Millisecond, []int{0, 1, 2},
		},
		{
			"not sent", 2, map[int][]echo.Event{1: after(10)}, map[int]error{0: &echo.SendError{Size: 56, Err: errors.New("no way")}},
			Series{Sent: 2, Received: 1, Loss: 0.5, MinMS: 10, MedianMS: 10, P95MS: 10, MaxMS: 10, Said: []string{"this machine: no way"}},
			110 * time.Millisecond, []int{0, 1},
		},
		{
			"silence", 2, nil, nil, Series{Sent: 2, Loss: 1}, 500 * time.Millisecond, []int{0, 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var order []int
				o, err := Options{
					To: to, Count: test.count, Interval: 100 * time.Millisecond, Timeout: 400 * time.Millisecond,
					Each: func(s Sample) { order = append(order, s.Seq) },
				}.complete()
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				got, err := run(t.Context(), &road{events: make(chan echo.Event, 64), plan: test.plan, fails: test.fails}, "a road", "this machine: ", o)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if !reflect.DeepEqual(order, test.order) {
					t.Errorf("settled in the order %v, want %v", order, test.order)
				}
				for i, s := range got.Samples {
					if s.Seq != i || s.AtMS != float64(i*100) {
						t.Errorf("sample %d: %+v", i, s)
					}
				}
				test.want.To, test.want.Way, test.want.Size, test.want.Samples = to, "a road", DefaultSize, got.Samples
				if !reflect.DeepEqual(*got, test.want) {
					t.Errorf("got  %+v\nwant %+v", *got, test.want)
				}
				synctest.Wait()
			})
		})
	}
}

// TestSleep has the series stand still for an hour: what was not sent then is
// not sent at once.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := Options{To: netip.MustParseAddr("192.0.2.1"), Count: 10, Interval: time.Second, Each: func(s Sample) {
			if s.Seq == 3 {
				<-time.After(time.Hour)
			}
		}}.complete()
		if err != nil {
			t.Fatal(err)
		}
		plan := map[int][]echo.Event{}
		for i := range 10 {
			plan[i] = []echo.Event{{Kind: echo.Echoed, RTT: time.Millisecond}}
		}
		got, err := run(t.Context(), &road{events: make(chan echo.Event, 64), plan: plan}, "a road", "", o)
		if err != nil || got.Received != 10 {
			t.Fatalf("%+v, %v", got, err)
		}
		for i := 5; i < 9; i++ {
			if gap := got.Samples[i+1].AtMS - got.Samples[i].AtMS; gap < 0 || i > 5 && gap != 1000 {
				t.Errorf("%v ms from the %dth to the next", gap, i)
			}
		}
	})
}

// TestMany goes round the sequence numbers.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 70_000
		plan := map[int][]echo.Event{}
		for i := range count {
			if i%7 != 0 {
				plan[i] = []echo.Event{{Kind: echo.Echoed, RTT: 30 * time.Millisecond}}
			}
		}
		o, err := Options{To: netip.MustParseAddr("192.0.2.1"), Count: count, Interval: 10 * time.Millisecond, Timeout: time.Second}.complete()
		if err != nil {
			t.Fatal(err)
		}
		got, err := run(t.Context(), &road{events: make(chan echo.Event, 64), plan: plan}, "a road", "this machine: ", o)
		if err != nil || got.Sent != count || got.Received != count-count/7 || got.Late+got.Duplicates+got.Reordered > 0 || got.MaxMS != 30 {
			t.Errorf("sent %d, received %d, late %d, doubled %d, reordered %d, max %v, %v",
				got.Sent, got.Received, got.Late, got.Duplicates, got.Reordered, got.MaxMS, err)
		}
	})
}

// A well answers after a time of its own: every third not at all, every fifth
// with an error.
type well struct{ n atomic.Int64 }

func (w *well) Ping(ctx context.Context, _ netip.Addr, size int) (time.Duration, error) {
	n := w.n.Add(1)
	if n%5 == 0 {
		return 0, errors.New("no SA for it")
	}
	rtt := 150 * time.Millisecond
	if n%3 == 0 {
		rtt = time.Hour
	}
	select {
	case <-time.After(rtt):
		return rtt, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func TestThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &well{}
		o := Options{To: netip.MustParseAddr("10.9.0.1"), Count: 15, Interval: 100 * time.Millisecond, Timeout: time.Second}
		s, err := MeasureThrough(t.Context(), w, o)
		if err != nil || s.Way != "the tunnel" || s.Sent != 15 || s.Received != 8 || s.MedianMS != 150 || !reflect.DeepEqual(s.Said, []string{"no SA for it"}) {
			t.Errorf("%+v, %v", s, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		o.Count = Endless
		s, err = MeasureThrough(ctx, &well{}, o)
		if err != nil || s.Sent < 10 || s.Sent > 20 {
			t.Errorf("endless: %+v, %v", s, err)
		}
	})
}

func TestOptions(t *testing.T) {
	good := Options{To: netip.MustParseAddr("192.0.2.1")}
	for name, change := range map[string]func(*Options){
		"count":            func(o *Options) { o.Count = -2 },
		"too many":         func(o *Options) { o.Count = MaxCount + 1 },
		"interval":         func(o *Options) { o.Interval = time.Microsecond },
		"negative":         func(o *Options) { o.Interval = -time.Second },
		"patience":         func(o *Options) { o.Timeout = time.Hour; o.Interval = time.Millisecond },
		"size":             func(o *Options) { o.Size = echo.MaxSize + 1 },
		"negative size":    func(o *Options) { o.Size = -1 },
		"nowhere":          func(o *Options) { o.To = netip.Addr{} },
		"everybody":        func(o *Options) { o.To = netip.MustParseAddr("224.0.0.1") },
		"another protocol": func(o *Options) { o.From = netip.MustParseAddr("::1") },
	} {
		o := good
		change(&o)
		if _, err := Measure(t.Context(), o); !fault.Is(err, fault.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJSON(t *testing.T) {
	s := Series{To: netip.MustParseAddr("192.0.2.1"), Way: "raw ICMP", Size: 56, Samples: samples(2, 0)}
	s.Summarize()
	got, err := json.Marshal(s)
	const want = `{"to":"192.0.2.1","way":"raw ICMP","size":56,"sent":2,"received":1,"loss":0.5,"duplicates":0,"reordered":0,` +
		`"min_ms":2,"median_ms":2,"p95_ms":2,"max_ms":2,"stddev_ms":0,"jitter_ms":0,` +
		`"samples":[{"at_ms":0,"rtt_ms":2},{"at_ms":0,"rtt_ms":0,"lost":true}]}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
