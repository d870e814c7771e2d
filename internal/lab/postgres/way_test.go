package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"linehaul/internal/lab/postgres"
)

// TestBouncer: two clients that are both connected have one connection to the
// server between them, and what one of them set is not its own.
func TestBouncer(t *testing.T) {
	t.Parallel()
	database := shared.NewDatabase(t)
	bounced := postgres.Bouncer(t, database, 1)
	a, b := connect(t, bounced), connect(t, bounced)
	const pid = "SELECT pg_backend_pid()::text"
	if x, y := ask(t, a, pid), ask(t, b, pid); x != y {
		t.Errorf("the server has processes %s and %s for two clients of one connection", x, y)
	}
	do(t, a, "SET work_mem = '7MB'")
	if got := ask(t, b, "SHOW work_mem"); got != "7MB" {
		t.Errorf("work_mem of the other client is %s: sessions are kept apart", got)
	}
	if ask(t, a, "SELECT current_database()") != ask(t, connect(t, database), "SELECT current_database()") {
		t.Error("it is another database")
	}
	tx, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	silent(t, b) // the connection is taken
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLine holds and cuts the line to a database.
func TestLine(t *testing.T) {
	t.Parallel()
	line, database := postgres.Line(t, shared.NewDatabase(t))
	c, held, cut := connect(t, database), connect(t, database), connect(t, database)
	line.Pause()
	silent(t, held)
	line.Resume()
	if got := ask(t, c, "SELECT 'again'"); got != "again" {
		t.Errorf("after the pause: %q", got)
	}
	line.Cut()
	if _, err := cut.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a connection is whose line was cut")
	}
	if got := ask(t, connect(t, database), "SELECT 'new'"); got != "new" {
		t.Errorf("after the cut: %q", got)
	}
}

// TestFollower: a follower has its leader's rows, those late that are to be;
// the ones that never came are lost when it takes over, and only those.
func TestFollower(t *testing.T) {
	t.Parallel()
	s := postgres.Start(t)
	database := s.NewDatabase(t)
	leader := connect(t, database)
	do(t, leader, "CREATE TABLE seen (n int)")
	quick, late := s.Follower(t, 0), s.Follower(t, time.Hour)
	const rows = "SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM seen"
	of := func(f *postgres.Follower) *pgx.Conn { return connect(t, postgres.At(t, database, f.Addr())) }

	do(t, leader, "INSERT INTO seen VALUES (1)")
	eventually(t, of(quick), rows, "1")
	eventually(t, leader, "SELECT count(*)::text FROM pg_stat_replication WHERE write_lsn = pg_current_wal_lsn()", "2")
	if got := ask(t, of(late), rows); got != "" {
		t.Errorf("a follower that is an hour behind has %q", got)
	}
	if _, err := of(quick).Exec(t.Context(), "INSERT INTO seen VALUES (0)"); err == nil {
		t.Error("a follower was written to")
	}

	line, name := postgres.Line(t, database)
	client := connect(t, name)
	late.Line.Pause()
	do(t, leader, "INSERT INTO seen VALUES (2)")
	eventually(t, of(quick), rows, "1 2")
	late.Promote(t)
	c := of(late)
	if got := ask(t, c, rows); got != "1" {
		t.Errorf("a new leader has %q, and received 1 only", got)
	}
	line.Lead(late.Addr())
	if got := ask(t, client, rows); got != "1 2" {
		t.Errorf("a client of the old leader sees %q", got)
	}
	line.Cut()
	if got := ask(t, connect(t, name), rows); got != "1" {
		t.Errorf("a client that connects to the same address again sees %q", got)
	}
	do(t, c, "INSERT INTO seen VALUES (3)")
	if got := ask(t, leader, rows); got != "1 2" {
		t.Errorf("the old leader has %q", got)
	}
	late.Restart(t)
	if got := ask(t, of(late), rows); got != "1 3" {
		t.Errorf("after a restart the new leader has %q", got)
	}
}
