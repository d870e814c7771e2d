package transfer_test

import (
	"context"
	"strings"
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
