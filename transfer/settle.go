package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"time"

	"linehaul/fault"
)

const (
	// clockError is how far a clock may be wrong that is not known to be
	// right: a file that is older than the settle time by more than that is
	// not looked at a second time.
	clockError = 24 * time.Hour
	// secondLook is how long after the first look the second one comes where
	// the clock is known: servers tell whole seconds, FAT every other one.
	secondLook = 2 * time.Second
	// maxWaiting is how many items wait for a second look together.
	maxWaiting = 4096
	// looks is how many second looks are under way at a time.
	looks = 8
)

// settling takes a second look at files that were changed within a day, and
// leaves out those that have changed since the first.
//
// The first look is the listing's: the file's time must lie at least settle
// before the clock that stamps the files. Where that clock is not known, this
// machine's stands for it, and a server whose clock is slow makes a file look
// older than it is. So the second look comes after settle itself then, by this
// machine's clock alone; where the clock is known it comes after two seconds.
type settling struct {
	stat   func(ctx context.Context, source string) (Entry, error)
	settle time.Duration
	clock  time.Time // of the files' clock, at the run's instant
	known  bool      // that clock is known
	now    func() time.Time
	kind   fault.Kind
	left   leaver
}

// A waiting item is one on its way through, with the error that came in its
// place, or with what the second look brings.
type waiting struct {
	item  Item
	err   error
	look  bool
	still bool
}

func (s settling) filter(ctx context.Context, items iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var queue []waiting
		var last time.Time // when the last of them was looked at first
		for item, err := range items {
			look := err == nil && item.Entry.Mode.IsRegular() && s.young(item.Entry)
			if !look && len(queue) == 0 {
				if !yield(item, err) {
					return
				}
				continue
			}
			if queue = append(queue, waiting{item: item, err: err, look: look}); look {
				last = s.now()
			}
			if len(queue) == maxWaiting {
				if !s.release(ctx, queue, last, yield) {
					return
				}
				queue = queue[:0]
			}
		}
		s.release(ctx, queue, last, yield)
	}
}

func (s settling) young(e Entry) bool { return s.clock.Sub(e.MTime) < s.settle+clockError }

// release waits for the second look, takes it, and passes on what held still.
func (s settling) release(ctx context.Context, queue []waiting, last time.Time, yield func(Item, error) bool) bool {
	if slices.ContainsFunc(queue, func(w waiting) bool { return w.look }) {
		gap := s.settle
		if s.known {
			gap = min(gap, secondLook)
		}
		if err := waitUntil(ctx, gap-s.now().Sub(last)); err != nil {
			yield(Item{}, sorted(ctx, s.kind, queue[0].item.Source, err))
			return false
		}
		s.look(ctx, queue)
	}
	for _, w := range queue {
		switch {
		case w.err != nil && (stopsAll(w.err) || ctx.Err() != nil):
			yield(Item{}, w.err)
			return false
		case w.look && w.err == nil && !w.still:
			s.left.leave(w.item, WhyNotSettled)
			continue
		}
		if !yield(w.item, w.err) {
			return false
		}
	}
	return true
}

// look takes the second look at all that wait for one.
func (s settling) look(ctx context.Context, queue []waiting) {
	var wg sync.WaitGroup
	next := make(chan *waiting)
	for range looks {
		wg.Go(func() {
			for w := range next {
				e, err := s.stat(ctx, w.item.Source)
				switch {
				case errors.Is(err, fs.ErrNotExist):
				case err != nil:
					w.err = sorted(ctx, s.kind, w.item.Source, err)
				default:
					w.still = e.Size == w.item.Entry.Size && e.MTime.Equal(w.item.Entry.MTime)
				}
			}
		})
	}
	for i := range queue {
		if queue[i].look {
			next <- &queue[i]
		}
	}
	close(next)
	wg.Wait()
}

// waitUntil waits, or returns ctx's error when that ends first.
func waitUntil(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
