package keys

import (
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// The lists here are explicit so that a new version of the SSH library changes
// nothing in silence. They hold no SHA-1, no DSA, no CBC and no MD5. Each call
// returns a new slice, in order of preference.

// KeyExchanges returns the key exchange methods to offer.
func KeyExchanges() []string {
	return []string{
		ssh.KeyExchangeMLKEM768X25519,
		ssh.KeyExchangeCurve25519,
		ssh.KeyExchangeECDHP256,
		ssh.KeyExchangeECDHP384,
		ssh.KeyExchangeECDHP521,
		ssh.KeyExchangeDH16SHA512,
		ssh.KeyExchangeDHGEXSHA256,
		ssh.KeyExchangeDH14SHA256,
	}
}

// Ciphers returns the ciphers to offer. ChaCha20 comes last on processors with
// AES instructions, where it costs 70 % more time than AES, and first elsewhere.
func Ciphers() []string { return ciphers(hasAES()) }

func ciphers(aes bool) []string {
	list := []string{
		ssh.CipherAES128GCM,
		ssh.CipherAES256GCM,
		ssh.CipherAES128CTR,
		ssh.CipherAES192CTR,
		ssh.CipherAES256CTR,
	}
	if aes {
		return append(list, ssh.CipherChaCha20Poly1305)
	}
	return slices.Insert(list, 0, ssh.CipherChaCha20Poly1305)
}

// hasAES reports whether the processor multiplies and encrypts for AES-GCM
// itself.
func hasAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ ||
		cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasAESGCM
}

// MACs returns the message authentication codes to offer beside CTR ciphers;
// GCM and ChaCha20 bring their own.
func MACs() []string {
	return []string{
		ssh.HMACSHA256ETM,
		ssh.HMACSHA512ETM,
		ssh.HMACSHA256,
		ssh.HMACSHA512,
	}
}

// HostKeyAlgorithms returns the algorithms for the server's plain key, without
// certificates. HostKeys.Algorithms puts them in the order for one server.
func HostKeyAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512,
		ssh.KeyAlgoRSASHA256,
	}
}

// hostCertAlgorithms returns the algorithms for a server's certificate.
func hostCertAlgorithms() []string {
	return []string{
		ssh.CertAlgoED25519v01,
		ssh.CertAlgoECDSA256v01,
		ssh.CertAlgoECDSA384v01,
		ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01,
		ssh.CertAlgoRSASHA256v01,
	}
}

// PublicKeyAlgorithms returns the signature algorithms that keys of ours may
// log in with. The sk- ones are made by an agent and the token behind it.
func PublicKeyAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoRSASHA512,
		ssh.KeyAlgoRSASHA256,
	}
}

// keyTypes returns the types of public key that can be read and compared. The
// old and the sk- ones among them may be known without being asked for.
func keyTypes() []string {
	return []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSA,
		ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoSKECDSA256,
		ssh.InsecureKeyAlgoDSA, //nolint:staticcheck // known_hosts may name such a key; it is compared, not offered
	}
}

// typeAlgorithms returns the members of list that work with keys of a type:
// for RSA those of RFC 8332, else the type's own.
func typeAlgorithms(list []string, keyType string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(a string) bool {
		if keyType == ssh.KeyAlgoRSA {
			return a != ssh.KeyAlgoRSASHA512 && a != ssh.KeyAlgoRSASHA256
		}
		return a != keyType
	})
}
