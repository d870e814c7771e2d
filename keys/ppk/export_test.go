package ppk

import "crypto"

// Argon2dSum is argon2d.
func Argon2dSum(password, salt, secret, data []byte, passes, memory, lanes uint32, n int) []byte {
	return argon2d(password, salt, secret, data, passes, memory, lanes, n)
}

// ParseWithin is Parse with other limits on what deriving keys may cost.
func ParseWithin(data, passphrase []byte, memory, work uint64) (*Key, error) {
	return parse(data, passphrase, limits{memory: memory, work: work})
}

// PrivateFields returns what identifies a private key.
func PrivateFields(key crypto.PrivateKey) []byte {
	b, _ := privateFields(key)
	return b
}
