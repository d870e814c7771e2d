package leak_test

import (
	"os"
	"strings"
	"testing"

	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func stray(stop chan struct{}) { <-stop }

func TestLeftSeesAStray(t *testing.T) {
	stop := make(chan struct{})
	go stray(stop)
	left := leak.Left()
	close(stop)
	if len(left) != 1 || !strings.Contains(left[0], "leak_test.stray") {
		t.Errorf("one goroutine is left, saw %q", left)
	}
	if left := leak.Left(); len(left) != 0 {
		t.Errorf("it ended, and is still seen: %q", left)
	}
}
