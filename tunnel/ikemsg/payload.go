package ikemsg

import (
	"fmt"
	"net/netip"
)

// A KE payload carries a public value of a key exchange, or the ciphertext of
// a KEM (RFC 7296 section 3.4, RFC 9370).
type KE struct {
	Group uint16 // the ID of the transform of type KeyExchange
	Data  []byte
}

// Type is PayloadKE.
func (*KE) Type() PayloadType { return PayloadKE }

func parseKE(body []byte) (*KE, *Error) {
	d := decoder{b: body}
	k := &KE{Group: d.uint16()}
	d.take(2)
	k.Data = d.rest()
	return k, d.end()
}

func (k *KE) append(e *encoder) {
	e.uint16(k.Group)
	e.reserved(2)
	e.bytes(k.Data)
}

// An Identity is who somebody says to be (RFC 7296 section 3.5).
type Identity struct {
	Kind     IDType
	Reserved [3]byte // zero, but signed as it is: kept for Signed
	Data     []byte
}

// IDi is the initiator's identity.
type IDi struct{ Identity }

// IDr is the responder's.
type IDr struct{ Identity }

// Type is PayloadIDi.
func (*IDi) Type() PayloadType { return PayloadIDi }

// Type is PayloadIDr.
func (*IDr) Type() PayloadType { return PayloadIDr }

func parseIdentity(body []byte) (Identity, *Error) {
	d := decoder{b: body}
	id := Identity{Kind: IDType(d.uint8())}
	copy(id.Reserved[:], d.take(3))
	id.Data = d.rest()
	if d.short {
		return id, d.end()
	}
	if want := map[IDType]int{IDIPv4: 4, IDIPv6: 16}[id.Kind]; want != 0 && len(id.Data) != want {
		return id, malformed("%d bytes are no %v", len(id.Data), id.Kind)
	}
	return id, nil
}

func (id *Identity) append(e *encoder) {
	e.uint8(uint8(id.Kind))
	e.bytes(id.Reserved[:])
	e.bytes(id.Data)
}

// Signed is the body of the payload as it is on the wire: RestOfInitIDPayload
// and RestOfRespIDPayload of RFC 7296 section 2.15.
func (id *Identity) Signed() []byte {
	e := &encoder{}
	id.append(e)
	return e.b
}

// String is the identity as people write it; bytes that are no text, and the
// DER of names, in hexadecimal.
func (id *Identity) String() string {
	switch id.Kind {
	case IDIPv4, IDIPv6:
		if a, ok := netip.AddrFromSlice(id.Data); ok {
			return a.String()
		}
	case IDFQDN, IDEmail:
		return printable(id.Data)
	default:
	}
	return fmt.Sprintf("%v:%x", id.Kind, id.Data)
}

// A Cert payload carries a certificate or what replaces it (RFC 7296 section
// 3.6). The first one is that of the key which signed.
type Cert struct {
	Encoding CertEncoding
	Data     []byte
}

// Type is PayloadCert.
func (*Cert) Type() PayloadType { return PayloadCert }

func parseCert(body []byte) (*Cert, *Error) {
	d := decoder{b: body}
	c := &Cert{Encoding: CertEncoding(d.uint8())}
	c.Data = d.rest()
	return c, d.end()
}

func (c *Cert) append(e *encoder) {
	e.uint8(uint8(c.Encoding))
	e.bytes(c.Data)
}

// A CertReq payload says which certificates are wanted (RFC 7296 section 3.7).
// For CertX509Signature, Data is a row of SHA-1 hashes of the public keys of
// CAs, perhaps none.
type CertReq struct {
	Encoding CertEncoding
	Data     []byte
}

// Type is PayloadCertReq.
func (*CertReq) Type() PayloadType { return PayloadCertReq }

func parseCertReq(body []byte) (*CertReq, *Error) {
	d := decoder{b: body}
	c := &CertReq{Encoding: CertEncoding(d.uint8())}
	c.Data = d.rest()
	return c, d.end()
}

func (c *CertReq) append(e *encoder) {
	e.uint8(uint8(c.Encoding))
	e.bytes(c.Data)
}

// Hashes are the CAs of a request for X.509 certificates. What is left over
// from 20 bytes each is ignored.
func (c *CertReq) Hashes() [][20]byte {
	var hashes [][20]byte
	for d := c.Data; len(d) >= 20; d = d[20:] {
		hashes = append(hashes, [20]byte(d))
	}
	return hashes
}

// An Auth payload proves an identity (RFC 7296 section 3.8).
type Auth struct {
	Method AuthMethod
	Data   []byte // for AuthDigitalSignature see SplitSignature
}

// Type is PayloadAuth.
func (*Auth) Type() PayloadType { return PayloadAuth }

func parseAuth(body []byte) (*Auth, *Error) {
	d := decoder{b: body}
	a := &Auth{Method: AuthMethod(d.uint8())}
	d.take(3)
	a.Data = d.rest()
	return a, d.end()
}

func (a *Auth) append(e *encoder) {
	e.uint8(uint8(a.Method))
	e.reserved(3)
	e.bytes(a.Data)
}

// SplitSignature takes the data of an Auth payload of AuthDigitalSignature
// apart: the DER of the AlgorithmIdentifier, after one byte of its length, and
// the signature (RFC 7427 section 3).
func SplitSignature(data []byte) (algorithm, signature []byte, err error) {
	d := decoder{b: data}
	algorithm = d.take(int(d.uint8()))
	signature = d.rest()
	if d.short || len(algorithm) == 0 || len(signature) == 0 {
		return nil, nil, in(PayloadAuth, malformed("no algorithm and signature"))
	}
	return algorithm, signature, nil
}

// JoinSignature is the other way; an algorithm's DER has at most 255 bytes.
func JoinSignature(algorithm, signature []byte) []byte {
	e := &encoder{}
	e.uint8(uint8(len(algorithm)))
	e.bytes(algorithm)
	e.bytes(signature)
	return e.b
}

// A Nonce is random, and of 16 to 256 bytes (RFC 7296 section 3.9).
type Nonce struct {
	Data []byte
}

// Type is PayloadNonce.
func (*Nonce) Type() PayloadType { return PayloadNonce }

func parseNonce(body []byte) (*Nonce, *Error) {
	if len(body) < minNonce || len(body) > maxNonce {
		return nil, malformed("%d bytes, and a nonce has %d to %d", len(body), minNonce, maxNonce)
	}
	return &Nonce{body}, nil
}

func (n *Nonce) append(e *encoder) {
	if len(n.Data) < minNonce || len(n.Data) > maxNonce {
		e.fail(malformed("%d bytes, and a nonce has %d to %d", len(n.Data), minNonce, maxNonce))
	}
	e.bytes(n.Data)
}

// A VendorID says which program it is (RFC 7296 section 3.12).
type VendorID struct {
	Data []byte
}

// Type is PayloadVendorID.
func (*VendorID) Type() PayloadType { return PayloadVendorID }

func (v *VendorID) append(e *encoder) { e.bytes(v.Data) }

// String is the text that many are, or hexadecimal.
func (v *VendorID) String() string {
	for _, c := range v.Data {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%x", v.Data)
		}
	}
	return string(v.Data)
}

// Unknown is a payload of a type that is not known here. See Message.Critical.
type Unknown struct {
	Kind     PayloadType
	Critical bool
	Body     []byte
}

// Type is the type that is not known.
func (u *Unknown) Type() PayloadType { return u.Kind }

func (u *Unknown) append(e *encoder) { e.bytes(u.Body) }

var (
	_ Payload = (*SA)(nil)
	_ Payload = (*KE)(nil)
	_ Payload = (*IDi)(nil)
	_ Payload = (*IDr)(nil)
	_ Payload = (*Cert)(nil)
	_ Payload = (*CertReq)(nil)
	_ Payload = (*Auth)(nil)
	_ Payload = (*Nonce)(nil)
	_ Payload = (*Notify)(nil)
	_ Payload = (*Delete)(nil)
	_ Payload = (*VendorID)(nil)
	_ Payload = (*TSi)(nil)
	_ Payload = (*TSr)(nil)
	_ Payload = (*Encrypted)(nil)
	_ Payload = (*Fragment)(nil)
	_ Payload = (*Config)(nil)
	_ Payload = (*EAP)(nil)
	_ Payload = (*Unknown)(nil)
)
