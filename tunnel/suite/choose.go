package suite

import (
	"slices"
	"strings"

	"linehaul/fault"
)

// A Suite is what two sides agreed on. A type that nothing was chosen of, or
// none, is the zero Transform.
type Suite struct {
	Protocol    Protocol
	Encryption  Transform
	Integrity   Transform
	PRF         Transform
	KeyExchange Transform
	Additional  []Transform // in the order of their types, those that are none left out
	ESN         bool
}

// Choose returns the suite for what a responder chose of p: one transform of
// each type that was offered, and no other (RFC 7296 section 3.3.6). A type of
// which none was offered may be left out, and means that.
//
// The error is a fault.IKE.
func (p Proposal) Choose(chosen []Transform) (Suite, error) {
	s := Suite{Protocol: p.Protocol}
	seen := map[Type]bool{}
	for _, t := range chosen {
		switch {
		case isNone(t) && len(p.Of(t.Type)) == 0: // says nothing that is not so
			continue
		case !slices.Contains(p.Transforms, t):
			return Suite{}, fault.New(fault.IKE, "the gateway chose %s for %s, which was not in %s", t, p.Protocol, p).AsPermanent()
		case seen[t.Type]:
			return Suite{}, fault.New(fault.IKE, "the gateway chose two transforms of one type: %s", Proposal{p.Protocol, chosen}).AsPermanent()
		}
		seen[t.Type] = true
		s.set(t)
	}
	for _, t := range p.Transforms {
		if !seen[t.Type] && !slices.ContainsFunc(p.Of(t.Type), isNone) {
			return Suite{}, fault.New(fault.IKE, "the gateway chose %s for %s, which leaves out %s", listed(chosen), p.Protocol, listed(p.Of(t.Type))).AsPermanent()
		}
	}
	if s.Encryption == (Transform{}) || !s.Encryption.AEAD() && s.Integrity == (Transform{}) ||
		p.Protocol == IKE && (s.PRF == (Transform{}) || s.KeyExchange == (Transform{})) {
		return Suite{}, fault.New(fault.IKE, "%s is no complete choice for %s", listed(chosen), p.Protocol).AsPermanent()
	}
	return s, nil
}

// set puts t into the field of its type.
func (s *Suite) set(t Transform) {
	switch {
	case t.Type == TypeESN:
		s.ESN = t.ID == ESNYes
	case isNone(t):
	case t.Type == TypeEncryption:
		s.Encryption = t
	case t.Type == TypePRF:
		s.PRF = t
	case t.Type == TypeIntegrity:
		s.Integrity = t
	case t.Type == TypeKeyExchange:
		s.KeyExchange = t
	case t.Type.additional():
		s.Additional = append(s.Additional, t)
		slices.SortFunc(s.Additional, func(a, b Transform) int { return int(a.Type) - int(b.Type) })
	}
}

// isNone reports whether t says that there is none of its type (RFC 7296
// section 3.3.2, RFC 9370 section 2.2.2).
func isNone(t Transform) bool {
	return t.ID == 0 && (t.Type == TypeIntegrity || t.Type.exchange())
}

func listed(transforms []Transform) string {
	if len(transforms) == 0 {
		return "nothing"
	}
	names := make([]string, len(transforms))
	for i, t := range transforms {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// Agree chooses as a responder does, of what a peer offered: of each type the
// first of p's own transforms that is in offered. A type that the peer offers
// and p does not have is refused, unless none is offered, and the other way
// round (RFC 7296 section 3.3.6). The result is what to answer with; ok is
// false if there is none.
func (p Proposal) Agree(offered Proposal) (chosen []Transform, ok bool) {
	if p.Protocol != offered.Protocol {
		return nil, false
	}
	for typ := TypeEncryption; typ <= TypeAdditionalKE7; typ++ {
		own, theirs := withNone(typ, p.Of(typ)), withNone(typ, offered.Of(typ))
		at := slices.IndexFunc(own, func(t Transform) bool { return slices.Contains(theirs, t) })
		switch {
		case len(own) == 0 && len(theirs) == 0:
		case at < 0:
			return nil, false
		case len(offered.Of(typ)) > 0:
			chosen = append(chosen, own[at])
		}
	}
	for _, t := range offered.Transforms { // of a type that nobody knows
		if t.Type < TypeEncryption || t.Type > TypeAdditionalKE7 {
			return nil, false
		}
	}
	_, err := offered.Choose(chosen)
	return chosen, err == nil
}

// withNone returns the transforms of a type, or none where a type without any
// means that.
func withNone(typ Type, transforms []Transform) []Transform {
	if none := (Transform{Type: typ}); len(transforms) == 0 && isNone(none) {
		return []Transform{none}
	}
	return transforms
}

// String returns the suite as Parse would read it.
func (s Suite) String() string {
	esn := Transform{Type: TypeESN, ID: ESNNo}
	if s.ESN {
		esn.ID = ESNYes
	}
	var of []Transform
	for _, t := range append([]Transform{s.Encryption, s.Integrity, s.PRF, s.KeyExchange}, s.Additional...) {
		if t != (Transform{}) {
			of = append(of, t)
		}
	}
	if s.Protocol == ESP {
		of = append(of, esn)
	}
	return Proposal{s.Protocol, of}.String()
}

// KeySizes returns how many bytes of key material each key of the suite takes
// (RFC 7296 section 2.14 and 2.17): encryption has the salt in it, integrity is
// 0 for an AEAD, and prf is 0 in ESP.
func (s Suite) KeySizes() (encryption, integrity, prf int) {
	if a, ok := find(s.Encryption); ok {
		encryption = a.keySize(s.Encryption)
	}
	if a, ok := find(s.Integrity); ok && !s.Encryption.AEAD() {
		integrity = a.keySize(s.Integrity)
	}
	if a, ok := find(s.PRF); ok && s.Protocol == IKE {
		prf = a.keySize(s.PRF)
	}
	return encryption, integrity, prf
}
