package keys

import (
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// The lists here are explicit so that a new version of the SSH library changes
// nothing in silence. They hold no SHA-1, no DSA, no CBC and no MD5. Each call
// returns a new slice, in order of preference.

// KeyExchanges returns the key exchange methods to offer, those of the past
// that legacy names last.
func KeyExchanges(legacy ...string) []string {
	return append([]string{
		ssh.KeyExchangeMLKEM768X25519,
		ssh.KeyExchangeCurve25519,
		ssh.KeyExchangeECDHP256,
		ssh.KeyExchangeECDHP384,
		ssh.KeyExchangeECDHP521,
		ssh.KeyExchangeDH16SHA512,
		ssh.KeyExchangeDHGEXSHA256,
		ssh.KeyExchangeDH14SHA256,
	}, named(legacyKeyExchanges(), legacy)...)
}

// Ciphers returns the ciphers to offer. ChaCha20 comes last on processors with
// AES instructions, where it costs 70 % more time than AES, and first elsewhere;
// those of the past that legacy names come after it.
func Ciphers(legacy ...string) []string {
	return append(ciphers(hasAES()), named(legacyCiphers(), legacy)...)
}

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
// GCM and ChaCha20 bring their own. Those of the past that legacy names come
// last.
func MACs(legacy ...string) []string {
	return append([]string{
		ssh.HMACSHA256ETM,
		ssh.HMACSHA512ETM,
		ssh.HMACSHA256,
		ssh.HMACSHA512,
	}, named(legacyMACs(), legacy)...)
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

// legacyPublicKeyAlgorithms returns the signature algorithms of the past, each
// of which is the only one of its kind of key that a host's `legacy` can name.
func legacyPublicKeyAlgorithms() []string { return []string{rsaType, dsaType} }

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
		dsaType,
	}
}

// typeAlgorithms returns the members of list that work with keys of a type:
// for RSA those of RFC 8332 and ssh-rsa, else the type's own.
func typeAlgorithms(list []string, keyType string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(a string) bool {
		if keyType == ssh.KeyAlgoRSA {
			return a != ssh.KeyAlgoRSASHA512 && a != ssh.KeyAlgoRSASHA256 && a != ssh.KeyAlgoRSA
		}
		return a != keyType
	})
}
