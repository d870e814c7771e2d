package main

import (
	"runtime"
	"runtime/debug"
)

// collectAt is by how much memory may grow before it is collected, in percent of what
// lives: of a transfer that is little, and what comes by is as much as is moved. Go's
// own 100 collects each few megabytes; 400 is hardly faster, and takes half as much again.
const collectAt = 200

// oneRun fits the process to one run: a chain of goroutines, each of which hands
// what came on to the next. With more threads than that needs, each time one of them
// is woken, which takes longer than what it then does. So half of the processors
// are left to others, such as a server on this machine. Who has set GOMAXPROCS or
// GOGC knows better.
func oneRun(env func(string) string) {
	if env("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
	if env("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
