package esp

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A Table holds the associations to receive on, by their SPIs: during a rekey
// the old one and the new one side by side. The zero value is an empty table.
// It is safe for concurrent use, and looking up takes no lock.
type Table struct {
	mu  sync.Mutex // held to change all
	all atomic.Pointer[map[uint32]*Inbound]
}

// Add puts an association in, in place of one with the same SPI.
func (t *Table) Add(i *Inbound) {
	t.change(func(m map[uint32]*Inbound) { m[i.spi] = i })
}

// Remove takes the association of an SPI out, if there is one.
func (t *Table) Remove(spi uint32) {
	t.change(func(m map[uint32]*Inbound) { delete(m, spi) })
}

func (t *Table) change(f func(map[uint32]*Inbound)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := map[uint32]*Inbound{}
	if old := t.all.Load(); old != nil {
		m = maps.Clone(*old)
	}
	f(m)
	t.all.Store(&m)
}

// Find returns the association of an SPI, nil if there is none.
func (t *Table) Find(spi uint32) *Inbound {
	m := t.all.Load()
	if m == nil {
		return nil
	}
	return (*m)[spi]
}

// Open finds the association that an ESP packet names, and opens the packet
// with it: see Inbound.Open. The association is nil if there is none, whose
// error is ErrSPI.
func (t *Table) Open(packet []byte) (inner []byte, by *Inbound, err error) {
	spi, ok := SPI(packet)
	if !ok {
		return nil, nil, ErrMalformed
	}
	if by = t.Find(spi); by == nil {
		return nil, nil, ErrSPI
	}
	inner, err = by.Open(packet)
	return inner, by, err
}
