//go:build unix

package winsvc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
)

// listenNotify listens as systemd does, and points $NOTIFY_SOCKET there.
func listenNotify(t *testing.T, name string) <-chan string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	got := make(chan string, 10)
	go func() {
		defer close(got)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			got <- string(buf[:n])
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		for range got {
		}
	})
	return got
}

// socketName is short: the path of a socket has 104 bytes at most.
func socketName(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestNotifies(t *testing.T) {
	names := map[string]string{"path": socketName(t)}
	if runtime.GOOS == "linux" {
		names["abstract"] = "@linehaul-test-" + filepath.Base(filepath.Dir(names["path"]))
	}
	for kind, name := range names {
		t.Run(kind, func(t *testing.T) {
			got := listenNotify(t, name)
			want := func(message string) {
				t.Helper()
				select {
				case m := <-got:
					if m != message {
						t.Errorf("systemd was told %q, want %q", m, message)
					}
				case <-time.After(5 * time.Second):
					t.Fatalf("systemd was not told %q", message)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reload, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				ended <- Run(ctx, "linehaul", func(ctx context.Context, ready func()) error {
					ready()
					<-reload
					if err := Reloading(); err != nil {
						t.Error(err)
					}
					ready()
					<-ctx.Done()
					return nil
				}, Options{})
			}()
			want("READY=1")
			reload <- struct{}{}
			want("RELOADING=1")
			want("READY=1")
			cancel()
			want("STOPPING=1")
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestNotifyFails: a service runs on if systemd cannot be told.
func TestNotifyFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	var log bytes.Buffer
	bad := fault.New(fault.Config, "no such key")
	err := Run(t.Context(), "", func(_ context.Context, ready func()) error {
		ready()
		time.Sleep(20 * time.Millisecond)
		return bad
	}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if !errors.Is(err, bad) {
		t.Errorf("Run: %v", err)
	}
	if !strings.Contains(log.String(), "telling systemd failed") {
		t.Errorf("nobody would know:\n%s", log.String())
	}
}

func TestNotifiesNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Reloading(); err != nil {
		t.Error(err)
	}
}
