package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // OpenSSH's cipher is not the AEAD of RFC 8439
)

// An opensshCipher is a cipher that ssh-keygen -Z takes. Sizes are in bytes.
type opensshCipher struct {
	name  string
	mode  cipherMode
	key   int
	iv    int
	block int // what the text is padded to
	tag   int // after the text
}

type cipherMode int

const (
	modeNone cipherMode = iota
	modeCBC
	modeDESCBC
	modeCTR
	modeGCM
	modeChaCha
)

// findOpenSSHCipher returns the cipher of a name. Those that OpenSSH dropped
// long ago (Blowfish, CAST, RC4) are not there.
func findOpenSSHCipher(name string) (opensshCipher, bool) {
	for _, c := range []opensshCipher{
		{"none", modeNone, 0, 0, 8, 0},
		{"3des-cbc", modeDESCBC, 24, 8, 8, 0},
		{"aes128-cbc", modeCBC, 16, 16, 16, 0},
		{"aes192-cbc", modeCBC, 24, 16, 16, 0},
		{"aes256-cbc", modeCBC, 32, 16, 16, 0},
		{"rijndael-cbc@lysator.liu.se", modeCBC, 32, 16, 16, 0},
		{"aes128-ctr", modeCTR, 16, 16, 16, 0},
		{"aes192-ctr", modeCTR, 24, 16, 16, 0},
		{"aes256-ctr", modeCTR, 32, 16, 16, 0},
		{"aes128-gcm@openssh.com", modeGCM, 16, 12, 16, 16},
		{"aes256-gcm@openssh.com", modeGCM, 32, 12, 16, 16},
		{"chacha20-poly1305@openssh.com", modeChaCha, 64, 0, 8, 16},
	} {
		if c.name == name {
			return c, true
		}
	}
	return opensshCipher{}, false
}

// open decrypts text with key, behind which the initial value stands.
func (c opensshCipher) open(key, text, tag []byte) ([]byte, error) {
	key, iv := key[:c.key], key[c.key:]
	if c.mode == modeChaCha {
		return openChaCha(key, text, tag)
	}
	newBlock := aes.NewCipher
	if c.mode == modeDESCBC {
		newBlock = des.NewTripleDESCipher
	}
	block, err := newBlock(key)
	if err != nil {
		return nil, unsupported("it is encrypted with %s, which this machine's settings forbid", c.name)
	}
	plain := make([]byte, len(text))
	switch c.mode {
	case modeCBC, modeDESCBC:
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	case modeCTR:
		cipher.NewCTR(block, iv).XORKeyStream(plain, text)
	case modeGCM:
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, unsupported("it is encrypted with %s, which this machine's settings forbid", c.name)
		}
		plain, err = aead.Open(plain[:0], iv, append(text[:len(text):len(text)], tag...), nil)
		if err != nil {
			return nil, wrongPassphrase()
		}
	case modeNone, modeChaCha:
	}
	return plain, nil
}

// openChaCha decrypts as PROTOCOL.chacha20poly1305 says, for packet 0 and
// without a length before it: the second half of the key, which is for
// lengths, has no use here.
func openChaCha(key, text, tag []byte) ([]byte, error) {
	stream, err := chacha20.NewUnauthenticatedCipher(key[:chacha20.KeySize], make([]byte, chacha20.NonceSize))
	if err != nil {
		return nil, err
	}
	var once [32]byte
	stream.XORKeyStream(once[:], once[:])
	var own [poly1305.TagSize]byte
	poly1305.Sum(&own, text, &once)
	if subtle.ConstantTimeCompare(own[:], tag) != 1 {
		return nil, wrongPassphrase()
	}
	stream.SetCounter(1)
	plain := make([]byte, len(text))
	stream.XORKeyStream(plain, text)
	return plain, nil
}
