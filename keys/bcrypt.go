package keys

import (
	"crypto/sha512"
	"encoding/binary"

	"golang.org/x/crypto/blowfish"
)

// maxBcryptRounds is our own limit on the cost of a passphrase. ssh-keygen
// takes 16 or 24 rounds by default, and one takes some milliseconds.
const maxBcryptRounds = 2048

// bcryptPBKDF makes size bytes of key, with OpenBSD's bcrypt_pbkdf(3): PBKDF2
// with bcrypt as its hash, and the output of each block spread over the whole.
func bcryptPBKDF(passphrase, salt []byte, rounds, size int) []byte {
	const block = 32
	blocks := (size + block - 1) / block
	stride := blocks
	out := make([]byte, size)
	secret := sha512.Sum512(passphrase)
	defer clear(secret[:])
	for count := range blocks {
		seed := sha512.Sum512(binary.BigEndian.AppendUint32(append([]byte(nil), salt...), uint32(count+1)))
		sum := bcryptHash(secret[:], seed[:])
		total := sum
		for range rounds - 1 {
			seed = sha512.Sum512(sum[:])
			sum = bcryptHash(secret[:], seed[:])
			for i := range total {
				total[i] ^= sum[i]
			}
		}
		for i := range total {
			if at := i*stride + count; at < size {
				out[at] = total[i]
			}
		}
		clear(sum[:])
		clear(total[:])
	}
	return out
}

// bcryptHash is bcrypt with a cost of 2^6 and a text of its own, which has 32
// bytes; the words of the result are turned round.
func bcryptHash(secret, salt []byte) [32]byte {
	const cost = 64
	c, err := blowfish.NewSaltedCipher(secret, salt)
	if err != nil {
		panic(err) // both are 64 bytes long
	}
	for range cost {
		blowfish.ExpandKey(salt, c)
		blowfish.ExpandKey(secret, c)
	}
	sum := [32]byte([]byte("OxychromaticBlowfishSwatDynamite"))
	for i := 0; i < len(sum); i += blowfish.BlockSize {
		for range cost {
			c.Encrypt(sum[i:i+blowfish.BlockSize], sum[i:i+blowfish.BlockSize])
		}
	}
	for i := 0; i < len(sum); i += 4 {
		binary.LittleEndian.PutUint32(sum[i:], binary.BigEndian.Uint32(sum[i:]))
	}
	return sum
}
