package transfer

import (
	"iter"

	"linehaul/fault"
)

// A Sieve passes on what a plan gives but for errors that concern one file or
// folder, which it sums up. The zero value is ready to use.
type Sieve struct {
	failed tally
	n      int
}

// Items passes on the items, and the error that ends the plan.
func (s *Sieve) Items(found iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range found {
			switch {
			case err != nil && (stopsAll(err) || fault.Is(err, fault.Config)):
				yield(Item{}, err)
				return
			case err != nil:
				s.failed.add(err)
				continue
			}
			if !item.Closing {
				s.n++
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Err is the reason why nothing was found; of kind fault.Partial it says that
// there were items, and that not all could be found or placed.
func (s *Sieve) Err() error {
	switch {
	case s.failed.n == 0:
		return nil
	case s.n == 0:
		return s.failed.all("source")
	}
	return fault.New(fault.Partial, "found %d files, and had %d problems, first: %w", s.n, s.failed.n, s.failed.first)
}

// Each calls do for all items. Its error is the one that ended the search, that
// of do, or that of a Sieve.
func Each(found iter.Seq2[Item, error], do func(Item) error) error {
	var s Sieve
	for item, err := range s.Items(found) {
		if err == nil {
			err = do(item)
		}
		if err != nil {
			return err
		}
	}
	return s.Err()
}

// Collect takes all items, for a few of them. An error of kind fault.Partial
// comes with the items that there are, any other without.
func Collect(found iter.Seq2[Item, error]) ([]Item, error) {
	var items []Item
	err := Each(found, func(item Item) error {
		if len(items) >= maxItems {
			return fault.New(fault.Usage, "the sources match more than %d files", maxItems).WithHint("take them in several jobs")
		}
		items = append(items, item)
		return nil
	})
	if err != nil && !fault.Is(err, fault.Partial) {
		return nil, err
	}
	return items, err
}
