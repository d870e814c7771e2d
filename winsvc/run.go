package winsvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"linehaul/fault"
)

// Program is what runs, on a terminal and as a service. It returns soon after
// ctx ends. It calls ready, from any goroutine, once it does its work, and
// again each time that it has reloaded, see Reloading.
type Program func(ctx context.Context, ready func()) error

// Options are what a Program is run with. The zero value is good.
type Options struct {
	Log *slog.Logger // nil: nothing is logged
	// StopTimeout is how long the program may take to stop before it is left
	// behind; 0: a minute. Service managers kill after 90 seconds.
	StopTimeout time.Duration
}

// stopTimeout is where Options say nothing.
const stopTimeout = time.Minute

// control is what a service manager asks for.
type control int

const (
	interrogate control = iota
	stopControl
	shutdownControl
	preshutdownControl
)

func (c control) String() string {
	switch c {
	case interrogate:
		return "interrogate"
	case stopControl:
		return "stop"
	case shutdownControl:
		return "shutdown"
	case preshutdownControl:
		return "preshutdown"
	}
	return fmt.Sprintf("control(%d)", int(c))
}

// report is what a service manager is told. While starting and stopping, the
// check point rises and the hint says when to expect the next one: that is how
// Windows tells a slow service from a dead one.
type report struct {
	state State // Starting, Running or Stopping
	point uint32
	hint  time.Duration
}

const (
	checkPointEvery = 2 * time.Second
	checkPointHint  = 10 * time.Second
)

// supervisor runs a Program under a service manager:
//
//	Starting --ready--> Running --control, or end of ctx--> Stopping
//	    |                  |                                    |
//	    +------------------+-- the program returns, or the -----+--> end
//	                           time to stop is up
//
// Its state belongs to the goroutine of run alone.
type supervisor struct {
	log  *slog.Logger
	wait time.Duration
	tell func(report)

	now      report
	cause    error            // why it stops
	deadline <-chan time.Time // when it must have stopped
}

// StopLateError says that a program was left behind because it did not stop in
// time. It comes wrapped in a fault of kind Timeout.
type StopLateError struct {
	Wait  time.Duration
	Cause error // why it was to stop
}

func (e *StopLateError) Error() string {
	return fmt.Sprintf("the program did not stop within %s: %v", e.Wait, e.Cause)
}

// stopCause is why a program was asked to stop.
type stopCause struct{ by control }

func (c *stopCause) Error() string { return fmt.Sprintf("the service manager asked for %s", c.by) }

func newSupervisor(o Options, tell func(report)) *supervisor {
	s := &supervisor{log: o.Log, wait: o.StopTimeout, tell: tell}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.wait <= 0 {
		s.wait = stopTimeout
	}
	return s
}

// run runs p until it returns. That it was stopped is no error; a program that
// does not stop in time is left behind, with a *StopLateError.
func (s *supervisor) run(ctx context.Context, p Program, controls <-chan control) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- guard(ctx, p, func() {
			select {
			case ready <- struct{}{}:
			default: // not yet seen
			}
		})
	}()
	tick := time.NewTicker(checkPointEvery)
	defer tick.Stop()
	s.enter(Starting)
	ended := ctx.Done()
	for {
		select {
		case <-ready:
			if s.now.state != Stopping {
				s.enter(Running)
			}
		case c := <-controls:
			if c == interrogate {
				s.tell(s.now)
			} else if s.now.state != Stopping {
				cancel(fault.Wrap(fault.Interrupted, &stopCause{c}))
			}
		case <-ended:
			ended = nil
			s.stopping(context.Cause(ctx))
		case <-tick.C:
			if s.now.state != Running {
				s.now.point++
				s.tell(s.now)
			}
		case err := <-done:
			if ended != nil && ctx.Err() != nil {
				s.stopping(context.Cause(ctx)) // it was quicker than the select
			}
			return s.result(err)
		case <-s.deadline:
			return s.late()
		}
	}
}

// guard turns a panic of the program into an error, so that what happened is
// in the log: a service has no standard error.
func guard(ctx context.Context, p Program, ready func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "panic: %v at %s", r, joinStack(string(debug.Stack())))
		}
	}()
	return p(ctx, ready)
}

func (s *supervisor) enter(state State) {
	s.now = report{state: state}
	if state != Running {
		s.now.point, s.now.hint = 1, checkPointHint
	}
	s.tell(s.now)
}

func (s *supervisor) stopping(cause error) {
	s.cause = cause
	s.log.Info("stopping", "cause", cause.Error(), "at_most", s.wait)
	s.deadline = time.After(s.wait)
	s.enter(Stopping)
}

// result is what became of a program that returned err.
func (s *supervisor) result(err error) error {
	if s.cause != nil && (errors.Is(err, s.cause) || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// late logs where every goroutine is and gives up.
func (s *supervisor) late() error {
	err := fault.New(fault.Timeout, "%w", &StopLateError{s.wait, s.cause}).
		WithHint("the log shows what each goroutine was doing: please report it")
	s.log.Error("stopping takes too long: the process ends now", "error", err.Error())
	for _, stack := range stacks() {
		s.log.Error("goroutine", "stack", stack)
	}
	return err
}

// maxStacks bounds the memory for a dump of all goroutines, in bytes.
const maxStacks = 16 << 20

// stacks returns where each goroutine is, each in one line.
func stacks() []string {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < maxStacks {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	var all []string
	for stack := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		all = append(all, joinStack(stack))
	}
	return all
}

// joinStack makes one line of a goroutine's stack.
func joinStack(stack string) string {
	lines := strings.Split(strings.TrimSpace(stack), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, " | ")
}
