package receipt

import (
	"context"
	"fmt"
)

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

// list reads a receipt's list and reports whether it is as its head says.
func (c *chain) list(ctx context.Context, r *row) (bool, error) {
	var l List
	broken, why := int64(0), error(nil)
	err := c.eachLine(ctx, r.at, func(n int64, text string) error {
		l.add(text)
		if why == nil {
			if _, err := DecodeFile(text); err != nil {
				broken, why = n, err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	got, want := l.Files(), r.head.Files
	f := Finding{Seq: r.num, Run: r.head.Run, Line: broken}
	switch {
	case got == want && why == nil:
		c.lines += got.Lines
		return true, nil
	case got.Lines != want.Lines:
		f.Want, f.Got = count(want.Lines, "line"), count(got.Lines, "line")
		f.Kind, f.Text = ListShort, "files were dropped from its list"
		if got.Lines > want.Lines {
			f.Kind, f.Text = ListLong, "files were added to its list"
		}
	case got.SHA256 != want.SHA256:
		f.Kind, f.Want, f.Got = ListChanged, want.SHA256.String(), got.SHA256.String()
		f.Text = "the SHA-256 of its list is another one"
	default:
		f.Kind, f.Text = ListChanged, "its list was made so that it cannot be read"
	}
	if why != nil {
		f.Text += fmt.Sprintf("; line %d is none: %v", broken, why)
	}
	c.found(f)
	return false, nil
}

// end is about what is left when there are no more receipts.
func (c *chain) end(ctx context.Context) error {
	for _, r := range c.aside {
		c.surplus(r)
	}
	for _, g := range c.gaps {
		c.found(droppedIn(g))
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
		c.found(droppedIn(g))
	}
	return nil
}

func droppedIn(g gap) Finding {
	f := Finding{Kind: ReceiptDropped, Seq: g.from, Run: g.run, Text: "it is missing"}
	if g.to > g.from {
		f.Last, f.Text = g.to, fmt.Sprintf("%d are missing", g.to-g.from+1)
		if g.run != "" {
			f.Text += ", that of this run first"
		}
	}
	return f
}

// found is of the chain: it is told by settle.
func (c *chain) found(f Finding) { c.doubts = append(c.doubts, f) }

// settle tells what was found, but for receipts that retention has removed since
// they were read, together with what runs said of them.
func (c *chain) settle(ctx context.Context) error {
	if len(c.doubts) == 0 {
		return nil
	}
	begin, err := c.store.Begin(ctx)
	if err != nil {
		return readError(ctx, "ask where the receipts begin", err)
	}
	for _, f := range c.doubts {
		moved := begin.Seq > c.report.Begin.Seq
		switch {
		case moved && max(f.Seq, f.Last) <= begin.Seq:
			continue
		case moved && f.Kind == ReceiptDropped && f.Seq <= begin.Seq:
			f = droppedIn(gap{from: begin.Seq + 1, to: max(f.Seq, f.Last)})
		}
		c.verifier.found(f)
	}
	c.doubts = c.doubts[:0]
	return nil
}
