package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

const (
	// collectAt is by how much memory may grow before it is collected, in percent
	// of what lives: of a transfer that is little, and what comes by is as much as
	// is moved. Go's own 100 collects each few megabytes.
	collectAt = 400
	// collectFrom is what memory there may be, in bytes, before it is collected as
	// often as it takes to have no more.
	collectFrom = 96 << 20
)

// oneRun fits the process to one run: a chain of goroutines, each of which hands
// what came on to the next. With more threads than that needs, each time one of them
// is woken, which takes longer than what it then does. So half of the processors
// are left to others, such as a server on this machine. Who has set GOMAXPROCS,
// GOGC or GOMEMLIMIT knows better.
func oneRun(env func(string) string) {
	if env("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
	if cmp.Or(env("GOGC"), env("GOMEMLIMIT")) == "" {
		debug.SetGCPercent(collectAt)
		debug.SetMemoryLimit(collectFrom)
	}
}
