package depend_test

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // Windows has no zones of its own

	"linehaul/internal/leak"
	"linehaul/schedule/depend"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func load(t testing.TB, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func utc(y, m, d, h, min int) time.Time {
	return time.Date(y, time.Month(m), d, h, min, 0, 0, time.UTC)
}

// known makes a lookup of histories, which gives no more than it has to.
func known(histories map[string]depend.History) depend.Lookup {
	return func(job string, since time.Time) depend.History {
		h := histories[job]
		var last time.Time
		for _, r := range h.Runs {
			if r.Ended.After(last) {
				last = r.Ended
			}
		}
		h.Runs = slices.DeleteFunc(slices.Clone(h.Runs), func(r depend.Run) bool {
			return !r.Ended.IsZero() && r.Ended.Before(since) && !r.Ended.Equal(last)
		})
		return h
	}
}
