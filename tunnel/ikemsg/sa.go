package ikemsg

import "strconv"

// An SA payload holds what is offered, or the one proposal that was chosen
// (RFC 7296 section 3.3).
type SA struct {
	Proposals []Proposal
}

// Type is PayloadSA.
func (*SA) Type() PayloadType { return PayloadSA }

// A Proposal is a set of transforms for one protocol: one of each type is to
// be chosen (RFC 7296 section 3.3.1).
type Proposal struct {
	Number     uint8
	Protocol   ProtocolID
	SPI        []byte // none in IKE_SA_INIT, 8 bytes for another IKE SA, 4 for ESP and AH
	Transforms []Transform
}

// A Transform is one algorithm (RFC 7296 section 3.3.2).
type Transform struct {
	Type       TransformType
	ID         uint16
	KeyBits    int         // of the attribute Key Length; 0 if there is none
	Attributes []Attribute // all others; a transform that has any is not to be chosen (section 3.3.6)
}

// An Attribute is a piece of data of a transform: Short ones have two bytes of
// value in place of a length (RFC 7296 section 3.3.5).
type Attribute struct {
	Type  uint16 // 15 bits
	Short bool
	Value []byte
}

// attributeKeyLength is the one attribute that IKEv2 knows (RFC 7296 section
// 3.3.5). It is short, and counts bits.
const attributeKeyLength = 14

// More comes, or not, in the first byte of each substructure (RFC 7296
// sections 3.3.1 and 3.3.2).
const (
	moreProposals  = 2
	moreTransforms = 3
	minTransform   = 8
)

func parseSA(body []byte) (*SA, *Error) {
	sa := &SA{}
	d := decoder{b: body}
	offered := 0
	for more := true; more; {
		if len(sa.Proposals) == maxProposals {
			return nil, tooLarge("more than %d proposals", maxProposals)
		}
		p, last, err := parseProposal(&d)
		if err != nil {
			return nil, err
		}
		for _, t := range p.Transforms {
			offered += 1 + len(t.Attributes)
		}
		if offered > maxOffered {
			return nil, tooLarge("more than %d transforms and attributes", maxOffered)
		}
		sa.Proposals = append(sa.Proposals, p)
		more = !last
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return sa, nil
}

// substructure takes a proposal or transform: its first byte says whether more
// come, its third and fourth how long it is.
func substructure(d *decoder, more uint8, what string) (body decoder, last bool, err *Error) {
	mark := d.uint8()
	d.uint8()
	n := int(d.uint16())
	switch {
	case d.short:
		return body, false, malformed("a %s is cut short", what)
	case mark != 0 && mark != more:
		return body, false, malformed("a %s begins with %d", what, mark)
	case n < 4 || n-4 > len(d.b):
		return body, false, malformed("a %s has a length of %d, and %d bytes are left", what, n, len(d.b)+4)
	}
	return decoder{b: d.take(n - 4)}, mark == 0, nil
}

func parseProposal(d *decoder) (p Proposal, last bool, err *Error) {
	b, last, err := substructure(d, moreProposals, "proposal")
	if err != nil {
		return p, false, err
	}
	p.Number, p.Protocol = b.uint8(), ProtocolID(b.uint8())
	spi, transforms := int(b.uint8()), int(b.uint8())
	p.SPI = b.take(spi)
	if b.short {
		return p, false, malformed("proposal %d is cut short", p.Number)
	}
	if transforms > 0 {
		p.Transforms = make([]Transform, 0, min(transforms, len(b.b)/minTransform))
	}
	for i := range transforms {
		t, final, err := parseTransform(&b)
		if err != nil {
			return p, false, err
		}
		if final != (i == transforms-1) {
			return p, false, malformed("proposal %d does not have the %d transforms that it speaks of", p.Number, transforms)
		}
		p.Transforms = append(p.Transforms, t)
	}
	return p, last, b.end()
}

func parseTransform(d *decoder) (t Transform, last bool, err *Error) {
	b, last, err := substructure(d, moreTransforms, "transform")
	if err != nil {
		return t, false, err
	}
	t.Type = TransformType(b.uint8())
	b.uint8()
	t.ID = b.uint16()
	for len(b.b) > 0 && !b.short {
		kind := b.uint16()
		a := Attribute{Type: kind &^ 0x8000, Short: kind&0x8000 != 0}
		if a.Short {
			a.Value = b.take(2)
		} else {
			a.Value = b.take(int(b.uint16()))
		}
		if b.short {
			break
		}
		// A length of nothing, and a second one, are kept as what cannot be
		// accepted.
		if a.Type == attributeKeyLength && a.Short && t.KeyBits == 0 && t.Attributes == nil {
			t.KeyBits = int(a.Value[0])<<8 | int(a.Value[1])
			if t.KeyBits != 0 {
				continue
			}
		}
		if len(t.Attributes) == maxTransformAttributes {
			return t, false, tooLarge("more than %d attributes of a transform", maxTransformAttributes)
		}
		t.Attributes = append(t.Attributes, a)
	}
	if b.short {
		return t, false, malformed("a transform is cut short")
	}
	return t, last, nil
}

func (sa *SA) append(e *encoder) {
	if len(sa.Proposals) == 0 || len(sa.Proposals) > maxProposals {
		e.fail(tooLarge("%d proposals, and the format has room for 1 to %d", len(sa.Proposals), maxProposals))
	}
	for i, p := range sa.Proposals {
		start := len(e.b)
		e.uint8(mark(i == len(sa.Proposals)-1, moreProposals))
		e.uint8(0)
		end := e.length(start)
		e.uint8(p.Number)
		e.uint8(uint8(p.Protocol))
		e.count(len(p.SPI), maxSPI, "bytes of SPI")
		e.count(len(p.Transforms), maxTransforms, "transforms")
		e.bytes(p.SPI)
		for j, t := range p.Transforms {
			t.append(e, j == len(p.Transforms)-1)
		}
		end()
	}
}

func mark(last bool, more uint8) uint8 {
	if last {
		return 0
	}
	return more
}

func (t Transform) append(e *encoder, last bool) {
	start := len(e.b)
	e.uint8(mark(last, moreTransforms))
	e.uint8(0)
	end := e.length(start)
	e.uint8(uint8(t.Type))
	e.uint8(0)
	e.uint16(t.ID)
	if t.KeyBits != 0 {
		if t.KeyBits < 0 || t.KeyBits > 0xffff {
			e.fail(tooLarge("a key of %d bits", t.KeyBits))
		}
		e.uint16(attributeKeyLength | 0x8000)
		e.uint16(uint16(t.KeyBits))
	}
	for _, a := range t.Attributes {
		a.append(e)
	}
	end()
}

func (a Attribute) append(e *encoder) {
	if a.Short {
		if len(a.Value) != 2 {
			e.fail(malformed("%d bytes in an attribute of two", len(a.Value)))
		}
		e.uint16(a.Type | 0x8000)
		e.bytes(a.Value)
		return
	}
	if len(a.Value) > maxPayload {
		e.fail(tooLarge("%d bytes in an attribute", len(a.Value)))
	}
	e.uint16(a.Type &^ 0x8000)
	e.uint16(uint16(len(a.Value)))
	e.bytes(a.Value)
}

// String is the name of the algorithm, with its key length: AES_CBC-256.
func (t Transform) String() string {
	s := transformName(t.Type, t.ID)
	if t.KeyBits != 0 {
		s += "-" + strconv.Itoa(t.KeyBits)
	}
	return s
}
