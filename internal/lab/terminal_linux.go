package lab

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Screen is a terminal that nobody looks at: what is written to it is kept.
type Screen struct {
	// TTY is what a program writes to.
	TTY *os.File

	mu   sync.Mutex
	text strings.Builder
}

// NewScreen makes one of 30 lines and 120 columns. It goes with the test.
func NewScreen(t testing.TB) *Screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 120})
	}
	s := &Screen{}
	if err == nil {
		s.TTY, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf) // fails when nobody has the other end open
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		s.TTY.Close()
		reading.Wait()
		master.Close()
	})
	return s
}

// Await is Text, as soon as that is as wanted, or when no more than 10 s of waiting
// have made it so: what a program has written may come after its end.
func (s *Screen) Await(wanted func(text string) bool) string {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if text := s.Text(); wanted(text) || time.Now().After(deadline) {
			return text
		}
	}
}

// Text is all that was written so far.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
