package keys

import (
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// A CertificateFile is a file with a user certificate for a key that lies
// elsewhere.
type CertificateFile struct {
	Path     string
	Optional bool // that it belongs to no key is no error, as nobody here named it
}

// LoadCertificate reads a user certificate as ssh-keygen writes it. The error
// is a *fault.Error of kind Key.
func LoadCertificate(path string) (*ssh.Certificate, error) {
	refuse := func(hint, format string, args ...any) error {
		return fault.New(fault.Key, "load certificate %q: "+format, append([]any{path}, args...)...).WithHint("%s", hint)
	}
	key, _, err := readPublic(path)
	cert, isCert := key.(*ssh.Certificate)
	var unreadable *LoadError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("check the path after `certificate:`", "%w", fs.ErrNotExist)
	case errors.As(err, &unreadable):
		return nil, refuse("name the file that `ssh-keygen -s` made, such as id_ed25519-cert.pub", "%w", unreadable.Err)
	case err != nil:
		return nil, refuse("name the file that `ssh-keygen -s` made, such as id_ed25519-cert.pub", "%w", err)
	case !isCert:
		return nil, refuse("have the key signed, and name the certificate that comes of it", "it is a plain public key")
	case cert.CertType != ssh.UserCert:
		return nil, refuse("sign the key again, without `-h`", "it is made for a host, not for a user")
	}
	return cert, nil
}

// Certify adds to signers what they sign for with the certificates of their
// keys, each before its plain key, the first certificate first. One that is
// there already is not added again.
func Certify(signers []ssh.Signer, certs []*ssh.Certificate) []ssh.Signer {
	var all []ssh.Signer
	for _, s := range signers {
		for _, c := range certs {
			there := slices.ContainsFunc(signers, func(other ssh.Signer) bool { return sameKey(other.PublicKey(), c) })
			if there || !sameKey(s.PublicKey(), c.Key) {
				continue
			}
			if certified, err := ssh.NewCertSigner(c, s); err == nil {
				all = append(all, certified)
			}
		}
		all = append(all, s)
	}
	return all
}

// Restrict returns the signers that may use one of the algorithms, limited to
// those, in the order of allowed. The name of an algorithm is another one for
// certificates than for plain keys. Nil allows everything.
func Restrict(signers []ssh.Signer, allowed []string) []ssh.Signer {
	if allowed == nil {
		return signers
	}
	var all []ssh.Signer
	for _, s := range signers {
		able, ok := s.(ssh.MultiAlgorithmSigner)
		if !ok {
			continue
		}
		_, certified := s.PublicKey().(*ssh.Certificate)
		var left []string
		for _, name := range allowed {
			algorithm := plainName(name)
			if certified == (algorithm != name) && slices.Contains(able.Algorithms(), algorithm) {
				left = append(left, algorithm)
			}
		}
		if limited, err := ssh.NewSignerWithAlgorithms(able, left); err == nil {
			all = append(all, limited)
		}
	}
	return all
}

// RSABits returns how long an RSA key is, or the one that a certificate is for.
// It is 0 for other keys.
func RSABits(key ssh.PublicKey) int {
	if plainKey(key).Type() != ssh.KeyAlgoRSA {
		return 0
	}
	return publicBits(key)
}
