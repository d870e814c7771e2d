package ppk

import (
	"encoding/binary"
	"hash"
	"math/bits"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// Argon2d of RFC 9106, version 0x13, which x/crypto/argon2 has inside and does
// not export. The names are the RFC's, section 3.

const (
	argonVersion  = 0x13
	argonTypeD    = 0
	slicesPerLane = 4   // SL, the slices of a lane: points where lanes wait for each other
	blockWords    = 128 // of 64 bits: a block has 1024 bytes
)

type argonBlock [blockWords]uint64

// argonMemory is the matrix B of p rows, the lanes, of q blocks each.
type argonMemory struct {
	blocks  []argonBlock
	p, q    uint32
	segment uint32 // blocks of a lane in a slice
}

// argon2d derives tagLen bytes. secret and data are the RFC's K and X, which a
// key file leaves empty. It takes passes >= 1, lanes >= 1 and memory, in KiB,
// >= 8*lanes.
func argon2d(password, salt, secret, data []byte, passes, memory, lanes uint32, tagLen int) []byte {
	// H_0, figure 2.
	h := newBlake2b(blake2b.Size)
	for _, n := range []uint32{lanes, uint32(tagLen), memory, passes, argonVersion, argonTypeD} {
		h.Write(binary.LittleEndian.AppendUint32(nil, n))
	}
	for _, s := range [][]byte{password, salt, secret, data} {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
		h.Write(s)
	}
	h0 := h.Sum(nil)
	defer clear(h0)

	segment := memory / (slicesPerLane * lanes)
	m := argonMemory{p: lanes, q: slicesPerLane * segment, segment: segment}
	m.blocks = make([]argonBlock, m.p*m.q)
	defer clear(m.blocks)
	m.start(h0)
	for pass := range passes {
		for slice := range uint32(slicesPerLane) {
			var wg sync.WaitGroup
			for lane := range lanes {
				wg.Go(func() { m.fill(pass, slice, lane) })
			}
			wg.Wait()
		}
	}
	return m.tag(tagLen)
}

// start makes the first two blocks of each lane, figures 3 and 4.
func (m *argonMemory) start(h0 []byte) {
	for lane := range m.p {
		for column := range uint32(2) {
			seed := binary.LittleEndian.AppendUint32(h0[:len(h0):len(h0)], column)
			seed = binary.LittleEndian.AppendUint32(seed, lane)
			b := argonHash(seed, 8*blockWords)
			for i := range blockWords {
				m.blocks[lane*m.q+column][i] = binary.LittleEndian.Uint64(b[8*i:])
			}
			clear(b)
		}
	}
}

// fill makes the blocks of one segment, figures 5 and 6. The other segments of
// the slice may be made at the same time: none of them is looked at.
func (m *argonMemory) fill(pass, slice, lane uint32) {
	first := uint32(0)
	if pass == 0 && slice == 0 {
		first = 2
	}
	row := m.blocks[lane*m.q : (lane+1)*m.q]
	for index := first; index < m.segment; index++ {
		column := slice*m.segment + index
		prev := &row[(column+m.q-1)%m.q]
		compress(&row[column], prev, m.reference(prev[0], pass, slice, lane, index), pass > 0)
	}
}

// reference returns the block that the number j refers to, section 3.4.2.
func (m *argonMemory) reference(j uint64, pass, slice, lane, index uint32) *argonBlock {
	j1, j2 := uint64(uint32(j)), uint32(j>>32)
	other := j2 % m.p
	if pass == 0 && slice == 0 {
		other = lane
	}
	// The candidates are the finished segments of the last four, and of the
	// own lane what this one has so far, without the block before.
	start, size := uint32(0), slice*m.segment
	if pass > 0 {
		start, size = (slice+1)%slicesPerLane*m.segment, m.q-m.segment
	}
	switch {
	case other == lane:
		size += index - 1
	case index == 0:
		size--
	}
	x := j1 * j1 >> 32
	z := size - 1 - uint32(uint64(size)*x>>32)
	return &m.blocks[other*m.q+(start+z)%m.q]
}

// tag makes the result of the last column, figure 7.
func (m *argonMemory) tag(n int) []byte {
	var c argonBlock
	for lane := range m.p {
		for i, word := range m.blocks[lane*m.q+m.q-1] {
			c[i] ^= word
		}
	}
	b := make([]byte, 0, 8*blockWords)
	for _, word := range c {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	defer clear(b)
	return argonHash(b, n)
}

// argonHash is H', section 3.3: BLAKE2b with a result of any length.
func argonHash(in []byte, n int) []byte {
	h := newBlake2b(min(n, blake2b.Size))
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	h.Write(in)
	v := h.Sum(nil)
	out := make([]byte, 0, n)
	for n-len(out) > blake2b.Size {
		out = append(out, v[:blake2b.Size/2]...)
		h = newBlake2b(min(n-len(out), blake2b.Size))
		h.Write(v)
		v = h.Sum(nil)
	}
	return append(out, v...)
}

// newBlake2b returns a hash of 1 to 64 bytes.
func newBlake2b(size int) hash.Hash {
	h, err := blake2b.New(size, nil)
	if err != nil {
		panic(err) // a size of ours is wrong
	}
	return h
}

// compress is G, section 3.5; with xor, the result is added to what out held,
// as from the second pass on.
func compress(out, x, y *argonBlock, xor bool) {
	var r, z argonBlock
	for i := range r {
		r[i] = x[i] ^ y[i]
	}
	z = r
	for i := 0; i < blockWords; i += 16 {
		permute(&z[i], &z[i+1], &z[i+2], &z[i+3], &z[i+4], &z[i+5], &z[i+6], &z[i+7],
			&z[i+8], &z[i+9], &z[i+10], &z[i+11], &z[i+12], &z[i+13], &z[i+14], &z[i+15])
	}
	for i := 0; i < 16; i += 2 {
		permute(&z[i], &z[i+1], &z[i+16], &z[i+17], &z[i+32], &z[i+33], &z[i+48], &z[i+49],
			&z[i+64], &z[i+65], &z[i+80], &z[i+81], &z[i+96], &z[i+97], &z[i+112], &z[i+113])
	}
	if xor {
		for i := range out {
			out[i] ^= r[i] ^ z[i]
		}
		return
	}
	for i := range out {
		out[i] = r[i] ^ z[i]
	}
}

// permute is P, section 3.6.
func permute(v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15 *uint64) {
	mix(v0, v4, v8, v12)
	mix(v1, v5, v9, v13)
	mix(v2, v6, v10, v14)
	mix(v3, v7, v11, v15)
	mix(v0, v5, v10, v15)
	mix(v1, v6, v11, v12)
	mix(v2, v7, v8, v13)
	mix(v3, v4, v9, v14)
}

// mix is GB, section 3.6.
func mix(a, b, c, d *uint64) {
	*a += *b + 2*uint64(uint32(*a))*uint64(uint32(*b))
	*d = bits.RotateLeft64(*d^*a, -32)
	*c += *d + 2*uint64(uint32(*c))*uint64(uint32(*d))
	*b = bits.RotateLeft64(*b^*c, -24)
	*a += *b + 2*uint64(uint32(*a))*uint64(uint32(*b))
	*d = bits.RotateLeft64(*d^*a, -16)
	*c += *d + 2*uint64(uint32(*c))*uint64(uint32(*d))
	*b = bits.RotateLeft64(*b^*c, -63)
}
