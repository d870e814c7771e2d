package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// The sizes of RSA that are made: below, servers begin to refuse; above, they
// need a second for each login.
const (
	defaultRSABits = 3072
	leastNewRSA    = 2048
	mostNewRSA     = 8192
)

// Generate makes a new private key: "ed25519", "rsa" (2048 to 8192 bits, 3072
// for 0) or "ecdsa" (256, 384 or 521, 256 for 0). Nothing else is known of it:
// the caller sets the comment.
//
// The error is a *fault.Error of kind Usage for another type or size.
func Generate(keyType string, bits int) (*PrivateKey, error) {
	var key crypto.PrivateKey
	var err error
	switch {
	case keyType == "ed25519" && (bits == 0 || bits == 256):
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case keyType == "rsa" && bits == 0:
		key, err = rsa.GenerateKey(rand.Reader, defaultRSABits)
	case keyType == "rsa" && leastNewRSA <= bits && bits <= mostNewRSA:
		key, err = rsa.GenerateKey(rand.Reader, bits)
	case keyType == "ecdsa" && bits == 0:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case keyType == "ecdsa" && slices.Contains([]int{256, 384, 521}, bits):
		key, err = ecdsa.GenerateKey(curveByName(fmt.Sprintf("nistp%d", bits)), rand.Reader)
	default:
		return nil, fault.New(fault.Usage, "make a key of type %q with %d bits", keyType, bits).
			WithHint("there are ed25519, which every server of today takes, rsa with %d to %d bits, and ecdsa with 256, 384 or 521", leastNewRSA, mostNewRSA)
	}
	if err != nil {
		return nil, fault.New(fault.Key, "make a key of type %q with %d bits: %w", keyType, bits, err)
	}
	return &PrivateKey{Key: key}, nil
}

// Public returns the public half.
func (k *PrivateKey) Public() (ssh.PublicKey, error) {
	public, err := publicHalf(k.Key)
	if err != nil {
		return nil, parseError(unsupported("it is of a type that SSH does not use"))
	}
	return public, nil
}

// AuthorizedLine returns the line for authorized_keys and .pub files, with its
// line end. A control character of the comment becomes a blank, so that the
// line stays one.
func AuthorizedLine(key ssh.PublicKey, comment string) string {
	line := key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal())
	comment = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, comment)
	return strings.TrimSpace(line+" "+comment) + "\n"
}
