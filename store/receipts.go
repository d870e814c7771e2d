package store

import (
	"context"
	"strings"

	"linehaul/receipt"
)

// Receipts are the receipts of a store and what its runs say of them, for package
// receipt to verify. One goroutine uses them at a time; others may write meanwhile.
type Receipts struct {
	s  *Store
	at listPlace
}

// listPlace is where the reading of a list has come to.
type listPlace struct {
	seq  int64
	line int64  // so many were given
	run  string // whose list it is
	list string
	part int // the next one
	rest []string
}

var (
	_ receipt.Store = (*Receipts)(nil)
	_ receipt.Runs  = (*Receipts)(nil)
)

// Receipts are those of this store.
func (s *Store) Receipts() *Receipts { return &Receipts{s: s} }

// each runs a query that has its own deadline.
func (r *Receipts) each(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	return r.s.db.Each(ctx, query, args, row)
}

func (r *Receipts) one(ctx context.Context, query string, args []any, dst ...any) (found bool, err error) {
	err = r.each(ctx, query, args, func(scan func(...any) error) error {
		found = true
		return scan(dst...)
	})
	return found, err
}

// Begin is the last receipt that was removed from the front.
func (r *Receipts) Begin(ctx context.Context) (receipt.Place, error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	return chainBeginning(ctx, r.s.db)
}

// Heads are the first receipts above a number.
func (r *Receipts) Heads(ctx context.Context, after int64, limit int) (heads []receipt.Stored, err error) {
	err = r.each(ctx, "SELECT seq, substr(head, 1, $3) FROM lh_receipt WHERE seq > $1 ORDER BY seq LIMIT $2", []any{after, limit, receipt.MaxHead + 1},
		func(scan func(...any) error) error {
			var h receipt.Stored
			err := scan(&h.Seq, &h.Text)
			heads = append(heads, h)
			return err
		})
	return heads, err
}

// maxPart bounds what is read of one part of a list: what draft makes is shorter.
const maxPart = partBytes + receipt.MaxLine

// Lines are those of a receipt's list that come after the first ones.
func (r *Receipts) Lines(ctx context.Context, seq, after int64, limit int) ([]string, error) {
	if r.at.seq != seq || r.at.line > after {
		r.at = listPlace{seq: seq}
		if _, err := r.one(ctx, "SELECT run, list FROM lh_receipt WHERE seq = $1", []any{seq}, &r.at.run, &r.at.list); err != nil {
			return nil, err
		}
	}
	for {
		if skip := min(after-r.at.line, int64(len(r.at.rest))); skip > 0 {
			r.at.rest = r.at.rest[skip:]
			r.at.line += skip
		}
		if n := min(limit, len(r.at.rest)); n > 0 {
			lines := r.at.rest[:n]
			r.at.rest = r.at.rest[n:]
			r.at.line += int64(n)
			return lines, nil
		}
		var part int
		var text string
		found, err := r.one(ctx, "SELECT part, substr(lines, 1, $4) FROM lh_receipt_list WHERE run = $1 AND list = $2 AND part >= $3 ORDER BY part LIMIT 1",
			[]any{r.at.run, r.at.list, r.at.part, maxPart + 1}, &part, &text)
		if err != nil || !found {
			return nil, err
		}
		r.at.part = part + 1
		r.at.rest = nil
		if text != "" {
			r.at.rest = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		}
	}
}

// Named are the first receipts above a number that runs name.
func (r *Receipts) Named(ctx context.Context, after int64, limit int) (named []receipt.Named, err error) {
	err = r.each(ctx, "SELECT run, seq, hash FROM lh_receipt_run WHERE seq > 0 AND seq > $1 ORDER BY seq LIMIT $2", []any{max(0, after), limit},
		func(scan func(...any) error) error {
			var n receipt.Named
			var hash string
			err := scan(&n.Run, &n.Seq, &hash)
			if p := receiptPlace(n.Seq, hash); p != nil {
				n.Hash = p.Hash // else it is one that no receipt has
			}
			named = append(named, n)
			return err
		})
	return named, err
}

// Of is the receipt that a run names; the zero Place if none.
func (r *Receipts) Of(ctx context.Context, run string) (receipt.Place, error) {
	var seq int64
	var hash string
	if _, err := r.one(ctx, "SELECT seq, hash FROM lh_receipt_run WHERE run = $1", []any{run}, &seq, &hash); err != nil {
		return receipt.Place{}, err
	}
	if p := receiptPlace(seq, hash); p != nil {
		return *p, nil
	}
	return receipt.Place{}, nil
}

// Unnamed are the first runs after one that have ended and name no receipt.
func (r *Receipts) Unnamed(ctx context.Context, after string, limit int) (ids []string, err error) {
	err = r.each(ctx, `SELECT id FROM lh_run WHERE id > $1 AND state NOT IN ($3, $4)
		AND NOT EXISTS (SELECT 1 FROM lh_receipt_run WHERE run = lh_run.id) ORDER BY id LIMIT $2`, []any{after, limit, string(Waiting), string(Running)},
		func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	return ids, err
}
