package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// every is "@every": firings at a fixed distance in real time.
type every struct {
	anchor   int64 // one firing, in seconds since the Unix epoch
	interval int64 // seconds
}

// parseEvery reads what follows "@every".
func parseEvery(loc *time.Location, args []string) (rule, error) {
	if len(args) != 1 {
		return nil, errors.New("@every needs one duration, such as 15m, 6h or 1h30m")
	}
	d, err := time.ParseDuration(args[0])
	switch {
	case err != nil && strings.ContainsAny(args[0], "dw"):
		return nil, fmt.Errorf("%q is not a duration: the longest unit is h, so a day is 24h", args[0])
	case err != nil:
		return nil, fmt.Errorf("%q is not a duration such as 15m, 6h or 1h30m", args[0])
	case d < time.Second:
		return nil, errors.New("the shortest interval is 1s")
	case d%time.Second != 0:
		return nil, errors.New("the interval must be whole seconds")
	case d > maxEvery:
		return nil, fmt.Errorf("the longest interval is %dh, which is a year", maxEvery/time.Hour)
	}
	// The anchor is the same for all nodes and at each start. It lies in the
	// past, where no new release of the zone database moves it.
	anchor := time.Date(2024, time.January, 1, 0, 0, 0, 0, loc)
	return &every{anchor: anchor.Unix(), interval: int64(d / time.Second)}, nil
}

const maxEvery = 366 * 24 * time.Hour

func (e *every) next(_ *time.Location, after int64) (int64, bool) {
	return e.anchor + (floorDiv(after-e.anchor, e.interval)+1)*e.interval, true
}

// floorDiv divides towards minus infinity; b is positive.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
