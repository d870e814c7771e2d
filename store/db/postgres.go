package db

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"linehaul/fault"
)

const (
	// dialTime bounds a connection to PostgreSQL, and statementTime a statement
	// there, also where the way to it swallows what is sent.
	dialTime      = 10 * time.Second
	statementTime = 30 * time.Second
)

func openPostgreSQL(ctx context.Context, p Place) (*DB, error) {
	c, err := pgxpool.ParseConfig(p.URL)
	if err != nil {
		return nil, fault.New(fault.Config, "the address of the database: %w", err).
			WithHint("such as postgres://user:password@db.example.net/linehaul")
	}
	c.ConnConfig.ConnectTimeout = dialTime
	// Nothing is prepared on a connection, which a pooler in between may give to
	// others after each transaction; what types a statement has is remembered here.
	if c.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "linehaul"
	}
	c.MaxConns = max(c.MaxConns, 2) // while one waits for a turn, see Exclusive, another works
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, postgresFault(err)
	}
	one := c.Copy()
	one.MaxConns, one.MinConns, one.MinIdleConns = 1, 0, 0 // made when it is wanted first
	apart, err := pgxpool.NewWithConfig(ctx, one)
	if err != nil {
		pool.Close()
		return nil, postgresFault(err)
	}
	d := &DB{kind: PostgreSQL, pool: pool, apart: apart, watch: p.Watch, asIs: p.AsIs}
	if p.AsIs {
		return d, nil
	}
	if err := d.migrate(ctx, p); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// passing reports whether an error may be gone when the same is tried again.
func (d *DB) passing(err error) bool {
	if d.kind != PostgreSQL || errors.Is(err, context.Canceled) {
		return false
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		// Appendix A of PostgreSQL's manual: connection exceptions, shutdown and
		// start, too many connections, read-only (a follower that is not
		// promoted yet), deadlock, serialization.
		return strings.HasPrefix(e.Code, "08") || slices.Contains([]string{"57P01", "57P02", "57P03", "53300", "25006", "40P01", "40001"}, e.Code)
	}
	return unreachable(err)
}

func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF")
}

func postgresFault(err error) error {
	const reach = "look whether the database runs and is to be reached from here; linehaul goes on by itself when it is"
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		switch {
		case strings.HasPrefix(e.Code, "28"), e.Code == "3D000", e.Code == "42501":
			return fault.New(fault.Config, "PostgreSQL: %w", err).WithHint("look at `store` in the config: user, password, name of the database, and what the user may do there")
		case e.Code == "53100":
			return fault.New(fault.Internal, "PostgreSQL: %w", err).WithHint("the disk of the database server is full")
		case strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "57P"), e.Code == "53300", e.Code == "25006":
			return fault.New(fault.TCP, "PostgreSQL: %w", err).WithHint(reach)
		}
		return fault.New(fault.Internal, "PostgreSQL: %w", err)
	}
	if unreachable(err) || errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.TCP, "PostgreSQL: %w", err).WithHint(reach)
	}
	return fault.New(fault.Internal, "PostgreSQL: %w", err)
}

// Turn waits until nobody else has the turn of that name, and has it until the
// transaction ends. In SQLite, the transaction itself is that.
func (d *DB) Turn(ctx context.Context, t *Tx, name string) error {
	if d.kind != PostgreSQL {
		return nil
	}
	_, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "linehaul "+name)
	return err
}

// Exclusive does something that no other process may do at the same time, such
// as bringing a schema up to date. In SQLite, do has to see to that by itself:
// with one transaction.
func (d *DB) Exclusive(ctx context.Context, do func() error) error {
	if d.kind != PostgreSQL {
		return do()
	}
	// By a transaction, as a pooler before PostgreSQL gives the session to
	// others in between.
	const lock = 0x6c696e656861756c // any number that nobody else takes
	return d.patiently(ctx, func() error {
		return pgx.BeginFunc(ctx, d.pool, func(t pgx.Tx) error {
			if _, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lock)); err != nil {
				return err
			}
			return do()
		})
	})
}
