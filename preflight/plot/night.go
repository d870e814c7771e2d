package plot

import (
	"cmp"
	"slices"
	"time"
)

// A Night is what one run of a job measured of the line, by day or by night.
type Night struct {
	Time   time.Time `json:"time"` // when it began
	RunID  string    `json:"run_id,omitempty"`
	Result string    `json:"result"` // "ok", "warn", "fail" or "skipped"; anything else is not known

	LossShare float64 `json:"loss"`      // of the echoes, from 0 to 1; below 0: not measured
	MedianMS  float64 `json:"median_ms"` // round trip; 0: not measured, or no answer came
	P95MS     float64 `json:"p95_ms"`    // 0: as the median
	JitterMS  float64 `json:"jitter_ms"`

	ResentShare    float64 `json:"resent"`           // of the segments, those that were sent again; below 0: not measured
	BytesPerSecond float64 `json:"bytes_per_second"` // 0: nothing was moved
	Hops           int     `json:"hops"`             // routers on the way, with the host; 0: not traced
}

// The results of a Night, from the best to the worst.
const (
	resultSkipped = "skipped"
	resultOK      = "ok"
	resultWarn    = "warn"
	resultFail    = "fail"
)

// worse orders results, so that the worst of several can be shown.
func worse(result string) int {
	order := []string{resultSkipped, resultOK, "", resultWarn, resultFail}
	if i := slices.Index(order, result); i >= 0 {
		return i
	}
	return slices.Index(order, "")
}

// Sorted returns the nights in their order, and no more than the last so many.
func Sorted(nights []Night, most int) []Night {
	out := slices.Clone(nights)
	slices.SortStableFunc(out, func(a, b Night) int { return a.Time.Compare(b.Time) })
	return out[max(0, len(out)-most):]
}

// A slot is one column of a plot over days: all runs that began in one piece
// of time, and the worst of what they measured.
type slot struct {
	runs   int
	result string
	loss   float64 // below 0: not measured
	median float64
	p95    float64
	resent float64
	rate   float64 // the lowest; 0: nothing was moved
}

func (s *slot) add(n Night) {
	if s.runs == 0 {
		*s = slot{result: n.Result, loss: -1, resent: -1}
	}
	s.runs++
	if cmp.Compare(worse(n.Result), worse(s.result)) > 0 {
		s.result = n.Result
	}
	s.loss, s.resent = max(s.loss, Finite(n.LossShare)), max(s.resent, Finite(n.ResentShare))
	s.median = max(s.median, Finite(n.MedianMS))
	s.p95 = max(s.p95, Finite(n.P95MS), s.median)
	if rate := Finite(n.BytesPerSecond); rate > 0 && (s.rate == 0 || rate < s.rate) {
		s.rate = rate
	}
}

// A raster is how time is cut into slots.
type raster struct {
	zone  *time.Location
	first time.Time // a midnight
	days  int       // a slot is so many days,
	hours int       // or, if that is 0, so many hours
}

// newRaster returns the finest raster of at most so many slots in which runs
// that come at their usual distance leave no slot empty.
func newRaster(nights []Night, most int, zone *time.Location) (raster, int) {
	begin, end := nights[0].Time.In(zone), nights[len(nights)-1].Time
	var gaps []float64
	for i := range nights[1:] {
		gaps = append(gaps, nights[i+1].Time.Sub(nights[i].Time).Hours())
	}
	slices.Sort(gaps)
	usual := 24.0
	if len(gaps) > 0 {
		usual = Quantile(gaps, 0.5)
	}
	r := raster{zone: zone, first: time.Date(begin.Year(), begin.Month(), begin.Day(), 0, 0, 0, 0, zone)}
	for _, h := range []int{1, 2, 3, 4, 6, 8, 12} {
		r.hours = h
		// Half an hour is the jitter that a schedule may have.
		if n := r.index(end) + 1; float64(h)+0.5 >= usual && n <= most {
			return r, n
		}
	}
	r.hours = 0
	for _, d := range []int{1, 2, 7, 14, 28, 56, 182, 364, 3640, 36400} {
		r.days = d
		if n := r.index(end) + 1; (float64(d)+0.1)*24 >= usual && n <= most {
			return r, n
		}
	}
	return r, min(r.index(end)+1, most)
}

// index returns the slot that a time is in.
func (r raster) index(t time.Time) int {
	t = t.In(r.zone)
	if r.days == 0 {
		return int(t.Sub(r.first).Hours()) / r.hours
	}
	// Civil days: those on which clocks change are shorter or longer.
	civil := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	return int(civil(t).Sub(civil(r.first)).Hours()) / 24 / r.days
}

// begin returns when a slot begins.
func (r raster) begin(i int) time.Time {
	if r.days == 0 {
		return r.first.Add(time.Duration(i*r.hours) * time.Hour)
	}
	return r.first.AddDate(0, 0, i*r.days)
}
