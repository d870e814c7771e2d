package remote_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// startSSHD starts OpenSSH's server and opens its files.
func startSSHD(t *testing.T, o lab.SSHD, protocol remote.Protocol) (transfer.WritableRemote, *remote.Conn, string) {
	t.Helper()
	startsOthers(t)
	key, _ := newKey(t)
	o.AuthorizedKeys, o.HostKeys = []string{key + ".pub"}, []string{"ed25519"}
	o.Tester = os.Getuid() == 0
	s := lab.StartSSHD(t, o)
	h := sshdHost(t, s, key)
	h.Protocol = protocol
	files, c := openFiles(t, h)
	dir := filepath.Join(s.Dir, "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Own(dir)
	return files, c, dir
}

// TestLinks: links of OpenSSH's server are read and made, as they are.
func TestLinks(t *testing.T) {
	files, _, dir := startSSHD(t, lab.SSHD{}, remote.SFTP)
	r := files.(interface {
		transfer.LinkReader
		transfer.LinkMaker
	})
	ctx := t.Context()
	for _, text := range []string{"target", "../up", "/abs/olute", "with space", "-x", "日本"} {
		path := dir + "/link"
		if err := r.Symlink(ctx, text, path); err != nil {
			t.Fatal(err)
		}
		if local, err := os.Readlink(path); err != nil || local != text {
			t.Errorf("made a link to %q (%v), want %q", local, err, text)
		}
		if got, err := r.ReadLink(ctx, path); err != nil || got != text {
			t.Errorf("read %q, %v; want %q", got, err, text)
		}
		if e, err := r.Lstat(ctx, path); err != nil || e.Mode&fs.ModeSymlink == 0 || e.Name != "link" {
			t.Errorf("%+v, %v", e, err)
		}
		if err := r.Symlink(ctx, text, path); !fault.Is(err, fault.RemoteFile) {
			t.Errorf("over another one: %v", err)
		}
		if err := files.Remove(ctx, path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Lstat(ctx, dir+"/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lstat of nothing: %v", err)
	}
	if _, err := r.ReadLink(ctx, dir); !fault.Is(err, fault.RemoteFile) {
		t.Errorf("a folder read as a link: %v", err)
	}
}

// TestClock: a server with a shell tells its time; one without says so soon,
// and the session goes on.
func TestClock(t *testing.T) {
	for name, tt := range map[string]struct {
		o        lab.SSHD
		protocol remote.Protocol
		tells    bool
	}{
		"sftp":        {lab.SSHD{}, remote.SFTP, true},
		"scp":         {lab.SSHD{}, remote.SCP, true},
		"sftp forced": {lab.SSHD{Config: "ForceCommand internal-sftp"}, remote.SFTP, false},
		"one session": {lab.SSHD{Config: "MaxSessions 1"}, remote.SFTP, false},
	} {
		t.Run(name, func(t *testing.T) {
			files, _, dir := startSSHD(t, tt.o, tt.protocol)
			began := time.Now()
			there, err := files.(transfer.Clock).Clock(t.Context())
			if off := time.Until(there).Abs(); (err == nil) != tt.tells || err == nil && off > 30*time.Second {
				t.Errorf("%v (%v off), %v", there, off, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
			if _, err := files.Stat(t.Context(), dir); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	t.Run("no commands", func(t *testing.T) {
		_, h := startServer(t, remotetest.Options{NoExec: true})
		files, c := openFiles(t, h)
		defer c.Close()
		if _, err := files.(transfer.Clock).Clock(t.Context()); err == nil {
			t.Error("a server that runs nothing told its time")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := files.(transfer.Clock).Clock(ctx); err == nil {
			t.Error("after the end of the context")
		}
	})
}
