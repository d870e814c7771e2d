package ping

import (
	"math"
	"slices"
	"time"
)

// Summarize makes the figures of a series from its samples: Sent, Received,
// Loss and all that is of times. What samples do not hold stays as it is.
//
// The median of an even number is the mean of the two in the middle; the 95th
// percentile is the smallest time that 95 of 100 do not exceed; the deviation
// is that of the answers that came, not of all that could have come. Jitter is
// the mean of the differences from one answer to the next, as RFC 3550 section
// 6.4.1 has them, with equal weights.
func (s *Series) Summarize() {
	s.Sent, s.Received, s.Loss = len(s.Samples), 0, 0
	s.MinMS, s.MedianMS, s.P95MS, s.MaxMS, s.StdDevMS, s.JitterMS = 0, 0, 0, 0, 0, 0
	var times []float64 // in the order of sending
	for _, sample := range s.Samples {
		if !sample.Lost {
			times = append(times, sample.RTTMS)
		}
	}
	s.Received = len(times)
	if s.Sent > 0 {
		s.Loss = float64(s.Sent-s.Received) / float64(s.Sent)
	}
	if len(times) == 0 {
		return
	}
	s.JitterMS = round(jitter(times))
	s.StdDevMS = round(deviation(times))
	slices.Sort(times)
	s.MinMS, s.MaxMS = times[0], times[len(times)-1]
	s.MedianMS = round((times[(len(times)-1)/2] + times[len(times)/2]) / 2)
	s.P95MS = times[(len(times)*95+99)/100-1]
}

func jitter(times []float64) float64 {
	if len(times) < 2 {
		return 0
	}
	sum := 0.0
	for i := range len(times) - 1 {
		sum += math.Abs(times[i+1] - times[i])
	}
	return sum / float64(len(times)-1)
}

func deviation(times []float64) float64 {
	mean := 0.0
	for _, t := range times {
		mean += t / float64(len(times))
	}
	sum := 0.0
	for _, t := range times {
		sum += (t - mean) * (t - mean)
	}
	return math.Sqrt(sum / float64(len(times)))
}

// ms is a duration in milliseconds, to the microsecond.
func ms(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// round leaves microseconds of milliseconds.
func round(ms float64) float64 { return math.Round(ms*1000) / 1000 }
