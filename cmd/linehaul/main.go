// Command linehaul moves files on a schedule over links that can be trusted.
// It parses flags, opens streams, and maps errors to exit codes; all that it
// does is done by the packages beside it. `linehaul help` says what there is.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"linehaul/fault"
)

// version is set by the linker when a release is built; without it the
// toolchain's own record of the commit is used.
var version string

func main() {
	os.Exit(run())
}

func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals) // a second one ends the process at once
		cancel(fault.New(fault.Interrupted, "stopped by a signal (%s)", s))
	}()
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		env: os.Getenv, now: time.Now,
		oneRun: func() { oneRun(os.Getenv) },
	}
	return a.main(ctx, os.Args[1:])
}
