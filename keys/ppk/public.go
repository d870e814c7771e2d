package ppk

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const certSuffix = "-cert-v01@openssh.com"

// algoDSA has a name in the SSH library that is marked as obsolete.
const algoDSA = "ssh-dss"

const (
	maxRSABits      = 16384 // x/crypto/ssh's limit, and ssh-keygen's
	maxExponentBits = 24    // x/crypto/ssh's limit
	dsaBits         = 1024  // all that SSH has (RFC 4253, section 6.6, with FIPS 186-2)
	dsaSubgroupBits = 160
)

const newKeyHint = "make a key that every server of today takes: `puttygen -t ed25519 -o NEW`"

// publicHalf reads the public key or certificate. The algorithm is that of the
// file's first line.
func publicHalf(algorithm string, blob []byte) (ssh.PublicKey, *ssh.Certificate, error) {
	plain, isCert := strings.CutSuffix(algorithm, certSuffix)
	r := reader{rest: blob}
	name := string(r.bytes())
	if err := knownType(plain); err != nil {
		return nil, nil, err
	}
	if name != algorithm {
		return nil, nil, damaged(0, "its public half is not of the type that the first line names")
	}
	if isCert {
		r.bytes() // the nonce
	}
	if err := usableSize(plain, &r); err != nil {
		return nil, nil, err
	}
	key, err := ssh.ParsePublicKey(blob)
	if isCert {
		cert, ok := key.(*ssh.Certificate)
		if err != nil || !ok {
			return nil, nil, &Error{Kind: Damaged, Msg: "its certificate is not valid",
				Hint: "`puttygen FILE --remove-certificate -O private -o NEW` leaves the key alone"}
		}
		return cert.Key, cert, nil
	}
	if err != nil || !bytes.Equal(key.Marshal(), blob) {
		return nil, nil, damaged(0, "its public half is not valid")
	}
	return key, nil, nil
}

func knownType(algorithm string) error {
	known := []string{
		ssh.KeyAlgoRSA, algoDSA, ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	}
	switch {
	case slices.Contains(known, algorithm):
		return nil
	case algorithm == "ssh-ed448":
		return unsupported(1, "it is an Ed448 key, which PuTTY makes and hardly a server takes: OpenSSH never did", newKeyHint)
	}
	return unsupported(1, "it is a key of a type that is not known here", newKeyHint)
}

// usableSize refuses by name what the SSH library would call invalid. It is
// given the fields of the public key; the library judges their form.
func usableSize(algorithm string, r *reader) error {
	switch algorithm {
	case ssh.KeyAlgoRSA:
		e, n := r.mpint(), r.mpint()
		switch {
		case r.failed:
		case n.BitLen() > maxRSABits:
			return unsupported(0, "it is an RSA key of more than 16384 bits", newKeyHint)
		case e.BitLen() > maxExponentBits:
			return unsupported(0, "it is an RSA key with a public exponent of more than 24 bits", newKeyHint)
		}
	case algoDSA:
		p, q := r.mpint(), r.mpint()
		if !r.failed && (p.BitLen() != dsaBits || q.BitLen() != dsaSubgroupBits) {
			return unsupported(0, "it is a DSA key of another size than 1024 bits, which OpenSSH never took", newKeyHint)
		}
	}
	return nil
}
