package keys

import (
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// A PublicKeyLogin offers keys to one server, and goes on with the next where
// one does not sign, as OpenSSH does: the user of an agent may turn a use down,
// a token may be unplugged. The SSH library would give up the whole method
// there. A server does not count such a key among the tries that it allows, as
// it never sees a signature.
//
//	login := keys.NewPublicKeyLogin(signers)
//	config.Auth = []ssh.AuthMethod{login.Method(), …}
//	config.AuthCallback = func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
//		return login.Next(c), nil
//	}
//
// It serves one handshake, whose goroutine alone uses it until that has ended.
type PublicKeyLogin struct {
	offers []*loginSigner
	failed int // the index of the key that has ended the method, -1 for none
}

// NewPublicKeyLogin returns a login with these keys, in this order. They are
// signers of this package's making; another one that cannot say its algorithms
// (ssh.MultiAlgorithmSigner) is left out.
func NewPublicKeyLogin(signers []ssh.Signer) *PublicKeyLogin {
	l := &PublicKeyLogin{failed: -1}
	for _, s := range signers {
		if multi, ok := s.(ssh.MultiAlgorithmSigner); ok {
			l.offers = append(l.offers, &loginSigner{MultiAlgorithmSigner: multi, login: l, index: len(l.offers)})
		}
	}
	return l
}

// Method returns the method that offers the keys.
func (l *PublicKeyLogin) Method() ssh.AuthMethod {
	return ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return l.from(0), nil })
}

// Next returns the method to go on with after a key did not sign: the keys
// after it, as the server has turned down those before. It returns nil where
// there is nothing to go on with, and leaves the choice to the library.
func (l *PublicKeyLogin) Next(c *ssh.ClientAuthContext) ssh.AuthMethod {
	failed := l.failed
	l.failed = -1
	if failed < 0 || !slices.Contains(c.AllowedMethods, "publickey") {
		return nil
	}
	rest := l.from(failed + 1)
	if len(rest) == 0 {
		return nil
	}
	return ssh.PublicKeys(rest...)
}

// Unsigned returns why keys did not sign, in the order of the keys.
func (l *PublicKeyLogin) Unsigned() []error {
	var errs []error
	for _, s := range l.offers {
		if s.err != nil {
			errs = append(errs, s.err)
		}
	}
	return errs
}

// from returns the keys from an index on that have not failed to sign. They are
// tried once: a second request to the user of an agent would be a nuisance.
func (l *PublicKeyLogin) from(index int) []ssh.Signer {
	var signers []ssh.Signer
	for _, s := range l.offers[index:] {
		if s.err == nil {
			signers = append(signers, s)
		}
	}
	return signers
}

// A loginSigner notes that it did not sign.
type loginSigner struct {
	ssh.MultiAlgorithmSigner
	login *PublicKeyLogin
	index int
	err   error
}

func (s *loginSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := s.MultiAlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	if err != nil {
		s.err, s.login.failed = err, s.index
	}
	return sig, err
}
