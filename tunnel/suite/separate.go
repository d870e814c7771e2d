package suite

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
)

// separate is encryption and integrity by two algorithms: the ICV is over
// everything before it, as it is sent (RFC 4303 section 3.3.2, RFC 7296 section
// 3.14).
type separate struct {
	cipher  contentCipher
	mac     hash.Hash
	iv, icv int
	sum     []byte
}

var _ mode = (*separate)(nil)

// A contentCipher encrypts and decrypts content in place. The slice iv is of
// the size in the table of algorithms.
type contentCipher interface {
	makeIV(iv []byte, counter uint64)
	encrypt(iv, content []byte)
	decrypt(iv, content []byte)
}

func (s *separate) seal(packet []byte, head int, high []byte, counter uint64) {
	end := len(packet) - s.icv
	iv, content := packet[head:head+s.iv], packet[head+s.iv:end]
	s.cipher.makeIV(iv, counter)
	s.cipher.encrypt(iv, content)
	copy(packet[end:], s.check(packet[:end], high))
}

func (s *separate) open(packet []byte, head int, high []byte) bool {
	end := len(packet) - s.icv
	if subtle.ConstantTimeCompare(s.check(packet[:end], high), packet[end:]) != 1 {
		return false
	}
	s.cipher.decrypt(packet[head:head+s.iv], packet[head+s.iv:end])
	return true
}

// check returns the ICV of data followed by high.
func (s *separate) check(data, high []byte) []byte {
	s.mac.Reset()
	s.mac.Write(data)
	s.mac.Write(high)
	s.sum = s.mac.Sum(s.sum[:0])
	return s.sum[:s.icv]
}

// null is RFC 2410: nothing at all.
type null struct{}

func (null) makeIV([]byte, uint64) {}
func (null) encrypt(_, _ []byte)   {}
func (null) decrypt(_, _ []byte)   {}

// cbc is a block cipher in the mode of RFC 2451 section 2 and RFC 3602.
type cbc struct {
	block                cipher.Block
	encrypter, decrypter resetter
	nonce                []byte
}

// A resetter is a cipher.BlockMode that takes a new IV, as all of crypto/cipher
// do for crypto/tls.
type resetter interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

func newCBC(block cipher.Block) (*cbc, error) {
	nonce := make([]byte, block.BlockSize())
	e, ok := cipher.NewCBCEncrypter(block, nonce).(resetter)
	d, also := cipher.NewCBCDecrypter(block, nonce).(resetter)
	if !ok || !also {
		return nil, errors.New("CBC cannot begin anew")
	}
	return &cbc{block, e, d, nonce}, nil
}

func (c *cbc) makeIV(iv []byte, counter uint64) {
	binary.BigEndian.PutUint64(c.nonce[len(c.nonce)-8:], counter)
	c.block.Encrypt(iv, c.nonce)
}

func (c *cbc) encrypt(iv, content []byte) {
	c.encrypter.SetIV(iv)
	c.encrypter.CryptBlocks(content, content)
}

func (c *cbc) decrypt(iv, content []byte) {
	c.decrypter.SetIV(iv)
	c.decrypter.CryptBlocks(content, content)
}

// ctr is AES in the counter mode of RFC 3686 section 4: the counter block is
// salt, IV and a block counter that starts at one.
type ctr struct {
	stream keystream
}

func newCTR(block cipher.Block, salt []byte) *ctr {
	c := &ctr{keystream{block: block}}
	copy(c.stream.counter[:], salt)
	return c
}

func (c *ctr) makeIV(iv []byte, counter uint64) { binary.BigEndian.PutUint64(iv, counter) }

func (c *ctr) encrypt(iv, content []byte) {
	copy(c.stream.counter[4:], iv)
	c.stream.xor(content, 1)
}

func (c *ctr) decrypt(iv, content []byte) { c.encrypt(iv, content) }

// A keystream is what CTR and CCM encrypt with: the encryption of a block whose
// last four bytes count. crypto/cipher's stream cannot begin anew without
// allocating.
type keystream struct {
	block   cipher.Block
	counter [16]byte
	stream  [8 * 16]byte // computed and used at a time
}

// xor encrypts or decrypts data in place, with blocks counted from first.
func (k *keystream) xor(data []byte, first uint32) {
	for len(data) > 0 {
		n := min(len(data), len(k.stream))
		for at := 0; at < n; at += 16 {
			binary.BigEndian.PutUint32(k.counter[12:], first)
			k.block.Encrypt(k.stream[at:at+16], k.counter[:])
			first++
		}
		subtle.XORBytes(data[:n], data[:n], k.stream[:n])
		data = data[n:]
	}
}
