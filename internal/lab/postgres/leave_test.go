package postgres_test

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"linehaul/internal/lab/postgres"
)

// leave is the test of TestNothingLeft's child: a server, a follower and a
// PgBouncer, then the end that it is told once its input ends.
func leave(t *testing.T, how string) {
	s := postgres.Start(t)
	f := s.Follower(t, 0)
	bounced, err := url.Parse(postgres.Bouncer(t, s.URL(), 1))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(filepath.Join(os.TempDir(), "*", "pgbouncer.ini"))
	if len(all) != 1 || bounced.Port() == "" {
		t.Fatalf("PgBouncers: %q at %v", all, bounced)
	}
	for _, dir := range []string{s.Dir, f.Dir, filepath.Dir(all[0])} {
		fmt.Fprintln(os.Stdout, "lab: "+dir)
	}
	io.Copy(io.Discard, os.Stdin)
	switch how {
	case "pass":
		s.Kill(t)
		f.Stop(t)
	case "fail":
		t.Fatal("as it was told")
	case "panic":
		go panic("as it was told") // of no test, so that nothing is cleaned up
		time.Sleep(time.Minute)
	case "kill":
		time.Sleep(time.Minute)
	}
}
