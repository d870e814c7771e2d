package cron_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAgainstModel holds Next against a model that knows nothing of offsets:
// it looks at the wall clock minute by minute around a change.
func TestAgainstModel(t *testing.T) {
	changes := []struct {
		zone string
		near time.Time
	}{
		{"America/New_York", utc(2026, 3, 8, 7, 0)},
		{"America/New_York", utc(2026, 11, 1, 6, 0)},
		{"Europe/Berlin", utc(2026, 3, 29, 1, 0)},
		{"Europe/Berlin", utc(2026, 10, 25, 1, 0)},
		{"America/Santiago", utc(2026, 4, 5, 3, 0)},
		{"America/Santiago", utc(2026, 9, 6, 4, 0)},
		{"Australia/Lord_Howe", utc(2026, 4, 4, 15, 0)},
		{"Australia/Lord_Howe", utc(2026, 10, 3, 15, 30)},
		{"Africa/Casablanca", utc(2026, 2, 15, 2, 0)},
		{"Africa/Casablanca", utc(2026, 3, 22, 2, 0)},
		{"Antarctica/Troll", utc(2026, 3, 29, 1, 0)},
		{"Antarctica/Troll", utc(2026, 10, 25, 1, 0)},
		{"America/St_Johns", utc(2010, 3, 14, 3, 31)},
		{"America/St_Johns", utc(2010, 11, 7, 2, 31)},
		{"Asia/Pyongyang", utc(2018, 5, 4, 15, 0)},
		{"Pacific/Apia", utc(2011, 12, 30, 10, 0)},
		{"Pacific/Kwajalein", utc(1969, 10, 1, 13, 0)}, // showed most of a day twice
		{"Asia/Singapore", utc(2026, 3, 8, 7, 0)},      // no change
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range changes {
		t.Run(c.zone+" "+c.near.Format(time.DateOnly), func(t *testing.T) {
			days := newModel(load(t, c.zone), c.near)
			for range 30 {
				expr := randomExpr(random)
				want := days.firings(expr)
				s := parse(t, days.loc, expr)
				var got []time.Time
				for at := s.Next(days.from.Add(-1)); at.Before(days.to); at = s.Next(at) {
					got = append(got, at)
				}
				if !slices.EqualFunc(got, want, time.Time.Equal) {
					t.Fatalf("%q:\n got %s\nwant %s", expr, show(got), show(want))
				}
			}
		})
	}
}

func show(list []time.Time) string {
	var b strings.Builder
	for _, at := range list {
		b.WriteString(at.Format(" 02 15:04 -0700;"))
	}
	return b.String()
}

// randomExpr makes an expression of plain numbers and stars, so that the model
// can read it in another way than the package does.
func randomExpr(r *rand.Rand) string {
	field := func(n int) string {
		switch r.IntN(6) {
		case 0:
			return "*"
		case 1:
			return "*/" + strconv.Itoa(2+r.IntN(n/2))
		case 2:
			low := r.IntN(n)
			return strconv.Itoa(low) + "-" + strconv.Itoa(low+r.IntN(n-low))
		case 3:
			return "0-" + strconv.Itoa(n-1)
		}
		list := strconv.Itoa(r.IntN(n))
		for range r.IntN(4) {
			list += "," + strconv.Itoa(r.IntN(min(n, 6)))
		}
		return list
	}
	return field(60) + " " + field(24) + " * * *"
}

// A model knows each minute that a zone's clock shows in some days.
type model struct {
	loc      *time.Location
	from, to time.Time
	minutes  []shown
	present  map[string]bool // the wall-clock minutes that are there
	hours    map[string]bool // the same for hours
}

// shown is a minute in real time with what the wall clock shows then.
type shown struct {
	at    time.Time
	wall  string
	again bool // was shown before
}

const wallForm = "2006-01-02 15:04"

func newModel(loc *time.Location, near time.Time) *model {
	m := &model{
		loc: loc, from: near.Add(-26 * time.Hour), to: near.Add(26 * time.Hour),
		present: map[string]bool{}, hours: map[string]bool{},
	}
	for at := m.from.Add(-26 * time.Hour); at.Before(m.to); at = at.Add(time.Minute) {
		wall := at.In(loc).Format(wallForm)
		m.minutes = append(m.minutes, shown{at, wall, m.present[wall]})
		m.present[wall] = true
		m.hours[wall[:13]] = true
	}
	return m
}

// firings applies the rule of the package comment to each minute.
func (m *model) firings(expr string) []time.Time {
	fields := strings.Fields(expr)
	minute, hour := values(fields[0], 60), values(fields[1], 24)
	fits := func(wall string) bool {
		h, _ := strconv.Atoi(wall[11:13])
		min, _ := strconv.Atoi(wall[14:])
		return hour[h] && minute[min]
	}
	everyHour := len(hour) == 24
	interval := everyHour || fields[0][0] == '*'

	var list []time.Time
	for _, s := range m.minutes {
		if fits(s.wall) && (interval || !s.again) {
			list = append(list, s.at)
		}
	}
	// What the clock skipped: the first minute that shows more is the one
	// after the gap.
	first, err := time.Parse(wallForm, m.minutes[0].wall)
	if err != nil {
		panic(err)
	}
	for w, last := first, m.minutes[len(m.minutes)-1].wall; w.Format(wallForm) < last; w = w.Add(time.Minute) {
		wall := w.Format(wallForm)
		if m.present[wall] || !fits(wall) || everyHour && !m.hours[wall[:13]] {
			continue
		}
		i := slices.IndexFunc(m.minutes, func(s shown) bool { return s.wall > wall })
		list = append(list, m.minutes[i].at)
	}
	slices.SortFunc(list, time.Time.Compare)
	list = slices.CompactFunc(list, time.Time.Equal)
	return slices.DeleteFunc(list, func(at time.Time) bool { return at.Before(m.from) })
}

// values reads a field of numbers.
func values(field string, n int) map[int]bool {
	set := map[int]bool{}
	for e := range strings.SplitSeq(field, ",") {
		low, high, step := 0, n-1, 1
		body, by, stepped := strings.Cut(e, "/")
		if stepped {
			step, _ = strconv.Atoi(by)
		}
		if body != "*" {
			a, b, isRange := strings.Cut(body, "-")
			low, _ = strconv.Atoi(a)
			if high = low; isRange {
				high, _ = strconv.Atoi(b)
			}
		}
		for v := low; v <= high; v += step {
			set[v] = true
		}
	}
	return set
}
