package transfer

import (
	"context"
	"iter"
	"time"
)

// What some servers can do beside what Remote asks of all. Each is looked for
// where it is needed, and done without, or said to be missing, where it is not
// there. Errors and concurrency are as Remote has them.

// Lister lists a folder piece by piece, so that nobody holds all of it.
type Lister interface {
	// ListSeq yields what List returns. An error is the last thing it yields.
	ListSeq(ctx context.Context, dir string) iter.Seq2[Entry, error]
}

// LinkReader tells what symbolic links are and where they lead.
type LinkReader interface {
	// Lstat describes path itself, where Stat describes what it leads to.
	Lstat(ctx context.Context, path string) (Entry, error)
	// ReadLink returns the text of a link, as it is.
	ReadLink(ctx context.Context, path string) (string, error)
}

// LinkMaker makes symbolic links.
type LinkMaker interface {
	// Symlink makes a link at path with that text. It fails if path exists.
	Symlink(ctx context.Context, text, path string) error
}

// Clock tells the time that the server stamps files with.
type Clock interface {
	// Clock is right to a second.
	Clock(ctx context.Context) (time.Time, error)
}
