package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"linehaul/store/db"
)

// Notes are of what a run of this process has moved whole and durable, or removed,
// while it goes on: for whoever ends the run if this process dies. What is added
// is in memory until Flush, or until there is a megabyte of it. Its methods may be called
// concurrently; those of a nil Notes do nothing.
type Notes struct {
	s   *Store
	run Run

	writing sync.Mutex // held by Flush, so that lines stay in their order

	mu    sync.Mutex
	lines bytes.Buffer
}

// Notes makes those of a run that is recorded as under way.
func (s *Store) Notes(r Run) *Notes {
	return &Notes{s: s, run: Run{ID: r.ID, Job: r.Job, Take: r.Take}}
}

// Add notes a file, in place of what was noted before of its source and target.
func (n *Notes) Add(f File) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	full := n.lines.Len() >= partBytes
	n.mu.Unlock()
	if full {
		if err := n.Flush(); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return writeLine(&n.lines, f)
}

// Flush makes durable what was added before. The run must be this process's, see
// Put. What could not be written is tried again by the next one.
func (n *Notes) Flush() error {
	if n == nil {
		return nil
	}
	n.writing.Lock()
	defer n.writing.Unlock()
	n.mu.Lock()
	lines := n.lines.String()
	n.mu.Unlock()
	if lines == "" {
		return nil
	}
	if err := n.s.noteMoved(n.run, lines); err != nil {
		return fmt.Errorf("note what run %s has moved: %w", n.run.ID, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines.Next(len(lines))
	return nil
}

func (s *Store) noteMoved(r Run, lines string) error {
	ctx, cancel := opContext(opTime)
	defer cancel()
	owner, err := s.ownerFor(ctx, true)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(t *db.Tx) error {
		if err := mine(ctx, t, r, owner, s.db.Kind().Locked()); err != nil {
			return err
		}
		var part int
		if _, err := db.One(ctx, t, "SELECT coalesce(max(part) + 1, 0) FROM lh_run_moved WHERE run = $1", []any{r.ID}, &part); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "INSERT INTO lh_run_moved (run, part, take, node, lines) VALUES ($1, $2, $3, $4, $5)", r.ID, part, r.Take, s.place.Node, lines)
		return err
	})
}

// FileKey tells the files of a run from each other.
func FileKey(source, target string) [16]byte {
	sum := sha256.Sum256([]byte(source + "\x00" + target))
	return [16]byte(sum[:16])
}

// EachMoved calls do for each file that was noted of a run while it was under way,
// with the take that moved it, and the node if that is not the run's, until it fails.
// Of what was noted several times, it is the last that counts. What is damaged is left
// out: a run can end, whatever somebody has done to its notes.
func (s *Store) EachMoved(r Run, do func(File) error) error {
	return s.eachMoved(context.Background(), s.db, r, do)
}

func (s *Store) eachMoved(ctx context.Context, c db.Conn, r Run, do func(File) error) error {
	last, n := map[[16]byte]int{}, 0
	err := s.eachNote(ctx, c, r, func(f File) error {
		last[FileKey(f.Source, f.Target)] = n
		n++
		return nil
	})
	if err != nil || n == 0 {
		return err
	}
	n = 0
	return s.eachNote(ctx, c, r, func(f File) error {
		n++
		if last[FileKey(f.Source, f.Target)] != n-1 {
			return nil
		}
		return do(f)
	})
}

func (s *Store) eachNote(ctx context.Context, c db.Conn, r Run, do func(File) error) error {
	own := cmp.Or(r.Node, s.place.Node)
	for part := -1; ; {
		var take int
		var node, lines string
		limited, cancel := context.WithTimeout(ctx, opTime)
		found, err := db.One(limited, c, "SELECT part, take, node, lines FROM lh_run_moved WHERE run = $1 AND part > $2 ORDER BY part LIMIT 1", []any{r.ID, part}, &part, &take, &node, &lines)
		cancel()
		if err != nil || !found {
			return err
		}
		d := json.NewDecoder(strings.NewReader(lines))
		for d.More() {
			var line fileLine
			if d.Decode(&line) != nil {
				break
			}
			f := line.file()
			if f.Take = take; node != own {
				f.Node = node
			}
			if err := do(f); err != nil {
				return err
			}
		}
	}
}

// Count counts a file that was moved or removed among those of the run.
func (r *Run) Count(f File) {
	switch {
	case f.Deleted && f.Gone == GoneByRetention && f.Kind != "": // a folder that became empty
	case f.Deleted:
		r.Removed++
	default:
		r.Matched++
		r.Moved++
		r.Bytes += f.Bytes
	}
}

// gather enters into a run that has ended what was noted of it while it was under
// way, where whoever ends it knows nothing of its files. It writes nothing: others may
// end the run too.
func (s *Store) gather(r *Run) error {
	if !r.State.ended() || len(r.Files) > 0 {
		return nil
	}
	var counted Run
	err := s.EachMoved(*r, func(f File) error {
		counted.Count(f)
		if len(counted.Files) < MaxFiles {
			counted.Files = append(counted.Files, f)
		} else {
			counted.MoreFiles++
		}
		return nil
	})
	if err == nil && r.Way == "" && len(counted.Files) > 0 { // whoever ends it does not know its job
		var before Run
		before, err = s.Run(r.ID)
		r.Way = before.Way
	}
	if err != nil {
		return fmt.Errorf("enter what run %s has moved: %w", r.ID, err)
	}
	if len(counted.Files) > 0 {
		r.Matched, r.Moved, r.Bytes, r.Removed = max(r.Matched, counted.Matched), counted.Moved, counted.Bytes, counted.Removed
		r.Files, r.MoreFiles, r.gathered = counted.Files, counted.MoreFiles, true
		own := *r
		r.more = func(do func(File) error) error { return s.moreMoved(context.Background(), s.db, own, do) }
	}
	return nil
}

// moreMoved calls do for what was noted of a run and is not in its record itself.
func (s *Store) moreMoved(ctx context.Context, c db.Conn, r Run, do func(File) error) error {
	n := 0
	return s.eachMoved(ctx, c, r, func(f File) error {
		if n++; n <= MaxFiles {
			return nil
		}
		return do(f)
	})
}

// forgetMoved removes what was noted of a run, in the transaction that ends it: its
// record and its receipt have it, and what was gathered goes beside the record.
func (s *Store) forgetMoved(ctx context.Context, t *db.Tx, d *draft) error {
	run := d.head.Run
	if d.gathered {
		err := putFiles(ctx, t, run, func(do func(File) error) error {
			return s.moreMoved(ctx, t, Run{ID: run, Node: d.head.Node}, do)
		})
		if err != nil {
			return err
		}
	}
	_, err := t.Exec(ctx, "DELETE FROM lh_run_moved WHERE run = $1", run)
	return err
}
