package store

import (
	"context"

	"linehaul/store/db"
)

// FreeReceipts is freeReceipts, in a transaction of its own.
func (s *Store) FreeReceipts(ctx context.Context, before string) (seq int64, err error) {
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		seq, err = s.freeReceipts(ctx, t, before)
		return err
	})
	return seq, err
}

// ForgetReceipts is forgetReceipts, in a transaction of its own.
func (s *Store) ForgetReceipts(ctx context.Context, upTo int64) error {
	return s.db.Tx(ctx, func(t *db.Tx) error { return s.forgetReceipts(ctx, t, upTo) })
}
