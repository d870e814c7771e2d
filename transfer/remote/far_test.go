package remote_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// TestFarAway: on a line that is long, with sessions opened ahead and the first
// question asked without waiting for the greeting, a server that allows few sessions
// still has room for as many as it allows.
func TestFarAway(t *testing.T) {
	startsOthers(t)
	for _, tt := range []struct {
		most   int
		begins bool // further ones ahead
	}{{1, false}, {2, false}, {10, false}, {1, true}, {2, true}, {10, true}} {
		most := tt.most
		t.Run(fmt.Sprint(most, " ", tt.begins), func(t *testing.T) {
			t.Parallel()
			s, p := farAway(t, lab.SSHD{Config: "MaxSessions " + strconv.Itoa(most)}, remote.Spread{Connections: 1, Sessions: tt.begins})
			c := p.First()
			file := filepath.Join(s.Dir, "some file")
			if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.ToSlash(file)
			files, err := c.FilesAhead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if e, err := files.Stat(t.Context(), path); err != nil || e.Size != 7 || remote.Unanswered(files) {
				t.Fatalf("%+v, %v", e, err)
			}
			trip := files.(interface{ RoundTrip() time.Duration }).RoundTrip()
			if trip < 60*time.Millisecond || trip > 400*time.Millisecond {
				t.Errorf("a round trip of %v, where it is 80ms", trip)
			}
			more, err := crowd(t, p, false, filepath.ToSlash(s.Dir))
			want := min(most, 9) - 1
			if tt.begins {
				want = most - 1
			}
			if len(more) != want {
				t.Errorf("%d sessions more, want %d; then %v", len(more), want, err)
			}
		})
	}
}

// farHost is an sshd behind a long line.
func farHost(t *testing.T, o lab.SSHD) (*lab.Server, remote.Host) {
	t.Helper()
	key, _ := newKey(t)
	o.AuthorizedKeys, o.HostKeys = []string{key + ".pub"}, []string{"ed25519"}
	s := lab.StartSSHD(t, o)
	line, err := delay.Listen(s.Addr, delay.Options{RTT: 80 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	h := sshdHost(t, s, key)
	far := hostAt(line.Addr())
	h.Address, h.Port = far.Address, far.Port
	return s, h
}

// farAway connects to it.
func farAway(t *testing.T, o lab.SSHD, spread remote.Spread) (*lab.Server, *remote.Pool) {
	t.Helper()
	s, h := farHost(t, o)
	p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, h, spread, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return s, p
}

// TestBegunAhead: where that is asked for, all sessions that are to be had are begun
// beside the first one, before anybody needs them, and are those that are used then.
func TestBegunAhead(t *testing.T) {
	startsOthers(t)
	for _, begins := range []bool{false, true} {
		t.Run(fmt.Sprint(begins), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			program, seen := filepath.Join(dir, "server"), filepath.Join(dir, "begun")
			script := "#!/bin/sh\necho >>" + seen + "\nfor p in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec; do\n" +
				"  test -x $p/sftp-server && exec $p/sftp-server\ndone\n"
			if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			_, p := farAway(t, lab.SSHD{NoSFTP: true, Config: "Subsystem sftp " + program}, remote.Spread{Connections: 1, Sessions: begins})
			if _, err := p.First().FilesAhead(t.Context()); err != nil {
				t.Fatal(err)
			}
			begun := func() int {
				lines, err := os.ReadFile(seen)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				return len(lines)
			}
			want := 1
			if begins {
				want = 10
			}
			for deadline := time.Now().Add(10 * time.Second); begun() < want && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			if n := begun(); n != want {
				t.Errorf("%d sessions are begun, want %d", n, want)
			}
			more, err := crowd(t, p, false, "/")
			if want = max(9, want); len(more) != want-1 || begun() != want {
				t.Errorf("%d sessions more, %d begun in all, want %d; then %v", len(more), begun(), want, err)
			}
		})
	}
}

// TestBegunForNothing: a server without the subsystem is reached in another way all
// the same, and what was begun is ended.
func TestBegunForNothing(t *testing.T) {
	startsOthers(t)
	s, p := farAway(t, lab.SSHD{NoSFTP: true}, remote.Spread{Connections: 1, Sessions: true})
	files, err := p.First().FilesAhead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.ToSlash(s.Dir)
	if e, err := files.Stat(t.Context(), path); err != nil || !e.Mode.IsDir() {
		t.Errorf("%+v, %v", e, err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		more, err := crowd(t, p, false, path)
		if len(more) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no session more: %v", err)
		}
	}
}

// TestUnanswered: a server that says that it begins SFTP, and does not, is noticed with
// the first question, and reached in another way once that is known.
func TestUnanswered(t *testing.T) {
	startsOthers(t)
	for name, program := range map[string]string{"ends": "/bin/false", "says something else": "/bin/echo nobody may do that here", "says nothing": "/bin/sleep 60"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h := farHost(t, lab.SSHD{NoSFTP: true, Config: "Subsystem sftp " + program})
			files, err := connect(t, h).FilesAhead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.ToSlash(s.Dir)
			if e, err := files.Stat(t.Context(), path); err == nil || !remote.Unanswered(files) {
				t.Errorf("%+v, %v, unanswered: %t", e, err, remote.Unanswered(files))
			}
			files, _ = openFiles(t, h)
			if e, err := files.Stat(t.Context(), path); err != nil || !e.Mode.IsDir() || remote.Unanswered(files) {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
}
