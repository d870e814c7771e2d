package winsvc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/fault"
)

// recorder writes down what a service manager is told, with the second.
type recorder struct {
	began time.Time
	told  []string
}

func (r *recorder) tell(rep report) {
	r.told = append(r.told, fmt.Sprintf("%d %s %d", int(time.Since(r.began).Seconds()), rep.state, rep.point))
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.told, want) {
		t.Errorf("told\n%q, want\n%q", r.told, want)
	}
}

// supervise runs p in a bubble of fake time, while the script runs beside it.
func supervise(t *testing.T, o Options, p Program, script func(cancel context.CancelCauseFunc, controls chan<- control)) (*recorder, error) {
	t.Helper()
	var r recorder
	var err error
	synctest.Test(t, func(t *testing.T) {
		r.began = time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		controls := make(chan control)
		if script != nil {
			go script(cancel, controls)
		}
		err = newSupervisor(o, r.tell).run(ctx, p, controls)
		time.Sleep(48 * time.Hour) // for a program that was left behind
	})
	return &r, err
}

// patient takes its time to start and to stop.
func patient(start, stop time.Duration) Program {
	return func(ctx context.Context, ready func()) error {
		time.Sleep(start)
		ready()
		<-ctx.Done()
		time.Sleep(stop)
		return context.Cause(ctx)
	}
}

func TestStopControls(t *testing.T) {
	for _, c := range []control{stopControl, shutdownControl, preshutdownControl} {
		t.Run(c.String(), func(t *testing.T) {
			var cause error
			p := func(ctx context.Context, ready func()) error {
				err := patient(5*time.Second, 3*time.Second)(ctx, ready)
				cause = err
				return err
			}
			r, err := supervise(t, Options{}, p, func(_ context.CancelCauseFunc, controls chan<- control) {
				time.Sleep(time.Second)
				controls <- interrogate
				time.Sleep(9 * time.Second)
				controls <- interrogate
				controls <- c
				controls <- c // a second time changes nothing
				time.Sleep(time.Second)
				controls <- interrogate
			})
			if err != nil {
				t.Errorf("being stopped is an error: %v", err)
			}
			r.want(t, "0 starting 1", "1 starting 1", "2 starting 2", "4 starting 3", "5 running 0",
				"10 running 0", "10 stopping 1", "11 stopping 1", "12 stopping 2")
			if !fault.Is(cause, fault.Interrupted) || cause.Error() != "the service manager asked for "+c.String() {
				t.Errorf("the program was told %v", cause)
			}
		})
	}
}

func TestStopByContext(t *testing.T) {
	signal := fault.New(fault.Interrupted, "stopped by a signal")
	stopAt10 := func(cancel context.CancelCauseFunc, _ chan<- control) {
		time.Sleep(10 * time.Second)
		cancel(signal)
	}
	for name, p := range map[string]Program{
		"returns the cause": patient(0, 0),
		"returns nil":       func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return nil },
		"returns the context's error": func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			return fmt.Errorf("read: %w", ctx.Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := supervise(t, Options{}, p, stopAt10)
			if err != nil {
				t.Errorf("being stopped is an error: %v", err)
			}
			r.want(t, "0 starting 1", "0 running 0", "10 stopping 1")
		})
	}
	t.Run("fails while it stops", func(t *testing.T) {
		full := fault.New(fault.LocalDisk, "no space")
		_, err := supervise(t, Options{}, func(ctx context.Context, _ func()) error { <-ctx.Done(); return full }, stopAt10)
		if !errors.Is(err, full) {
			t.Errorf("the program's error became %v", err)
		}
	})
}

func TestProgramFails(t *testing.T) {
	bad := fault.New(fault.Config, "no such key")
	r, err := supervise(t, Options{}, func(context.Context, func()) error { return bad }, nil)
	if !errors.Is(err, bad) {
		t.Errorf("the program's error became %v", err)
	}
	r.want(t, "0 starting 1")
	// A deadline of its own is not being stopped.
	_, err = supervise(t, Options{}, func(context.Context, func()) error { return context.Canceled }, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the program's error became %v", err)
	}
}

func TestProgramPanics(t *testing.T) {
	_, err := supervise(t, Options{}, func(context.Context, func()) error { panic("oh\nno") }, nil)
	if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "oh\nno") || !strings.Contains(err.Error(), "TestProgramPanics") {
		t.Errorf("got %v", err)
	}
}

func TestReadyAgain(t *testing.T) {
	r, err := supervise(t, Options{}, func(_ context.Context, ready func()) error {
		ready()
		time.Sleep(5 * time.Second)
		ready() // it has reloaded
		time.Sleep(time.Second)
		return nil
	}, nil)
	if err != nil {
		t.Error(err)
	}
	r.want(t, "0 starting 1", "0 running 0", "5 running 0")
}

// stubborn does not stop when it is told to.
func stubborn(ctx context.Context, ready func()) error {
	ready()
	time.Sleep(24 * time.Hour)
	return nil
}

func TestStopsTooLate(t *testing.T) {
	var log bytes.Buffer
	o := Options{StopTimeout: 4500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))}
	r, err := supervise(t, o, stubborn, func(_ context.CancelCauseFunc, controls chan<- control) {
		time.Sleep(time.Second)
		controls <- stopControl
	})
	var late *StopLateError
	if !errors.As(err, &late) || late.Wait != 4500*time.Millisecond || !fault.Is(err, fault.Timeout) {
		t.Errorf("got %v", err)
	}
	if want := "the program did not stop within 4.5s: the service manager asked for stop"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	r.want(t, "0 starting 1", "0 running 0", "1 stopping 1", "2 stopping 2", "4 stopping 3")
	if !strings.Contains(log.String(), "winsvc.stubborn") {
		t.Errorf("the log does not show where the program hangs:\n%s", log.String())
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("a record of several lines: %q", line)
		}
	}
}

func TestEndEvents(t *testing.T) {
	tests := []struct {
		err     error
		id      uint32
		failure bool
		text    string
	}{
		{nil, EventStopped, false, "The service has stopped."},
		{fault.New(fault.Config, "no such key").WithHint("look"), EventFailed, true, "config: no such key\r\nlook"},
		{fault.New(fault.Timeout, "a run"), EventFailed, true, "timeout: a run\r\n" + fault.Timeout.Hint()},
		{fault.New(fault.Timeout, "%w", &StopLateError{time.Second, context.Canceled}), EventStopLate, true,
			"timeout: the program did not stop within 1s: context canceled\r\n" + fault.Timeout.Hint()},
	}
	for _, tt := range tests {
		if got, want := endEvent(tt.err), (event{tt.id, tt.failure, tt.text}); got != want {
			t.Errorf("%v: %+v, want %+v", tt.err, got, want)
		}
	}
	ids := []uint32{EventStarted, EventStopped, EventFailed, EventStopLate}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 4 || ids[0] < 1 || ids[len(ids)-1] > 1000 {
		t.Errorf("ids %v: EventCreate.exe has texts for 1 to 1000, and each kind needs its own", ids)
	}
}
