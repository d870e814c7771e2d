package ikemsg

import "encoding/binary"

// A decoder takes a body apart. After the first thing that is not there it
// returns zeroes, and short is set. Of nothing it makes nil.
type decoder struct {
	b     []byte
	short bool
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.short, d.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) uint8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// rest takes what is left, which may be nothing.
func (d *decoder) rest() []byte { return d.take(len(d.b)) }

// end is nil if everything was there and nothing is left.
func (d *decoder) end() *Error {
	switch {
	case d.short:
		return malformed("it is cut short")
	case len(d.b) > 0:
		return malformed("%d bytes too many", len(d.b))
	}
	return nil
}

// An encoder appends. It keeps the first thing that did not fit into its
// field.
type encoder struct {
	b   []byte
	err *Error
}

func (e *encoder) uint8(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) uint16(v uint16) { e.b = binary.BigEndian.AppendUint16(e.b, v) }
func (e *encoder) uint32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }
func (e *encoder) bytes(b []byte)  { e.b = append(e.b, b...) }
func (e *encoder) reserved(n int)  { e.b = append(e.b, make([]byte, n)...) }
func (e *encoder) fail(err *Error) { e.err = first(e.err, err) }
func first(a, b *Error) *Error {
	if a != nil {
		return a
	}
	return b
}

// count writes a count or a size into one byte.
func (e *encoder) count(n, most int, what string) {
	if n > most {
		e.fail(tooLarge("%d %s, and the format has room for %d", n, what, most))
	}
	e.uint8(uint8(n))
}

// length starts a structure whose length, counted from start, belongs into the
// 16 bits at this place, and returns what writes it.
func (e *encoder) length(start int) func() {
	at := len(e.b)
	e.uint16(0)
	return func() {
		n := len(e.b) - start
		if n > maxPayload {
			e.fail(tooLarge("%d bytes in a structure, and the format has room for %d", n, maxPayload))
			return
		}
		binary.BigEndian.PutUint16(e.b[at:], uint16(n))
	}
}
