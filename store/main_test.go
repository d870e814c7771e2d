package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab/postgres"
	"linehaul/internal/leak"
	"linehaul/store"
	"linehaul/store/db"
)

// The test binary, started again with one of these, is another process.
const (
	helperVar = "LINEHAUL_TEST_STORE_HELPER" // what it does
	dirVar    = "LINEHAUL_TEST_STORE_DIR"    // in which store
	// urlVar is the PostgreSQL that all stores lie in; empty: they are in SQLite.
	urlVar = "LINEHAUL_TEST_STORE_URL"
)

func TestMain(m *testing.M) {
	helpers := map[string]func(*store.Store) error{"hold": helpHold, "put": helpPut, "end": helpEnd}
	if help := helpers[os.Getenv(helperVar)]; help != nil {
		s, err := store.Open(place(os.Getenv(dirVar)))
		if err == nil {
			err = help(s)
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(leak.Main(m, server.End))
}

// server is the PostgreSQL of TestOnPostgreSQL.
var server postgres.Shared

// TestOnPostgreSQL runs all other tests with the stores in a PostgreSQL.
func TestOnPostgreSQL(t *testing.T) {
	if os.Getenv(urlVar) != "" {
		return // this is one of them
	}
	args := []string{"-test.skip=^(TestOnPostgreSQL|Fuzz)"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), urlVar+"="+server.NewDatabase(t))
	out, err := c.CombinedOutput()
	if t.Log(string(out)); err != nil {
		t.Fatal(err)
	}
}

// place is a store of the test's, in a folder.
func place(dir string) store.Place {
	p := store.Place{Dir: dir, Node: "here", Version: "1.0", Now: time.Now, Random: rand.Reader}
	if url := os.Getenv(urlVar); url != "" {
		u, err := neturl.Parse(url)
		if err != nil {
			panic(err)
		}
		q := u.Query()
		q.Set("search_path", schemaOf(dir)) // a schema for each folder
		u.RawQuery = q.Encode()
		p.URL = u.String()
	}
	return p
}

func schemaOf(dir string) string {
	return "s" + strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(filepath.Base(filepath.Dir(filepath.Dir(dir)))+filepath.Base(filepath.Dir(dir))))
}

// makeSchema makes the schema of a folder's stores, in PostgreSQL.
func makeSchema(t testing.TB, dir string) {
	t.Helper()
	if os.Getenv(urlVar) == "" {
		return
	}
	d, err := db.Open(t.Context(), db.Place{URL: os.Getenv(urlVar), Now: time.Now})
	if err == nil {
		_, err = d.Exec(t.Context(), "CREATE SCHEMA "+schemaOf(dir))
		d.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB) (*store.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	makeSchema(t, dir)
	return reopen(t, dir), dir
}

// reopen opens another store in a folder, as another process does.
func reopen(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(place(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// dead does something in a store as a process that dies then.
func dead(t testing.TB, dir string, do func(*store.Store)) {
	t.Helper()
	s, err := store.Open(place(dir))
	if err != nil {
		t.Fatal(err)
	}
	do(s)
	s.Close()
}

// alter does something to the database behind the store's back.
func alter(t testing.TB, s *store.Store, statement string, args ...any) {
	t.Helper()
	if n, err := s.DB().Exec(t.Context(), statement, args...); err != nil || n != 1 {
		t.Fatalf("%d rows, %v", n, err)
	}
}

// asBeforeReceipts takes the receipts away, as if the runs were of a linehaul that
// made none.
func asBeforeReceipts(t testing.TB, s *store.Store) {
	t.Helper()
	for _, statement := range []string{"DELETE FROM lh_receipt", "DELETE FROM lh_receipt_list", "DELETE FROM lh_chain", "UPDATE lh_receipt_run SET seq = 0, hash = ''"} {
		if _, err := s.DB().Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// count is how many rows a table has.
func count(t testing.TB, s *store.Store, table string) (n int) {
	t.Helper()
	if _, err := db.One(context.Background(), s.DB(), "SELECT count(*) FROM "+table, nil, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// leftFiles are the files below a folder that are not the database's.
func leftFiles(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(d.Name(), db.FileName) {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}
