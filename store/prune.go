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
	// pruneBatch is how many runs are removed in one transaction: some 20 ms in
	// which nobody else can write to an SQLite.
	pruneBatch = 500
	// pruneRest is how long others get their turn before the next.
	pruneRest = 20 * time.Millisecond
)

// Expired calls yield with the runs that are too old or too many, a part at a
// time, those of one job after those of another and the oldest first. A run that
// waits or is under way is never among them, neither is the newest run of a job or
// its newest success.
func (s *Store) Expired(ctx context.Context, k Keep, yield func([]Gone) error) error {
	if k.IsZero() {
		return nil
	}
	for job := ""; ; {
		next, err := s.nextJob(ctx, job)
		if err != nil || next == "" {
			return err
		}
		job = next
		if err := s.expired(ctx, job, k, yield); err != nil {
			return err
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

func (s *Store) expired(ctx context.Context, job string, k Keep, yield func([]Gone) error) error {
	before, stay, err := s.bounds(ctx, job, k)
	if err != nil {
		return s.readFault(err)
	}
	for after := ""; ; {
		part, last, err := s.someExpired(ctx, job, after, before, stay)
		if err != nil {
			return s.readFault(err)
		}
		if len(part) > 0 {
			if err := yield(part); err != nil {
				return err
			}
		}
		if last == "" {
			return nil
		}
		after = last
	}
}

// bounds is the id before which the runs of a job are too old or too many, and
// those that stay all the same.
func (s *Store) bounds(ctx context.Context, job string, k Keep) (before string, stay []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	if k.MaxAge > 0 {
		before = idTime(s.place.Now().Add(-k.MaxAge))
	}
	one := func(query string, args ...any) (id string, err error) {
		_, err = db.One(ctx, s.db, query, args, &id)
		return id, err
	}
	if k.Runs > 0 {
		first, err := one("SELECT id FROM lh_run WHERE job = $1 ORDER BY id DESC LIMIT 1 OFFSET $2", job, k.Runs-1)
		if err != nil {
			return "", nil, err
		}
		before = max(before, first)
	}
	newest, err := one("SELECT id FROM lh_run WHERE job = $1 ORDER BY id DESC LIMIT 1", job)
	if err != nil {
		return "", nil, err
	}
	// A warning is a success; who waits for one without is not let down either.
	stay = append(stay, newest)
	for _, state := range []State{OK, Warning} {
		id, err := one("SELECT id FROM lh_run WHERE job = $1 AND state = $2 ORDER BY id DESC LIMIT 1", job, string(state))
		if err != nil {
			return "", nil, err
		}
		stay = append(stay, id)
	}
	return before, stay, nil
}

// someExpired reads one part of what expired, and the last id that it has looked
// at; empty: there is no more.
func (s *Store) someExpired(ctx context.Context, job, after, before string, stay []string) (part []Gone, last string, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	seen := 0
	err = s.db.Each(ctx, fmt.Sprintf("SELECT id, state, record FROM lh_run WHERE job = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT %d", pruneBatch),
		[]any{job, after, before}, func(scan func(...any) error) error {
			var id, state, record string
			if err := scan(&id, &state, &record); err != nil {
				return err
			}
			seen++
			last = id
			if State(state) == Running || State(state) == Waiting || slices.Contains(stay, id) {
				return nil
			}
			var r struct {
				LogPath string `json:"log_path"`
			}
			if json.Unmarshal([]byte(record), &r) != nil {
				r.LogPath = ""
			}
			part = append(part, Gone{ID: id, Job: job, LogPath: r.LogPath})
			return nil
		})
	if seen < pruneBatch {
		last = ""
	}
	return part, last, err
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
	err = s.Expired(ctx, k, func(part []Gone) error {
		if runs > 0 {
			if err := rest(ctx, pruneRest); err != nil {
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
		n, err := s.remove(ctx, part)
		if runs += n; err == nil && len(shared) >= manyLogs {
			err = dropShared()
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
func belongings() []string { return []string{"lh_run_files", "lh_attachment", "lh_progress"} }

func (s *Store) remove(ctx context.Context, part []Gone) (n int, err error) {
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
		n = int(gone)
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
		if err := rest(ctx, pruneRest/10); err != nil {
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
		var r struct {
			LogPath string `json:"log_path"`
		}
		if json.Unmarshal([]byte(record), &r) == nil {
			delete(logs, r.LogPath)
		}
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
