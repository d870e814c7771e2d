package sftp

import (
	"testing"
	"time"
)

func TestWireTime(t *testing.T) {
	for in, want := range map[int64]uint32{-1: 0, 0: 0, 1580608922: 1580608922, 1 << 32: 1<<32 - 1} {
		if got := wireTime(time.Unix(in, 0)); got != want {
			t.Errorf("%d became %d", in, got)
		}
	}
}
