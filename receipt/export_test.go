package receipt

import "context"

// VerifyWithRoom is Verify with so many paths at a time.
func VerifyWithRoom(ctx context.Context, s Store, runs Runs, o Options, room int64) (*Report, error) {
	return verify(ctx, s, runs, o, room)
}

// MaxPath is the longest path that is kept whole.
const MaxPath = maxPath

// KeyOf is keyOf.
func KeyOf(path string, windows bool) any { return keyOf(path, windows) }
