package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// A Hash is a SHA-256. As text it has 64 hexadecimal digits in lower case.
type Hash [sha256.Size]byte

// HashOf is the hash of a line, which is given without its line feed.
func HashOf(line string) Hash {
	h := sha256.New()
	h.Write([]byte(line)) // a hash never fails
	h.Write([]byte{'\n'})
	return Hash(h.Sum(nil))
}

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(len(h)) {
		return Hash{}, errors.New("it does not have 64 digits")
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, err
	}
	if h.String() != s {
		return Hash{}, errors.New("it is not in lower case")
	}
	return h, nil
}

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHash.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err == nil {
		*h = parsed
	}
	return err
}

// A Place is a receipt's number and hash. The zero value is the place before the
// first one.
type Place struct {
	Seq  int64 `json:"seq"`
	Hash Hash  `json:"sha256"`
}
