package store

import (
	"context"

	"linehaul/receipt"
	"linehaul/store/db"
)

// Rows of lh_chain: the last receipt that was removed from the front, and the last
// one there was.
const (
	chainBegin = "begin"
	chainEnd   = "end"
)

// lockChain returns the last receipt, and keeps all others from adding to the chain
// until the transaction ends.
func (s *Store) lockChain(ctx context.Context, t *db.Tx) (receipt.Place, error) {
	// Whatever somebody has done to the tables, a run can be recorded: what does not
	// fit together is for Verify to find.
	query := "SELECT seq, hash, (SELECT coalesce(max(seq), 0) FROM lh_receipt) FROM lh_chain WHERE place = $1" + s.db.Kind().Locked()
	var seq, last int64
	var hash string
	found, err := db.One(ctx, t, query, []any{chainEnd}, &seq, &hash, &last)
	if err == nil && !found {
		if _, err = t.Exec(ctx, "INSERT INTO lh_chain (place, seq, hash) VALUES ($1, 0, '') ON CONFLICT (place) DO NOTHING", chainEnd); err == nil {
			_, err = db.One(ctx, t, query, []any{chainEnd}, &seq, &hash, &last)
		}
	}
	end := receipt.Place{Seq: max(seq, last)}
	if p := receiptPlace(seq, hash); p != nil {
		end.Hash = p.Hash
	}
	return end, err
}

func putChain(ctx context.Context, t *db.Tx, place string, p receipt.Place) error {
	_, err := t.Exec(ctx, "INSERT INTO lh_chain (place, seq, hash) VALUES ($1, $2, $3) ON CONFLICT (place) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
		place, p.Seq, p.Hash.String())
	return err
}

// chainBeginning is the last receipt that was removed from the front.
func chainBeginning(ctx context.Context, c db.Conn) (receipt.Place, error) {
	var seq int64
	var hash string
	found, err := db.One(ctx, c, "SELECT seq, hash FROM lh_chain WHERE place = $1", []any{chainBegin}, &seq, &hash)
	if !found || err != nil {
		return receipt.Place{}, err
	}
	if p := receiptPlace(seq, hash); p != nil {
		return *p, nil
	}
	return receipt.Place{Seq: max(0, seq)}, nil
}

// someReceipts is how many receipts are looked at, and forgotten, in one transaction:
// more than runs are removed in one, so that what one run held for long goes in time.
const someReceipts = 2000

// freeReceipts is the last receipt, from the front, up to which no run is left that
// holds its own: all up to it may be forgotten. Runs whose id is below before, as
// they are older than all that is to be kept, hold none. It looks at no more than
// someReceipts of them: in a long history, most are of runs that are to go.
func (s *Store) freeReceipts(ctx context.Context, t *db.Tx, before string) (int64, error) {
	end, err := s.lockChain(ctx, t)
	if err != nil {
		return 0, err
	}
	begin, err := chainBeginning(ctx, t)
	if err != nil {
		return 0, err
	}
	most := begin.Seq + someReceipts
	var needed int64
	found, err := db.One(ctx, t, `SELECT seq FROM lh_receipt_run WHERE seq > 0 AND seq > $1 AND seq <= $2 AND run >= $3
		AND EXISTS (SELECT 1 FROM lh_run WHERE id = lh_receipt_run.run) ORDER BY seq LIMIT 1`, []any{begin.Seq, most, before}, &needed)
	if found {
		return needed - 1, err
	}
	return min(end.Seq, most), err
}

// forgetFree forgets receipts that no run holds, within the transaction that removes
// runs.
func (s *Store) forgetFree(ctx context.Context, t *db.Tx, before string) error {
	free, err := s.freeReceipts(ctx, t, before)
	if err != nil {
		return err
	}
	return s.forgetReceipts(ctx, t, free)
}

// forgetReceipts removes the receipts up to a number together with their lists, and
// notes where the chain begins then. What runs say of these receipts goes where the
// run is gone too; so it is called after runs were removed. Each statement has the
// number where the chain began, too: PostgreSQL goes by what it knew of the tables some
// time ago, and would expect all that has been removed since to be there yet.
func (s *Store) forgetReceipts(ctx context.Context, t *db.Tx, upTo int64) error {
	if _, err := s.lockChain(ctx, t); err != nil {
		return err
	}
	begin, err := chainBeginning(ctx, t)
	if err != nil {
		return err
	}
	var seq int64
	var hash string
	found, err := db.One(ctx, t, "SELECT seq, hash FROM lh_receipt WHERE seq > $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1", []any{begin.Seq, upTo}, &seq, &hash)
	if err != nil || !found {
		return err
	}
	next := receipt.Place{Seq: seq}
	if p := receiptPlace(seq, hash); p != nil {
		next = *p
	}
	for _, statement := range []string{
		"DELETE FROM lh_receipt_list WHERE run IN (SELECT run FROM lh_receipt WHERE seq > $1 AND seq <= $2)",
		"DELETE FROM lh_receipt WHERE seq > $1 AND seq <= $2",
		"DELETE FROM lh_receipt_run WHERE seq > 0 AND seq > $1 AND seq <= $2 AND NOT EXISTS (SELECT 1 FROM lh_run WHERE id = lh_receipt_run.run)",
	} {
		if _, err := t.Exec(ctx, statement, begin.Seq, next.Seq); err != nil {
			return err
		}
	}
	return putChain(ctx, t, chainBegin, next)
}
