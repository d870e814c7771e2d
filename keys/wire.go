package keys

import (
	"encoding/binary"
	"math/big"
)

// A wireReader takes SSH's data types (RFC 4251, section 5) off a block of
// bytes. The first value that is not whole makes bad its name, and all that
// follow empty; so a reader may be asked once, at the end.
type wireReader struct {
	rest []byte
	bad  string
}

// uint32 takes off a number of four bytes.
func (r *wireReader) uint32(name string) uint32 {
	if r.bad != "" || len(r.rest) < 4 {
		r.fail(name)
		return 0
	}
	n := binary.BigEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return n
}

// bytes takes off a string. The result is a part of the block, not a copy.
func (r *wireReader) bytes(name string) []byte {
	n := r.uint32(name)
	if r.bad != "" || uint64(n) > uint64(len(r.rest)) {
		r.fail(name)
		return nil
	}
	var b []byte
	b, r.rest = r.rest[:n:n], r.rest[n:]
	return b
}

func (r *wireReader) string(name string) string { return string(r.bytes(name)) }

// mpint takes off a whole number that is not negative. Zeros before it do no
// harm, as for OpenSSH. It is never nil.
func (r *wireReader) mpint(name string) *big.Int {
	b := r.bytes(name)
	if len(b) > 0 && b[0] >= 0x80 {
		r.fail(name)
		return new(big.Int)
	}
	return new(big.Int).SetBytes(b)
}

func (r *wireReader) fail(name string) {
	if r.bad == "" {
		r.bad, r.rest = name, nil
	}
}

// err says what is damaged, nil if nothing is.
func (r *wireReader) err() error {
	if r.bad == "" {
		return nil
	}
	return damaged("%s is cut off or wrong", r.bad)
}

// appendString appends a string.
func appendString[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendMpint appends a whole number that is not negative.
func appendMpint(b []byte, x *big.Int) []byte {
	raw := x.Bytes()
	if len(raw) > 0 && raw[0] >= 0x80 {
		raw = append([]byte{0}, raw...)
	}
	return appendString(b, raw)
}
