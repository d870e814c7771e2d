package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Check asks one thing. Run may be called once at a time; it heeds ctx, whose
// cause is errLate when the check's own time is over.
type Check interface {
	Name() string
	Run(ctx context.Context, found *Found) Finding
}

// A Task is a check in a tree.
type Task struct {
	Check Check
	// After are the checks that must have ended before, and Needs those of
	// them that must not have failed. Those that are not in the tree are
	// taken as passed.
	After, Needs []string
	Deadline     time.Duration // how long it may take; 0: as long as the tree's context
}

// Found is what the checks of a tree have found so far. Its methods may be
// called concurrently.
type Found struct {
	mu  sync.Mutex
	all map[string]Finding
}

// Of returns what a check found, if it has ended.
func (f *Found) Of(check string) (Finding, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.all[check]
	return found, ok
}

func (f *Found) put(found Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[found.Check] = found
}

// errLate is the cause of a check's context when its time is over.
var errLate = errors.New("the check took too long")

// A Tree runs tasks.
type Tree struct {
	Tasks []Task
	Now   func() time.Time
	// Each is told of each finding as it comes, one at a time; nil: nobody.
	Each func(Finding)
}

// Run runs the tasks, those that depend on nothing that is still under way side
// by side, and returns their findings in the order of the tasks. It returns when
// all have ended, also when ctx has.
func (t *Tree) Run(ctx context.Context) []Finding {
	found := &Found{all: map[string]Finding{}}
	done := map[string]chan struct{}{}
	for _, task := range t.Tasks {
		done[task.Check.Name()] = make(chan struct{})
	}
	var each sync.Mutex
	var running sync.WaitGroup
	for _, task := range t.Tasks {
		running.Go(func() {
			name := task.Check.Name()
			defer close(done[name])
			for _, before := range slices.Concat(task.After, task.Needs) {
				if c, ok := done[before]; ok {
					<-c
				}
			}
			f := t.one(ctx, task, found)
			found.put(f)
			if t.Each != nil {
				each.Lock()
				defer each.Unlock()
				t.Each(f)
			}
		})
	}
	running.Wait()
	all := make([]Finding, len(t.Tasks))
	for i, task := range t.Tasks {
		all[i], _ = found.Of(task.Check.Name())
	}
	return all
}

// one runs a task whose turn it is.
func (t *Tree) one(ctx context.Context, task Task, found *Found) Finding {
	name := task.Check.Name()
	for _, need := range task.Needs {
		if f, ok := found.Of(need); ok && (f.Verdict == Fail || f.Verdict == Skipped && f.Code == codeSkipped) {
			skipped := verdict(name, codeSkipped, need)
			if f.Code == codeSkipped { // what failed is further away
				skipped.Text = f.Text
			}
			return skipped
		}
	}
	if ctx.Err() != nil {
		return verdict(name, codeStopped, context.Cause(ctx))
	}
	limited := ctx
	if task.Deadline > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, task.Deadline, errLate)
		defer cancel()
	}
	began := t.Now()
	f := task.Check.Run(limited, found)
	f.Check = name
	f.TookMS = milliseconds(t.Now().Sub(began))
	return f
}

// late reports whether a check's own time is over, and not that of all.
func late(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errLate) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// duration is a time in milliseconds, for texts.
func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d >= 100*time.Millisecond:
		d = d.Round(time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(time.Microsecond)
	}
	return d.String()
}

// list is a few things in a text.
func list[T fmt.Stringer](all []T) string {
	const most = 4
	var parts []string
	for i, one := range all {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more", len(all)-most))
			break
		}
		parts = append(parts, one.String())
	}
	return strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
