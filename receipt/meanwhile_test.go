package receipt_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"linehaul/receipt"
)

// A busy store is written to between any two questions: runs end, and retention
// removes receipts from the front.
type busy struct {
	*memory
	t      *testing.T
	r      *rand.Rand
	add    int // how many runs are still to end
	seldom int // one of them in so many moments
	remove int // how many receipts retention is still to remove, at once
	when   int // after so many questions
}

// meanwhile is what goes on between two questions.
func (b *busy) meanwhile() {
	if b.add > 0 && b.r.IntN(b.seldom) == 0 {
		b.add--
		b.memory.add(b.t, get(100+b.add), receipt.File{Source: "a", Target: "/b"})
	}
}

// retain is retention at its moment.
func (b *busy) retain() {
	b.when--
	if b.when > 0 || b.remove == 0 {
		return
	}
	last := b.heads[b.remove-1]
	b.begin = receipt.Place{Seq: last.Seq, Hash: receipt.HashOf(last.Text)}
	for _, h := range b.heads[:b.remove] {
		delete(b.lists, h.Seq)
	}
	b.heads, b.remove = b.heads[b.remove:], 0
	b.named = slices.DeleteFunc(slices.Clone(b.named), func(n receipt.Named) bool { return n.Seq <= last.Seq })
}

func (b *busy) Begin(ctx context.Context) (receipt.Place, error) {
	defer b.retain()
	return b.memory.Begin(ctx)
}

func (b *busy) Lines(ctx context.Context, seq, after int64, limit int) ([]string, error) {
	defer b.retain()
	return b.memory.Lines(ctx, seq, after, limit)
}

func (b *busy) Heads(ctx context.Context, after int64, limit int) ([]receipt.Stored, error) {
	b.meanwhile()
	defer b.meanwhile()
	defer b.retain()
	return b.memory.Heads(ctx, after, limit)
}

func (b *busy) Named(ctx context.Context, after int64, limit int) ([]receipt.Named, error) {
	b.meanwhile()
	defer b.meanwhile()
	defer b.retain()
	return b.memory.Named(ctx, after, limit)
}

// TestMeanwhile: what is written while a chain is walked is no problem of it.
func TestMeanwhile(t *testing.T) {
	late := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 9))
		n := r.IntN(200)
		b := &busy{memory: someChain(t, r, 0, n), t: t, r: r, add: r.IntN(400), seldom: 1 + r.IntN(30)}
		if n > 0 {
			b.remove, b.when = r.IntN(n), r.IntN(300)
		}
		v, err := receipt.Verify(context.Background(), b, b, receipt.Options{})
		if err != nil || !v.OK || v.Notes > 0 || v.Receipts < int64(n)-b.begin.Seq {
			t.Fatalf("seed %d, %d receipts, %d to come: %v\n%s", seed, n, b.add, err, v)
		}
		if v.End != b.end() {
			late++
		}
	}
	if late == 0 {
		t.Error("no receipt came after the end was read")
	}
}
