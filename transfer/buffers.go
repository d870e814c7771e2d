package transfer

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// buffers hold content that has come, or is about to go. They are used again as
// soon as they are free, the one that was used last first: memory that is new
// costs more than what is done with it. There are never more of them than were
// in use at a time.
type buffers struct {
	most int // what one holds; what is larger is not used again

	mu   sync.Mutex
	free [][]byte
}

// take returns a buffer of n bytes. What is in it is of no meaning.
func (b *buffers) take(n int) []byte {
	if n > b.most {
		return make([]byte, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := len(b.free) - 1; last >= 0 {
		buf := b.free[last]
		b.free = slices.Delete(b.free, last, last+1)
		return buf[:n]
	}
	return make([]byte, n, b.most)
}

// give takes back a buffer that nobody uses any more.
func (b *buffers) give(buf []byte) {
	if cap(buf) != b.most {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = append(b.free, buf)
}

// readPiece reads n bytes into what room returns for them: when they come, if
// the reader can do that. sent is as PieceReader has it.
func readPiece(r io.ReaderAt, n int, offset int64, room func(n int) []byte, sent func()) ([]byte, error) {
	late, ok := r.(PieceReader)
	if !ok {
		buf := room(n)
		return buf, readFull(r, buf, offset)
	}
	inOrder := false
	buf, got, err := late.ReadPieceAt(n, offset, room, func() { inOrder = true; sent() })
	switch {
	case got < 0 || got > n || got > len(buf):
		return nil, errors.New("more came than was asked for")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case got == 0 && err != nil:
		return nil, errShort
	case got == n:
		return buf, nil // an end behind it is none of ours
	case buf == nil:
		buf = room(n)
	}
	if inOrder {
		sent() // what follows is another request
	}
	return buf, readFull(r, buf[got:], offset+int64(got))
}
