// Package bandwidth holds transfers to a rate: rates as people write them,
// timetables that say which one holds when, and limiters that make whoever
// moves bytes wait. What counts are the bytes of files; what SSH and TCP add is
// a few percent on top.
//
// It reads no clock: whoever makes a limiter gives it one.
package bandwidth

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Rate is a number of bytes a second. 0 sets no limit.
type Rate int64

// Off is the rate that is no limit, and what people write for it.
const (
	Off     Rate = 0
	offWord      = "off"
)

const (
	// MinRate is the least that a limit may be. With less, a single request
	// would take longer than servers wait for the next one.
	MinRate Rate = 1000
	// MaxRate is beyond any line: 1 TB/s.
	MaxRate Rate = 1e12
)

// RatePattern is what ParseRate reads, apart from its limits, as a regular
// expression without anchors.
const RatePattern = `(off|[0-9]+(\.[0-9]+)? ?([kKMG]?B|[KMG]iB|[kMG]?bit)/s)`

// ParseRate reads a rate: bytes as in 2MB/s (powers of 1000) and 2MiB/s (powers
// of 1024), bits as in 16Mbit/s, or off. The letters count: a b alone could be
// either.
func ParseRate(s string) (Rate, error) {
	if s == offWord {
		return Off, nil
	}
	if len(s) > 40 {
		return 0, errors.New("that is too long for a rate")
	}
	end := strings.IndexFunc(s, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	if end <= 0 {
		return 0, fmt.Errorf("%q is no rate such as 2MB/s, 500kB/s or 16Mbit/s, nor off", s)
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	factor, known := units()[strings.TrimPrefix(s[end:], " ")]
	if err != nil || !known || strings.HasSuffix(s[:end], ".") || s[0] == '.' {
		return 0, fmt.Errorf("%q is no rate such as 2MB/s or 500kB/s (bytes), or 16Mbit/s (bits)", s)
	}
	switch rate := n * factor; {
	case rate < float64(MinRate):
		return 0, fmt.Errorf("%q is less than 1kB/s; write off for no limit", s)
	case rate > float64(MaxRate):
		return 0, fmt.Errorf("%q is more than any line carries", s)
	default:
		return Rate(math.Round(rate)), nil
	}
}

// units are bytes a second.
func units() map[string]float64 {
	return map[string]float64{
		"B/s": 1, "kB/s": 1e3, "KB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9,
		"KiB/s": 1 << 10, "MiB/s": 1 << 20, "GiB/s": 1 << 30,
		"bit/s": 1. / 8, "kbit/s": 1e3 / 8, "Mbit/s": 1e6 / 8, "Gbit/s": 1e9 / 8,
	}
}

// String writes the rate so that ParseRate reads it.
func (r Rate) String() string {
	if r <= 0 {
		return offWord
	}
	for _, u := range []struct {
		size Rate
		name string
	}{{1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "kB/s"}} {
		if r >= u.size && r%(u.size/1000) == 0 {
			return strconv.FormatFloat(float64(r)/float64(u.size), 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(r), 10) + "B/s"
}
