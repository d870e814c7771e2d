package keys

import (
	"crypto"
	"errors"
	"slices"

	"golang.org/x/crypto/ssh"
)

// newSigner is the one place where a private key becomes a signer. Should the
// SSH library give up DSA, a signer of our own belongs here.
func newSigner(key crypto.PrivateKey) (ssh.AlgorithmSigner, error) {
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	s, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("the signer cannot choose its algorithm")
	}
	return s, nil
}

// offers limits a signer to PublicKeyAlgorithms, which for RSA means no SHA-1
// and for DSA nothing at all, and once more to the algorithms of the past that
// are named. Either may be empty.
func offers(s ssh.AlgorithmSigner, legacy []string) (now, old []ssh.Signer) {
	keyType := plainKey(s.PublicKey()).Type()
	if limited, err := ssh.NewSignerWithAlgorithms(s, typeAlgorithms(PublicKeyAlgorithms(), keyType)); err == nil {
		now = []ssh.Signer{limited}
	}
	if slices.Contains(legacyPublicKeyAlgorithms(), keyType) && slices.Contains(legacy, keyType) {
		if limited, err := ssh.NewSignerWithAlgorithms(s, []string{keyType}); err == nil {
			old = []ssh.Signer{limited}
		}
	}
	return now, old
}

// Match returns the signers whose public key is one of want, in want's order:
// the keys of an agent that belong to configured files. A certificate stands
// for its key, on either side.
func Match(signers []ssh.Signer, want []ssh.PublicKey) []ssh.Signer {
	var matching []ssh.Signer
	for i, key := range want {
		same := func(other ssh.PublicKey) bool { return sameKey(plainKey(other), plainKey(key)) }
		if slices.ContainsFunc(want[:i], same) {
			continue
		}
		for _, s := range signers {
			if same(s.PublicKey()) {
				matching = append(matching, s)
			}
		}
	}
	return matching
}
