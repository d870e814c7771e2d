package ping

import (
	"net/netip"
	"testing"
	"time"

	"linehaul/preflight/echo"
)

// TestSeries measures the way to this machine itself.
func TestSeries(t *testing.T) {
	told := 0
	s, err := Measure(t.Context(), Options{
		To: netip.MustParseAddr("127.0.0.1"), Count: 30, Interval: 5 * time.Millisecond, Size: 200, Each: func(Sample) { told++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Way != echo.System || s.Sent != 30 || s.Received != 30 || s.MinMS <= 0 || s.MinMS > s.MedianMS || s.MedianMS > s.MaxMS || told != 30 {
		t.Errorf("%+v", s)
	}
}
