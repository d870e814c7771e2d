package keys

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/pattern"
)

// A Use is what algorithms are for.
type Use int

// The uses.
const (
	ForKeyExchange Use = iota
	ForCipher
	ForMAC
	ForHostKey     // of servers, plain keys and certificates
	ForLogin       // of ours, plain keys and certificates
	ForCASignature // on host certificates
)

// Algorithms are those of one host, each list in order of preference. A nil
// one stands for Default.
type Algorithms struct {
	KeyExchanges, Ciphers, MACs []string
	HostKeys, PublicKeys        []string // with the names of certificates
}

// Default returns the algorithms that are used where nobody chooses, those of
// the past that legacy names last.
func Default(use Use, legacy ...string) []string {
	return append(today(use), slices.DeleteFunc(past(use), func(a string) bool {
		return !slices.Contains(legacy, plainName(a))
	})...)
}

// today returns what is offered without being named.
func today(use Use) []string {
	switch use {
	case ForKeyExchange:
		return KeyExchanges()
	case ForCipher:
		return Ciphers()
	case ForMAC:
		return MACs()
	case ForHostKey:
		return append(hostCertAlgorithms(), HostKeyAlgorithms()...)
	case ForLogin:
		return withCertNames(PublicKeyAlgorithms())
	case ForCASignature:
	}
	return PublicKeyAlgorithms()
}

// past returns what wants its name written.
func past(use Use) []string {
	switch use {
	case ForKeyExchange:
		return legacyKeyExchanges()
	case ForCipher:
		return legacyCiphers()
	case ForMAC:
		return legacyMACs()
	case ForHostKey:
		return legacyPublicKeyAlgorithms()
	case ForLogin:
		return withCertNames(legacyPublicKeyAlgorithms())
	case ForCASignature:
	}
	return nil
}

// withCertNames puts before each algorithm the name that it has where it signs
// for a certificate.
func withCertNames(algorithms []string) []string {
	var all []string
	for _, a := range algorithms {
		all = append(all, certName(a), a)
	}
	return all
}

// certName is the name of an algorithm that signs for a certificate
// (PROTOCOL.certkeys of OpenSSH); plainName takes it back.
func certName(algorithm string) string {
	return strings.TrimSuffix(algorithm, openSSHSuffix) + certSuffix
}

func plainName(algorithm string) string {
	name, ok := strings.CutSuffix(algorithm, certSuffix)
	if ok && strings.HasPrefix(name, "sk-") {
		return name + openSSHSuffix
	}
	return name
}

const openSSHSuffix = "@openssh.com"

// A Choice is what a list as ssh_config(5) writes it makes of the algorithms.
type Choice struct {
	Names   []string // in order of preference, those of the past among them
	Old     []string // those of the past, by the names that LegacyNames has
	Missing []string // as written: there is nothing of that name here
	Vague   []string // of the past, and meant by a pattern alone: they are not in Names
}

// Choose reads a list of names and patterns, separated by commas, which stands
// for itself, or with + in front is added to the default, with ^ put before it,
// with - taken out of it. It differs from OpenSSH in that the default is ours,
// and that an algorithm of the past wants its own name: a pattern does not
// bring it back. Those of the past that legacy names come last; they are not in
// Old.
func Choose(use Use, list string, legacy ...string) Choice {
	now, old := today(use), past(use)
	mark := byte(0)
	if list != "" && strings.IndexByte("+-^", list[0]) >= 0 {
		mark, list = list[0], list[1:]
	}
	if mark == '-' {
		return Choice{Names: slices.DeleteFunc(Default(use, legacy...), func(a string) bool {
			return slices.Contains(now, a) && slices.ContainsFunc(strings.Split(list, ","), func(p string) bool { return pattern.Match(p, a) })
		})}
	}
	var c Choice
	var named []string
	for name := range strings.SplitSeq(list, ",") {
		switch found := matching(name, now, old); {
		case name == "":
		case len(found) == 0:
			c.Missing = append(c.Missing, name)
		case strings.ContainsAny(name, "*?"):
			for _, a := range found {
				if slices.Contains(old, a) {
					c.Vague = append(c.Vague, a)
				} else {
					named = append(named, a)
				}
			}
		default:
			named = append(named, found...)
		}
	}
	switch mark {
	case '+':
		named = slices.Concat(now, named)
	case '^':
		named = slices.Concat(named, now)
	}
	named = once(named)
	c.Names = once(append(slices.Clone(named), slices.DeleteFunc(Default(use, legacy...), func(a string) bool { return !slices.Contains(old, a) })...))
	c.Vague = slices.DeleteFunc(once(c.Vague), func(a string) bool { return slices.Contains(c.Names, a) })
	for _, a := range named {
		if slices.Contains(old, a) {
			c.Old = append(c.Old, plainName(a))
		}
	}
	c.Old = once(c.Old)
	return c
}

// matching returns the algorithms that a name or pattern stands for. The
// library brings the older name of Curve25519 along with the newer one.
func matching(name string, now, old []string) []string {
	if name == ssh.KeyExchangeCurve25519+"@libssh.org" {
		name = ssh.KeyExchangeCurve25519
	}
	return slices.DeleteFunc(slices.Concat(now, old), func(a string) bool { return !pattern.Match(name, a) })
}

// once drops what stands further to the front already.
func once(names []string) []string {
	var all []string
	for _, n := range names {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}
