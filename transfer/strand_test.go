package transfer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// TestStranded: the session that has a file open breaks near its end, when the
// other one did not think it worth opening. The other one takes the rest up;
// where it cannot, the transfer fails for the reason that the first one gave,
// and does not wait for ever.
func TestStranded(t *testing.T) {
	const size, piece = 17 << 20, 32 << 10
	text := strings.Repeat("0123456789abcdef", size/16)
	for name, opens := range map[string]bool{"the other opens it": true, "the other cannot": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, other := newRemote(map[string]string{"/f": text}), newRemote(map[string]string{"/f": text})
			if !opens {
				other.fail["Open"] = failure("open", "/f", errors.New("no more handles"))
			}
			asked, late, joined := make(chan struct{}), make(chan struct{}), make(chan struct{})
			broken := fault.New(fault.Stall, "the server fell silent")
			r.before = func(n int, _ map[string]*node) error {
				switch {
				case n == 1: // nothing moves until another session is asked for
					<-asked
				case n == (size-1<<20)/piece:
					close(late)
					<-joined
					<-time.After(100 * time.Millisecond) // it has looked at the file now
					return broken
				case n > (size-1<<20)/piece:
					return broken
				}
				return nil
			}
			calls := 0
			g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1}
			g.More = func(context.Context, bool) (transfer.WritableRemote, error) {
				if calls++; calls > 1 {
					return nil, errors.New("no more sessions")
				}
				close(asked)
				<-late
				close(joined)
				return other, nil
			}
			items := place(t, found(t, r, "/f"), byRel)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := g.Files(ctx, items)
			if !opens {
				if !errors.Is(err, broken) {
					t.Errorf("%v, want %v", err, broken)
				}
				return
			}
			got, readErr := os.ReadFile(filepath.Join(g.Root, "f"))
			if err != nil || readErr != nil || string(got) != text {
				t.Errorf("%d bytes, %v, %v", len(got), err, readErr)
			}
		})
	}
}
