package ppk

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// secrets is what is made of a passphrase.
type secrets struct {
	key, iv, mac []byte
}

const keySize = 32 // of AES-256

// secrets derives the keys. For a file that is not encrypted, the passphrase
// does not matter.
func (f *file) secrets(passphrase []byte) secrets {
	switch {
	case f.version == 3 && f.encrypted:
		b := f.kdf.derive(passphrase, keySize+blockSize+sha256.Size)
		return secrets{key: b[:keySize], iv: b[keySize : keySize+blockSize], mac: b[keySize+blockSize:]}
	case f.version == 3:
		return secrets{}
	case !f.encrypted:
		passphrase = nil
	}
	s := secrets{iv: make([]byte, blockSize)}
	for counter := range uint32(2) {
		h := sha1.New()
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(passphrase)
		s.key = h.Sum(s.key)
	}
	s.key = s.key[:keySize]
	h := sha1.New()
	h.Write([]byte("putty-private-key-file-mac-key"))
	h.Write(passphrase)
	s.mac = h.Sum(nil)
	return s
}

func (s secrets) wipe() {
	for _, b := range [][]byte{s.key, s.iv, s.mac} {
		clear(b[:cap(b)])
	}
}

// block returns the cipher. It cannot fail: the key has the right size.
func (s secrets) block() cipher.Block {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		panic(err)
	}
	return block
}

// open decrypts the private half in its place and checks the MAC.
func (f *file) open(passphrase []byte) error {
	s := f.secrets(passphrase)
	defer s.wipe()
	if f.encrypted {
		cipher.NewCBCDecrypter(s.block(), s.iv).CryptBlocks(f.private, f.private)
	}
	switch {
	case hmac.Equal([]byte(f.mac), []byte(f.sum(s.mac))):
		return nil
	case f.encrypted:
		return &Error{Kind: WrongPassphrase, Msg: "the passphrase does not fit, or the file was altered"}
	}
	return damaged(0, "its content does not fit the MAC: the file was altered")
}

// seal sets the MAC and encrypts the private half, padded already, in its
// place.
func (f *file) seal(passphrase []byte) {
	s := f.secrets(passphrase)
	defer s.wipe()
	f.mac = f.sum(s.mac)
	if f.encrypted {
		cipher.NewCBCEncrypter(s.block(), s.iv).CryptBlocks(f.private, f.private)
	}
}

// sum returns the MAC of the file while its private half is plain.
func (f *file) sum(key []byte) string {
	h := f.newHash()()
	if !f.hashed {
		h = hmac.New(f.newHash(), key)
	}
	if f.version == 1 {
		h.Write(f.private)
		return hex.EncodeToString(h.Sum(nil))
	}
	for _, part := range [][]byte{[]byte(f.algorithm), []byte(f.encryption()), []byte(f.comment), f.public, f.private} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (f *file) newHash() func() hash.Hash {
	if f.version == 3 {
		return sha256.New
	}
	return sha1.New
}
