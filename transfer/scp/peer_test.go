//go:build unix

package scp_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/transfer/scp"
)

// startScp runs OpenSSH's own source or sink and returns its two ends.
func startScp(t *testing.T, command string) (io.Reader, io.WriteCloser, func() error) {
	t.Helper()
	lab.Need(t, "scp", "sh")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
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
	return out, in, cmd.Wait
}

// TestRealSource reads a tree that OpenSSH sends, then only its listing.
func TestRealSource(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a $(dir)")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789abcdef", 20000)
	for name, text := range map[string]string{"a b": "hello", "empty": "", "sub/big": big} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Unix(1580608922, 0)
	if err := os.Chtimes(filepath.Join(dir, "a b"), at, at); err != nil {
		t.Fatal(err)
	}
	arg, name, err := scp.Target(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, w, wait := startScp(t, scp.SourceCommand(arg, true))
	got := map[string]string{}
	rcv := scp.NewReceiver(r, w, scp.ReceiveOptions{Recursive: true, Name: name})
	for {
		rec, err := rcv.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Name == "a b" && !rec.MTime.Equal(at) {
			t.Errorf("mtime %v", rec.MTime)
		}
		if rec.Kind == scp.End {
			continue
		}
		body, err := rcv.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == scp.File {
			data, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			got[rec.Name] = string(data)
		}
	}
	w.Close()
	if err := wait(); err != nil {
		t.Error("scp: ", err)
	}
	if len(got) != 3 || got["a b"] != "hello" || got["big"] != big {
		t.Errorf("got %d files", len(got))
	}

	r, w, wait = startScp(t, scp.SourceCommand(arg, true))
	rcv = scp.NewReceiver(r, w, scp.ReceiveOptions{Recursive: true, Name: name})
	var names []string
	for rec, err := rcv.Next(); err == nil; rec, err = rcv.Next() {
		if rec.Name == name {
			rcv.Accept()
		} else if rec.Kind != scp.End {
			names = append(names, rec.Name)
		}
	}
	w.Close()
	wait() // refused entries make it end with status 1
	slices.Sort(names)
	if !slices.Equal(names, []string{"a b", "empty", "sub"}) {
		t.Errorf("listed %q", names)
	}
}

// TestRealSink sends files to OpenSSH's sink, one of which it must refuse.
func TestRealSink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "taken", "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, w, wait := startScp(t, "scp -t -r -p -- "+scp.Quote(dir))
	s := scp.NewSender(r, w)
	at := time.Unix(1580608922, 0)
	body := strings.Repeat("x", 100000)
	if err := s.SendFile(scp.Record{Name: "f", Mode: 0o604, Size: int64(len(body)), MTime: at}, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if err := s.SendFile(scp.Record{Name: "taken", Mode: 0o600, Size: 1}, strings.NewReader("x")); err == nil {
		t.Error("a folder was overwritten")
	}
	if err := s.Mkdir(scp.Record{Name: "d", Mode: 0o700, MTime: at}); err != nil {
		t.Fatal(err)
	}
	if err := s.SendFile(scp.Record{Name: "g", Mode: 0o600}, strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	if err := s.EndDir(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	wait()
	got, err := os.ReadFile(filepath.Join(dir, "f"))
	if err != nil || string(got) != body {
		t.Errorf("f: %d bytes, %v", len(got), err)
	}
	info, err := os.Stat(filepath.Join(dir, "f"))
	if err != nil || info.Mode() != 0o604 || !info.ModTime().Equal(at) {
		t.Errorf("f: %v %v %v", info.Mode(), info.ModTime(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "d")); err != nil || !info.ModTime().Equal(at) {
		t.Errorf("d: %v %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "d", "g")); err != nil {
		t.Error(err)
	}
}
