package transfer_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"linehaul/transfer"
)

// TestSpread: a large file has a session on each connection that there is before
// anything was measured, and not more than it has pieces for.
func TestSpread(t *testing.T) {
	for name, tt := range map[string]struct {
		spread func() int
		size   int
		want   int // sessions beside the first that are asked for at once
	}{
		"one connection":    {nil, 24 << 20, 0},
		"three connections": {func() int { return 3 }, 24 << 20, 2},
		"sixteen":           {func() int { return 16 }, 26 << 20, 5}, // 4 MiB for each
		"a small file":      {func() int { return 3 }, 1 << 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(map[string]string{"/f": strings.Repeat("0123456789abcdef", tt.size/16)})
			asked := make(chan struct{}, 100)
			r.before = func(n int, _ map[string]*node) error {
				if n == 1 && tt.want > 0 { // nothing is measured yet
					for range tt.want {
						<-asked
					}
				}
				return nil
			}
			g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1, Spread: tt.spread}
			g.More = func(ctx context.Context, apart bool) (transfer.WritableRemote, error) {
				if !apart {
					asked <- struct{}{}
				}
				<-ctx.Done() // nothing is asked for twice
				return nil, ctx.Err()
			}
			if _, err := g.Files(t.Context(), place(t, found(t, r, "/f"), byRel)); err != nil {
				t.Fatal(err)
			}
			if n := len(asked); n != 0 {
				t.Errorf("%d sessions more than %d were asked for", n, tt.want)
			}
		})
	}
}

// TestTurns: a file does not wait for a large one that was begun before it, on the same
// session.
func TestTurns(t *testing.T) {
	const large, other, piece = 48 << 20, 8 << 20, 32 << 10
	r := newRemote(map[string]string{"/a": strings.Repeat("0123456789abcdef", large/16), "/b": strings.Repeat("fedcba9876543210", other/16)})
	var reads atomic.Int64
	r.before = func(int, map[string]*node) error { reads.Add(1); return nil }
	var order []string
	var after int64 // reads until the smaller one was there
	g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 2, Moved: func(res transfer.Result) {
		if order = append(order, res.Item.Entry.Name); res.Item.Entry.Name == "b" {
			after = reads.Load()
		}
	}}
	if _, err := g.Files(t.Context(), place(t, found(t, r, "/a", "/b"), byRel)); err != nil {
		t.Fatal(err)
	}
	if len(order) != 2 || order[0] != "b" || after > (2*other+large/3)/piece {
		t.Errorf("%q, after %d of %d reads", order, after, (large+other)/piece)
	}
}
