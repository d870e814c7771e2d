// Package postgres starts a PostgreSQL for tests, which ends with them: a
// server, followers of it, PgBouncer before it, and a line to it that can be
// held or cut.
//
// The server has a data folder of its own below a temporary folder, listens on
// a loopback port of its own, and has nothing to do with a server that the
// machine may have. It refuses to run as root, so that for a test that does,
// it runs as nobody. Its only login is a superuser with a password. The server
// is the newest below /usr/lib/postgresql, or that of PATH; where there is none,
// the test ends as lab.Need says.
//
// All of it is gone after the test, also when the test's process was killed: a
// guard waits for that, see guard. A test that finds no PostgreSQL on Windows
// is skipped, or fails, there too.
package postgres

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"linehaul/internal/lab"
)

// The login of every server, a superuser. The password is there to be looked
// for in what must not show it.
const (
	User     = "linehaul"
	Password = "sesame-Ohf2aiqu"
)

// nobody is the user and group that the server runs as when the test is root.
const nobody = 65534

// patience is how long a server may take to start or to stop. A test on a
// machine that is busy with others is to be slow, and not to fail.
const patience = time.Minute

// A Server is a PostgreSQL that runs beside the test. Its methods may be called
// from any goroutine that may end the test.
type Server struct {
	Dir  string // its folder: data, and the logs
	Port int    // on 127.0.0.1, also after a restart

	bin  string // the folder of PostgreSQL's programs
	data string
	ends []func() // what undoes the start, last first

	mu      sync.Mutex
	process *lab.Process
	starts  int // how often it was started, which counts its logs
	made    int // by NewDatabase
}

// Start makes a server and starts it. The lines of conf are put into its
// postgresql.conf, after those that it has. To be fast, it does not sync its
// files, so that what it has is safe from Kill but not from a power cut; "fsync
// = on" has it do so.
func Start(t testing.TB, conf ...string) *Server {
	t.Helper()
	s := newServer(t)
	t.Cleanup(s.end)
	s.init(t, conf)
	s.launch(t)
	return s
}

// newServer is a server without data, whose end is the caller's.
func newServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{bin: programs(t), Port: lab.FreePort(t)}
	if os.Getuid() == 0 {
		lab.Need(t, "setpriv", "env")
	}
	s.Dir = lab.Folder(owner{t, s})
	s.data = filepath.Join(s.Dir, "data")
	own(t, s.Dir)
	s.guard(t)
	return s
}

// init makes the data folder.
func (s *Server) init(t testing.TB, conf []string) {
	t.Helper()
	password := filepath.Join(s.Dir, "password")
	writeFile(t, password, Password+"\n")
	defer os.Remove(password)
	s.run(t, nil, "initdb", "--pgdata="+s.data, "--username="+User, "--pwfile="+password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	s.configure(t, append([]string{
		"listen_addresses = '127.0.0.1'",
		"unix_socket_directories = ''",
		"cluster_name = '" + filepath.Base(s.Dir) + "'",
		"timezone = 'UTC'",
		"log_timezone = 'UTC'",
		"fsync = off",
		"max_connections = 200",
		"max_wal_senders = 10",
		"wal_sender_timeout = 10s",
		"wal_keep_size = 64MB",
		// Nothing is left in /dev/shm by a server that was killed.
		"dynamic_shared_memory_type = mmap",
	}, conf...))
}

// configure puts lines at the end of the server's configuration, where they
// win.
func (s *Server) configure(t testing.TB, lines []string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("\n" + strings.Join(lines, "\n") + "\n")
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// launch starts the server's process and waits until it answers. What is in
// the way for a moment after a kill, its own memory or its port in another's
// hands, is waited for.
func (s *Server) launch(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		s.starts++
		log := filepath.Join(s.Dir, fmt.Sprintf("postgres-%d.log", s.starts))
		s.process = s.start(t, log, filepath.Join(s.bin, "postgres"), "-D", s.data, "-p", strconv.Itoa(s.Port))
		err := s.await(deadline)
		if err == nil {
			return
		}
		said := s.process.Log()
		passes := strings.Contains(said, "is still in use") || strings.Contains(said, "Address already in use")
		if !passes || time.Now().After(deadline) {
			t.Fatalf("postgres does not answer: %v\n%s", err, said)
		}
	}
}

// await waits until the server takes a login, or its process has ended.
func (s *Server) await(deadline time.Time) error {
	for {
		err := s.Try("SELECT 1")
		if err == nil || time.Now().After(deadline) || s.process.Wait(20*time.Millisecond) {
			return err
		}
	}
}

// Addr is where the server listens, as host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is the database that every server has.
func (s *Server) URL() string { return s.url("postgres") }

func (s *Server) url(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(User, Password), Path: "/" + database,
		Host: s.Addr(), RawQuery: "sslmode=disable",
	}
	return u.String()
}

// NewDatabase makes an empty database and returns its URL. It goes with the
// test, whoever is still in it.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	s.made++
	name := fmt.Sprintf("test_%d", s.made)
	s.mu.Unlock()
	s.Exec(t, "CREATE DATABASE "+name)
	// In vain if the server is gone too.
	t.Cleanup(func() { s.Try("DROP DATABASE " + name + " WITH (FORCE)") })
	return s.url(name)
}

// Exec runs one statement in the database of URL.
func (s *Server) Exec(t testing.TB, statement string) {
	t.Helper()
	if err := s.Try(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Try is Exec for what may fail.
func (s *Server) Try(statement string) error { return try(s.URL(), statement) }

func try(database, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	// The simple protocol, as PgBouncer keeps no prepared statements.
	_, err = c.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	return err
}

// Log returns what the server has printed since it was last started.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Log()
}

// programs returns the folder of PostgreSQL's programs: Debian keeps each
// version's in one of its own, outside of PATH.
func programs(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	version := func(file string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file))))
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) }))
	}
	lab.Need(t, "postgres")
	file, err := filepath.EvalSymlinks(lab.Path("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(file)
}

// as is what a command line starts with, so that it runs as the server's user,
// in a folder that this user may enter. It is empty unless the test is root.
func (s *Server) as() []string {
	if os.Getuid() != 0 {
		return nil
	}
	id := strconv.Itoa(nobody)
	return []string{"env", "--chdir=" + s.Dir, "HOME=" + s.Dir, "setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "--"}
}

// start runs a program beside the test, as the server's user. It ends with the
// server.
func (s *Server) start(t testing.TB, log, program string, args ...string) *lab.Process {
	t.Helper()
	all := slices.Concat(s.as(), []string{program}, args)
	return lab.Start(owner{t, s}, log, nil, all[0], all[1:]...)
}

// run runs one of PostgreSQL's programs to its end, as the server's user.
func (s *Server) run(t testing.TB, env []string, program string, args ...string) {
	t.Helper()
	all := slices.Concat(s.as(), []string{filepath.Join(s.bin, program)}, args)
	lab.RunWith(t, env, all[0], all[1:]...)
}

// end ends the server and undoes all that its start did. It may be called
// again.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		thaw(s.process)
		s.process.Tell(syscall.SIGINT) // fast shutdown (postgres(1), NOTES)
		if !s.process.Wait(patience / 2) {
			s.process.Kill()
		}
	}
	for _, undo := range slices.Backward(s.ends) {
		undo()
	}
	s.ends = nil
}

// An owner is a test whose cleanups are the server's: a server that is shared
// outlives the test that starts it, and one that is restarted by a subtest
// outlives that.
type owner struct {
	testing.TB
	s *Server
}

// Cleanup has f called when the server ends.
func (o owner) Cleanup(f func()) { o.s.ends = append(o.s.ends, f) }

// own gives a file to the server's user.
func own(t testing.TB, path string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, path)
}
