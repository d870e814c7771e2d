package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"linehaul/fault"
)

// FileName is the name of the SQLite file in the state folder.
const FileName = "linehaul.db"

// busy is how long a statement waits for another process that writes.
const busy = 10 * time.Second

func openSQLite(ctx context.Context, p Place) (*DB, error) {
	path, err := filepath.Abs(filepath.Join(p.Dir, FileName))
	if err == nil && p.AsIs {
		return openAsIs(ctx, path, p)
	}
	if err == nil {
		err = os.MkdirAll(p.Dir, 0o750)
	}
	if err == nil {
		err = ownFile(path)
	}
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "open the database in %q: %w", p.Dir, err)
	}
	d, err := openFile(ctx, path, p)
	if !damaged(err) {
		return d, err
	}
	if !p.SetAside {
		return nil, fault.New(fault.LocalDisk, "the database %q is damaged: %w", path, err).
			WithHint("`linehaul store check` says more; `serve` and `run` set it aside, begin a new one, and say so")
	}
	aside, asideErr := setAside(path, p.Now())
	if asideErr != nil {
		return nil, fault.New(fault.LocalDisk, "set the damaged database %q aside: %w", path, asideErr)
	}
	if d, err = openFile(ctx, path, p); err == nil {
		d.aside = aside
	}
	return d, err
}

// ownFile makes the file where it is absent, so that it is for owner and group. One
// that is there it does not open: by closing it, this process would drop the locks that
// POSIX says it has on the file through any other opening of it. Another process
// that ends then takes itself for the last one, and removes what this one writes to.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func openFile(ctx context.Context, path string, p Place) (*DB, error) {
	// How pages are given back is decided before the first is written.
	d, err := connect(path, p, url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
	}})
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, p); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func connect(path string, p Place, query url.Values) (*DB, error) {
	// Opaque, for a path may hold a question mark, and on Windows a drive.
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: query.Encode()}).String()
	conn, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "open the database %q: %w", path, err)
	}
	conn.SetMaxOpenConns(1)
	return &DB{kind: SQLite, path: path, sql: conn, now: p.Now, watch: p.Watch}, nil
}

// openAsIs opens a file that is there, to read only.
func openAsIs(ctx context.Context, path string, p Place) (*DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "open the database %q: %w", path, err).
			WithHint("it is made by the first `linehaul run` or `serve`")
	}
	query := url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}}
	d, err := connect(path, p, query)
	if err != nil {
		return nil, err
	}
	if _, err = d.Schema(ctx); err == nil {
		return d, nil
	}
	d.Close()
	if wal, walErr := os.Stat(path + "-wal"); damaged(err) || info.Size() == 0 || walErr == nil && wal.Size() > 0 {
		return nil, err
	}
	// Where SQLite may not make the file that its readers share, nobody writes
	// either: on a disk that is read-only, or in somebody else's folder.
	query.Set("immutable", "1")
	if d, err = connect(path, p, query); err != nil {
		return nil, err
	}
	if _, err := d.Schema(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// sqliteFault says what SQLite could not do, and what helps.
func sqliteFault(err error, path string) error {
	f := fault.New(fault.LocalDisk, "the database %q: %w", path, err)
	switch sqliteCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return f.WithHint("another program holds it: do not open it for writing while linehaul runs")
	case sqlite3.SQLITE_FULL:
		return f.WithHint("the disk under the state folder is full")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return f.WithHint("the state folder and the database must be writable for whoever runs linehaul")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return f.WithHint("it is damaged: `linehaul store check` says more")
	}
	return f
}

// sqliteCode is SQLite's primary result code, 0 for errors of others.
func sqliteCode(err error) int {
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func damaged(err error) bool {
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// besides are the files that SQLite has beside its own.
func besides() []string { return []string{"", "-wal", "-shm"} }

// setAside renames a damaged file, with what belongs to it, and returns its new
// name.
func setAside(path string, now time.Time) (string, error) {
	to := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	for n := 1; exists(to); n++ {
		to = fmt.Sprintf("%s.damaged-%s-%d", path, now.UTC().Format("20060102T150405Z"), n)
	}
	for _, suffix := range besides() {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return to, nil
}

// Check reads all of the database and returns what is wrong with it, nothing if
// nothing is. Of PostgreSQL it asks for indices that are not valid.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	if d.kind == PostgreSQL {
		err := d.Each(ctx, `SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = current_schema() AND c.relname LIKE 'lh\_%' AND NOT i.indisvalid`, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			problems = append(problems, fmt.Sprintf("the index %s is not valid: REINDEX INDEX %s makes it anew", name, name))
			return err
		})
		return problems, err
	}
	err = d.Each(ctx, "PRAGMA integrity_check(100)", nil, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		if text != "ok" {
			problems = append(problems, text)
		}
		return nil
	})
	if damaged(err) {
		return append(problems, err.Error()), nil
	}
	return problems, err
}

// Backup writes a copy of an SQLite file, whole and of one instant, to a file
// that may not be there yet. Others may go on with the database.
func (d *DB) Backup(ctx context.Context, to string) error {
	if d.kind != SQLite {
		return fault.New(fault.Usage, "the database is PostgreSQL, which has its own backup").WithHint("use pg_dump")
	}
	if exists(to) {
		return fault.New(fault.LocalDisk, "back up the database to %q: there is a file", to)
	}
	temp := to + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.LocalDisk, "back up the database to %q: %w", to, err)
	}
	_, err := d.Exec(ctx, "VACUUM INTO $1", temp)
	if err == nil {
		err = syncFile(temp)
	}
	if err == nil {
		err = os.Rename(temp, to)
	}
	if err != nil {
		os.Remove(temp) //nolint:errcheck // the error before counts
		return fault.New(fault.LocalDisk, "back up the database to %q: %w", to, err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o640), f.Sync(), f.Close())
}
