package keys

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// The algorithms of the past that a host may still need, each of which
// `legacy:` names by itself. What is not here, such as aes256-cbc, hmac-md5 or
// compression, the SSH library does not have.

func legacyKeyExchanges() []string {
	return []string{
		ssh.InsecureKeyExchangeDHGEXSHA1, ssh.InsecureKeyExchangeDH14SHA1, ssh.InsecureKeyExchangeDH1SHA1,
	}
}

func legacyCiphers() []string {
	return []string{
		ssh.InsecureCipherAES128CBC, ssh.InsecureCipherTripleDESCBC,
		ssh.InsecureCipherRC4256, ssh.InsecureCipherRC4128, ssh.InsecureCipherRC4,
	}
}

func legacyMACs() []string { return []string{ssh.HMACSHA1, ssh.InsecureHMACSHA196} }

// LegacyNames returns every name that a host's `legacy` may hold: of host and
// user keys, key exchanges, ciphers and message authentication codes.
func LegacyNames() []string {
	return slices.Concat(legacyPublicKeyAlgorithms(), legacyKeyExchanges(), legacyCiphers(), legacyMACs())
}

// CheckLegacy refuses a name that is none of LegacyNames. The error is of kind
// fault.Config and lists them.
func CheckLegacy(name string) error {
	if slices.Contains(LegacyNames(), name) {
		return nil
	}
	for _, modern := range [][]string{KeyExchanges(), Ciphers(), MACs(), HostKeyAlgorithms()} {
		if slices.Contains(modern, name) {
			return fault.New(fault.Config, "%q is used without being named", name)
		}
	}
	return fault.New(fault.Config, "%q is no algorithm of the past that is still there: those are %s", name, strings.Join(LegacyNames(), ", "))
}

// named returns the members of old that legacy names, in old's order.
func named(old, legacy []string) []string {
	return slices.DeleteFunc(slices.Clone(old), func(a string) bool { return !slices.Contains(legacy, a) })
}
