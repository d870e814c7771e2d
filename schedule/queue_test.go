package schedule_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/schedule"
	"linehaul/schedule/cron"
)

// clock is fake time that can be set, as an administrator or a sleeping
// laptop does it.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) step(by time.Duration)    { c.offset.Add(int64(by)) }
func at(t *testing.T, s string) time.Time { return must(time.Parse(time.RFC3339, s))(t) }

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func entry(t *testing.T, job, expr string) schedule.Entry {
	t.Helper()
	return schedule.Entry{Job: job, Schedule: must(cron.Parse(time.UTC, expr))(t)}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// next takes one firing and checks which it is and when it came.
func next(t *testing.T, q *schedule.Memory, c *clock, job, nominal, now string, missed int) {
	t.Helper()
	f, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.Job != job || !f.Nominal.Equal(at(t, nominal)) || f.Missed != missed {
		t.Fatalf("got %s at %v, missed %d; want %s at %s, missed %d", f.Job, f.Nominal, f.Missed, job, nominal, missed)
	}
	if got := c.now(); !got.Equal(at(t, now)) {
		t.Fatalf("%s came at %v, want %s", job, got.UTC(), now)
	}
}

// In a synctest bubble time starts at midnight UTC, 1 January 2000.

func TestFiresInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		q := schedule.NewMemory(c.now, quiet())
		q.Set([]schedule.Entry{entry(t, "a", "30 2 * * *"), entry(t, "b", "0 1 * * *"), entry(t, "c", "30 2 * * *")})
		next(t, q, c, "b", "2000-01-01T01:00:00Z", "2000-01-01T01:00:00Z", 0)
		next(t, q, c, "a", "2000-01-01T02:30:00Z", "2000-01-01T02:30:00Z", 0)
		next(t, q, c, "c", "2000-01-01T02:30:00Z", "2000-01-01T02:30:00Z", 0)
		next(t, q, c, "b", "2000-01-02T01:00:00Z", "2000-01-02T01:00:00Z", 0)
	})
}

func TestSleepIsNoticedWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		q := schedule.NewMemory(c.now, quiet())
		q.Set([]schedule.Entry{entry(t, "a", "30 2 * * *")})
		go func() {
			time.Sleep(10 * time.Second)
			c.step(3 * 24 * time.Hour) // the lid was closed for three days
		}()
		f := must(q.Next(t.Context()))(t)
		if want := at(t, "2000-01-03T02:30:00Z"); !f.Nominal.Equal(want) || f.Missed != 2 {
			t.Errorf("after sleep: %v, missed %d; want %v, missed 2", f.Nominal, f.Missed, want)
		}
		if late := c.now().Sub(at(t, "2000-01-04T00:00:10Z")); late > time.Minute {
			t.Errorf("noticed after %v", late)
		}
		next(t, q, c, "a", "2000-01-04T02:30:00Z", "2000-01-04T02:30:00Z", 0)
	})
}

func TestClockSetBackRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		var text bytes.Buffer
		q := schedule.NewMemory(c.now, slog.New(slog.NewTextHandler(&text, nil)))
		q.Set([]schedule.Entry{entry(t, "a", "0 * * * *")})
		next(t, q, c, "a", "2000-01-01T01:00:00Z", "2000-01-01T01:00:00Z", 0)
		c.step(-10 * time.Second)
		next(t, q, c, "a", "2000-01-01T02:00:00Z", "2000-01-01T02:00:00Z", 0)
		c.step(-90 * time.Minute) // 01:00 and 02:00 come again, and have been
		next(t, q, c, "a", "2000-01-01T03:00:00Z", "2000-01-01T03:00:00Z", 0)
		if n := strings.Count(text.String(), "set back"); n != 2 {
			t.Errorf("two steps, %d warnings:\n%s", n, text.String())
		}
	})
}

func TestClockThatWasYearsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		c.step(5 * 365 * 24 * time.Hour)
		q := schedule.NewMemory(c.now, quiet())
		q.Set([]schedule.Entry{entry(t, "a", "0 3 * * *")})
		go func() {
			time.Sleep(time.Hour)
			c.step(-5 * 365 * 24 * time.Hour)
		}()
		next(t, q, c, "a", "2000-01-01T03:00:00Z", "2000-01-01T03:00:00Z", 0)
	})
}

func TestSetReplacesAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		q := schedule.NewMemory(c.now, quiet())
		q.Set([]schedule.Entry{entry(t, "a", "0 5 * * *")})
		go func() {
			time.Sleep(time.Second)
			q.Set([]schedule.Entry{entry(t, "b", "@every 10s"), entry(t, "a", "0 5 * * *")})
		}()
		next(t, q, c, "b", "2000-01-01T00:00:10Z", "2000-01-01T00:00:10Z", 0)
		q.Set(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if f, err := q.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an empty queue handed out %v, %v", f, err)
		}
	})
}

func TestReloadDoesNotFireTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		q := schedule.NewMemory(c.now, quiet())
		jobs := []schedule.Entry{entry(t, "a", "0 1 * * *")}
		q.Set(jobs)
		next(t, q, c, "a", "2000-01-01T01:00:00Z", "2000-01-01T01:00:00Z", 0)
		c.step(-time.Second)
		q.Set(jobs)
		next(t, q, c, "a", "2000-01-02T01:00:00Z", "2000-01-02T01:00:00Z", 0)
	})
}

func TestStopGivesTheCause(t *testing.T) {
	q := schedule.NewMemory(time.Now, quiet())
	stop := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := q.Next(ctx); !errors.Is(err, stop) {
		t.Errorf("got %v, want the cause", err)
	}
}

// contextUntil ends after a while.
func contextUntil(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
