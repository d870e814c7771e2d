// Package store keeps the record of runs, with what belongs to it: the files of
// each run, what was measured, how far it is, which jobs are paused, and the locks
// that keep a job from running twice at once. It lies in a database, see
// store/db: SQLite in the state folder, or a PostgreSQL that several machines
// share.
//
// A run's id begins with its time, so that ids sort by time; a record is one JSON
// document, replaced as a whole and durable when Put returns. Whatever this
// process holds, a lock or a run that is under way, is held in the name of its
// owner, see owner: when the process dies, everybody sees that, and what it held is
// free.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/store/db"
)

// Place says where a store is and who opens it.
type Place struct {
	Dir     string           // the state folder
	URL     string           // of a PostgreSQL; empty: SQLite in Dir
	Node    string           // this machine's name among those that share the store
	Labels  []string         // what it may be asked for by beside that
	Version string           // of linehaul, for people
	Now     func() time.Time // names things; what is compared between machines is the database's clock
	Random  io.Reader
	// SetAside is whether a damaged SQLite file is set aside and a new one begun.
	SetAside bool
	// AsIs opens what is there, to read only: nothing is made and nothing changed.
	AsIs bool
	// Watch is told of each statement, see db.Place; it is for tests.
	Watch func(statement string, args []any)
}

// Store is the record of runs. Its methods are safe for concurrent use, and each
// has a deadline of its own. Errors are of kind fault.LocalDisk where SQLite is at
// fault, fault.TCP where PostgreSQL is not reached, if nothing else is said.
type Store struct {
	db    *db.DB
	place Place

	mu    sync.Mutex
	owner *owner   // of what this process holds; nil: it has held nothing yet
	owed  []holder // locks that could not be given up

	guards guards
}

const (
	// opTime bounds what is done for somebody who waits.
	opTime = 30 * time.Second
	// keepTime bounds how long the end of a run is tried to be recorded while a
	// PostgreSQL is away: a restart, or another one that takes its place.
	keepTime = 10 * time.Minute
)

// listsDir has the lists of files of runs that are under way, where they are long.
const listsDir = "lists"

// Open opens the store of a place, and makes it where it is absent.
func Open(p Place) (*Store, error) {
	for _, dir := range []string{p.Dir, filepath.Join(p.Dir, locksDir)} {
		if p.AsIs {
			break
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fault.New(fault.LocalDisk, "open the record of runs in %q: %w", p.Dir, err)
		}
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	d, err := db.Open(ctx, db.Place{Dir: p.Dir, URL: p.URL, Now: p.Now, SetAside: p.SetAside, AsIs: p.AsIs, Watch: p.Watch})
	if err != nil {
		return nil, fmt.Errorf("open the record of runs: %w", err)
	}
	return &Store{db: d, place: p}, nil
}

// opContext bounds one operation. It does not end with a run: what a run leaves is
// recorded when its own context has ended.
func opContext(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), d, fault.New(fault.Timeout, "the record of runs did not answer within %s", d))
}

// Node is this machine's name among those that share the store.
func (s *Store) Node() string { return s.place.Node }

// DB is the database that it lies in.
func (s *Store) DB() *db.DB { return s.db }

// Aside is the damaged file that was set aside when it was opened; empty: none was.
func (s *Store) Aside() string { return s.db.Aside() }

// Close gives up what this process holds, and ends the use of the database. Runs
// that are recorded as under way are then those of a process that died.
func (s *Store) Close() {
	s.mu.Lock()
	o := s.owner
	s.owner = nil
	s.mu.Unlock()
	if o != nil {
		o.end()
	}
	s.db.Close()
}

// NotFoundError says that there is no run of that id. It comes wrapped in a
// fault of kind Usage.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("no run %q", e.ID) }

// AmbiguousError says that an id was cut too short. It comes wrapped in a
// fault of kind Usage.
type AmbiguousError struct {
	ID  string
	IDs []string // some of those that begin so
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("several runs begin with %q: %s", e.ID, strings.Join(e.IDs, ", "))
}

// TakenError says that a run is another process's by now: this one was taken for
// dead. It comes wrapped in a fault of kind Interrupted.
type TakenError struct{ ID string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("run %s is another process's by now, which took this one for dead", e.ID)
}

// Certain reports whether a process that counts as dead is dead, and not only out
// of sight.
func (s *Store) Certain() bool { return s.db.Kind() == db.SQLite }

// Put writes the record of a run, in place of an earlier one of its id, and is the
// only one who may: a *TakenError is in the chain of the error if the run has
// become another process's. When it returns, the record is durable; killed at any
// instant, it leaves the old record or the new one. A run that has ended gets its
// receipt at the same instant: see End.
func (s *Store) Put(r Run) error { return s.Begin(r, nil) }

// Begin is Put, of a run that is under way from now on, where there is room for it:
// a *FullError is in the chain of the error if there is not.
func (s *Store) Begin(r Run, rooms []Room) error {
	_, err := s.record(r, rooms)
	return err
}

// End is Put of a run that may have ended: the run that it returns has its receipt
// then.
func (s *Store) End(r Run) (Run, error) { return s.record(r, nil) }

func (s *Store) record(r Run, rooms []Room) (Run, error) {
	if err := r.check(); err != nil {
		return r, fault.New(fault.Internal, "record run: %w", err)
	}
	r.Progress = nil // it has a place of its own
	if r.Node == "" && r.State.ended() {
		r.Node = s.place.Node
	}
	if err := s.gather(&r); err != nil {
		return r, err
	}
	record, err := encodeRecord(r)
	if err != nil {
		return r, fault.New(fault.Internal, "record run %s: %w", r.ID, err)
	}
	within := opTime
	if r.State != Running {
		within = keepTime
	}
	ctx, cancel := opContext(within)
	defer cancel()
	owner, err := s.ownerFor(ctx, r.State == Running)
	if err != nil {
		return r, fmt.Errorf("record run %s: %w", r.ID, err)
	}
	d, err := s.draft(ctx, r, true)
	if err != nil {
		return r, fmt.Errorf("make the receipt of run %s: %w", r.ID, err)
	}
	err = s.db.Tx(ctx, func(t *db.Tx) (err error) {
		if err := s.room(ctx, t, r, rooms); err != nil {
			return err
		}
		if err := putRun(ctx, t, r, owner, record); err != nil {
			return err
		}
		r.Receipt, err = s.seal(ctx, t, d)
		return err
	})
	if err != nil {
		r.Receipt = nil
		return r, fmt.Errorf("record run %s: %w", r.ID, err)
	}
	if r.gathered {
		r.more = func(do func(File) error) error { return s.eachFile(r.ID, do) }
	}
	return r, nil
}

// A Room is how many runs there may be at a time on all machines together: those to
// and from a host, or through a link.
type Room struct {
	Host, Link string // one of them
	Runs       int
}

func (m Room) String() string {
	if m.Host != "" {
		return fmt.Sprintf("host %q", m.Host)
	}
	return fmt.Sprintf("link %q", m.Link)
}

// FullError says that there are as many runs under way as there may be. It comes
// wrapped in a fault of kind Overlap.
type FullError struct{ Room Room }

func (e *FullError) Error() string {
	return fmt.Sprintf("%d runs are under way with %s, and there may be no more", e.Room.Runs, e.Room)
}

// room refuses a run for which there is no room. Until the transaction ends, nobody
// else takes any.
func (s *Store) room(ctx context.Context, t *db.Tx, r Run, rooms []Room) error {
	for _, m := range rooms {
		column, name := "host", m.Host
		if m.Link != "" {
			column, name = "link", m.Link
		}
		if err := s.db.Turn(ctx, t, column+" "+name); err != nil {
			return err
		}
		var n int
		if _, err := db.One(ctx, t, "SELECT count(*) FROM lh_run WHERE state = $1 AND "+column+" = $2 AND id <> $3", []any{string(Running), name, r.ID}, &n); err != nil {
			return err
		}
		if n >= m.Runs {
			return fault.New(fault.Overlap, "%w", &FullError{m})
		}
	}
	return nil
}

func putRun(ctx context.Context, t *db.Tx, r Run, owner, record string) error {
	n, err := t.Exec(ctx, `INSERT INTO lh_run (id, job, state, owner, take, queued, nominal, ended, cancel, record, host, link)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended = excluded.ended, record = excluded.record, host = excluded.host, link = excluded.link,
			owner = CASE WHEN excluded.state = 'waiting' THEN '' ELSE excluded.owner END
		WHERE (lh_run.owner = excluded.owner OR lh_run.state = 'waiting') AND lh_run.take = excluded.take AND lh_run.job = excluded.job
			AND lh_run.state IN ('running', 'waiting', excluded.state)`,
		r.ID, r.Job, string(r.State), owner, r.Take, flag(r.Queued), millis(r.Nominal), millis(r.Ended), record, r.Host, r.Through)
	switch {
	case err != nil:
		return err
	case n == 0:
		return fault.New(fault.Interrupted, "%w", &TakenError{r.ID})
	case r.State == Running:
		return nil
	}
	_, err = t.Exec(ctx, "DELETE FROM lh_progress WHERE run = $1", r.ID)
	return err
}

// flag is a truth value as the database has it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// millis is an instant as the database has it; 0 is none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Filter says which runs are wanted. The zero value wants all.
type Filter struct {
	Job   string
	State State
	Since time.Time // those that started then or later
	Limit int       // so many at most; 0: all
}

// Runs returns runs, the newest first, and reads no more records than it must.
// A record that cannot be read is left out and described in warnings.
func (s *Store) Runs(f Filter) (runs []Run, warnings []error, err error) {
	warnings, err = s.Each(f, func(r Run) bool {
		runs = append(runs, r)
		return true
	})
	return runs, warnings, err
}

// page is how many records are held in memory at a time.
const page = 50

// Each calls yield with what Runs would return, one run at a time, until it
// returns false.
func (s *Store) Each(f Filter, yield func(Run) bool) (warnings []error, err error) {
	seen := 0
	for before := "~"; ; { // which is greater than all ids
		want := page
		if f.Limit > 0 {
			want = min(page, f.Limit-seen)
		}
		rows, err := s.page(f, before, want)
		if err != nil {
			return warnings, s.readFault(err)
		}
		for _, row := range rows {
			r, err := s.read(row)
			if err != nil {
				warnings = append(warnings, err)
				continue
			}
			seen++
			if !yield(r) || seen == f.Limit {
				return warnings, nil
			}
		}
		if len(rows) < want {
			return warnings, nil
		}
		before = rows[len(rows)-1].id
	}
}

// row is a run as the database has it.
type row struct {
	id, job, owner, record string
	progress               string
	seq                    int64 // of its receipt, as the run says
	hash                   string
}

// page reads the runs that are older than one, the newest first.
func (s *Store) page(f Filter, before string, want int) ([]row, error) {
	query, args := "id < $1", []any{before}
	and := func(condition string, arg any) {
		args = append(args, arg)
		query += fmt.Sprintf(" AND %s $%d", condition, len(args))
	}
	if f.Job != "" {
		and("job =", f.Job)
	}
	if f.State != "" {
		and("state =", string(f.State))
	}
	if !f.Since.IsZero() {
		// An id has milliseconds only.
		and("id >=", idTime(f.Since))
	}
	return s.rows(query+fmt.Sprintf(" ORDER BY id DESC LIMIT %d", want), args)
}

func (s *Store) rows(where string, args []any) ([]row, error) {
	ctx, cancel := opContext(opTime)
	defer cancel()
	var rows []row
	err := s.db.Each(ctx, `SELECT id, job, owner, record, coalesce((SELECT content FROM lh_progress WHERE run = id), ''),
			coalesce((SELECT seq FROM lh_receipt_run WHERE run = id), 0), coalesce((SELECT hash FROM lh_receipt_run WHERE run = id), '')
		FROM lh_run WHERE `+where, args, func(scan func(...any) error) error {
		var r row
		err := scan(&r.id, &r.job, &r.owner, &r.record, &r.progress, &r.seq, &r.hash)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

func (s *Store) read(row row) (Run, error) {
	r, err := decode([]byte(row.record))
	switch {
	case err != nil:
		return Run{}, fault.New(fault.LocalDisk, "damaged record of run %s of job %q: %w", row.id, row.job, err)
	case r.ID != row.id || r.Job != row.job:
		return Run{}, fault.New(fault.LocalDisk, "damaged record of run %s of job %q: it is of run %s of job %q", row.id, row.job, r.ID, r.Job)
	}
	if r.State == Running {
		r.Progress = decodeProgress(row.progress)
	}
	r.Receipt = receiptPlace(row.seq, row.hash)
	if r.MoreFiles > 0 {
		r.more = func(do func(File) error) error { return s.eachFile(r.ID, do) }
	}
	return r, nil
}

// Last returns the newest run of a job, and whether there is any.
func (s *Store) Last(job string) (Run, bool, error) {
	runs, _, err := s.Runs(Filter{Job: job, Limit: 1})
	if len(runs) == 0 {
		return Run{}, false, err
	}
	return runs[0], true, nil
}

// maxAmbiguous is how many ids an AmbiguousError names.
const maxAmbiguous = 5

// Run returns the run of that id, which may be cut short as long as it is the
// only one that begins so. A *NotFoundError or *AmbiguousError is in the chain
// of the error otherwise.
func (s *Store) Run(id string) (Run, error) {
	var found []row
	if id != "" && len(id) <= idLength {
		var err error
		if found, err = s.rows(fmt.Sprintf("id >= $1 AND id < $2 ORDER BY id DESC LIMIT %d", maxAmbiguous), []any{id, id + "~"}); err != nil {
			return Run{}, s.readFault(err)
		}
	}
	switch len(found) {
	case 0:
		return Run{}, fault.New(fault.Usage, "%w", &NotFoundError{id}).WithHint("`linehaul history` lists what ran")
	case 1:
		r, err := s.read(found[0])
		if err != nil {
			return Run{}, s.readFault(err)
		}
		return r, nil
	}
	ambiguous := &AmbiguousError{ID: id}
	for _, row := range found {
		ambiguous.IDs = append(ambiguous.IDs, row.id)
	}
	return Run{}, fault.New(fault.Usage, "%w", ambiguous).WithHint("give more of the id")
}

func (s *Store) readFault(err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return fmt.Errorf("read the record of runs: %w", err)
	}
	return fault.New(fault.LocalDisk, "read the record of runs: %w", err)
}
