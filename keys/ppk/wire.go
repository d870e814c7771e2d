package ppk

import (
	"encoding/binary"
	"math/big"
)

// reader takes a blob apart (RFC 4251, section 5). After a field that is not
// right, failed is set, and all fields are empty.
type reader struct {
	rest   []byte
	failed bool
}

// bytes reads a string. It is a part of the blob, not a copy.
func (r *reader) bytes() []byte {
	if r.failed || len(r.rest) < 4 {
		r.failed = true
		return nil
	}
	n := binary.BigEndian.Uint32(r.rest)
	if uint64(n) > uint64(len(r.rest)-4) {
		r.failed = true
		return nil
	}
	b := r.rest[4 : 4+n]
	r.rest = r.rest[4+n:]
	return b
}

// mpint reads a number that is not negative and has no more bytes than it
// needs.
func (r *reader) mpint() *big.Int {
	b := r.bytes()
	if len(b) > 0 && (b[0] >= 0x80 || b[0] == 0 && (len(b) == 1 || b[1] < 0x80)) {
		r.failed = true
		return new(big.Int)
	}
	return new(big.Int).SetBytes(b)
}

func appendBytes(b, s []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// appendMpint writes numbers that are not negative.
func appendMpint(b []byte, numbers ...*big.Int) []byte {
	for _, n := range numbers {
		raw := n.Bytes()
		if len(raw) > 0 && raw[0] >= 0x80 {
			raw = append([]byte{0}, raw...)
		}
		b = appendBytes(b, raw)
		clear(raw)
	}
	return b
}
