package db

import (
	"context"
	"fmt"
	"time"
)

// Room is what a database takes on the disk, in bytes.
type Room struct {
	Bytes int64 `json:"bytes"`
	// Free of these hold nothing, and are used again. PostgreSQL does not tell.
	Free int64 `json:"free"`
}

// Room says what the database takes; of PostgreSQL, our own tables.
func (d *DB) Room(ctx context.Context) (Room, error) {
	var r Room
	if d.kind == PostgreSQL {
		_, err := One(ctx, d, `SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relname LIKE 'lh\_%'`, nil, &r.Bytes)
		return r, err
	}
	size, err := d.pragma(ctx, "page_size")
	if err != nil {
		return r, err
	}
	pages, err := d.pragma(ctx, "page_count")
	if err != nil {
		return r, err
	}
	free, err := d.pragma(ctx, "freelist_count")
	return Room{Bytes: pages * size, Free: free * size}, err
}

// pragma reads one number that SQLite tells of itself.
func (d *DB) pragma(ctx context.Context, name string) (n int64, err error) {
	_, err = One(ctx, d, "PRAGMA "+name, nil, &n)
	return n, err
}

const (
	// giveBackTime is how long one statement that gives pages back to the file system
	// is to take, in which nobody else can write. The first one has giveBackFirst of
	// them, and none more than giveBackMost, 4 MB.
	giveBackTime  = 50 * time.Millisecond
	giveBackFirst = 50
	giveBackMost  = 1000
	// giveBackRest is how long others get their turn then: who waits looks again
	// each 0.1 s.
	giveBackRest = 150 * time.Millisecond
	// worthBytes and worthPart are how much must be free for it to be worth it, as
	// what is less is used again soon; and worthMost is how much always is, as each
	// page costs the more the more are free.
	worthBytes = 1 << 20
	worthPart  = 10 // one in so many of all pages
	worthMost  = 16 << 20
	// wholeFrom is from how many bytes that are free a file is written anew that
	// cannot give pages back in parts.
	wholeFrom = 16 << 20
)

// GiveBack gives pages of an SQLite file that hold nothing back to the file system,
// where it is worth it, in parts between which others get their turn. alone says
// that nobody minds if the database is not to be had for some seconds: a file that
// an old linehaul made is then written anew. Of PostgreSQL, autovacuum does that.
func (d *DB) GiveBack(ctx context.Context, alone bool) error {
	if d.kind == PostgreSQL {
		return nil
	}
	r, err := d.Room(ctx)
	if err != nil || r.Free < min(max(worthBytes, r.Bytes/worthPart), worthMost) {
		return err
	}
	mode, err := d.pragma(ctx, "auto_vacuum")
	if err != nil {
		return err
	}
	const incremental = 2
	if mode != incremental {
		if !alone || r.Free < wholeFrom {
			return nil
		}
		_, err := d.Exec(ctx, "VACUUM")
		return err
	}
	// For each page SQLite may look through all that are free: with half a million
	// of them, 1000 pages take three seconds.
	pages := giveBackFirst
	for left := r.Free; left > 0; {
		select {
		case <-ctx.Done():
			return d.fault(context.Cause(ctx))
		case <-time.After(giveBackRest):
		}
		// A row for each page: it ends when all are read.
		began := d.now()
		err := d.Each(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages), nil, func(func(...any) error) error { return nil })
		if err != nil {
			return err
		}
		now, err := d.Room(ctx)
		if err != nil || now.Free >= left {
			return err
		}
		left = now.Free
		switch took := d.now().Sub(began); {
		case took > giveBackTime:
			pages = max(1, pages/2)
		case took < giveBackTime/3:
			pages = min(2*pages, giveBackMost)
		}
	}
	// The file becomes shorter when what was written stands in it.
	return d.Each(ctx, "PRAGMA wal_checkpoint(PASSIVE)", nil, func(func(...any) error) error { return nil })
}

// A Table is one of ours, with the names of its columns in order.
type Table struct {
	Name    string
	Columns []string
}

// Tables are all of ours, in the order of their names.
func (d *DB) Tables(ctx context.Context) (all []Table, err error) {
	query := `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name LIKE 'lh\_%' ESCAPE '\' ORDER BY m.name, c.cid`
	if d.kind == PostgreSQL {
		query = `SELECT table_name, column_name FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name LIKE 'lh\_%' ORDER BY table_name COLLATE "C", ordinal_position`
	}
	err = d.Each(ctx, query, nil, func(scan func(...any) error) error {
		var table, column string
		if err := scan(&table, &column); err != nil {
			return err
		}
		if len(all) == 0 || all[len(all)-1].Name != table {
			all = append(all, Table{Name: table})
		}
		t := &all[len(all)-1]
		t.Columns = append(t.Columns, column)
		return nil
	})
	return all, err
}
