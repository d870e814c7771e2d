package store

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	// idSecond is how an id begins. Digits, T, Z, a dash and small letters are
	// safe in names on every system, and no two ids differ in case only.
	idSecond = "20060102T150405Z-"
	// idLetters has 32 letters, without those that look like others.
	idLetters = "0123456789abcdefghjkmnpqrstvwxyz"
	idRandom  = 5 // letters
	idLength  = len(idSecond) + 3 + idRandom
)

// NewRunID makes an id for a run that starts now: UTC time to the millisecond
// and 25 bits of random, as 20261123T023001Z-123x7k2q. As texts, ids sort by
// time.
func NewRunID(now time.Time, random io.Reader) (string, error) {
	now = now.UTC()
	if y := now.Year(); y < 1970 || y > 9999 {
		return "", fmt.Errorf("make an id for a run in the year %d", y)
	}
	var raw [idRandom]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", fmt.Errorf("make an id for a run: %w", err)
	}
	for i, b := range raw {
		raw[i] = idLetters[int(b)%len(idLetters)]
	}
	return idTime(now) + string(raw[:]), nil
}

// idTime is how the ids of an instant begin.
func idTime(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("%s%03d", t.Format(idSecond), t.Nanosecond()/int(time.Millisecond))
}

// RunTime returns the instant in an id, in UTC. It refuses everything that
// NewRunID does not make.
func RunTime(id string) (time.Time, error) {
	t, ok := parseID(id)
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not the id of a run", id)
	}
	return t, nil
}

func parseID(id string) (time.Time, bool) {
	if len(id) != idLength {
		return time.Time{}, false
	}
	second, milli, random := id[:len(idSecond)], id[len(idSecond):idLength-idRandom], id[idLength-idRandom:]
	t, err := time.Parse(idSecond, second)
	if err != nil || t.Year() < 1970 || strings.Trim(milli, "0123456789") != "" || strings.Trim(random, idLetters) != "" {
		return time.Time{}, false
	}
	ms, err := strconv.Atoi(milli)
	if err != nil {
		return time.Time{}, false
	}
	return t.Add(time.Duration(ms) * time.Millisecond), true
}
