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
	// maxRetries bounds how often what was written meanwhile is asked for.
	maxRetries = 100
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
	tries  int
	tip    *row // the last that took its place
	aside  []*row
	gaps   []gap
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
		if next == nil {
			break
		}
		c.tip = next
		if next.num > c.report.End.Seq {
			c.report.End = Place{next.num, next.hash}
		}
	}
	c.last = c.after
	return c.end(ctx)
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

// beginning holds the first receipt against where the chain begins. The first one
// of all says so itself, or cannot be read.
func (c *chain) beginning(first *row) {
	b := c.report.Begin
	if first == nil || !first.reads() || first.other || b.Seq == 0 || first.num != b.Seq+1 || first.head.Prev == b.Hash {
		return
	}
	f := Finding{Kind: CheckpointChanged, Seq: first.num, Run: first.head.Run, Want: first.head.Prev.String(), Got: b.Hash.String(),
		Text: "it follows another receipt than the one that was noted as removed last"}
	switch c.evidence(first) {
	case 1:
		c.found(f)
	case 0:
		f.Text += ", or was itself changed"
		c.found(f)
	}
}

// judge says what is wrong with a receipt, now that the next one is known, which
// may be nil.
func (c *chain) judge(ctx context.Context, r, next *row) error {
	said, named := c.says(r.num)
	linked := next != nil && next.reads() && !next.other && next.num == r.num+1
	agrees := linked && next.head.Prev == r.hash
	f := Finding{Kind: ReceiptChanged, Seq: r.num, Run: r.head.Run, Got: r.hash.String()}
	if linked {
		f.Want, f.Text = next.head.Prev.String(), "its SHA-256 is not the one that the next receipt follows"
	}
	wrong := true
	switch {
	case !r.reads():
		f = Finding{Kind: ReceiptUnreadable, Seq: r.num, Text: r.err.Error()}
		if named {
			f.Run = said.Run
		}
	case r.other:
		f = Finding{Kind: ReceiptChanged, Seq: r.num, Run: r.head.Run, Text: fmt.Sprintf("it says that it is number %d", r.head.Seq)}
	case named && said.Hash == r.hash:
		wrong = false
		if linked && !agrees && c.evidence(next) > 0 {
			c.found(Finding{Kind: ChainBroken, Seq: next.num, Run: next.head.Run, Want: r.hash.String(), Got: next.head.Prev.String(), Text: "it does not follow the receipt before it"})
		}
	case named && agrees && c.evidence(next) > 0:
		wrong = false
		c.found(Finding{Kind: RunDisagrees, Seq: r.num, Run: said.Run, Want: r.hash.String(), Got: said.Hash.String(), Text: "the run's record names another receipt"})
	case named:
		f.Want, f.Text = said.Hash.String(), "its SHA-256 is not the one in the record of its run"
	case linked && !agrees && c.evidence(next) > 0:
	case linked && !agrees && c.evidence(next) == 0:
		f.Last, f.Text = next.num, "the second does not follow the first: one of the two was changed"
	case c.runs != nil:
		f = Finding{Kind: ReceiptAdded, Seq: r.num, Run: r.head.Run, Text: "no run's record names it"}
	default:
		wrong = false
	}
	if wrong {
		c.distrust(r)
		c.found(f)
		return nil
	}
	if named && said.Run != r.head.Run && !r.newer {
		c.found(Finding{Kind: RunDisagrees, Seq: r.num, Run: said.Run, Want: r.head.Run, Got: said.Run, Text: "the record of another run names it"})
	}
	return c.believe(ctx, r)
}

// believe reads the list of a receipt that is as it was made.
func (c *chain) believe(ctx context.Context, r *row) error {
	if r.newer {
		c.distrust(r)
		c.found(Finding{Kind: ReceiptNewer, Seq: r.num, Run: r.head.Run, Text: r.err.Error()})
	}
	if !c.started && r.head.Run == c.o.Run {
		c.started = true
	}
	if !c.started || r.newer {
		return nil
	}
	ok, err := c.list(ctx, r)
	if !ok {
		c.distrust(r)
	}
	return err
}

// end is about what is left when there are no more receipts.
func (c *chain) end(ctx context.Context) error {
	for _, r := range c.aside {
		c.surplus(r)
	}
	for _, g := range c.gaps {
		c.dropped(g)
	}
	// What runs name beyond the end.
	g := gap{}
	for {
		for _, n := range c.said {
			if n.Seq <= c.tip.num {
				continue
			}
			if g.from == 0 {
				g = gap{from: c.tip.num + 1, run: n.Run}
			}
			g.to = n.Seq
		}
		c.said = nil
		if c.runs == nil {
			break
		}
		more, err := c.askPage(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if g.to == 0 {
		return nil
	}
	// A run that has ended just now has its receipt by now.
	late, err := c.store.Heads(ctx, c.after, 1)
	if err != nil {
		return readError(ctx, "read receipts", err)
	}
	if len(late) > 0 {
		g.to = min(g.to, late[0].Seq-1)
	}
	if g.to >= g.from {
		c.dropped(g)
	}
	return nil
}

func (c *chain) dropped(g gap) {
	f := Finding{Kind: ReceiptDropped, Seq: g.from, Run: g.run, Text: "it is missing"}
	if g.to > g.from {
		f.Last, f.Text = g.to, fmt.Sprintf("%d are missing", g.to-g.from+1)
		if g.run != "" {
			f.Text += ", that of this run first"
		}
	}
	c.found(f)
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

// ask reads what runs say of the receipts up to a number.
func (c *chain) ask(ctx context.Context, num int64) error {
	if c.runs == nil {
		return nil
	}
	old := slices.IndexFunc(c.said, func(n Named) bool { return n.Seq >= c.tip.num })
	if old < 0 {
		old = len(c.said)
	}
	c.said = slices.Delete(c.said, 0, old)
	for c.saidTo < num && c.tries < maxRetries {
		more, err := c.askPage(ctx)
		if err != nil {
			return err
		}
		if !more {
			c.tries++ // a run that ends just now will be there the next time
			return nil
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
