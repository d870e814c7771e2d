package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"linehaul/fault"
	"linehaul/store/db"
)

// An Entry of the ledger is a file that a job has moved: which one, as it was
// then, and where to. The source of a put is a file of this machine, and its Host
// the one that it went to.
type Entry struct {
	Job  string
	Host string
	Path string // of the source, as the job spells it; any bytes
	// Size is in bytes. It is below 0 where only the name is known, as of a list of
	// names that was imported: the file counts as moved as it is when it is seen
	// next.
	Size   int64
	MTime  time.Time // to the millisecond
	SHA256 string    // hexadecimal; empty: nobody summed it up
	Target string    // whole
	Run    string    // empty: it was imported
	At     time.Time // when it was entered
	// Begun is whether it is only about to be moved, to Target: whether it was,
	// the target tells.
	Begun bool
}

// Same reports whether an entry is of a file of that size and time.
func (e Entry) Same(size int64, mtime time.Time) bool {
	return e.Size < 0 || e.Size == size && e.MTime.UnixMilli() == mtime.UnixMilli()
}

const (
	// LedgerBatch is how many entries are looked up, or written, at a time.
	LedgerBatch = 500
	// ledgerRows is how many rows one statement writes: what SQLite takes to find
	// parameters grows with the square of their number.
	ledgerRows = 40
	// maxKey bounds the paths that are keys of the ledger as they are, in bytes:
	// PostgreSQL's indices have no room for the longest.
	maxKey = 1000
	// otherKey begins a key that is not the path itself.
	otherKey = "\x01"
)

// ledgerKey is a path as the ledger finds it, and in exact what it is where that
// does not say it: paths are bytes, and PostgreSQL holds text.
func ledgerKey(path string) (key, exact string) {
	if len(path) <= maxKey && isText(path) && !strings.HasPrefix(path, otherKey) {
		return path, ""
	}
	sum := sha256.Sum256([]byte(path))
	return otherKey + hex.EncodeToString(sum[:]), hex.EncodeToString([]byte(path))
}

// isText reports whether PostgreSQL holds a string as it is.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// textFor is a string of which nobody needs each byte.
func textFor(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

const ledgerColumns = "job, host, path, exact, size, mtime, sha256, target, run, at, done"

func (e Entry) values() []any {
	key, exact := ledgerKey(e.Path)
	return []any{e.Job, e.Host, key, exact, e.Size, millis(e.MTime), e.SHA256, textFor(e.Target), e.Run, millis(e.At), flag(!e.Begun)}
}

func scanEntry(scan func(...any) error) (e Entry, key string, err error) {
	var exact string
	var mtime, at int64
	var done int
	if err := scan(&e.Job, &e.Host, &key, &exact, &e.Size, &mtime, &e.SHA256, &e.Target, &e.Run, &at, &done); err != nil {
		return e, key, err
	}
	e.Path, e.MTime, e.At, e.Begun = key, instant(mtime), instant(at), done == 0
	if exact != "" {
		path, err := hex.DecodeString(exact)
		if err != nil {
			return e, key, fault.New(fault.LocalDisk, "damaged entry of the ledger of job %q: %w", e.Job, err)
		}
		e.Path = string(path)
	}
	return e, key, nil
}

// instant is what millis has made of it.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// LedgerKnown returns the entries of a job and host of these paths, at most LedgerBatch,
// by their paths. What is not known is not in it.
func (s *Store) LedgerKnown(ctx context.Context, job, host string, paths []string) (map[string]Entry, error) {
	known := make(map[string]Entry, len(paths))
	if len(paths) == 0 {
		return known, nil
	}
	ctx, cancel := within(ctx, opTime)
	defer cancel()
	args := []any{job, host}
	for _, p := range paths {
		key, _ := ledgerKey(p)
		args = append(args, key)
	}
	query := "SELECT " + ledgerColumns + " FROM lh_ledger WHERE job = $1 AND host = $2 AND path IN (" + numbered(3, len(paths)) + ")"
	err := s.db.Each(ctx, query, args, func(scan func(...any) error) error {
		e, _, err := scanEntry(scan)
		known[e.Path] = e
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look into the ledger of job %q: %w", job, err)
	}
	return known, nil
}

// numbered are n parameters from first on, with commas.
func numbered(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// within bounds one operation on behalf of a run, which ends with it.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fault.New(fault.Timeout, "the ledger did not answer within %s", d))
}

// LedgerBegin enters files that a run is about to move. What the ledger has of the same
// file, as it is now, stays as it is. The run must be this process's, see Put.
func (s *Store) LedgerBegin(r Run, entries []Entry) error {
	for i := range entries {
		entries[i].Begun = true
	}
	return s.enter(&r, entries, " WHERE lh_ledger.done = 0 OR lh_ledger.size <> excluded.size OR lh_ledger.mtime <> excluded.mtime")
}

// LedgerEnter enters files that a run has moved, all of them at once, and durable
// when it returns. The run must be this process's, see Put.
func (s *Store) LedgerEnter(r Run, entries []Entry) error { return s.enter(&r, entries, "") }

// LedgerImport enters files that no run has moved. One of which only the name is
// known takes nothing away from what is known of it already.
func (s *Store) LedgerImport(entries []Entry) error {
	return s.enter(nil, entries, " WHERE excluded.size >= 0 OR lh_ledger.done = 0")
}

// enter writes up to LedgerBatch entries in one transaction.
func (s *Store) enter(r *Run, entries []Entry, where string) error {
	var rows []Entry
	place := map[[3]string]int{}
	for _, e := range entries { // one statement may not come to a row twice
		if e.Job == "" || e.Path == "" {
			return fault.New(fault.Internal, "an entry of the ledger without a job or path")
		}
		key := [3]string{e.Job, e.Host, e.Path}
		if i, ok := place[key]; ok {
			rows[i] = e
			continue
		}
		place[key] = len(rows)
		rows = append(rows, e)
	}
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	owner, err := s.ownerFor(ctx, r != nil)
	if err == nil {
		err = s.db.Tx(ctx, func(t *db.Tx) error {
			if r != nil {
				if err := mine(ctx, t, *r, owner, s.db.Kind().Locked()); err != nil {
					return err
				}
			}
			for part := rows; len(part) > 0; part = part[min(ledgerRows, len(part)):] {
				if err := putEntries(ctx, t, part[:min(ledgerRows, len(part))], where); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("write to the ledger of job %q: %w", rows[0].Job, err)
	}
	return nil
}

// mine fails unless a run is under way and this owner's.
func mine(ctx context.Context, t *db.Tx, r Run, owner, locked string) error {
	var one int
	found, err := db.One(ctx, t, "SELECT 1 FROM lh_run WHERE id = $1 AND owner = $2 AND take = $3 AND state = $4"+locked,
		[]any{r.ID, owner, r.Take, string(Running)}, &one)
	if err == nil && !found {
		err = fault.New(fault.Interrupted, "%w", &TakenError{r.ID})
	}
	return err
}

func putEntries(ctx context.Context, t *db.Tx, rows []Entry, where string) error {
	const columns = 11
	var values strings.Builder
	var args []any
	for i, e := range rows {
		if i > 0 {
			values.WriteByte(',')
		}
		values.WriteString("(" + numbered(len(args)+1, columns) + ")")
		args = append(args, e.values()...)
	}
	_, err := t.Exec(ctx, "INSERT INTO lh_ledger ("+ledgerColumns+") VALUES "+values.String()+` ON CONFLICT (job, host, path) DO UPDATE SET
		size = excluded.size, mtime = excluded.mtime, sha256 = excluded.sha256, target = excluded.target, run = excluded.run, at = excluded.at, done = excluded.done`+where, args...)
	return err
}

// A LedgerFilter says which entries are wanted. The zero value wants all.
type LedgerFilter struct {
	Job, Host string
	// Match wants only those that it likes; nil: all.
	Match func(Entry) bool
	// Begun wants those too that were about to be moved, and of which nobody knows
	// yet whether they were.
	Begun bool
}

// Ledger calls yield for the entries of a filter, in the order of jobs, hosts and
// paths, until it returns false. No more than LedgerBatch are in memory at a time.
func (s *Store) Ledger(ctx context.Context, f LedgerFilter, yield func(Entry) bool) error {
	var after [3]string
	for {
		var batch []Entry
		var keys []string
		query, args := f.after(after)
		err := s.ledgerPage(ctx, query, args, func(e Entry, key string) {
			batch, keys = append(batch, e), append(keys, key)
		})
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		for _, e := range batch {
			if (f.Host == "" || f.Host == e.Host) && (f.Begun || !e.Begun) && (f.Match == nil || f.Match(e)) && !yield(e) {
				return nil
			}
		}
		if len(batch) < LedgerBatch {
			return nil
		}
		last := batch[len(batch)-1]
		after = [3]string{last.Job, last.Host, keys[len(keys)-1]}
	}
}

// after is what finds the entries of a filter behind one, by the index alone.
func (f LedgerFilter) after(last [3]string) (query string, args []any) {
	switch {
	case f.Job != "" && f.Host != "":
		return "job = $1 AND host = $2 AND path > $3", []any{f.Job, f.Host, last[2]}
	case f.Job != "":
		return "job = $1 AND (host, path) > ($2, $3)", []any{f.Job, last[1], last[2]}
	}
	// A host alone is looked for in what comes: SQLite would sort for it.
	return "(job, host, path) > ($1, $2, $3)", []any{last[0], last[1], last[2]}
}

func (s *Store) ledgerPage(ctx context.Context, query string, args []any, add func(Entry, string)) error {
	ctx, cancel := within(ctx, opTime)
	defer cancel()
	query = fmt.Sprintf("SELECT %s FROM lh_ledger WHERE %s ORDER BY job, host, path LIMIT %d", ledgerColumns, query, LedgerBatch)
	return s.db.Each(ctx, query, args, func(scan func(...any) error) error {
		e, key, err := scanEntry(scan)
		if err == nil {
			add(e, key)
		}
		return err
	})
}

// LedgerForget removes the entries of a filter, those that were only begun among them,
// and returns how many files that had been moved it was.
func (s *Store) LedgerForget(ctx context.Context, f LedgerFilter) (n int, err error) {
	var batch []Entry
	flush := func() error {
		ctx, cancel := opContext(opTime)
		defer cancel()
		err := s.db.Tx(ctx, func(t *db.Tx) error {
			for _, e := range batch {
				key, _ := ledgerKey(e.Path)
				// What was entered again meanwhile stays.
				if _, err := t.Exec(ctx, "DELETE FROM lh_ledger WHERE job = $1 AND host = $2 AND path = $3 AND at = $4", e.Job, e.Host, key, millis(e.At)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("forget entries of the ledger: %w", err)
		}
		for _, e := range batch {
			if !e.Begun {
				n++
			}
		}
		batch = batch[:0]
		return nil
	}
	f.Begun = true
	var failed error
	err = s.Ledger(ctx, f, func(e Entry) bool {
		if batch = append(batch, e); len(batch) == LedgerBatch {
			failed = flush()
		}
		return failed == nil
	})
	if err = cmp.Or(failed, err); err == nil && len(batch) > 0 {
		err = flush()
	}
	return n, err
}
