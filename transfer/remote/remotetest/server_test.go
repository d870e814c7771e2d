package remotetest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/transfer/remote/remotetest"
)

// start serves a folder to a new key and to a password.
func start(t *testing.T, o remotetest.Options) (s *remotetest.Server, root, key string) {
	t.Helper()
	key = lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	line, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	o.Root, o.Password, o.AuthorizedKeys = t.TempDir(), lab.Password, []ssh.PublicKey{public}
	s, err = remotetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, o.Root, key
}

// run runs a client and returns whether it was content.
func run(t *testing.T, program string, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s: %v %s", program, err, out)
	return err == nil
}

// TestClients lets OpenSSH's scp and sftp and PuTTY's pscp get and put, by
// each protocol, single files and folders.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts other programs")
	}
	lab.Need(t, "scp", "pscp")
	s, root, key := start(t, remotetest.Options{})
	host, port, _ := strings.Cut(s.Addr(), ":")
	known := filepath.Join(t.TempDir(), "known_hosts")
	hostLine := "[" + host + "]:" + port + " " + string(ssh.MarshalAuthorizedKey(s.HostKey()))
	if err := os.WriteFile(known, []byte(hostLine), 0o600); err != nil {
		t.Fatal(err)
	}
	openssh := func(mode string) func(...string) bool {
		return func(args ...string) bool {
			return run(t, "scp", append([]string{mode, "-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + known, "-P", port, "-p"}, args...)...)
		}
	}
	putty := func(mode string) func(...string) bool {
		return func(args ...string) bool {
			return run(t, "pscp", append([]string{mode, "-batch", "-pw", lab.Password, "-P", port, "-hostkey", ssh.FingerprintSHA256(s.HostKey()), "-p"}, args...)...)
		}
	}
	at := time.Unix(1580608922, 0)
	for name, client := range map[string]func(...string) bool{
		"scp -s": openssh("-s"), "scp -O": openssh("-O"), "pscp -sftp": putty("-sftp"), "pscp -scp": putty("-scp"),
	} {
		t.Run(name, func(t *testing.T) {
			local := t.TempDir()
			data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
			for _, file := range []string{filepath.Join(root, "down"), filepath.Join(local, "up"), filepath.Join(local, "tree", "sub", "f")} {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, data, 0o640); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(file, at, at); err != nil {
					t.Fatal(err)
				}
			}
			target := "jephe@" + host + ":"
			if !client(target+"down", filepath.Join(local, "down")) {
				t.Error("cannot get")
			}
			if !client(filepath.Join(local, "up"), target+"up") {
				t.Error("cannot put")
			}
			// PuTTY's SFTP wants the folder to be there.
			folder := "t-" + strings.ReplaceAll(name, " ", "")
			if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
				t.Fatal(err)
			}
			if !client("-r", filepath.Join(local, "tree"), target+folder) {
				t.Error("cannot put a folder")
			}
			if !client("-r", target+folder, filepath.Join(local, "back")) {
				t.Error("cannot get a folder")
			}
			if client(target+"absent", filepath.Join(local, "absent")) {
				t.Error("got what is not there")
			}
			back := filepath.Join(local, "back", "tree", "sub", "f")
			for _, file := range []string{filepath.Join(local, "down"), filepath.Join(root, "up"), back} {
				got, err := os.ReadFile(file)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes, %v", file, len(got), err)
					continue
				}
				if info, err := os.Stat(file); err != nil || !info.ModTime().Equal(at) {
					t.Errorf("%s: %v, %v", file, info.ModTime(), err)
				}
			}
		})
	}
}

// TestConfined: no path and no link leads out of the served folder, and
// nothing is a shell.
func TestConfined(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts other programs")
	}
	lab.Need(t, "ssh", "scp")
	s, root, key := start(t, remotetest.Options{})
	host, port, _ := strings.Cut(s.Addr(), ":")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	common := []string{"-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + filepath.Join(t.TempDir(), "known"), "-o", "LogLevel=ERROR"}
	target := "x@" + host
	for _, mode := range []string{"-O", "-s"} {
		for _, path := range []string{"link", outside, "../../../../../.." + outside} {
			got := filepath.Join(t.TempDir(), "got")
			if run(t, "scp", append(common, mode, "-P", port, target+":"+path, got)...) {
				t.Errorf("scp %s %s got out", mode, path)
			}
			if run(t, "scp", append(common, mode, "-P", port, key, target+":"+path+"/x")...) {
				t.Errorf("scp %s wrote to %s", mode, path)
			}
		}
	}
	for _, command := range []string{"id", "scp -f x; id", "mv a $(id)", "`id`", "sh -c id", "test", "", "scp", "mv 'a"} {
		if run(t, "ssh", append(common, "-p", port, target, "true && "+command)...) || run(t, "ssh", append(common, "-p", port, target, command)...) {
			t.Errorf("%q was run", command)
		}
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "secret" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestStops: Close ends what is under way, and may be called again; so does
// the end of the context.
func TestStops(t *testing.T) {
	s, _, _ := start(t, remotetest.Options{Faults: remotetest.Faults{Silent: true}})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := remotetest.Start(t.Context(), remotetest.Options{Root: filepath.Join(t.TempDir(), "absent")}); err == nil {
		t.Error("serves what is not there")
	}
	if _, err := remotetest.Start(t.Context(), remotetest.Options{Root: t.TempDir(), Listen: "192.0.2.1:22"}); err == nil {
		t.Error("listens where this machine is not")
	}
}
