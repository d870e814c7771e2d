package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"encoding/hex"
	"strings"
)

// A dekInfo is the encryption that the header DEK-Info of a PEM block names,
// as in "AES-128-CBC,0123456789ABCDEF0123456789ABCDEF" (RFC 1423, section 1.1,
// with names of OpenSSL's).
type dekInfo struct {
	name  string
	key   int // bytes
	block int // bytes
	open  func(key []byte) (cipher.Block, error)
	iv    []byte
}

// parseDEKInfo reads the header's value.
func parseDEKInfo(header string) (*dekInfo, error) {
	name, iv, _ := strings.Cut(header, ",")
	d := &dekInfo{name: strings.TrimSpace(name)}
	switch d.name {
	case "DES-CBC":
		d.key, d.block, d.open = 8, des.BlockSize, des.NewCipher
	case "DES-EDE3-CBC":
		d.key, d.block, d.open = 24, des.BlockSize, des.NewTripleDESCipher
	case "AES-128-CBC":
		d.key, d.block, d.open = 16, aes.BlockSize, aes.NewCipher
	case "AES-192-CBC":
		d.key, d.block, d.open = 24, aes.BlockSize, aes.NewCipher
	case "AES-256-CBC":
		d.key, d.block, d.open = 32, aes.BlockSize, aes.NewCipher
	case "":
		return nil, damaged("its header DEK-Info is missing")
	default:
		return nil, refuse(Unsupported, "`openssl pkey -in FILE -aes256 -out OUT` encrypts it anew (an old cipher may need -provider legacy -provider default); then name OUT after `keys:`",
			"it is encrypted with %q, which is not read here", shorten(d.name, 40))
	}
	var err error
	d.iv, err = hex.DecodeString(strings.TrimSpace(iv))
	if err != nil || len(d.iv) != d.block {
		return nil, damaged("the initial value in its header DEK-Info is cut off or wrong")
	}
	return d, nil
}

// cipher derives the key as OpenSSL's EVP_BytesToKey does with MD5, one round
// and the start of the initial value as salt.
func (d *dekInfo) cipher(passphrase []byte) (cipher.Block, error) {
	const salt = 8
	var key, sum []byte
	for len(key) < d.key {
		h := md5.New()
		h.Write(sum)
		h.Write(passphrase)
		h.Write(d.iv[:salt])
		sum = h.Sum(nil)
		key = append(key, sum...)
	}
	defer clear(key)
	return d.open(key[:d.key])
}

// decrypt returns the ASN.1 text of a key. One wrong passphrase of 256 leaves
// padding that could be right; hardly one of them leaves ASN.1 too.
func (d *dekInfo) decrypt(data, passphrase []byte) ([]byte, error) {
	block, err := d.cipher(passphrase)
	if err != nil {
		return nil, unsupported("it is encrypted with %s, which this machine's settings forbid", d.name)
	}
	return openCBC(block, d.iv, data)
}

// openCBC decrypts the ASN.1 text of a key and takes off the padding of
// PKCS#7. The error is WrongPassphrase if what comes out is no such text.
func openCBC(block cipher.Block, iv, data []byte) ([]byte, error) {
	if len(data) == 0 || len(data)%block.BlockSize() != 0 {
		return nil, damaged("its length is not one that its cipher makes")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	padding := int(plain[len(plain)-1])
	ok := 0 < padding && padding <= block.BlockSize()
	for i := 1; ok && i <= padding; i++ {
		ok = int(plain[len(plain)-i]) == padding
	}
	if !ok || !wholeSequence(plain[:len(plain)-padding]) {
		clear(plain)
		return nil, wrongPassphrase()
	}
	return plain[:len(plain)-padding], nil
}

// sealCBC pads and encrypts what openCBC decrypts.
func sealCBC(block cipher.Block, iv, data []byte) []byte {
	padding := block.BlockSize() - len(data)%block.BlockSize()
	sealed := make([]byte, len(data)+padding)
	copy(sealed, data)
	for i := len(data); i < len(sealed); i++ {
		sealed[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	return sealed
}
