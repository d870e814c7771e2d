package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"linehaul/fault"
)

// codes is PRODUCT.md's table, written down a second time on purpose: a change
// in one place only must not go unnoticed.
var codes = map[fault.Kind]int{
	fault.Internal: 1, fault.Usage: 2, fault.Config: 2,
	fault.Name: 3, fault.Route: 3, fault.TCP: 3, fault.SSH: 3,
	fault.IKE: 4, fault.GatewayLogin: 4, fault.ESP: 4,
	fault.HostKeyUnknown: 5, fault.HostKeyChanged: 5,
	fault.Key: 6, fault.Login: 6, fault.RemoteFile: 7,
	fault.Stall: 8, fault.Timeout: 8, fault.Partial: 9, fault.LocalDisk: 10,
	fault.Verify: 11, fault.Overlap: 12, fault.Check: 13, fault.NoMatch: 14,
	fault.Skipped: 75, fault.Interrupted: 130,
}

func TestEveryKindHasARow(t *testing.T) {
	if len(fault.Kinds()) != len(codes) {
		t.Fatalf("%d kinds, %d in PRODUCT.md's table", len(fault.Kinds()), len(codes))
	}
	for _, k := range fault.Kinds() {
		if k.ExitCode() != codes[k] {
			t.Errorf("%v: exit code %d, PRODUCT.md says %d", k, k.ExitCode(), codes[k])
		}
		if k.String() == "" || k.Hint() == "" {
			t.Errorf("kind %d: layer %q, hint %q: both are needed", int(k), k.String(), k.Hint())
		}
		if strings.Contains(k.Hint(), "\n") {
			t.Errorf("%v: the hint must be one line", k)
		}
	}
}

func TestSorting(t *testing.T) {
	disk := fault.New(fault.LocalDisk, "write %q: %w", "a.txt", io.ErrShortWrite)
	tests := []struct {
		name      string
		err       error
		kind      fault.Kind
		code      int
		transient bool
		line      string
	}{
		{"sorted", disk, fault.LocalDisk, 10, false, `local disk: write "a.txt": short write`},
		{"sorted below", fmt.Errorf("job x: %w", disk), fault.LocalDisk, 10, false, `local disk: job x: write "a.txt": short write`},
		{"unsorted", errors.New("odd"), fault.Internal, 1, false, "internal: odd"},
		{"cancelled", fmt.Errorf("read: %w", context.Canceled), fault.Interrupted, 130, false, "interrupted: read: context canceled"},
		{"deadline", context.DeadlineExceeded, fault.Timeout, 8, true, "timeout: context deadline exceeded"},
		{"made transient", disk.AsTransient(), fault.LocalDisk, 10, true, `local disk: write "a.txt": short write`},
		{"made permanent", fault.New(fault.TCP, "dial").AsPermanent(), fault.TCP, 3, false, "tcp: dial"},
		{"line breaks of a peer", fault.New(fault.SSH, "banner %s", "a\r\nb\x1b[0m\u0085"), fault.SSH, 3, true, "ssh: banner a  b [0m "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.KindOf(tt.err); got != tt.kind {
				t.Errorf("kind %v, want %v", got, tt.kind)
			}
			if got := fault.ExitCode(tt.err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if got := fault.Transient(tt.err); got != tt.transient {
				t.Errorf("transient %v, want %v", got, tt.transient)
			}
			if got := fault.Line(tt.err); got != tt.line {
				t.Errorf("line %q, want %q", got, tt.line)
			}
		})
	}
}

func TestHint(t *testing.T) {
	e := fault.New(fault.HostKeyUnknown, "unknown")
	if got := fault.HintOf(e); got != fault.HostKeyUnknown.Hint() {
		t.Errorf("hint %q, want the kind's", got)
	}
	if got := fault.HintOf(e.WithHint("add %q", "line")); got != `add "line"` {
		t.Errorf("hint %q, want its own", got)
	}
	if fault.HintOf(e) != fault.HostKeyUnknown.Hint() {
		t.Error("WithHint changed the original")
	}
}

func TestWrapKeepsTheFirstKind(t *testing.T) {
	inner := fault.New(fault.Stall, "no bytes for 30s")
	if got := fault.KindOf(fault.Wrap(fault.RemoteFile, inner)); got != fault.Stall {
		t.Errorf("kind %v, want %v", got, fault.Stall)
	}
	if fault.Wrap(fault.RemoteFile, nil) != nil {
		t.Error("Wrap(nil) is not nil")
	}
	if err := fault.Wrap(fault.LocalDisk, io.ErrShortWrite); !errors.Is(err, io.ErrShortWrite) || !fault.Is(err, fault.LocalDisk) {
		t.Errorf("Wrap lost kind or cause: %v", err)
	}
	if fault.ExitCode(nil) != 0 || fault.Transient(nil) || fault.HintOf(nil) != "" || fault.Line(nil) != "" {
		t.Error("nil is not a failure")
	}
}
