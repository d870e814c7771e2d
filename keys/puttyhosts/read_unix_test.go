//go:build !windows

package puttyhosts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// places are settings of the environment, where DIR is a folder with what they
// need, and the file that PuTTY then reads.
func places() []struct {
	name string
	make []string
	env  map[string]string
	want string
} {
	return []struct {
		name string
		make []string
		env  map[string]string
		want string
	}{
		{"home", []string{".putty"}, nil, ".putty/sshhostkeys"},
		{"config below home", []string{".putty", ".config/putty"}, nil, ".config/putty/sshhostkeys"},
		{"XDG", []string{".putty", ".config/putty", "x/putty"}, map[string]string{"XDG_CONFIG_HOME": "DIR/x"}, "x/putty/sshhostkeys"},
		{"XDG without a folder of PuTTY's", []string{".putty", ".config/putty", "x"}, map[string]string{"XDG_CONFIG_HOME": "DIR/x"}, ".putty/sshhostkeys"},
		{"a folder named", []string{".putty", "d"}, map[string]string{"PUTTYDIR": "DIR/d"}, "d/sshhostkeys"},
		{"a file named", []string{".putty", "d"}, map[string]string{"PUTTYDIR": "DIR/d", "PUTTYSSHHOSTKEYS": "DIR/f"}, "f"},
	}
}

// TestPlace: the file is looked for where PuTTY looks for it. The real plink is
// the oracle: it opens its file of host keys when it meets a server.
func TestPlace(t *testing.T) {
	lab.Need(t, "plink", "sshd")
	s := lab.StartSSHD(t, lab.SSHD{})
	for _, tt := range places() {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, m := range tt.make {
				if err := os.MkdirAll(filepath.Join(dir, m), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			env := map[string]string{"HOME": dir}
			for k, v := range tt.env {
				env[k] = strings.ReplaceAll(v, "DIR", dir)
			}
			want := filepath.Join(dir, tt.want)
			if got := cacheFile(func(name string) string { return env[name] }); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if _, err := Read(func(name string) string { return env[name] }); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("no cache yet: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, lab.Path("plink"), "-ssh", "-noagent", "-P", portOf(s.Addr), "-l", "nobody", s.Host, "true")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			for k, v := range env {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			cmd.Stdin = strings.NewReader("y\n")
			out, _ := cmd.CombinedOutput() // the login fails: the server takes no password
			cache, err := Read(func(name string) string { return env[name] })
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if cache.Source != want || len(cache.Entries) != 1 || len(cache.Problems) != 0 {
				t.Errorf("%+v\n%s", cache, out)
			}
		})
	}
	if _, err := Read(func(string) string { return "" }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without HOME: %v", err)
	}
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// TestFIFO: a FIFO nobody writes to is refused and not waited for.
func TestFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := ReadFile(fifo)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting for the FIFO")
	}
}
