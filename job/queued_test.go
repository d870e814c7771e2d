package job

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"linehaul/fault"
	"linehaul/store"
)

// TestHandedBack: a run of the queue goes back there when its process stops or is
// taken for dead, however the cause comes up, and not when somebody ended it.
func TestHandedBack(t *testing.T) {
	stop, lost := fault.New(fault.Interrupted, "%w", &StopError{}), fault.New(fault.Interrupted, "%w", &store.LostError{})
	ended := func(cause error) error {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		return stopped(ctx, errors.New("the connection is closed"))
	}
	for _, tt := range []struct {
		name   string
		queued bool
		err    error
		want   bool
	}{
		{"stopped", true, stop, true},
		{"taken for dead", true, lost, true},
		{"in the middle of a file", true, fmt.Errorf("%q: %w", "a.txt", lost), true},
		{"what broke by it", true, ended(lost), true},
		{"what broke by the stop", true, ended(stop), true},
		{"by hand", false, stop, false},
		{"cancelled", true, fault.New(fault.Interrupted, "cancelled: by hand"), false},
		{"another's", true, fault.New(fault.Interrupted, "%w", &store.TakenError{}), false},
		{"failed", true, fault.New(fault.TCP, "refused"), false},
		{"well", true, nil, false},
	} {
		if got := handedBack(store.Run{Queued: tt.queued}, tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
