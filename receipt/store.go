package receipt

import "context"

// A Store has receipts. Nothing is open between two calls, so that none of them
// waits for another one's query, and others may write meanwhile: receipts at the
// end, together with what their runs say of them (Runs), in one transaction.
//
// Text is stored and given back byte for byte. A store may cut what has more than
// MaxHead or MaxLine bytes after one more.
type Store interface {
	// Begin is the last receipt that was removed from the front; the zero Place if
	// none was.
	Begin(ctx context.Context) (Place, error)
	// Heads are the first receipts above a number, strictly ascending, limit of
	// them at most; none if there are no more.
	Heads(ctx context.Context, after int64, limit int) ([]Stored, error)
	// Lines are those that come after the first ones of a receipt's list, without
	// line feeds, limit of them at most; none if there are no more. Fewer are given
	// where they are long: no more than a few MiB at a time.
	Lines(ctx context.Context, seq int64, after int64, limit int) ([]string, error)
}

// A Stored is a head and the number that it is stored under.
type Stored struct {
	Seq  int64
	Text string
}

// Runs is what the records of runs say of their receipts: all that can show that
// the newest receipts are missing or that all are made anew. What it says of a run
// stays as long as the run's receipt does, even if the run's record goes before.
type Runs interface {
	// Named are the first receipts above a number that runs name, strictly
	// ascending, limit of them at most; none if there are no more.
	Named(ctx context.Context, after int64, limit int) ([]Named, error)
	// Unnamed are the first runs after one, in the order of their ids, that have
	// ended and name no receipt though they should; limit of them at most.
	Unnamed(ctx context.Context, after string, limit int) ([]string, error)
}

// A Named is a receipt as the record of its run has it.
type Named struct {
	Place
	Run string
}

// How much is read at a time.
const (
	pageHeads = 64
	pageLines = 512
	pageRuns  = 256
)
