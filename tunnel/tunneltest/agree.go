package tunneltest

import (
	"slices"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A choice is what both sides have.
type choice struct {
	suite      suite.Suite
	number     uint8
	transforms []suite.Transform
	spi        []byte // the client's
}

// choose takes the first of our proposals that a peer's offer has, with the key
// exchange that it has a key for, if that will do.
func choose(own []suite.Proposal, offered *ikemsg.SA, spiSize int, group uint16) (choice, bool) {
	for _, o := range own {
		o = prefer(o, group)
		for _, p := range offered.Proposals {
			theirs, ok := transforms(p)
			if !ok || len(p.SPI) != spiSize {
				continue
			}
			picked, ok := o.Agree(suite.Proposal{Protocol: suite.Protocol(p.Protocol), Transforms: theirs})
			if !ok {
				continue
			}
			if s, err := o.Choose(picked); err == nil {
				return choice{s, p.Number, picked, p.SPI}, true
			}
		}
	}
	return choice{}, false
}

// prefer puts a key exchange before the others of a proposal.
func prefer(p suite.Proposal, group uint16) suite.Proposal {
	at := slices.IndexFunc(p.Transforms, func(t suite.Transform) bool { return t.Type == suite.TypeKeyExchange && t.ID == group })
	if at < 0 {
		return p
	}
	all := []suite.Transform{p.Transforms[at]}
	all = append(all, p.Transforms[:at]...)
	return suite.Proposal{Protocol: p.Protocol, Transforms: append(all, p.Transforms[at+1:]...)}
}

// transforms are those of a proposal in suite's words. One with an attribute
// that nobody knows is of no use.
func transforms(p ikemsg.Proposal) (all []suite.Transform, ok bool) {
	for _, t := range p.Transforms {
		if len(t.Attributes) > 0 {
			return nil, false
		}
		all = append(all, suite.Transform{Type: suite.Type(t.Type), ID: t.ID, KeyBits: t.KeyBits})
	}
	return all, true
}

// payload is the SA payload of proposals with an SPI.
func payload(proposals []suite.Proposal, spi []byte) *ikemsg.SA {
	sa := &ikemsg.SA{}
	for i, p := range proposals {
		one := ikemsg.Proposal{Number: uint8(i + 1), Protocol: ikemsg.ProtocolID(p.Protocol), SPI: spi}
		for _, t := range p.Transforms {
			one.Transforms = append(one.Transforms, ikemsg.Transform{Type: ikemsg.TransformType(t.Type), ID: t.ID, KeyBits: t.KeyBits})
		}
		sa.Proposals = append(sa.Proposals, one)
	}
	return sa
}

// payload is the answer of a choice.
func (c choice) payload(spi []byte) *ikemsg.SA {
	sa := payload([]suite.Proposal{{Protocol: c.suite.Protocol, Transforms: c.transforms}}, spi)
	sa.Proposals[0].Number = c.number
	return sa
}

// taken reads what a client chose of proposals of ours.
func taken(answer []ikemsg.Payload, of []suite.Proposal, spiSize int) (suite.Suite, []byte, bool) {
	sa, ok := ikemsg.Get[*ikemsg.SA](answer)
	if !ok || len(sa.Proposals) != 1 {
		return suite.Suite{}, nil, false
	}
	p := sa.Proposals[0]
	all, ok := transforms(p)
	n := int(p.Number)
	if !ok || n < 1 || n > len(of) || suite.Protocol(p.Protocol) != of[n-1].Protocol || len(p.SPI) != spiSize {
		return suite.Suite{}, nil, false
	}
	s, err := of[n-1].Choose(all)
	return s, p.SPI, err == nil
}
