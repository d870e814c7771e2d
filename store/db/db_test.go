package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/postgres"
	"linehaul/internal/leak"
	"linehaul/store/db"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m, shared.End)) }

// shared is the PostgreSQL of all tests.
var shared postgres.Shared

func at() time.Time { return time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC) }

// both runs a test with a place of each kind.
func both(t *testing.T, do func(t *testing.T, p db.Place)) {
	t.Run("sqlite", func(t *testing.T) { do(t, db.Place{Dir: t.TempDir(), Now: at}) })
	t.Run("postgres", func(t *testing.T) { do(t, db.Place{URL: shared.NewDatabase(t), Now: at}) })
}

func open(t *testing.T, p db.Place) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// numbers are what a query finds in one column.
func numbers(t *testing.T, c db.Conn, query string, args ...any) (all []int64) {
	t.Helper()
	err := c.Each(t.Context(), query, args, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		all = append(all, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestStatements: what is written is read on both, alone and in transactions, and
// what a failed transaction wrote is not there.
func TestStatements(t *testing.T) {
	both(t, func(t *testing.T, p db.Place) {
		d := open(t, p)
		ctx := t.Context()
		insert := "INSERT INTO lh_schedule (job, last) VALUES ($1, $2)"
		if n, err := d.Exec(ctx, insert, "a", 1); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		refused := errors.New("no")
		for name, want := range map[string]error{"b": nil, "c": refused} {
			err := d.Tx(ctx, func(tx *db.Tx) error {
				if _, err := tx.Exec(ctx, insert, name, 2); err != nil {
					return err
				}
				if got := numbers(t, tx, "SELECT last FROM lh_schedule WHERE job = $1", name); !slices.Equal(got, []int64{2}) {
					t.Errorf("within the transaction: %d", got)
				}
				return want
			})
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		if got := numbers(t, d, "SELECT last FROM lh_schedule ORDER BY job"); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("there is %d", got)
		}
		// Names compare by their bytes: an underscore comes after Z and before a.
		for i, name := range []string{"Z", "_", "é", "z"} {
			if _, err := d.Exec(ctx, insert, name, 10+i); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := numbers(t, d, "SELECT last FROM lh_schedule ORDER BY job"), []int64{10, 11, 1, 2, 13, 12}; !slices.Equal(got, want) {
			t.Errorf("in the order %d, want %d", got, want)
		}
		var now int64
		if found, err := db.One(ctx, d, "SELECT "+d.Kind().Clock(), nil, &now); !found || err != nil || time.Since(time.UnixMilli(now)).Abs() > time.Hour {
			t.Errorf("its clock says %v, %v", time.UnixMilli(now), err)
		}
		if _, err := d.Exec(ctx, "SELECT nonsense"); err == nil || fault.KindOf(err) == fault.TCP {
			t.Errorf("nonsense: %v", err)
		}
		if problems, err := d.Check(ctx); len(problems) > 0 || err != nil {
			t.Errorf("a good database: %q, %v", problems, err)
		}
	})
}

// TestOpenAtOnce: many open a new database at once, and each finds it whole.
func TestOpenAtOnce(t *testing.T) {
	both(t, func(t *testing.T, p db.Place) {
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				d, err := db.Open(t.Context(), p)
				if err != nil {
					t.Error(err)
					return
				}
				defer d.Close()
				if step, err := d.Schema(t.Context()); step != db.Version() || err != nil {
					t.Errorf("the schema is %d, %v", step, err)
				}
			})
		}
		group.Wait()
		if got := numbers(t, open(t, p), "SELECT count(*) FROM lh_schema"); got[0] != int64(db.Version()) {
			t.Errorf("%d steps", got)
		}
	})
}

// TestNewer: the schema of a newer linehaul is refused, and left as it is.
func TestNewer(t *testing.T) {
	both(t, func(t *testing.T, p db.Place) {
		d := open(t, p)
		if _, err := d.Exec(t.Context(), "INSERT INTO lh_schema (step, at) VALUES ($1, 0)", db.Version()+1); err != nil {
			t.Fatal(err)
		}
		p.SetAside = true
		_, err := db.Open(t.Context(), p)
		if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), fmt.Sprintf("its schema is %d, and this one knows %d", db.Version()+1, db.Version())) {
			t.Errorf("opened: %v", err)
		}
	})
}

// TestDamaged: a file that is no database, or a damaged one, is an error for who
// reads, and set aside, with all that is in it, for who runs jobs.
func TestDamaged(t *testing.T) {
	for name, text := range map[string]string{"nonsense": strings.Repeat("nonsense", 1000), "cut off": "SQLite format 3\x00\x10\x00\x02\x02"} {
		t.Run(name, func(t *testing.T) {
			p := db.Place{Dir: t.TempDir(), Now: at}
			path := filepath.Join(p.Dir, db.FileName)
			for n := range 2 {
				if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
				p.SetAside = false
				if _, err := db.Open(t.Context(), p); !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "is damaged") {
					t.Errorf("opened: %v", err)
				}
				p.SetAside = true
				d, err := db.Open(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				want := path + ".damaged-20261128T210000Z"
				if n > 0 {
					want += "-1"
				}
				if d.Aside() != want {
					t.Errorf("set aside as %q, want %q", d.Aside(), want)
				}
				if data, err := os.ReadFile(want); err != nil || string(data) != text {
					t.Errorf("what is aside is not what there was: %d bytes, %v", len(data), err)
				}
				if _, err := d.Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ('a', 1)"); err != nil {
					t.Error(err)
				}
				d.Close()
			}
		})
	}
}

// TestCheckFinds: damage within a file that opens is found by Check.
func TestCheckFinds(t *testing.T) {
	p := db.Place{Dir: t.TempDir(), Now: at}
	d := open(t, p)
	for i := range 500 {
		if _, err := d.Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ($1, 1)", strings.Repeat("x", 100)+fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt([]byte(strings.Repeat("y", 3000)), info.Size()-6000)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	problems, err := open(t, p).Check(t.Context())
	if err != nil || len(problems) == 0 {
		t.Errorf("found %q, %v", problems, err)
	}
}

// TestBackup: a copy that is made while others write is whole, and replaces
// nothing.
func TestBackup(t *testing.T) {
	p := db.Place{Dir: filepath.Join(t.TempDir(), "a b? #%"), Now: at}
	d := open(t, p)
	other := open(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			err := other.Tx(ctx, func(tx *db.Tx) error {
				for _, half := range []string{"l", "r"} {
					if _, err := tx.Exec(ctx, "INSERT INTO lh_schedule (job, last) VALUES ($1, $2)", fmt.Sprint(half, n), n); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	to := t.TempDir()
	for n := range 5 {
		if err := d.Backup(t.Context(), filepath.Join(to, fmt.Sprint(n), db.FileName)); err == nil {
			t.Error("into a folder that is not there")
		}
		if err := os.Mkdir(filepath.Join(to, fmt.Sprint(n)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := d.Backup(t.Context(), filepath.Join(to, fmt.Sprint(n), db.FileName)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	writer.Wait()
	for n := range 5 {
		back := open(t, db.Place{Dir: filepath.Join(to, fmt.Sprint(n)), Now: at})
		left, right := numbers(t, back, "SELECT count(*) FROM lh_schedule WHERE job LIKE 'l%'"), numbers(t, back, "SELECT count(*) FROM lh_schedule WHERE job LIKE 'r%'")
		if left[0] != right[0] {
			t.Errorf("copy %d has half a transaction: %d and %d", n, left, right)
		}
	}
	if err := d.Backup(t.Context(), filepath.Join(to, "0", db.FileName)); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("over a file: %v", err)
	}
}

// TestBusy: while another program holds an SQLite for longer than anybody waits,
// the error says so.
func TestBusy(t *testing.T) {
	p := db.Place{Dir: t.TempDir(), Now: at}
	d, other := open(t, p), open(t, p)
	err := other.Tx(t.Context(), func(tx *db.Tx) error {
		_, err := d.Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ('a', 1)")
		return err
	})
	if !fault.Is(err, fault.LocalDisk) || !strings.Contains(fault.HintOf(err), "another program holds it") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

// TestPostgresRestart: statements wait while PostgreSQL is away, and none is lost
// or done by halves.
func TestPostgresRestart(t *testing.T) {
	server := postgres.Start(t)
	d := open(t, db.Place{URL: server.NewDatabase(t), Now: at})
	stop := make(chan struct{})
	var writer sync.WaitGroup
	done := 0
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := d.Tx(t.Context(), func(tx *db.Tx) error {
				// It bears being done twice.
				for i := range 2 {
					if _, err := tx.Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ($1, 0) ON CONFLICT (job) DO NOTHING", fmt.Sprintf("%d-%d", done, i)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			done++
		}
	})
	server.Restart(t)
	server.Kill(t)
	server.Restart(t)
	close(stop)
	writer.Wait()
	if got := numbers(t, d, "SELECT count(*) FROM lh_schedule"); got[0] != int64(2*done) || done == 0 {
		t.Errorf("%d rows of %d transactions", got, done)
	}
}

// TestPostgresAway: where nobody listens, or does not let us in, the error says
// so by layer, and has no password.
func TestPostgresAway(t *testing.T) {
	good := shared.NewDatabase(t)
	for name, tt := range map[string]struct {
		url  string
		kind fault.Kind
	}{
		"nobody listens": {postgres.At(t, good, "127.0.0.1:1"), fault.TCP},
		"wrong password": {strings.Replace(good, postgres.Password, "wrong-"+postgres.Password, 1), fault.Config},
		"no database":    {good + "x", fault.Config},
		"no address":     {"postgres://u:" + postgres.Password + "@[::1", fault.Config},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := db.Open(ctx, db.Place{URL: tt.url, Now: at})
		cancel()
		if !fault.Is(err, tt.kind) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, %v", name, fault.KindOf(err), err)
		}
		if strings.Contains(fmt.Sprint(err, fault.HintOf(err)), postgres.Password) {
			t.Errorf("%s: the password is in %v", name, err)
		}
	}
}

// TestPostgresHeld: a line that swallows everything ends a statement in its time.
func TestPostgresHeld(t *testing.T) {
	line, url := postgres.Line(t, shared.NewDatabase(t))
	d := open(t, db.Place{URL: url, Now: at})
	line.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := d.Exec(ctx, "SELECT 1")
	if !fault.Is(err, fault.TCP) {
		t.Errorf("got %v", err)
	}
	line.Resume()
	if _, err := d.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("it flows again: %v", err)
	}
}

// TestOpenTwice: a process that opens a file once more keeps the lock by which others
// see that it uses it. Where the system tells no locks, only that both can write.
func TestOpenTwice(t *testing.T) {
	p := db.Place{Dir: t.TempDir(), Now: at}
	first := open(t, p)
	// The first byte of the range that SQLite's readers lock, see its file os.h.
	own := regexp.MustCompile(fmt.Sprintf(`POSIX .* READ %d .* 1073741826 `, os.Getpid()))
	locks := func() int {
		text, err := os.ReadFile("/proc/locks")
		if err != nil {
			return 0
		}
		return len(own.FindAll(text, -1))
	}
	before := locks()
	if before == 0 && runtime.GOOS == "linux" {
		t.Error("the system tells of no lock")
	}
	second := open(t, p)
	if after := locks(); after != before {
		t.Errorf("of %d locks, %d are left", before, after)
	}
	for i, d := range []*db.DB{first, second} {
		if _, err := d.Exec(t.Context(), "INSERT INTO lh_progress (run, content) VALUES ($1, '')", i); err != nil {
			t.Error(err)
		}
	}
}

// TestApart: what has to be done in time does not wait for a connection that others
// hold.
func TestApart(t *testing.T) {
	url := shared.NewDatabase(t)
	join := "?"
	if strings.Contains(url, "?") {
		join = "&"
	}
	d := open(t, db.Place{URL: url + join + "pool_max_conns=1", Now: at}) // of which it makes two
	const statement = "INSERT INTO lh_progress (run, content) VALUES ($1, '')"
	inner := func(*db.Tx) error {
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := d.Exec(short, statement, "a"); err == nil {
			t.Error("there was a connection left")
		}
		n, err := d.ExecApart(t.Context(), statement, "b")
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	}
	if err := d.Tx(t.Context(), func(*db.Tx) error { return d.Tx(t.Context(), inner) }); err != nil {
		t.Error(err)
	}
}
