package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linehaul/retention"
)

// The model decides about one copy at a time, by counting, and knows the
// calendar by arithmetic on day numbers. It is slow, and shares nothing with
// the package but the words.

// A calendar numbers the days from 1 January 1900, which was a Monday, and has
// the months and years of each, numbered too.
type calendar struct{ months, years []int }

func newCalendar() calendar {
	var c calendar
	for y := 1900; y < 2200; y++ {
		february := 28
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			february = 29
		}
		for m, days := range []int{31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} {
			for range days {
				c.months = append(c.months, y*12+m)
				c.years = append(c.years, y)
			}
		}
	}
	return c
}

// epoch is the number of 1 January 1970: 70 years, 17 of them leap years.
const epoch = 70*365 + 17

// dayOf is the number of an instant's day in a zone, by the offset that the
// zone has then.
func dayOf(t time.Time, z *time.Location) int {
	_, offset := t.In(z).Zone()
	shown := t.Unix() + int64(offset)
	return int((shown + epoch*86400) / 86400)
}

// A dated is a copy with the numbers of its periods.
type dated struct {
	retention.Copy
	period [4]int // day, week, month, year
}

// A model is all copies of a series, looked at at one instant.
type model struct {
	p      retention.Policy
	z      *time.Location
	copies []dated // without those that are dated in the future, or not at all
	good   bool    // one of them is
}

func newModel(c calendar, p retention.Policy, all []retention.Copy, now time.Time, z *time.Location) model {
	m := model{p: p, z: z}
	for _, o := range all {
		if o.At.IsZero() || o.At.After(now) {
			continue
		}
		m.good = m.good || !o.Bad
		n := dayOf(o.At, z)
		m.copies = append(m.copies, dated{o, [4]int{n, n / 7, c.months[n], c.years[n]}})
	}
	return m
}

func newer(a, b dated) bool { return a.At.After(b.At) || a.At.Equal(b.At) && a.Name > b.Name }

// kept is whether the model keeps a copy.
func (m model) kept(c retention.Copy) bool {
	i := slices.IndexFunc(m.copies, func(o dated) bool { return o.Copy == c })
	if m.p.Empty() || c.New || i < 0 || !m.good {
		return true
	}
	mine := m.copies[i]
	ahead, first, later := 0, [4]bool{true, true, true, true}, [4]map[int]bool{{}, {}, {}, {}}
	newest := mine
	for _, o := range m.copies {
		if o.Bad && !c.Bad {
			continue
		}
		if newer(o, newest) {
			newest = o
		}
		if newer(o, mine) {
			ahead++
		}
		for k := range o.period {
			if o.period[k] > mine.period[k] {
				later[k][o.period[k]] = true
			}
			if o.period[k] == mine.period[k] && newer(o, mine) {
				first[k] = false
			}
		}
	}
	for k, n := range []int{m.p.Daily, m.p.Weekly, m.p.Monthly, m.p.Yearly} {
		if first[k] && len(later[k]) < n {
			return true
		}
	}
	switch from := newest.At.Add(-m.p.Within); {
	case ahead < m.p.Last, ahead == 0 && !c.Bad:
		return true
	case m.p.Within <= 0:
		return false
	case m.p.Within < 24*time.Hour:
		return !c.At.Before(from)
	default:
		return dayOf(c.At, m.z) >= dayOf(from, m.z)
	}
}

// world makes the copies of three years: up to four a day, with days and weeks
// left out, some of them bad.
func world(r *rand.Rand, z *time.Location, density float64) []retention.Copy {
	var all []retention.Copy
	for d := range 3 * 365 {
		for range 4 {
			if r.Float64() > density {
				continue
			}
			t := time.Date(2024, 1, 1+d, r.IntN(24), r.IntN(60), r.IntN(60), 0, z)
			if r.IntN(4) == 0 {
				t = time.Date(2024, 1, 1+d, 0, 0, 0, 0, z) // as {date} alone gives it
			}
			all = append(all, retention.Copy{At: t, Bad: r.IntN(10) == 0, New: r.IntN(500) == 0})
		}
	}
	for i := range all {
		all[i].Name = fmt.Sprintf("%05d", r.IntN(100000))
	}
	return all
}

func policy(r *rand.Rand) retention.Policy {
	some := func(most int) int {
		if r.IntN(2) == 0 {
			return 0
		}
		return r.IntN(most)
	}
	return retention.Policy{
		Last: some(8), Daily: some(40), Weekly: some(30), Monthly: some(30), Yearly: some(5),
		Within: time.Duration(some(100)) * time.Duration(1+r.IntN(48)) * time.Hour,
	}
}

func zones() []string {
	return []string{"Asia/Singapore", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"}
}

func names(ds []retention.Decision) (kept []retention.Copy, removed int) {
	for _, d := range ds {
		if d.Keep {
			kept = append(kept, d.Copy)
		} else {
			removed++
		}
	}
	return kept, removed
}

// TestAgainstModel: three years of days in each zone, with both changes of the
// clock in each year where the zone has any.
func TestAgainstModel(t *testing.T) {
	for _, name := range zones() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zone(t, name)
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			c := newCalendar()
			removedAll := 0
			for range 7 {
				all := world(r, z, []float64{0.02, 0.1, 0.4}[r.IntN(3)])
				p := policy(r)
				now := time.Date(2024, 1, 1+r.IntN(3*365+30), r.IntN(24), 0, 0, 0, z)
				ds := retention.Apply(p, all, now, z)
				m := newModel(c, p, all, now, z)
				for i, d := range ds {
					if d.Copy != all[i] || len(d.Reasons) == 0 {
						t.Fatalf("decision %d is about %v, want %v", i, d.Copy, all[i])
					}
					if want := m.kept(all[i]); d.Keep != want {
						t.Fatalf("%+v, now %s: %s bad=%v: kept %v (%s), the model says %v", p, now, d.Copy.At, d.Copy.Bad, d.Keep, d.Why(), want)
					}
				}
				left, removed := names(ds)
				removedAll += removed
				again, _ := names(retention.Apply(p, left, now, z))
				if !slices.Equal(again, left) {
					t.Fatalf("%+v: applied again, %d of %d are left", p, len(again), len(left))
				}
			}
			if removedAll < 300 {
				t.Errorf("only %d copies were ever removed: the test shows little", removedAll)
			}
		})
	}
}

// TestLargerPolicyKeepsMore: what a policy keeps, one that is nowhere smaller
// keeps as well.
func TestLargerPolicyKeepsMore(t *testing.T) {
	for _, name := range zones() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zone(t, name)
			r := rand.New(rand.NewPCG(2, uint64(len(name))))
			for range 20 {
				all := world(r, z, 0.1)
				small := policy(r)
				if small.Empty() {
					small.Last = 1
				}
				large := small
				switch r.IntN(6) {
				case 0:
					large.Last += r.IntN(5)
				case 1:
					large.Daily += r.IntN(20)
				case 2:
					large.Weekly += r.IntN(20)
				case 3:
					large.Monthly += r.IntN(20)
				case 4:
					large.Yearly += r.IntN(3)
				case 5:
					large.Within += time.Duration(r.IntN(1000)) * time.Hour
				}
				now := time.Date(2026, 12, 1, 0, 0, 0, 0, z)
				a, b := retention.Apply(small, all, now, z), retention.Apply(large, all, now, z)
				for i := range a {
					if a[i].Keep && !b[i].Keep {
						t.Fatalf("%+v keeps %s (%s), %+v does not", small, a[i].Copy.At, a[i].Why(), large)
					}
				}
			}
		})
	}
}

// TestDayByDay: a job that makes copies and prunes every day ends with exactly
// what one look at all copies would keep, so that no promise is broken by
// pruning too early.
func TestDayByDay(t *testing.T) {
	for _, name := range zones() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zone(t, name)
			r := rand.New(rand.NewPCG(3, uint64(len(name))))
			for range 3 {
				p := policy(r)
				var ever, left []retention.Copy
				for d := range 3 * 365 {
					made := r.IntN(3)
					if d%100 > 80 {
						made = 0 // it stands still for weeks
					}
					hours := []int{}
					for range made {
						hours = append(hours, r.IntN(24))
					}
					slices.Sort(hours)
					var now time.Time
					for _, h := range slices.Compact(hours) {
						now = time.Date(2024, 1, 1+d, h, 30, 0, 0, z)
						c := retention.Copy{Name: now.Format(time.RFC3339), At: now, Bad: r.IntN(12) == 0}
						// The hour that a change of the clock skips is another one.
						if n := len(ever); n > 0 && !c.At.After(ever[n-1].At) {
							continue
						}
						ever, left = append(ever, c), append(left, c)
					}
					if made == 0 {
						continue
					}
					left, _ = names(retention.Apply(p, left, now, z))
					if d%50 != 49 {
						continue
					}
					if want, _ := names(retention.Apply(p, ever, now, z)); !slices.Equal(left, want) {
						t.Fatalf("%+v on day %d: %d are left, a fresh look keeps %d", p, d, len(left), len(want))
					}
				}
			}
		})
	}
}
