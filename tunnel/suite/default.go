package suite

import (
	"fmt"
	"slices"
)

// Default returns what is offered where nothing is configured, the best first:
// what stock strongSwan, libreswan, OpenIKED, FortiGate and Cisco IOS-XE
// gateways agree to, and nothing that is old. A gateway that speaks only SHA-1,
// or only groups below 2048 bits, needs a proposal that says so.
//
// X25519 is first among the key exchanges as it is the one that most gateways
// of today take, and cheap if another has to be computed. There is no second
// key exchange in it: it takes more datagrams, and old gateways that refuse
// what they do not know. In ESP nothing is said of forward secrecy: who wants
// it must know that the gateway does, as a gateway without it refuses.
func Default(p Protocol) []Proposal {
	const exchanges = "x25519-ecp256-ecp384-ecp521-modp2048-modp3072-modp4096"
	switch p {
	case IKE:
		return mustParse(IKE,
			"aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512-"+exchanges,
			"aes256-aes192-aes128-sha256-sha384-sha512-"+exchanges)
	case ESP:
		return mustParse(ESP,
			"aes256gcm16-aes128gcm16-chacha20poly1305-esn-noesn",
			"aes256-aes192-aes128-sha256-sha384-sha512-esn-noesn")
	default:
		return nil
	}
}

// mustParse parses what is written in this file.
func mustParse(p Protocol, texts ...string) []Proposal {
	proposals := make([]Proposal, len(texts))
	for i, text := range texts {
		proposal, err := Parse(p, text)
		if err != nil {
			panic(fmt.Sprintf("suite: %v", err))
		}
		proposals[i] = proposal
	}
	return proposals
}

// Warnings returns a line for each old algorithm of the proposal, with why it
// is one. A pseudo-random function that goes with an integrity algorithm of the
// same kind has none of its own.
func (p Proposal) Warnings() []string {
	var lines []string
	for _, t := range p.Transforms {
		said := t.Type == TypePRF && slices.ContainsFunc(p.Of(TypeIntegrity), func(i Transform) bool { return prfLike(i.ID) == t.ID })
		if a, ok := find(t); ok && a.old != "" && !said {
			lines = append(lines, fmt.Sprintf("%s: %s", t, a.old))
		}
	}
	return lines
}
