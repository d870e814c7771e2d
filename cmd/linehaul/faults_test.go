//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// oldText is what stands under the final name before each fault, and must
// still stand there after it.
const oldText = "the old file, whole\n"

// TestFaults provokes what goes wrong in real life. Each must end with its
// exit code, one line that names the layer and the thing, and a hint on the
// second line; it must leave the old file whole and no temporary file.
func TestFaults(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	s.write(t, "data.bin", make([]byte, 256<<10))
	s.write(t, "secret.bin", []byte("x"))
	if err := os.Chmod(filepath.Join(s.remote, "secret.bin"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(s.remote, "secret.bin"), 0, 0); os.Getuid() == 0 && err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.remote, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := lab.Keygen(t, filepath.Join(t.TempDir(), "other"), "ed25519")
	locked := lab.Keygen(t, filepath.Join(t.TempDir(), "locked"), "ed25519", "-N", "a passphrase")
	notKey := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(notKey, []byte("no key at all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, refused, err := net.SplitHostPort(fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	_, http := listen(t, func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); c.Close() })
	_, closes := listen(t, func(c net.Conn) { c.Close() })
	_, silent := listen(t, func(c net.Conn) { c.Read(make([]byte, 1024)) })

	const file = "data.bin"
	from := func(name string) string { return s.at(s.remote + "/" + name) }
	login := func(extra ...string) []string {
		return append(append([]string{"get"}, s.flags()...), extra...)
	}
	withKey := func(key string) []string {
		return []string{"get", "-i", key, "-P", fmt.Sprint(s.Port), "--host-key", s.Fingerprint(), from(file)}
	}
	withPort := func(port string) []string {
		return []string{"get", "-i", s.key, "-P", port, "--host-key", s.Fingerprint(), "--connect-timeout", "1500ms", "--stall-timeout", "1500ms", from(file)}
	}
	tests := []struct {
		name string
		args []string // the target is added
		code int
		line string // begins so, after "linehaul: "
		has  string // and holds this
	}{
		{"refused port", withPort(refused), 3, "tcp: ", refused},
		{"not SSH", withPort(http), 3, "ssh: ", "HTTP/1.1 400"},
		{"closes at once", withPort(closes), 3, "", closes},
		{"never answers", withPort(silent), 8, "stall: ", silent},
		{"no such name", []string{"get", "-i", s.key, "u@no-such-host.invalid:x"}, 3, "name: ", "no-such-host.invalid"},
		{"unknown host key", []string{"get", "-i", s.key, "-P", fmt.Sprint(s.Port), "--known-hosts", "/dev/null", from(file)}, 5, "host key: ", s.Fingerprint()},
		{"key absent", withKey("/no/such/key"), 6, "key: ", "/no/such/key"},
		{"key is a public key", withKey(s.key + ".pub"), 6, "key: ", "public"},
		{"key is encrypted", withKey(locked), 6, "key: ", "passphrase"},
		{"key is no key", withKey(notKey), 6, "key: ", "notes.txt"},
		{"login refused", withKey(other), 6, "login: ", s.User},
		{"absent remote file", login(from("absent.bin")), 7, "remote file: ", "absent.bin"},
		{"unreadable remote file", login(from("secret.bin")), 7, "remote file: ", "secret.bin"},
		{"folder without -r", login(from("folder")), 7, "remote file: ", "folder"},
		{"nothing matches", login(from("*.nope")), 14, "no match: ", "*.nope"},
		{"absent remote file by SCP", login("--protocol", "scp", from("absent.bin")), 7, "remote file: ", "absent.bin"},
		{"unreadable remote file by SCP", login("--protocol", "scp", from("secret.bin")), 7, "remote file: ", "secret.bin"},
		{"no user", []string{"get", "no-such-host:x"}, 2, "usage: ", "no-such-host"},
		{"both local", []string{"get", "a.txt"}, 2, "usage: ", "a.txt"},
		{"unknown flag", []string{"get", "--no-such-flag", "x"}, 2, "usage: ", "no-such-flag"},
		{"secret on the command line", login("--password", "hunter2-secret", from(file)), 2, "usage: ", "--password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.code == 7 && strings.HasPrefix(tt.name, "unreadable") && os.Getuid() != 0 {
				lab.NeedRoot(t)
			}
			dir := t.TempDir()
			old := filepath.Join(dir, file)
			if err := os.WriteFile(old, []byte(oldText), 0o644); err != nil {
				t.Fatal(err)
			}
			o := linehaul(t, 20*time.Second, append(tt.args, dir+"/")...)
			checkFault(t, o, tt.code, tt.line, tt.has)
			if strings.Contains(o.String(), "hunter2-secret") {
				t.Errorf("the secret is shown: %s", o)
			}
			if got, err := os.ReadFile(old); err != nil || string(got) != oldText {
				t.Errorf("the old file is %q, %v", got, err)
			}
			if left := temporaries(t, dir); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// checkFault holds an outcome against the code, the line and the hint that it
// must have.
func checkFault(t *testing.T, o outcome, code int, line, has string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d: %s", o.code, code, o)
	}
	var said []string
	for l := range strings.Lines(o.stderr) {
		if !strings.HasPrefix(l, "linehaul: warning: ") {
			said = append(said, strings.TrimSuffix(l, "\n"))
		}
	}
	if len(said) != 2 {
		t.Fatalf("want one line and one hint, got %d lines: %s", len(said), o)
	}
	if !strings.HasPrefix(said[0], "linehaul: "+line) || !strings.Contains(said[0], has) {
		t.Errorf("line %q: want %q first and %q in it", said[0], "linehaul: "+line, has)
	}
	if !strings.HasPrefix(said[1], "  hint: ") || len(said[1]) < 20 {
		t.Errorf("second line %q is no hint", said[1])
	}
}

// TestChangedKeyIsNoUnknownKey: both end with 5, at once, with different texts
// that both hold the server's fingerprint and the line to add.
func TestChangedKeyIsNoUnknownKey(t *testing.T) {
	s := newSite(t, lab.SSHD{HostKeys: []string{"ed25519"}})
	s.write(t, "a.txt", []byte("a"))
	wrong := lab.Keygen(t, filepath.Join(t.TempDir(), "wrong"), "ed25519")
	public, err := os.ReadFile(wrong + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "changed")
	line := fmt.Sprintf("[%s]:%d %s", s.Host, s.Port, public)
	if err := os.WriteFile(changed, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pull := func(known string) outcome {
		return linehaul(t, 10*time.Second, "get", "-i", s.key, "-P", fmt.Sprint(s.Port), "--known-hosts", known,
			"--connect-timeout", "5s", s.at(s.remote+"/a.txt"), t.TempDir()+"/")
	}
	unknown, other := pull(empty), pull(changed)
	checkFault(t, unknown, 5, "host key: ", s.Fingerprint())
	checkFault(t, other, 5, "host key: ", s.Fingerprint())
	if unknown.stderr == other.stderr {
		t.Errorf("unknown and changed say the same: %s", unknown.stderr)
	}
	keyLine := strings.Fields(s.KnownHosts())
	if want := strings.Join(keyLine, " "); !strings.Contains(unknown.stderr, want) {
		t.Errorf("the line to add, %q, is not in: %s", want, unknown.stderr)
	}
	for _, o := range []outcome{unknown, other} {
		if o.took > 5*time.Second {
			t.Errorf("took longer than the connect timeout: %s", o)
		}
	}
}

// TestStallInMidFile stops every process of the server in the middle of a
// file. The run must end with 8, within twice the stall timeout.
func TestStallInMidFile(t *testing.T) {
	for _, protocol := range []string{"sftp", "scp"} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite(t, lab.SSHD{})
			path := s.write(t, "big.bin", nil)
			if err := os.Truncate(path, 8<<30); err != nil { // sparse: long enough to be stopped in the middle
				t.Fatal(err)
			}
			dir := t.TempDir()
			old := filepath.Join(dir, "big.bin")
			if err := os.WriteFile(old, []byte(oldText), 0o644); err != nil {
				t.Fatal(err)
			}
			const stall = 3 * time.Second
			done := make(chan time.Time, 1)
			go func() {
				for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
					if parts, _ := filepath.Glob(filepath.Join(dir, ".*.part")); len(parts) > 0 {
						if info, err := os.Stat(parts[0]); err == nil && info.Size() > 1<<20 {
							break
						}
					}
				}
				s.Signal(syscall.SIGSTOP)
				done <- time.Now()
			}()
			o := linehaul(t, time.Minute, append(append([]string{"get", "--protocol", protocol, "--stall-timeout", stall.String(), "--attempts", "1"}, s.flags()...), s.at(path), dir+"/")...)
			waited := time.Since(<-done)
			s.Signal(syscall.SIGCONT)
			checkFault(t, o, 8, "stall: ", s.Host)
			if waited > 2*stall {
				t.Errorf("ended %s after the server stopped, want at most %s", waited, 2*stall)
			}
			if got, err := os.ReadFile(old); err != nil || string(got) != oldText {
				t.Errorf("the old file is %q, %v", got, err)
			}
			// By SFTP, what was moved stays with its journal, to go on with.
			left, want := temporaries(t, dir), 0
			if protocol == "sftp" {
				want = 2
			}
			if len(left) != want {
				t.Errorf("left behind: %q, want %d files", left, want)
			}
		})
	}
}

// inNamespace runs the program inside a mount namespace of its own, after
// setup, and prints what the folder holds afterwards.
func inNamespace(t *testing.T, dir, setup string, args ...string) outcome {
	t.Helper()
	lab.NeedRoot(t)
	lab.Need(t, "unshare", "mount")
	script := `dir=$1; shift
` + setup + `
"$@"; code=$?
echo "--- $(cat "$dir/data.bin" 2>/dev/null)"; ls -A "$dir"
exit $code`
	all := append([]string{"-m", "--propagation", "private", "sh", "-c", script, "sh", dir, program(t)}, args...)
	cmd := exec.Command("unshare", all...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// TestLocalDisk: full, full in mid-file, and names that cannot be.
func TestLocalDisk(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	s.write(t, "data.bin", make([]byte, 4<<20))
	pull := func(protocol, to string) []string {
		return append(append([]string{"get", "--protocol", protocol}, s.flags()...), s.at(s.remote+"/data.bin"), to)
	}
	long := filepath.Join(s.remote, "long")
	if err := os.Mkdir(long, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.write(t, "long/data.bin", nil), 480<<20); err != nil { // sparse
		t.Fatal(err)
	}
	// By SFTP, a full disk is in TestFaultTable.
	t.Run("full by scp", func(t *testing.T) {
		dir := t.TempDir()
		o := inNamespace(t, dir, `mount -t tmpfs -o size=1m none "$dir" && echo old > "$dir/data.bin"`, pull("scp", dir+"/")...)
		checkFault(t, o, 10, "local disk: ", "")
		if !strings.HasSuffix(o.stdout, "--- old\ndata.bin\n") {
			t.Errorf("the old file must stand alone: %s", o)
		}
	})
	// Space enough when the run starts, and taken by another program as soon as
	// it has begun; the file is long enough for that.
	t.Run("full in mid-file by scp", func(t *testing.T) {
		dir := t.TempDir()
		setup := `mount -t tmpfs -o size=512m none "$dir" && echo old > "$dir/data.bin"
		(for i in $(seq 2000); do ls -A "$dir" | grep -q '\.part$' && break; sleep 0.005; done
		 fallocate -l 400M "$dir/other") &`
		args := append(append([]string{"get", "--protocol", "scp"}, s.flags()...), s.at(long+"/data.bin"), dir+"/")
		o := inNamespace(t, dir, setup, args...)
		checkFault(t, o, 10, "local disk: ", "")
		if strings.Contains(o.stdout, ".part") || !strings.Contains(o.stdout, "--- old\n") {
			t.Errorf("a temporary file, or no old file: %s", o)
		}
	})
	t.Run("name too long", func(t *testing.T) {
		dir := t.TempDir()
		o := linehaul(t, 20*time.Second, pull("sftp", filepath.Join(dir, strings.Repeat("x", 300)))...)
		checkFault(t, o, 10, "local disk: ", "xxx")
	})
	t.Run("folder under the name", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "data.bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		o := linehaul(t, 20*time.Second, pull("sftp", dir+"/{name}")...)
		checkFault(t, o, 10, "local disk: ", "data.bin")
	})
	t.Run("absent folder is made", func(t *testing.T) {
		dir := t.TempDir()
		if o := linehaul(t, 20*time.Second, pull("sftp", dir+"/a/b c/{name}")...); o.code != 0 {
			t.Fatal(o)
		}
		if info, err := os.Stat(filepath.Join(dir, "a", "b c", "data.bin")); err != nil || info.Size() != 4<<20 {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// TestAsOrdinaryUser: what root may do anyway must fail for others with a
// clear text.
func TestAsOrdinaryUser(t *testing.T) {
	lab.NeedRoot(t)
	s := newSite(t, lab.SSHD{})
	s.write(t, "data.bin", []byte("x"))
	dir := filepath.Join(s.Dir, "user")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key")
	copyFile(t, s.key, key, 0)
	pull := func(key, to string) outcome {
		cmd := exec.Command(program(t), "get", "-i", key, "-P", fmt.Sprint(s.Port), "--host-key", s.Fingerprint(), s.at(s.remote+"/data.bin"), to)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, []string{"PATH=/usr/bin:/bin"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Run() // the exit code is looked at
		return outcome{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	}
	if err := os.Chmod(filepath.Dir(program(t)), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("unreadable key", func(t *testing.T) {
		checkFault(t, pull(key, "/tmp/"), 6, "key: ", key)
	})
	t.Run("folder without write permission", func(t *testing.T) {
		if err := os.Chown(key, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
		checkFault(t, pull(key, dir+"/"), 10, "local disk: ", "data.bin")
		if left := temporaries(t, dir); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		t.Fatal(err)
	}
}
