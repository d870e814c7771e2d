package bandwidth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/bandwidth"
	"linehaul/schedule/week"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]bandwidth.Rate{
		"off": 0, "2MB/s": 2e6, "2 MB/s": 2e6, "1.5MB/s": 1.5e6, "2MiB/s": 2 << 20, "512KiB/s": 512 << 10,
		"500kB/s": 5e5, "500KB/s": 5e5, "16Mbit/s": 2e6, "1Gbit/s": 125e6, "64kbit/s": 8000, "8000bit/s": 1000, "1000B/s": 1000,
	} {
		got, err := bandwidth.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if back, err := bandwidth.ParseRate(got.String()); err != nil || back != got {
			t.Errorf("%q is written %q, which is %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{
		"", "2", "2M", "2MB", "2mb/s", "2Mb/s", "2Mbps", "16MBit/s", "-2MB/s", "0B/s", "999B/s", "1e6B/s", "2.MB/s", ".5MB/s", "1..5MB/s",
		"2MB/s ", "9999999GB/s", "none", "0", "2  MB/s", "OFF", strings.Repeat("9", 60) + "B/s",
	} {
		if got, err := bandwidth.ParseRate(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for _, text := range []string{
		"", "08:00", "8-18", "08:00-08:00", "25:00-26:00", "08:60-09:00", "24:00-06:00", "08:00-24:01", "mon-fri 08:00-18:00 sat", "montag",
		"08:00-18:00 09:00-19:00", "08:0-18:00", "+8:00-18:00", "-1:00-18:00", "mon,", "x8", "08:00-18:00-20:00",
	} {
		if s, err := week.Parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

// table makes a timetable of lines such as `08:00-18:00 mon-fri=2MB/s`.
func table(t *testing.T, zone string, other bandwidth.Rate, rules ...string) *bandwidth.Timetable {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	var all []bandwidth.Rule
	for _, r := range rules {
		span, rate, _ := strings.Cut(r, "=")
		s, err := week.Parse(span)
		if err != nil {
			t.Fatal(err)
		}
		n, err := bandwidth.ParseRate(rate)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bandwidth.Rule{Span: s, Rate: n})
	}
	table, err := bandwidth.NewTimetable(loc, other, all...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTimetable(t *testing.T) {
	office := table(t, "Europe/Berlin", bandwidth.Off, "08:00-18:00 mon-fri=2MB/s", "22:00-06:00 fri-sat=1MB/s", "Sunday 12:00-24:00=3MB/s")
	for _, tt := range []struct {
		at   string // in UTC
		want bandwidth.Rate
	}{
		{"2026-11-23T06:59:59Z", 0},   // Monday, 07:59:59 there
		{"2026-11-23T07:00:00Z", 2e6}, // 08:00
		{"2026-11-23T16:59:59Z", 2e6},
		{"2026-11-23T17:00:00Z", 0},
		{"2026-11-21T12:00:00Z", 0},   // Saturday noon
		{"2026-11-20T20:59:59Z", 0},   // Friday, 21:59:59
		{"2026-11-20T21:00:00Z", 1e6}, // Friday, 22:00
		{"2026-11-21T04:59:59Z", 1e6}, // Saturday, 05:59:59: Friday's
		{"2026-11-21T05:00:00Z", 0},
		{"2026-11-22T04:59:00Z", 1e6}, // Sunday, 05:59: Saturday's
		{"2026-11-23T04:59:00Z", 0},   // Monday, 05:59: Sunday has none
		{"2026-11-22T22:59:59Z", 3e6}, // Sunday, 23:59:59
		{"2026-11-22T23:00:00Z", 0},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := office.At(at); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.at, got, tt.want)
		}
	}
}

// TestClockChanges: what holds is what the clock on the wall shows, in the hour
// that is left out and in the one that comes twice.
func TestClockChanges(t *testing.T) {
	tab := table(t, "Europe/Berlin", bandwidth.Off, "01:30-02:30=1MB/s", "02:30-03:30=2MB/s")
	for _, change := range []struct {
		from string // the first instant
		want string // each quarter of an hour: 0 none, 1 and 2 MB/s
	}{
		// 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
		{"2026-03-29T00:00:00Z", "0011" + "2200" + "0000"},
		// 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
		{"2026-10-24T23:00:00Z", "0011" + "1122" + "1122" + "2200"},
	} {
		at, err := time.Parse(time.RFC3339, change.from)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for range change.want {
			got += fmt.Sprint(int(tab.At(at) / 1e6))
			at = at.Add(15 * time.Minute)
		}
		if got != change.want {
			t.Errorf("from %s: %s, want %s", change.from, got, change.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b, when string
	}{
		{"08:00-18:00", "12:00-13:00 wed", "Wednesday at 12:00"},
		{"22:00-06:00 fri", "sat", "Saturday at 00:00"},
		{"mon-fri", "fri-sun", "Friday at 00:00"},
		{"08:00-18:00", "18:00-08:00", ""},
		{"22:00-06:00 sun", "06:00-08:00 mon", ""},
	} {
		a, errA := week.Parse(tt.a)
		b, errB := week.Parse(tt.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		_, err := bandwidth.NewTimetable(time.UTC, 0, bandwidth.Rule{Span: a, Rate: 1e6}, bandwidth.Rule{Span: b, Rate: 2e6})
		var overlap *bandwidth.OverlapError
		if errors.As(err, &overlap) != (tt.when != "") || tt.when != "" && overlap.When != tt.when {
			t.Errorf("%q and %q: %v, want %q", tt.a, tt.b, err, tt.when)
		}
	}
}

// near reports whether a rate is within a percent of another.
func near(got, want float64) bool { return math.Abs(got-want) <= want/100 }

// TestLimiter: pieces of any size keep the rate over seconds, and pass evenly.
func TestLimiter(t *testing.T) {
	for _, piece := range []int{100, 4 << 10, 32 << 10, 255 << 10, 3 << 20} {
		synctest.Test(t, func(t *testing.T) {
			const rate, seconds = 1e6, 20
			l := bandwidth.NewLimiter(bandwidth.Always(rate), time.Now)
			began, moved := time.Now(), 0
			inSecond := 0
			for second := 1; time.Since(began) < seconds*time.Second; {
				if err := l.Wait(t.Context(), piece); err != nil {
					t.Fatal(err)
				}
				if time.Since(began) >= time.Duration(second)*time.Second {
					if inSecond > rate*11/10+piece {
						t.Errorf("%d bytes at a time: %d in second %d", piece, inSecond, second)
					}
					inSecond = 0
					second++
				}
				moved += piece
				inSecond += piece
			}
			if got := float64(moved-piece) / time.Since(began).Seconds(); math.Abs(got-rate) > rate/100+float64(piece)/seconds {
				t.Errorf("%d bytes at a time: %.0f bytes a second, want %d", piece, got, int(rate))
			}
		})
	}
}

// TestLimiterIdle: who has waited for long may not make up for it.
func TestLimiterIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bandwidth.NewLimiter(bandwidth.Always(1e6), time.Now)
		time.Sleep(time.Hour)
		began := time.Now()
		for range 20 {
			if err := l.Wait(t.Context(), 1e5); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 1700*time.Millisecond {
			t.Errorf("2 MB took %s at 1 MB/s after an hour of nothing", took)
		}
	})
}

// TestLimiterFollows: the timetable changes the rate while somebody waits, up,
// down and to nothing at all.
func TestLimiterFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The bubble begins on Saturday, 2000-01-01 00:00 UTC.
		tab := table(t, "UTC", bandwidth.Off, "00:00-00:01=1MB/s", "00:01-00:02=100kB/s", "00:02-00:03=4MB/s")
		l := bandwidth.NewLimiter(tab, time.Now)
		began := time.Now()
		moved := make(map[int]float64)
		for time.Since(began) < 3*time.Minute {
			if err := l.Wait(t.Context(), 200_000); err != nil {
				t.Fatal(err)
			}
			moved[int(time.Since(began)/time.Minute)] += 200_000
		}
		for minute, want := range []float64{60e6, 6e6, 240e6} {
			if got := moved[minute]; math.Abs(got-want) > want/100+400_000 {
				t.Errorf("in minute %d %.1f MB moved, want %.1f", minute, got/1e6, want/1e6)
			}
		}
		now := time.Now()
		for range 1000 {
			if err := l.Wait(t.Context(), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(now) != 0 {
			t.Errorf("without a limit it takes %s", time.Since(now))
		}
	})
}

// TestLimiterWaitsForChange: who waits for hours at a low rate goes on as soon
// as a higher one holds, or another timetable.
func TestLimiterWaitsForChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bandwidth.NewLimiter(table(t, "UTC", bandwidth.Off, "00:00-00:10=1kB/s"), time.Now)
		began := time.Now()
		for range 2 {
			if err := l.Wait(t.Context(), 36_000_000); err != nil { // ten hours
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 10*time.Minute {
			t.Errorf("it went on after %s, want 10m", took)
		}
		shared := bandwidth.NewShared(time.Now)
		l = shared.Limiter("host hk1", bandwidth.Always(1000))
		done := make(chan time.Time)
		go func() {
			l.Wait(t.Context(), 36_000_000)
			l.Wait(t.Context(), 1)
			done <- time.Now()
		}()
		synctest.Wait()
		time.Sleep(time.Minute)
		shared.Keep(nil)
		if at := <-done; time.Since(at) != 0 {
			t.Errorf("it went on %s ago", time.Since(at))
		}
	})
}

// TestLimiterEnds: whoever waits goes when its context ends, and does not count.
func TestLimiterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bandwidth.NewLimiter(bandwidth.Always(1000), time.Now)
		g := bandwidth.NewGate(l)
		why := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		var all sync.WaitGroup
		if err := g.Wait(ctx, 10_000); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			all.Go(func() {
				if err := g.Wait(ctx, 1_000_000); !errors.Is(err, why) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel(why)
		all.Wait()
		began := time.Now()
		if err := l.Wait(t.Context(), 1); err != nil || time.Since(began) > 10*time.Second {
			t.Errorf("%v after %s: those who left count", err, time.Since(began))
		}
	})
}

// TestSharing: runs share a limit evenly, however many pieces each wants at a
// time, and each keeps its own besides.
func TestSharing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := bandwidth.NewLimiter(bandwidth.Always(3e6), time.Now)
		own := bandwidth.NewLimiter(bandwidth.Always(5e5), time.Now)
		runs := []struct {
			gate  *bandwidth.Gate
			wide  int
			piece int
			want  float64
		}{
			{bandwidth.NewGate(host), 64, 255 << 10, 1.25e6}, {bandwidth.NewGate(host), 2, 32 << 10, 1.25e6}, {bandwidth.NewGate(host, own), 8, 32 << 10, 5e5},
		}
		if r := runs[2].gate.Rate(); r != 5e5 {
			t.Errorf("the gate's rate is %s", r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var all sync.WaitGroup
		var mu sync.Mutex
		moved := make([]float64, len(runs))
		for i, r := range runs {
			for range r.wide {
				all.Go(func() {
					for r.gate.Wait(ctx, r.piece) == nil {
						mu.Lock()
						moved[i] += float64(r.piece)
						mu.Unlock()
					}
				})
			}
		}
		all.Wait()
		sum := 0.0
		for i, r := range runs {
			sum += moved[i]
			if got := moved[i] / 20; math.Abs(got-r.want) > r.want/20 {
				t.Errorf("run %d: %.0f bytes a second, want %.0f", i, got, r.want)
			}
		}
		if !near(sum/20, 3e6) {
			t.Errorf("together: %.0f bytes a second", sum/20)
		}
	})
}

// TestNoLimit: nil gates and tables let everything pass.
func TestNoLimit(t *testing.T) {
	var g *bandwidth.Gate
	if err := g.Wait(t.Context(), 1<<30); err != nil || g.Rate() != bandwidth.Off {
		t.Error(err, g.Rate())
	}
	l := bandwidth.NewLimiter(nil, time.Now)
	if err := l.Wait(t.Context(), 1<<30); err != nil || l.Rate() != bandwidth.Off {
		t.Error(err, l.Rate())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"08:00-18:00 mon-fri", "22:00-06:00", "sat,sun", "2MB/s", "16Mbit/s", "off"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := bandwidth.ParseRate(s); err == nil {
			if back, err := bandwidth.ParseRate(r.String()); err != nil || back != r {
				t.Errorf("%q is %d and written %q: %d, %v", s, r, r, back, err)
			}
		}
		span, err := week.Parse(s)
		if err != nil {
			return
		}
		table, err := bandwidth.NewTimetable(time.UTC, 0, bandwidth.Rule{Span: span, Rate: 1000})
		if err != nil {
			t.Fatal(err)
		}
		minutes := 0
		for at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC); at.Day() < 30; at = at.Add(time.Minute) {
			if table.At(at) != bandwidth.Off {
				minutes++
			}
		}
		if minutes == 0 {
			t.Errorf("%q never holds", s)
		}
	})
}
