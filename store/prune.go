package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/store/db"
)

// Keep says how much of the history stays. The zero value keeps all.
type Keep struct {
	MaxAge time.Duration // of a run, since it was started; 0: for ever
	Runs   int           // of each job; 0: any number
}

// IsZero reports that all is kept.
func (k Keep) IsZero() bool { return k.MaxAge <= 0 && k.Runs <= 0 }

// Gone is a run that is removed from the history.
type Gone struct {
	ID      string `json:"id"`
	Job     string `json:"job"`
	LogPath string `json:"log_path,omitempty"` // empty too where its record cannot be read
}

const (
	// pruneBatch is how many runs are removed in one transaction, in which nobody
	// else can write to an SQLite: some 0.1 s.
	pruneBatch = 500
	// pruneRest is how long others get their turn before the next, at least: who waits
	// for an SQLite looks again each 0.1 s. It is as long as the transaction was, if
	// that was longer.
	pruneRest = 150 * time.Millisecond
	// readRest is the same after a part that was only read.
	readRest = 2 * time.Millisecond
)

// Expired calls yield with the runs that are too old or too many, a part at a
// time: those that are too old, the oldest first, and then those that are too many, one
// job after the other. A run that waits or is under way is never among them, neither
// is the newest run of a job or its newest success.
func (s *Store) Expired(ctx context.Context, k Keep, yield func([]Gone) error) error {
	e := expiry{s: s, stays: map[string][]string{}, yield: yield}
	old := ""
	if k.MaxAge > 0 {
		old = idTime(s.place.Now().Add(-k.MaxAge))
		if err := e.walk(ctx, "", "", old); err != nil {
			return s.readFault(err)
		}
	}
	if k.Runs <= 0 {
		return nil
	}
	for job := ""; ; {
		next, err := s.nextJob(ctx, job)
		if err != nil || next == "" {
			return err
		}
		job = next
		before, err := e.one(ctx, "SELECT id FROM lh_run WHERE job = $1 ORDER BY id DESC LIMIT 1 OFFSET $2", job, k.Runs-1)
		if err == nil {
			err = e.walk(ctx, job, old, before)
		}
		if err != nil {
			return s.readFault(err)
		}
	}
}

// nextJob is the first job with a run whose name comes after one; empty: there is
// none.
func (s *Store) nextJob(ctx context.Context, after string) (job string, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	_, err = db.One(ctx, s.db, "SELECT job FROM lh_run WHERE job > $1 ORDER BY job LIMIT 1", []any{after}, &job)
	if err != nil {
		return "", s.readFault(err)
	}
	return job, nil
}

// expiry looks for runs that are to go.
type expiry struct {
	s     *Store
	yield func([]Gone) error
	stays map[string][]string // the runs of each job that stay, of the jobs seen by now
}

// walk goes through the runs between two ids, of one job or of all.
func (e *expiry) walk(ctx context.Context, job, after, before string) error {
	for {
		rows, err := e.page(ctx, job, after, before)
		if err != nil || len(rows) == 0 {
			return err
		}
		var part []Gone
		for _, r := range rows {
			stay, err := e.stay(ctx, r.job)
			if err != nil {
				return err
			}
			if state := State(r.state); state != Running && state != Waiting && !slices.Contains(stay, r.id) {
				part = append(part, Gone{ID: r.id, Job: r.job, LogPath: r.log})
			}
		}
		if len(part) > 0 {
			if err := e.yield(part); err != nil {
				return err
			}
		}
		if len(rows) < pruneBatch {
			return nil
		}
		after = rows[len(rows)-1].id
	}
}

// old is a run that may have to go.
type old struct{ id, job, state, log string }

func (e *expiry) page(ctx context.Context, job, after, before string) (rows []old, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	query, args := "id > $1 AND id < $2", []any{after, before}
	if job != "" {
		query, args = query+" AND job = $3", append(args, job)
	}
	err = e.s.db.Each(ctx, fmt.Sprintf("SELECT id, job, state, record FROM lh_run WHERE %s ORDER BY id LIMIT %d", query, pruneBatch), args, func(scan func(...any) error) error {
		var r old
		var record string
		err := scan(&r.id, &r.job, &r.state, &record)
		r.log = logOf(record)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

// logOf is the log that a record names; empty too where it cannot be read.
func logOf(record string) string {
	var r struct {
		LogPath string `json:"log_path"`
	}
	if json.Unmarshal([]byte(record), &r) != nil {
		return ""
	}
	return r.LogPath
}

// stay are the runs of a job that stay whatever their age: the newest, and the newest
// successes. A warning is a success; who waits for one without is not let down either.
func (e *expiry) stay(ctx context.Context, job string) ([]string, error) {
	if ids, known := e.stays[job]; known {
		return ids, nil
	}
	newest, err := e.one(ctx, "SELECT id FROM lh_run WHERE job = $1 ORDER BY id DESC LIMIT 1", job)
	if err != nil {
		return nil, err
	}
	ids := []string{newest}
	for _, state := range []State{OK, Warning} {
		id, err := e.one(ctx, "SELECT id FROM lh_run WHERE job = $1 AND state = $2 ORDER BY id DESC LIMIT 1", job, string(state))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	e.stays[job] = ids
	return ids, nil
}

func (e *expiry) one(ctx context.Context, query string, args ...any) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	_, err = db.One(ctx, e.s.db, query, args, &id)
	return id, err
}

// manyLogs is how many logs that runs share are held against the runs that are left
// at a time.
const manyLogs = 100_000

// Prune removes the runs that Expired names, with all that belongs to them, in parts
// between which others get their turn; then the space that they took is given back.
// drop is called with the logs that no run of the record names any more, or will:
// of logs that are named after their run, before the run is removed, so that none is
// forgotten. It returns how many runs are gone. Several processes may do it at once.
func (s *Store) Prune(ctx context.Context, k Keep, drop func(logs []string) error) (runs int, err error) {
	shared := map[string]bool{}
	dropShared := func() error {
		logs, err := s.unnamed(ctx, shared)
		if err == nil && len(logs) > 0 {
			err = drop(logs)
		}
		clear(shared)
		return err
	}
	oldest := ""
	if k.MaxAge > 0 {
		oldest = idTime(s.place.Now().Add(-k.MaxAge))
	}
	var took time.Duration
	err = s.Expired(ctx, k, func(part []Gone) error {
		if runs > 0 {
			if err := rest(ctx, max(pruneRest, took)); err != nil {
				return err
			}
		}
		var own []string
		for _, g := range part {
			switch {
			case g.sharesLog():
				shared[g.LogPath] = true
			case g.LogPath != "":
				own = append(own, g.LogPath)
			}
		}
		if err := drop(own); err != nil {
			return err
		}
		began := s.place.Now()
		n, err := s.remove(ctx, part, oldest)
		took = min(s.place.Now().Sub(began), opTime) // a clock that is set may say anything
		if runs += n; err == nil && len(shared) >= manyLogs {
			err = dropShared()
		}
		if err == nil {
			err = s.db.GiveBack(ctx, false) // as it goes: that of much at once takes far longer
		}
		return err
	})
	if err == nil {
		err = dropShared()
	}
	if err == nil && runs > 0 {
		err = s.giveBack(ctx)
	}
	if err != nil {
		return runs, fmt.Errorf("prune the history: %w", err)
	}
	return runs, nil
}

// sharesLog reports whether other runs may write into its log: the name of the log
// does not hold that of the run.
func (g Gone) sharesLog() bool { return g.LogPath != "" && !strings.Contains(g.LogPath, g.ID) }

// rest waits, or fails when ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fault.New(fault.Interrupted, "%w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

// belongings are the tables with what belongs to runs, by their id in a column of
// that name.
func belongings() []string {
	return []string{"lh_run_files", "lh_attachment", "lh_progress", "lh_run_moved"}
}

// remove removes runs, and the receipts up to the first that a run holds which is not
// older than before.
func (s *Store) remove(ctx context.Context, part []Gone, before string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	marks := make([]string, len(part))
	ids := make([]any, len(part))
	for i, g := range part {
		marks[i], ids[i] = fmt.Sprintf("$%d", i+1), g.ID
	}
	these := " IN (" + strings.Join(marks, ", ") + ")"
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		for _, table := range belongings() {
			if _, err := t.Exec(ctx, "DELETE FROM "+table+" WHERE run"+these, ids...); err != nil {
				return err
			}
		}
		gone, err := t.Exec(ctx, "DELETE FROM lh_run WHERE id"+these, ids...)
		if n = int(gone); err != nil {
			return err
		}
		if err := s.forgetFree(ctx, t, before); err != nil {
			return err
		}
		// What they say of receipts that had gone before them, or that there never were:
		// the rest goes with the receipts. It is asked where the chain begins while
		// nobody else can move that.
		begin, err := chainBeginning(ctx, t)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, fmt.Sprintf("DELETE FROM lh_receipt_run WHERE seq <= $%d AND run%s", len(ids)+1, these), append(ids, begin.Seq)...)
		return err
	})
	return n, err
}

// unnamed returns those of the logs that no run of the record names.
func (s *Store) unnamed(ctx context.Context, logs map[string]bool) ([]string, error) {
	if len(logs) == 0 {
		return nil, nil
	}
	for after := ""; ; {
		seen, err := s.named(ctx, &after, logs)
		if err != nil {
			return nil, s.readFault(err)
		}
		if seen < pruneBatch || len(logs) == 0 {
			break
		}
		if err := rest(ctx, readRest); err != nil {
			return nil, err
		}
	}
	left := make([]string, 0, len(logs))
	for path := range logs {
		left = append(left, path)
	}
	slices.Sort(left)
	return left, nil
}

// named takes out of logs those that some runs name, and moves after to the last.
func (s *Store) named(ctx context.Context, after *string, logs map[string]bool) (seen int, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	from := *after
	err = s.db.Each(ctx, fmt.Sprintf("SELECT id, record FROM lh_run WHERE id > $1 ORDER BY id LIMIT %d", pruneBatch), []any{from}, func(scan func(...any) error) error {
		var record string
		if err := scan(after, &record); err != nil {
			return err
		}
		seen++
		delete(logs, logOf(record))
		return nil
	})
	return seen, err
}

// giveBack gives the space of what is gone back to the file system.
func (s *Store) giveBack(ctx context.Context) error {
	var running string
	if _, err := db.One(ctx, s.db, "SELECT id FROM lh_run WHERE state = $1 ORDER BY id LIMIT 1", []any{string(Running)}, &running); err != nil {
		return err
	}
	return s.db.GiveBack(ctx, running == "")
}
