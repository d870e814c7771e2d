package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/transfer"
)

// TestBarOnTerminal: a person who looks on sees the file, bytes of how many, the rate
// and the time left, and none of it once the run has ended.
func TestBarOnTerminal(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	plant(t, s.remote, map[string]string{"night ly.bin": strings.Repeat("linehaul", 400<<10)}, 0)
	screen := lab.NewScreen(t)
	cmd := exec.Command(program(t), append(append([]string{"get", "--bandwidth", "1MB/s"}, s.flags()...), s.at(filepath.Join(s.remote, "night ly.bin")), t.TempDir())...)
	cmd.Env = append(cmd.Environ(), "TERM=xterm")
	cmd.Stderr = screen.TTY
	out, err := cmd.Output()
	// The last thing that is done is to go up to the line of the bar and to clear it.
	shown := screen.Await(func(text string) bool {
		return strings.Contains(text[max(0, strings.LastIndex(text, "night")):], "\x1b[J")
	})
	if err != nil || !strings.Contains(string(out), "3.1 MiB") {
		t.Errorf("%v: %s", err, out)
	}
	if !regexp.MustCompile(`0/1 night ly\.bin +\[[=>-]+\] [0-9.]+ [KM]iB / 3\.1 MiB  [0-9.]+ [KM]iB/s  [0-9]+s`).MatchString(shown) {
		t.Errorf("shown: %q", shown)
	}
	if last := shown[max(0, strings.LastIndex(shown, "night")):]; !strings.Contains(last, "\x1b[J") {
		t.Errorf("it stays: %q", last)
	}
}

// TestBarWithoutTotal: of files that are moved while they are still being found, it is
// shown what is there.
func TestBarWithoutTotal(t *testing.T) {
	screen := lab.NewScreen(t)
	b := newBar(screen.TTY, time.Now)
	b.Begin(0, 0)
	item := transfer.Item{}
	item.Entry.Name = "first"
	f := b.File(item)
	f.Moved(3 << 20)
	f.Done(nil)
	item.Entry.Name = "second"
	b.File(item).Moved(1 << 19)
	want := regexp.MustCompile(`\n?1 second +.{0,4} *3\.5 MiB(  [0-9.]+ [KM]iB/s)?\s`)
	if shown := screen.Await(want.MatchString); !want.MatchString(shown) {
		t.Fatalf("shown: %q", shown)
	}
	b.end()
	if shown := screen.Text(); strings.Contains(shown, "/0") || strings.Contains(shown, "/ 0") {
		t.Errorf("shown: %q", shown)
	}
}
