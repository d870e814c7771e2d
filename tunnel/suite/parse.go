package suite

import (
	"slices"
	"strings"

	"linehaul/fault"
)

// maxText bounds a proposal as a person writes it: every name there is, once,
// is half of it.
const maxText = 4096

// Parse reads one proposal for IKE or ESP as strongSwan spells it: names in
// any order with "-" between them, of each type the best first.
//
// As strongSwan does, it adds what goes without saying. In IKE that is a
// pseudo-random function for each integrity algorithm, if none is named; in
// ESP it is noesn, if neither that nor esn is. Integrity beside algorithms that
// need none (RFC 5282 section 8) serves for that and is dropped. Algorithms
// that do and do not need it cannot stand in one proposal (RFC 7296 section
// 3.3). Unlike strongSwan, it refuses encryption in ESP that nothing
// authenticates.
//
// The error is a fault.Config that names the word at fault.
func Parse(p Protocol, text string) (Proposal, error) {
	if p != IKE && p != ESP {
		return Proposal{}, fault.New(fault.Config, "proposals for %s are not supported", p)
	}
	if len(text) > maxText {
		return Proposal{}, fault.New(fault.Config, "the %s proposal is %d bytes long, more than %d", p, len(text), maxText)
	}
	proposal := Proposal{Protocol: p}
	for name := range strings.SplitSeq(strings.ToLower(strings.TrimSpace(text)), "-") {
		t, err := parseName(p, name, text)
		if err != nil {
			return Proposal{}, err
		}
		if slices.Contains(proposal.Transforms, t) {
			return Proposal{}, fault.New(fault.Config, "the %s proposal %q names %s twice", p, text, t)
		}
		proposal.Transforms = append(proposal.Transforms, t)
	}
	return complete(proposal, text)
}

// parseName reads one word of a proposal.
func parseName(p Protocol, name, text string) (Transform, error) {
	t, a, ok := lookup(name)
	switch {
	case !ok:
		return Transform{}, unknownName(p, name, text)
	case a.only == IKE && p != IKE:
		return Transform{}, fault.New(fault.Config, "%q in the %s proposal %q belongs to IKE only", name, p, text)
	case a.only == ESP && p != ESP:
		return Transform{}, fault.New(fault.Config, "%q in the %s proposal %q belongs to ESP only", name, p, text)
	case p == IKE && t == Transform{Type: TypeKeyExchange, ID: KENone}:
		return Transform{}, fault.New(fault.Config, "%q in the %s proposal %q: IKE cannot do without a key exchange", name, p, text)
	}
	return t, nil
}

// unknownName says what may have been meant.
func unknownName(p Protocol, name, text string) error {
	if strings.ContainsAny(name, ", ") {
		return fault.New(fault.Config, "%q in the %s proposal %q is no single algorithm", name, p, text).
			WithHint("put \"-\" between the algorithms of one proposal, and each proposal into an item of the list by itself")
	}
	err := fault.New(fault.Config, "%q in the %s proposal %q is no algorithm that linehaul has", name, p, text)
	near, least := "", 3
	for _, candidate := range names(p) {
		if d := distance(name, candidate); d < least {
			near, least = candidate, d
		}
	}
	if near != "" {
		return err.WithHint("perhaps %q was meant", near)
	}
	return err.WithHint("%s knows %s", p, strings.Join(names(p), ", "))
}

// distance is the number of letters to change, add or leave out to make b of
// a (Levenshtein's).
func distance(a, b string) int {
	if len(a) > 2*len(b)+3 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// complete adds what goes without saying and refuses what cannot work.
func complete(p Proposal, text string) (Proposal, error) {
	encryption, integrity := p.Of(TypeEncryption), p.Of(TypeIntegrity)
	aeads := 0
	for _, t := range encryption {
		if t.AEAD() {
			aeads++
		}
	}
	if p.Protocol == IKE && len(p.Of(TypePRF)) == 0 {
		for _, t := range integrity {
			p.Transforms = append(p.Transforms, Transform{Type: TypePRF, ID: prfLike(t.ID)})
		}
	}
	if p.Protocol == ESP && len(p.Of(TypeESN)) == 0 {
		p.Transforms = append(p.Transforms, Transform{Type: TypeESN, ID: ESNNo})
	}
	additional := slices.ContainsFunc(p.Transforms, func(t Transform) bool { return t.Type.additional() })
	exchange := len(p.Of(TypeKeyExchange)) > 0
	switch {
	case len(encryption) == 0:
		return Proposal{}, fault.New(fault.Config, "the %s proposal %q names no encryption", p.Protocol, text).
			WithHint("%s", example(p.Protocol))
	case aeads > 0 && aeads < len(encryption):
		return Proposal{}, fault.New(fault.Config, "the %s proposal %q mixes encryption that needs an integrity algorithm with such that does not", p.Protocol, text).
			WithHint("write two proposals: one with GCM, CCM and ChaCha20, one with the others")
	case aeads == 0 && len(integrity) == 0:
		return Proposal{}, fault.New(fault.Config, "the %s proposal %q names no integrity algorithm, and %s needs one", p.Protocol, text, encryption[0]).
			WithHint("%s", example(p.Protocol))
	case p.Protocol == IKE && len(p.Of(TypePRF)) == 0:
		return Proposal{}, fault.New(fault.Config, "the IKE proposal %q names no pseudo-random function", text).
			WithHint("add one of prfsha256, prfsha384 and prfsha512")
	case p.Protocol == IKE && !exchange, additional && !exchange:
		return Proposal{}, fault.New(fault.Config, "the %s proposal %q names no key exchange", p.Protocol, text).
			WithHint("add one, such as x25519, ecp256 or modp2048")
	}
	if aeads > 0 {
		p.Transforms = slices.DeleteFunc(p.Transforms, func(t Transform) bool { return t.Type == TypeIntegrity })
	}
	return p, nil
}

func example(p Protocol) string {
	if p == IKE {
		return "a complete one is aes256gcm16-prfsha384-ecp384, or aes256-sha256-modp2048"
	}
	return "a complete one is aes256gcm16, or aes256-sha256"
}

// prfLike returns the pseudo-random function of the same kind as an integrity
// algorithm.
func prfLike(integrity uint16) uint16 {
	switch integrity {
	case IntegHMACMD5:
		return PRFHMACMD5
	case IntegHMACSHA1:
		return PRFHMACSHA1
	case IntegAESXCBC:
		return PRFAESXCBC
	case IntegAESCMAC:
		return PRFAESCMAC
	case IntegHMACSHA384:
		return PRFHMACSHA384
	case IntegHMACSHA512:
		return PRFHMACSHA512
	}
	return PRFHMACSHA256
}
