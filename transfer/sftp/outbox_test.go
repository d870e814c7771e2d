package sftp

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

// A gate is a writer that waits to be let through, one write at a time.
type gate struct {
	begun chan int // how much is being written
	let   chan error
	got   bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	g.begun <- len(p)
	if err := <-g.let; err != nil {
		return 0, err
	}
	return g.got.Write(p)
}

func (g *gate) Close() error { return nil }

// TestOutbox: what comes while something is written goes out in one piece behind
// it, whole, and a large packet by itself; an error is told to all whom it
// concerns, and to nobody else.
func TestOutbox(t *testing.T) {
	g := &gate{begun: make(chan int), let: make(chan error)}
	o := outbox{w: g}
	var all sync.WaitGroup
	fates := make(chan error, 20)
	send := func(packets ...[]byte) { all.Go(func() { fates <- o.send(packets) }) }
	waiting := func(n int) {
		for {
			o.mu.Lock()
			b := o.next
			there := b != nil && len(b.packets) == n
			o.mu.Unlock()
			if there {
				return
			}
		}
	}
	send([]byte("first"))
	if n := <-g.begun; n != 5 {
		t.Fatalf("%d bytes first", n)
	}
	for i := range 5 {
		send(bytes.Repeat([]byte{'a'}, 100), bytes.Repeat([]byte{'b'}, 10))
		waiting(2 * (i + 1))
	}
	g.let <- nil
	if n := <-g.begun; n != 550 {
		t.Fatalf("%d bytes in one piece, of 550", n)
	}
	send(make([]byte, maxJoined+1))
	waiting(1)
	torn := errors.New("torn")
	g.let <- torn
	if n := <-g.begun; n != maxJoined+1 {
		t.Fatalf("%d bytes of a large packet", n)
	}
	g.let <- nil
	all.Wait()
	close(fates)
	good, bad := 0, 0
	for err := range fates {
		switch {
		case err == nil:
			good++
		case errors.Is(err, torn):
			bad++
		default:
			t.Error(err)
		}
	}
	if good != 2 || bad != 5 {
		t.Errorf("%d sent, %d torn", good, bad)
	}
	if b := g.got.Bytes(); len(b) != 5+maxJoined+1 || !bytes.HasPrefix(b, []byte("first")) {
		t.Errorf("%d bytes came", len(b))
	}
}

// TestOutboxPieces: packets keep their order, and are joined up to what a packet
// of SSH holds.
func TestOutboxPieces(t *testing.T) {
	small := bytes.Repeat([]byte{1}, maxJoined/2)
	large := bytes.Repeat([]byte{2}, maxJoined+5)
	g := &pieces{}
	o := outbox{w: g}
	if err := o.send([][]byte{small, small, small, large, small}); err != nil {
		t.Fatal(err)
	}
	want := []int{maxJoined, maxJoined / 2, maxJoined + 5, maxJoined / 2}
	if len(g.sizes) != len(want) {
		t.Fatalf("pieces of %v bytes, want %v", g.sizes, want)
	}
	for i, n := range want {
		if g.sizes[i] != n {
			t.Errorf("pieces of %v bytes, want %v", g.sizes, want)
		}
	}
	again := [][]byte{[]byte("what is joined"), []byte(" anew")}
	for range 2 {
		if err := o.send(again); err != nil {
			t.Fatal(err)
		}
	}
	sent := append([][]byte{small, small, small, large, small}, append(again, again...)...)
	if !bytes.Equal(g.got.Bytes(), bytes.Join(sent, nil)) {
		t.Error("what came is not what was sent")
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := o.send(again); err != nil {
			t.Fatal(err)
		}
		g.got.Reset()
		g.sizes = g.sizes[:0]
	}); n > 2 { // a batch and its channel
		t.Errorf("%.0f pieces of memory for two packets", n)
	}
}

type pieces struct {
	got   bytes.Buffer
	sizes []int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return p.got.Write(b)
}

func (p *pieces) Close() error { return nil }

var _ io.WriteCloser = (*pieces)(nil)
