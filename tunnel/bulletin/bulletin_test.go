package bulletin_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/leak"
	"linehaul/tunnel/bulletin"
)

const (
	variable = "LINEHAUL_BULLETIN_DIR"
	content  = `{"link":"a"}`
)

// TestMain is also the process that says something and is then killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(variable)
	if dir == "" {
		os.Exit(leak.Main(m))
	}
	b := bulletin.New(dir, "serve", time.Now())
	if err := b.Post(time.Now(), map[string]string{"link": "a"}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte()
	b.Close()
	os.Exit(0)
}

func read(t *testing.T, dir string) []bulletin.Notice {
	t.Helper()
	all, err := bulletin.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tunnels")
	if all := read(t, dir); len(all) != 0 {
		t.Errorf("a folder that is not there: %v", all)
	}
	now := time.Date(2026, 11, 28, 2, 30, 0, 0, time.UTC)
	b := bulletin.New(dir, "tunnel up", now)
	if all := read(t, dir); len(all) != 0 {
		t.Errorf("before anything was said: %v", all)
	}
	for i, text := range []string{"one", "one", "two"} {
		if err := b.Post(now.Add(time.Duration(i)*time.Second), text); err != nil {
			t.Fatal(err)
		}
		all := read(t, dir)
		if len(all) != 1 || string(all[0].Content) != fmt.Sprintf("%q", text) || all[0].PID != os.Getpid() || all[0].Verb != "tunnel up" || !all[0].Started.Equal(now) {
			t.Fatalf("%+v", all)
		}
		if want := now.Add(time.Duration(i/2*2) * time.Second); !all[0].Written.Equal(want) {
			t.Errorf("%q was written at %v, want %v: what is the same is not written again", text, all[0].Written, want)
		}
	}
	b.Close()
	b.Close()
	if err := b.Post(now, "after the end"); err != nil {
		t.Error(err)
	}
	if names := left(t, dir); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}

// TestKilled: what a process has left that was killed is told from what one
// says that lives, and is taken away.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	start := func() (*exec.Cmd, func()) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), variable+"="+dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "ready" {
			t.Fatalf("%q, %v", line, err)
		}
		return cmd, func() { in.Close() }
	}
	first, _ := start()
	second, end := start()
	if all := read(t, dir); len(all) != 2 || string(all[0].Content) != content || all[0].PID != first.Process.Pid {
		t.Fatalf("%+v", all)
	}
	first.Process.Kill()
	first.Wait()
	if all := read(t, dir); len(all) != 1 || all[0].PID != second.Process.Pid {
		t.Fatalf("after the first was killed: %+v", all)
	}
	if names := left(t, dir); len(names) != 2 {
		t.Errorf("left: %q", names)
	}
	end()
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	if all, names := read(t, dir), left(t, dir); len(all)+len(names) != 0 {
		t.Errorf("at the end: %v, %q", all, names)
	}
}

// TestAtOnce: readers that come while others begin and end see nothing broken
// and take nothing away from anybody.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				if _, err := bulletin.Read(dir); err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				b := bulletin.New(dir, "serve", time.Unix(int64(i), 0))
				mine := fmt.Sprintf("%d of %d %s", i, w, strings.Repeat("x", 5000))
				if err := b.Post(time.Now(), mine); err != nil {
					t.Error(err)
				}
				all, err := bulletin.Read(dir)
				found := false
				for _, n := range all {
					found = found || string(n.Content) == fmt.Sprintf("%q", mine)
				}
				if err != nil || !found {
					t.Errorf("what was said is not there: %v", err)
				}
				b.Close()
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if all, names := read(t, dir), left(t, dir); len(all)+len(names) != 0 {
		t.Errorf("at the end: %v, %q", all, names)
	}
}
