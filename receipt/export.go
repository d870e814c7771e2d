package receipt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// WriteHeads writes the heads of a store, a line each, so that other programs can
// check them: sha256sum of a line is what the next one has as "prev".
func WriteHeads(ctx context.Context, s Store, w io.Writer) error {
	begin, err := s.Begin(ctx)
	if err != nil {
		return readError(ctx, "ask where the receipts begin", err)
	}
	out := bufio.NewWriter(w)
	for after := begin.Seq; ; {
		page, err := s.Heads(ctx, after, pageHeads)
		if err != nil {
			return readError(ctx, "read receipts", err)
		}
		for _, h := range page {
			if h.Seq <= after {
				return readError(ctx, "read receipts", errors.New("they are not in their order"))
			}
			after = h.Seq
			fmt.Fprintln(out, h.Text)
		}
		if err := out.Flush(); err != nil || len(page) == 0 {
			return err
		}
	}
}

// WriteList writes the list of a receipt, a line for each file: sha256sum of the
// whole is what the head has as the "sha256" of its "files".
func WriteList(ctx context.Context, s Store, seq int64, w io.Writer) error {
	out := bufio.NewWriter(w)
	v := &verifier{store: s}
	err := v.eachLine(ctx, seq, func(_ int64, text string) error {
		_, err := fmt.Fprintln(out, text)
		return err
	})
	return errors.Join(err, out.Flush())
}
