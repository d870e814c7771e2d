// Package db opens the database that linehaul's record lies in: an SQLite file
// in the state folder, or a PostgreSQL that several machines share. It brings
// the schema up to date, and knows what the two do differently; the statements
// are those of its users.
//
// Statements have their parameters as $1, $2, which both take. Times are
// BIGINT, in milliseconds since 1970; a column has no NULL.
//
// An SQLite file has one connection, and each transaction is one that writes:
// two processes wait for each other, and never find out late that they cannot
// both go on. So nothing that takes long is done within a transaction, and
// nothing that uses the database in another way.
package db

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"linehaul/fault"
)

// Kind is which database it is.
type Kind string

// The two.
const (
	SQLite     Kind = "sqlite"
	PostgreSQL Kind = "postgres"
)

// Place says where the database is.
type Place struct {
	Dir string // the state folder, for SQLite and for what is beside it
	URL string // of PostgreSQL; empty: SQLite
	// Now names what is set aside or backed up, and measures what others wait for.
	Now func() time.Time
	// SetAside is whether an SQLite file that is damaged is renamed, and a new
	// one begun: DB.Aside says so. Otherwise it is an error.
	SetAside bool
	// AsIs opens what is there and changes nothing of it: it is not made, not
	// brought up to date, not set aside, and nothing can be written to it.
	AsIs bool
	// Watch is told of each statement before it is run; nil: nobody is. It is for
	// tests that hold statements against the plans that the database makes of them.
	Watch func(statement string, args []any)
}

// DB is an open database with the schema that this linehaul knows. Its methods
// are safe for concurrent use. Errors are faults: of kind LocalDisk where SQLite
// fails, TCP where PostgreSQL cannot be reached.
type DB struct {
	kind  Kind
	path  string // SQLite's file
	sql   *sql.DB
	pool  *pgxpool.Pool
	apart *pgxpool.Pool // one connection, see ExecApart
	aside string
	kept  string
	now   func() time.Time
	watch func(string, []any)
	asIs  bool // of PostgreSQL; SQLite sees to it
}

// A Conn runs statements: a DB each by itself, a Tx all or none.
type Conn interface {
	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, statement string, args ...any) (int64, error)
	// Each calls row for each row that a query finds, with a function that
	// reads its columns. row may not use the database.
	Each(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error
}

// Open opens the database, makes it where there is none, and brings its schema
// up to date. A schema that is newer than this linehaul is an error.
func Open(ctx context.Context, p Place) (*DB, error) {
	if p.URL != "" {
		return openPostgreSQL(ctx, p)
	}
	return openSQLite(ctx, p)
}

// Kind is which database it is.
func (d *DB) Kind() Kind { return d.kind }

// Path is the file of SQLite; empty for PostgreSQL.
func (d *DB) Path() string { return d.path }

// Aside is the damaged file that was set aside when the database was opened;
// empty: it was not damaged.
func (d *DB) Aside() string { return d.aside }

// Kept is the copy of SQLite's file that was made before its schema was brought up
// to date; empty: there was nothing to do, or it was new.
func (d *DB) Kept() string { return d.kept }

// SQL is the connection of SQLite, and Pool those of PostgreSQL, for an engine
// that lies in the same database; the other one is nil.
func (d *DB) SQL() *sql.DB { return d.sql }

// Pool is what SQL says.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Close ends it. Nobody may be using it any more.
func (d *DB) Close() {
	if d.sql != nil {
		d.sql.Close() //nolint:errcheck // what was committed is safe
	}
	if d.pool != nil {
		d.pool.Close()
	}
	if d.apart != nil {
		d.apart.Close()
	}
}

// Exec runs one statement by itself.
func (d *DB) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	return d.exec(ctx, d.pool, statement, args)
}

// ExecApart is Exec by a connection for which nobody else in this process waits: of
// PostgreSQL there are few, and what has to be done in time is not to stand behind
// thousands of runs that begin or end.
func (d *DB) ExecApart(ctx context.Context, statement string, args ...any) (int64, error) {
	return d.exec(ctx, d.apart, statement, args)
}

func (d *DB) exec(ctx context.Context, pool *pgxpool.Pool, statement string, args []any) (int64, error) {
	d.saw(statement, args)
	if d.asIs {
		return 0, fault.New(fault.Internal, "the database is open to read only")
	}
	var n int64
	err := d.patiently(ctx, func() (err error) {
		if pool != nil {
			tag, err := pool.Exec(ctx, statement, args...)
			n = tag.RowsAffected()
			return err
		}
		n, err = affected(d.sql.ExecContext(ctx, statement, args...))
		return err
	})
	return n, err
}

// Each runs one query by itself.
func (d *DB) Each(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error {
	d.saw(query, args)
	if d.pool == nil {
		rows, err := d.sql.QueryContext(ctx, query, args...)
		return d.fault(eachSQL(rows, err, row))
	}
	seen := false
	return d.patiently(ctx, func() error {
		rows, err := d.pool.Query(ctx, query, args...)
		err = eachPGX(rows, err, func(scan func(...any) error) error {
			seen = true
			return row(scan)
		})
		if seen && err != nil {
			return final{err} // it must not see them twice
		}
		return err
	})
}

// Tx runs do in a transaction, which holds if do returns nil and is undone
// otherwise. PostgreSQL may want do to be called again.
func (d *DB) Tx(ctx context.Context, do func(*Tx) error) error {
	return d.patiently(ctx, func() error {
		if d.pool != nil {
			// Not by a parameter of the session, which a pooler refuses or gives to others.
			o := pgx.TxOptions{}
			if d.asIs {
				o.AccessMode = pgx.ReadOnly
			}
			return pgx.BeginTxFunc(ctx, d.pool, o, func(t pgx.Tx) error { return do(&Tx{db: d, pgx: t}) })
		}
		t, err := d.sql.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer t.Rollback() //nolint:errcheck // undone already, or done
		if err := do(&Tx{db: d, sql: t}); err != nil {
			return err
		}
		return t.Commit()
	})
}

// Tx is a transaction, for one goroutine.
type Tx struct {
	db  *DB
	sql *sql.Tx
	pgx pgx.Tx
}

// SQL is the transaction in SQLite, and PGX the one in PostgreSQL, for an engine
// that takes part in it; the other one is nil.
func (t *Tx) SQL() *sql.Tx { return t.sql }

// PGX is what SQL says.
func (t *Tx) PGX() pgx.Tx { return t.pgx }

// Exec runs a statement within the transaction.
func (t *Tx) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	t.db.saw(statement, args)
	if t.pgx != nil {
		tag, err := t.pgx.Exec(ctx, statement, args...)
		return tag.RowsAffected(), err
	}
	return affected(t.sql.ExecContext(ctx, statement, args...))
}

// Each runs a query within the transaction.
func (t *Tx) Each(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error {
	t.db.saw(query, args)
	if t.pgx != nil {
		rows, err := t.pgx.Query(ctx, query, args...)
		return eachPGX(rows, err, row)
	}
	rows, err := t.sql.QueryContext(ctx, query, args...)
	return eachSQL(rows, err, row)
}

// One reads the one row that a query finds into dst, and reports whether there
// was any.
func One(ctx context.Context, c Conn, query string, args []any, dst ...any) (bool, error) {
	found := false
	err := c.Each(ctx, query, args, func(scan func(...any) error) error {
		found = true
		return scan(dst...)
	})
	return found, err
}

// Clock is the database's clock, as an expression in milliseconds: machines whose
// clocks differ agree on it.
func (k Kind) Clock() string {
	if k == PostgreSQL {
		return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
}

// Locked ends a query for rows that nobody else may change until the transaction
// ends. In SQLite nobody may anyway.
func (k Kind) Locked() string {
	if k == PostgreSQL {
		return " FOR UPDATE"
	}
	return ""
}

func (d *DB) saw(statement string, args []any) {
	if d.watch != nil {
		d.watch(statement, args)
	}
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func eachSQL(rows *sql.Rows, err error, row func(scan func(...any) error) error) error {
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err has said it
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func eachPGX(rows pgx.Rows, err error, row func(scan func(...any) error) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// final is an error after which a query is not asked again.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// patiently does something again while PostgreSQL is not there, or wants it to
// be done again, until ctx ends. What it does must bear being done twice: when a
// connection breaks, nobody knows whether the last statement was heard.
func (d *DB) patiently(ctx context.Context, do func() error) error {
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	for wait := first; ; wait = min(2*wait, longest) {
		err := do()
		if err == nil || errors.As(err, &final{}) || !d.passing(err) {
			return d.fault(err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return d.fault(err)
		case <-timer.C:
		}
	}
}

// fault sorts an error.
func (d *DB) fault(err error) error {
	if err == nil {
		return nil
	}
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return err
	}
	if d.kind == PostgreSQL {
		return postgresFault(err)
	}
	return sqliteFault(err, d.path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
