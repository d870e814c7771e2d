package transfer

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A late reader makes room when its script says that something comes.
type late struct {
	data   []byte
	first  int   // how much the first answer carries; more than was asked for if it is too much
	err    error // of the first answer
	rooms  int
	follow int // requests after the first
}

func (l *late) ReadPieceAt(n int, offset int64, room func(n int) []byte, _ func()) ([]byte, int, error) {
	if l.first == 0 {
		return nil, 0, l.err
	}
	l.rooms++
	buf := room(n)
	copy(buf[:min(l.first, n)], l.data[offset:])
	return buf, l.first, l.err
}

func (l *late) ReadAt(p []byte, offset int64) (int, error) {
	l.follow++
	return bytes.NewReader(l.data).ReadAt(p[:min(len(p), 3)], offset)
}

// TestReadPiece reads 10 bytes at 2 of 16, which come in all the ways in which
// a server may send them.
func TestReadPiece(t *testing.T) {
	data := []byte("0123456789abcdef")
	broken := errors.New("the line broke")
	for _, c := range []struct {
		what   string
		r      io.ReaderAt
		rooms  int
		wanted error // nil: the piece
	}{
		{"at once", &late{data: data, first: 10}, 1, nil},
		{"at once, with the end", &late{data: data, first: 10, err: io.EOF}, 1, nil},
		{"in pieces", &late{data: data, first: 4}, 1, nil},
		{"in pieces, the first with an end that is none", &late{data: data, first: 4, err: io.EOF}, 1, nil},
		{"nothing at first", &late{data: data}, 1, nil},
		{"the end", &late{data: data, err: io.EOF}, 0, errShort},
		{"an end in the piece", &late{data: data[:8], first: 6, err: io.EOF}, 1, errShort},
		{"an error", &late{data: data, err: broken}, 0, broken},
		{"a reader that makes no room", bytes.NewReader(data), 1, nil},
	} {
		rooms := 0
		got, err := readPiece(c.r, 10, 2, func(n int) []byte { rooms++; return make([]byte, n) }, func() {})
		if c.wanted == nil && (err != nil || string(got) != "23456789ab") || c.wanted != nil && !errors.Is(err, c.wanted) {
			t.Errorf("%s: %q, %v", c.what, got, err)
		}
		if rooms != c.rooms {
			t.Errorf("%s: room was made %d times", c.what, rooms)
		}
	}
	if got, err := readPiece(&late{data: data, first: 11}, 10, 2, func(n int) []byte { return make([]byte, n) }, func() {}); err == nil {
		t.Errorf("more than was asked for: %q", got)
	}
}

func TestBuffers(t *testing.T) {
	b := buffers{most: 100}
	one, two := b.take(100), b.take(40)
	if len(one) != 100 || len(two) != 40 || &one[0] == &two[0] {
		t.Fatalf("%d and %d bytes", len(one), len(two))
	}
	b.give(one)
	b.give(two)
	again := b.take(70) // the one that was given last, which has room for all that comes
	if len(again) != 70 || &again[0] != &two[0] {
		t.Error("not the one that was used last")
	}
	large := b.take(1000)
	if len(large) != 1000 || len(b.free) != 1 {
		t.Errorf("%d bytes, and %d are free", len(large), len(b.free))
	}
	b.give(large)
	if small := b.take(10); &small[0] != &one[0] || len(b.free) != 0 {
		t.Error("what is larger than others is used again")
	}
}
