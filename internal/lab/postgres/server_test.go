package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"linehaul/internal/lab"
	"linehaul/internal/lab/postgres"
	"linehaul/internal/leak"
)

var shared postgres.Shared

func TestMain(m *testing.M) { os.Exit(leak.Main(m, shared.End)) }

// connect opens a connection that speaks the simple protocol, as all servers
// here know it.
func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// ask returns the text that a query answers with.
func ask(t *testing.T, c *pgx.Conn, query string) string {
	t.Helper()
	var s string
	if err := c.QueryRow(t.Context(), query).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

func do(t *testing.T, c *pgx.Conn, statement string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// eventually waits until a query answers with want.
func eventually(t *testing.T, c *pgx.Conn, query, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = ask(t, c, query); got == want {
			return
		}
	}
	t.Fatalf("%s: %q, and not %q", query, got, want)
}

// silent fails the test if a query is answered, or refused, in half a second.
// The connection is of no use afterwards.
func silent(t *testing.T, c *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
	defer cancel()
	if _, err := c.Exec(ctx, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query to a server that is held: %v", err)
	}
}

// programs lists the command lines that name a folder: the servers' own name
// its base, as the name of their cluster.
func programs(dir string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), filepath.Base(dir)) {
			found = append(found, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

// TestServer: databases are apart, lines of the configuration count, and root
// is not who runs it.
func TestServer(t *testing.T) {
	t.Parallel()
	s := postgres.Start(t, "fsync = on", "work_mem = 5MB")
	one, two := connect(t, s.NewDatabase(t)), connect(t, s.NewDatabase(t))
	do(t, one, "CREATE TABLE there ()")
	const tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"
	if a, b := ask(t, one, tables), ask(t, two, tables); a != "1" || b != "0" {
		t.Errorf("%s tables in the database where one was made, %s in the other", a, b)
	}
	for name, want := range map[string]string{"fsync": "on", "work_mem": "5MB", "wal_level": "replica", "server_encoding": "UTF8"} {
		if got := ask(t, one, "SHOW "+name); got != want {
			t.Errorf("%s is %s, and not %s", name, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(s.Dir, "data")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder: %v, %v", info, err)
	}
	if err := exec.Command(lab.Path("sh"), "-c", `[ "$(stat -c %u "$1")" != 0 ]`, "sh", filepath.Join(s.Dir, "data", "postmaster.pid")).Run(); err != nil {
		t.Error("root runs the server")
	}
	u, _ := url.Parse(s.URL())
	u.User = url.UserPassword(postgres.User, "wrong")
	if c, err := pgx.Connect(t.Context(), u.String()); err == nil {
		c.Close(t.Context())
		t.Error("any password is right")
	}
}

// TestShared: one server has all databases, and each is gone with its test.
func TestShared(t *testing.T) {
	t.Parallel()
	var urls []string
	for range 2 {
		t.Run("", func(t *testing.T) {
			urls = append(urls, shared.NewDatabase(t))
			connect(t, urls[len(urls)-1]) // which is no hindrance
		})
	}
	one, _ := url.Parse(urls[0])
	two, _ := url.Parse(urls[1])
	if one.Host != two.Host || one.Path == two.Path {
		t.Errorf("not one server and two databases: %s, %s", one, two)
	}
	// The tests beside this one have databases there too.
	names := strings.TrimPrefix(one.Path, "/") + "', '" + strings.TrimPrefix(two.Path, "/")
	if got := ask(t, connect(t, shared.NewDatabase(t)), "SELECT count(*)::text FROM pg_database WHERE datname IN ('"+names+"')"); got != "0" {
		t.Errorf("%s of '%s' are there after their tests", got, names)
	}
}

// TestLife restarts, kills and holds a server: what was committed is there
// again each time, at the same address.
func TestLife(t *testing.T) {
	t.Parallel()
	s := postgres.Start(t)
	database := s.NewDatabase(t)
	do(t, connect(t, database), "CREATE TABLE seen (n int)")
	for n, down := range map[string]func(){
		"1": func() { s.Restart(t) },
		"2": func() { s.Kill(t); s.Restart(t) },
		"3": func() { s.Kill(t); s.Kill(t); s.Restart(t); s.Restart(t) },
		"4": func() { s.Stop(t); s.Restart(t) },
		"5": func() { s.Stop(t); s.Kill(t); s.Restart(t) },
	} {
		c := connect(t, database)
		do(t, c, "INSERT INTO seen VALUES ("+n+")")
		down()
		if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("%s: a connection outlived the server", n)
		}
	}
	s.Kill(t)
	if c, err := pgx.Connect(t.Context(), database); err == nil {
		c.Close(t.Context())
		t.Error("a server answers that was killed")
	}
	s.Restart(t)
	if !strings.Contains(s.Log(), "was not properly shut down") {
		t.Errorf("no recovery after a kill:\n%s", s.Log())
	}
	c := connect(t, database)
	if got := ask(t, c, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM seen"); got != "1 2 3 4 5" {
		t.Errorf("what was committed is %q now", got)
	}
	other := connect(t, database)
	s.Stop(t)
	silent(t, other)
	s.Continue(t)
	if got := ask(t, c, "SELECT 'again'"); got != "again" {
		t.Errorf("a server that goes on says %q", got)
	}
	s.Stop(t) // and is ended all the same
}

// TestNothingLeft looks for processes and data of servers whose tests passed,
// failed, panicked or were killed.
func TestNothingLeft(t *testing.T) {
	if how := os.Getenv("LAB_END"); how != "" {
		leave(t, how)
		return
	}
	t.Parallel()
	lab.Need(t, "pgbouncer")
	for _, how := range []string{"pass", "fail", "panic", "kill"} {
		t.Run(how, func(t *testing.T) {
			temp := lab.Folder(t)
			cmd := exec.Command(os.Args[0], "-test.run", "^TestNothingLeft$")
			cmd.Env = append(os.Environ(), "LAB_END="+how, "TMPDIR="+temp)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			var dirs []string
			for lines := bufio.NewScanner(out); len(dirs) < 3 && lines.Scan(); {
				if dir, ok := strings.CutPrefix(lines.Text(), "lab: "); ok {
					dirs = append(dirs, dir)
				}
			}
			for _, dir := range dirs {
				if n := len(programs(dir)); n < 2 {
					t.Errorf("%d programs of %s were seen: a server and its guard are to be there", n, dir)
				}
			}
			if how == "kill" {
				cmd.Process.Kill()
			}
			in.Close()
			if err := cmd.Wait(); len(dirs) != 3 || (err == nil) != (how == "pass") {
				t.Fatalf("%d servers, and the test ended with %v", len(dirs), err)
			}
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				left, _ := filepath.Glob(filepath.Join(temp, "*", "data"))
				for _, dir := range dirs {
					left = append(left, programs(dir)...)
				}
				if len(left) == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("left behind: %q", left)
				}
			}
		})
	}
}
