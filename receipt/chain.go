package receipt

import (
	"context"
	"fmt"
	"slices"

	"linehaul/fault"
)

const (
	// ahead is how many receipts are looked at to tell one that was moved or added
	// from one that is missing.
	ahead = 16
	// maxAside bounds how many are remembered that stand in no place of their own.
	maxAside = 1000
)

// A row is a stored receipt on its way through the chain.
type row struct {
	at    int64 // the number it is stored under
	num   int64 // the number whose place it takes
	hash  Hash
	head  Head
	err   error // why it cannot be read
	newer bool  // and that is not its fault
	other bool  // it says that it has another number than num
}

// reads reports whether number and predecessor of a receipt are known.
func (r *row) reads() bool { return r.err == nil || r.newer }

// A gap is a range of numbers that have not been met.
type gap struct {
	from, to int64
	want     Hash   // of the last one, as the receipt after it says
	run      string // of the first one, if its record tells
}

// A chain is a walk from the first receipt to the last. Receipts are judged one
// behind, as it is the next one that vouches for each.
type chain struct {
	*verifier
	rows   []*row // those that come next, up to ahead of them
	after  int64  // the last one read is stored under this number
	said   []Named
	saidTo int64 // what runs say is read up to this number
	asked  int64 // of receipts up to this number, runs say no more than was read
	tip    *row  // the last that took its place
	aside  []*row
	gaps   []gap
	doubts []Finding // unless retention has just removed what they are about
}

func (c *chain) walk(ctx context.Context) error {
	begin, err := c.store.Begin(ctx)
	if err != nil {
		return readError(ctx, "ask where the receipts begin", err)
	}
	if err := c.fill(ctx, begin.Seq); err != nil {
		return err
	}
	// Retention may just have been at work.
	if len(c.rows) > 0 && c.rows[0].at > begin.Seq+1 {
		if begin, err = c.store.Begin(ctx); err != nil {
			return readError(ctx, "ask where the receipts begin", err)
		}
		c.rows = slices.DeleteFunc(c.rows, func(r *row) bool { return r.at <= begin.Seq })
		c.report.Receipts = int64(len(c.rows))
	}
	c.report.Begin, c.report.End = begin, begin
	c.saidTo = begin.Seq
	c.tip = &row{num: begin.Seq, hash: begin.Hash}
	first := true
	for {
		next, err := c.pick(ctx)
		if err != nil {
			return err
		}
		if next != nil { // what comes after it vouches for it
			if err := c.fill(ctx, c.after); err != nil {
				return err
			}
		}
		if first {
			c.beginning(next)
		} else if err := c.judge(ctx, c.tip, next); err != nil {
			return err
		}
		first = false
		if err := c.settle(ctx); err != nil {
			return err
		}
		if next == nil {
			break
		}
		c.tip = next
		if next.num > c.report.End.Seq {
			c.report.End = Place{next.num, next.hash}
		}
	}
	c.last = c.after
	if err := c.end(ctx); err != nil {
		return err
	}
	return c.settle(ctx)
}

// fill reads receipts until there are enough to look ahead.
func (c *chain) fill(ctx context.Context, after int64) error {
	c.after = max(c.after, after)
	for len(c.rows) < ahead {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		page, err := c.store.Heads(ctx, c.after, pageHeads)
		if err != nil {
			return readError(ctx, "read receipts", err)
		}
		if len(page) == 0 {
			return nil
		}
		c.pages = append(c.pages, c.after)
		for _, s := range page {
			if s.Seq <= c.after {
				return fault.New(fault.Internal, "read receipts: number %d came after %d", s.Seq, c.after)
			}
			c.after = s.Seq
			r := &row{at: s.Seq, hash: HashOf(s.Text)}
			r.head, r.err = Decode(s.Text)
			r.newer = Newer(r.err)
			c.rows = append(c.rows, r)
			c.report.Receipts++
		}
	}
	return nil
}

// pick takes the receipt that has the next place; nil: there is none.
func (c *chain) pick(ctx context.Context) (*row, error) {
	for {
		if err := c.fill(ctx, c.after); err != nil {
			return nil, err
		}
		if err := c.ask(ctx, c.tip.num+ahead+1); err != nil {
			return nil, err
		}
		num := c.tip.num + 1
		best := c.best(num)
		if i := slices.IndexFunc(c.aside, func(r *row) bool { return r.reads() && r.head.Seq == num }); i >= 0 {
			if r := c.aside[i]; best < 0 || !c.vouched(c.rows[best]) && c.vouched(r) {
				c.aside = slices.Delete(c.aside, i, i+1)
				c.found(Finding{Kind: ReceiptOrder, Seq: num, Run: r.head.Run, Text: fmt.Sprintf("it stands in another place, stored under number %d", r.at)})
				r.num = num
				return r, nil
			}
		}
		if best > 1 && c.follows(0, num+1) && c.follows(1, num+2) {
			best = -1 // that one was moved, and not all before it
		}
		if best >= 0 {
			for _, r := range c.rows[:best] {
				if err := c.putAside(ctx, r); err != nil {
					return nil, err
				}
			}
			return c.take(best, num), nil
		}
		if len(c.rows) == 0 {
			return nil, nil
		}
		r := c.rows[0]
		vouched := r.reads() && c.vouched(r)
		switch {
		case !r.reads():
			return c.take(0, num), nil
		case !vouched && (r.head.Prev == c.tip.hash || r.head.Seq > num && r.at == num):
			r.other = true
			return c.take(0, num), nil
		case r.head.Seq > num:
			g := gap{from: num, to: r.head.Seq - 1, want: r.head.Prev}
			if n, ok := c.says(num); ok {
				g.run = n.Run
			}
			c.gaps = append(c.gaps, g)
			return c.take(0, r.head.Seq), nil
		}
		c.rows = c.rows[1:]
		if err := c.putAside(ctx, r); err != nil {
			return nil, err
		}
	}
}

// take takes a row, and those before it, off the ones that come next.
func (c *chain) take(i int, num int64) *row {
	r := c.rows[i]
	r.num = num
	c.rows = c.rows[i+1:]
	return r
}

func (c *chain) follows(i int, num int64) bool {
	return i < len(c.rows) && c.rows[i].reads() && c.rows[i].head.Seq == num
}

// best is where a receipt of that number stands among those that come next: one
// that something vouches for, if there is one; -1: there is none.
func (c *chain) best(num int64) int {
	best := -1
	for i, r := range c.rows[:min(len(c.rows), ahead)] {
		if !r.reads() || r.head.Seq != num {
			continue
		}
		if c.vouched(r) {
			return i
		}
		if best < 0 {
			best = i
		}
	}
	return best
}

// vouched reports whether a run or a next receipt names this very one.
func (c *chain) vouched(r *row) bool {
	if n, ok := c.says(r.head.Seq); ok {
		return n.Hash == r.hash
	}
	return slices.ContainsFunc(c.rows, func(next *row) bool {
		return next.reads() && next.head.Seq == r.head.Seq+1 && next.head.Prev == r.hash
	})
}

// evidence says whether what was taken is what was made: 1 for yes, -1 for no, 0
// if there is nothing to tell.
func (c *chain) evidence(r *row) int {
	if !r.reads() || r.other {
		return -1
	}
	if n, ok := c.says(r.num); ok {
		if n.Hash == r.hash {
			return 1
		}
		return -1
	}
	e := 0
	for _, next := range c.rows {
		if next.reads() && next.head.Seq == r.num+1 {
			if next.head.Prev == r.hash {
				return 1
			}
			e = -1
		}
	}
	return e
}

// putAside takes a receipt out of the row: it is in another one's place, or has
// none.
func (c *chain) putAside(ctx context.Context, r *row) error {
	if !r.reads() {
		c.distrust(r)
		c.found(Finding{Kind: ReceiptUnreadable, Seq: r.at, Text: fmt.Sprintf("it stands between others and is no receipt: %v", r.err)})
		return nil
	}
	seq := r.head.Seq
	if i := slices.IndexFunc(c.gaps, func(g gap) bool { return g.from <= seq && seq <= g.to }); i >= 0 {
		g := c.gaps[i]
		c.gaps = slices.Delete(c.gaps, i, i+1)
		if seq < g.to {
			c.gaps = slices.Insert(c.gaps, i, gap{from: seq + 1, to: g.to, want: g.want})
		}
		if g.from < seq {
			c.gaps = slices.Insert(c.gaps, i, gap{from: g.from, to: seq - 1, want: r.head.Prev, run: g.run})
		}
		if seq == g.to && r.hash != g.want {
			c.distrust(r)
			c.found(Finding{Kind: ReceiptChanged, Seq: seq, Run: r.head.Run, Want: g.want.String(), Got: r.hash.String(), Text: "it stands in another place, and is not the one that the next receipt follows"})
			return nil
		}
		c.found(Finding{Kind: ReceiptOrder, Seq: seq, Run: r.head.Run, Text: fmt.Sprintf("it stands in another place, stored under number %d", r.at)})
		r.num = seq
		return c.believe(ctx, r)
	}
	if seq > c.tip.num && len(c.aside) < maxAside {
		c.aside = append(c.aside, r)
		return nil
	}
	c.surplus(r)
	return nil
}

// surplus is about a receipt that has no place.
func (c *chain) surplus(r *row) {
	c.distrust(r)
	c.found(Finding{Kind: ReceiptAdded, Seq: r.head.Seq, Run: r.head.Run, Text: fmt.Sprintf("the chain has no place for it; it is stored under number %d", r.at)})
}

// says is what the record of a run says of a receipt that is not far from here.
func (c *chain) says(num int64) (Named, bool) {
	i, ok := slices.BinarySearchFunc(c.said, num, func(n Named, num int64) int {
		switch {
		case n.Seq < num:
			return -1
		case n.Seq > num:
			return 1
		}
		return 0
	})
	if !ok {
		return Named{}, false
	}
	return c.said[i], true
}

// ask reads what runs say of the receipts up to a number. What is written meanwhile
// does not matter: a receipt and what its run says of it come in one transaction.
func (c *chain) ask(ctx context.Context, num int64) error {
	if c.runs == nil {
		return nil
	}
	old := slices.IndexFunc(c.said, func(n Named) bool { return n.Seq >= c.tip.num })
	if old < 0 {
		old = len(c.said)
	}
	c.said = slices.Delete(c.said, 0, old)
	num = min(num, c.after) // those that were read
	for c.saidTo < num && c.asked < num {
		more, err := c.askPage(ctx)
		if err != nil {
			return err
		}
		if !more {
			c.asked = c.after
		}
	}
	return nil
}

// askPage reads what runs say of the next receipts, and reports whether there was
// anything.
func (c *chain) askPage(ctx context.Context) (bool, error) {
	page, err := c.runs.Named(ctx, c.saidTo, pageRuns)
	if err != nil {
		return false, readError(ctx, "ask which receipts runs name", err)
	}
	for _, n := range page {
		if n.Seq <= c.saidTo {
			return false, fault.New(fault.Internal, "ask which receipts runs name: number %d came after %d", n.Seq, c.saidTo)
		}
		c.saidTo = n.Seq
		c.said = append(c.said, n)
	}
	return len(page) > 0, nil
}
