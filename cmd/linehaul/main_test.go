package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"linehaul/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"linehaul": func() { os.Exit(run()) }})
}

// binary builds linehaul as it is shipped, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "linehaul-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "linehaul")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// program returns the path of the built program.
func program(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// outcome is how a run of the program ended.
type outcome struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("exit %d after %s\nstdout: %s\nstderr: %s", o.code, o.took.Round(time.Millisecond), o.stdout, o.stderr)
}

// linehaul runs the built program with a standard input that never ends, so
// that whatever prompts would hang until the limit.
func linehaul(t testing.TB, limit time.Duration, args ...string) outcome {
	t.Helper()
	path := program(t) // building it takes longer than any limit
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err = cmd.Run()
	o := outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
	if ctx.Err() != nil {
		t.Fatalf("linehaul %s did not end within %s: %v\n%s", strings.Join(args, " "), limit, err, o)
	}
	return o
}

// site is a real SSH server with a login, as the tests of whole runs need it.
type site struct {
	*lab.Server
	key    string // private key file
	remote string // a folder on the server that the login may write
}

// newSite starts a server. As root the login is an ordinary user's.
func newSite(t *testing.T, o lab.SSHD) *site {
	t.Helper()
	lab.Need(t, "sshd", "ssh-keygen")
	s := &site{key: lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")}
	o.AuthorizedKeys = append(o.AuthorizedKeys, s.key+".pub")
	o.Tester = os.Getuid() == 0
	s.Server = lab.StartSSHD(t, o)
	s.remote = filepath.Join(s.Dir, "data")
	if err := os.Mkdir(s.remote, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Own(s.remote)
	return s
}

// flags are those that log in to the site.
func (s *site) flags() []string {
	return []string{"-i", s.key, "-P", fmt.Sprint(s.Port), "--host-key", s.Fingerprint()}
}

// at spells a path on the site.
func (s *site) at(path string) string { return s.User + "@" + s.Host + ":" + path }

// write puts a file into the site's folder, as its user's own.
func (s *site) write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(s.remote, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	s.Own(path)
	return path
}

// temporaries lists the temporary files of ours below a folder.
func temporaries(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".") && slices.Contains([]string{".part", ".todo", ".old"}, filepath.Ext(d.Name())) {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

// listen accepts connections and gives each to serve, until the test ends.
func listen(t testing.TB, serve func(net.Conn)) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { serve(c) })
		}
	})
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
