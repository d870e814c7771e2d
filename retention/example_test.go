package retention_test

import (
	"fmt"
	"time"

	"linehaul/retention"
)

// The table of docs/RETENTION.md: a copy of every day from 1 September to
// 23 November 2026 but the 20th of November; that of the 22nd is bad, and the
// last one was made by the run that asks.
func ExampleApply() {
	now := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	var copies []retention.Copy
	for day := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC); !day.After(now); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		if date != "2026-11-20" {
			copies = append(copies, retention.Copy{Name: date, At: day, Bad: date == "2026-11-22", New: date == "2026-11-23"})
		}
	}
	removed := 0
	p := retention.Policy{Last: 2, Daily: 3, Weekly: 2, Monthly: 3}
	for _, d := range retention.Apply(p, copies, now, time.UTC) {
		if d.Keep {
			fmt.Println(d.Copy.At.Format("Mon _2 Jan:"), d.Why())
		} else {
			removed++
		}
	}
	fmt.Println(removed, "copies go")
	// Output:
	// Wed 30 Sep: monthly 2026-09
	// Sat 31 Oct: monthly 2026-10
	// Thu 19 Nov: daily 2026-11-19
	// Sat 21 Nov: last 2, daily 2026-11-21, weekly 2026-W47
	// Sun 22 Nov: last 2, daily 2026-11-22, weekly 2026-W47
	// Mon 23 Nov: made by this run, last 2, daily 2026-11-23, weekly 2026-W48, monthly 2026-11
	// 77 copies go
}
