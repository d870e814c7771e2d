package postgres

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
)

// At returns the URL of the same database at another address.
func At(t testing.TB, database, addr string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = addr
	return u.String()
}

// Line puts a line before a database, which can be held (Pause, Resume), cut
// (Cut, Reset, Blackhole), slowed down, and led to another server (Lead), and
// returns the database's URL through it.
func Line(t testing.TB, database string) (line *delay.Line, through string) {
	t.Helper()
	line = listen(t, host(t, database))
	return line, At(t, database, line.Addr())
}

func listen(t testing.TB, target string) *delay.Line {
	t.Helper()
	line, err := delay.Listen(target, delay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	return line
}

func host(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// Bouncer starts a PgBouncer in transaction mode before the server of a
// database, and returns the database's URL through it. Each transaction gets
// any of so many connections to the server, so that nothing of a session
// outlives one: no LISTEN, no advisory lock of the session, no prepared
// statement.
func Bouncer(t testing.TB, database string, connections int) string {
	t.Helper()
	lab.Need(t, "pgbouncer")
	s := newServer(t) // no PostgreSQL, but its user, folder, port and guard
	t.Cleanup(s.end)
	if err := os.Mkdir(s.data, 0o755); err != nil { //nolint:gosec // the server's user must enter
		t.Fatal(err)
	}
	own(t, s.data)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(s.Dir, "users")
	writeFile(t, users, fmt.Sprintf("%q %q\n", User, Password))
	config := filepath.Join(s.Dir, "pgbouncer.ini")
	writeFile(t, config, strings.NewReplacer("%H", u.Hostname(), "%P", u.Port(), "%p", strconv.Itoa(s.Port),
		"%U", users, "%N", strconv.Itoa(connections)).Replace(`[databases]
* = host=%H port=%P
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %p
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %U
pool_mode = transaction
default_pool_size = %N
max_client_conn = 500
`))
	// In its data folder, by which the guard knows what to end.
	p := s.start(t, filepath.Join(s.Dir, "pgbouncer.log"), "sh", "-c", `cd "$1" && exec "$2" "$3"`, "sh", s.data, lab.Path("pgbouncer"), config)
	through := At(t, database, s.Addr())
	for deadline := time.Now().Add(patience); ; {
		err := try(through, "SELECT 1")
		if err == nil {
			return through
		}
		if time.Now().After(deadline) || p.Wait(20*time.Millisecond) {
			t.Fatalf("pgbouncer does not answer: %v\n%s", err, p.Log())
		}
	}
}
