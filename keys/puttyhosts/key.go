package puttyhosts

import (
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Our own limits. Whoever uses the key may want less.
const (
	maxDigits  = 16384 / 4 // of a number: those of an RSA key of 16384 bits
	minRSA     = 512
	maxRSAExp  = 32 // bits; what is larger makes verifying slow
	minDSA     = 512
	maxDSA     = 3072
	minDSASub  = 160
	maxDSASub  = 256
	errNumbers = "its numbers are not those of a key of its type"
)

// parseKey makes the key on the wire from PuTTY's numbers, and says its type
// there.
func parseKey(keyType string, fields []string) (wire string, blob []byte, err error) {
	switch keyType {
	case "rsa2":
		wire = "ssh-rsa"
		blob, err = rsaKey(fields)
	case "dss":
		wire = "ssh-dss"
		blob, err = dsaKey(fields)
	case "ecdsa-sha2-nistp256":
		wire = keyType
		blob, err = ecdsaKey("nistp256", ecdh.P256(), 32, fields)
	case "ecdsa-sha2-nistp384":
		wire = keyType
		blob, err = ecdsaKey("nistp384", ecdh.P384(), 48, fields)
	case "ecdsa-sha2-nistp521":
		wire = keyType
		blob, err = ecdsaKey("nistp521", ecdh.P521(), 66, fields)
	case "ssh-ed25519":
		wire = keyType
		blob, err = ed25519Key(fields)
	case "ssh-ed448":
		err = errors.New("an Ed448 key (ssh-ed448), which linehaul does not do: it asks the server for another")
	case "rsa":
		err = errors.New("an SSH-1 key, which nothing uses any more")
	default:
		err = errors.New("a type of key that is not known")
	}
	return wire, blob, err
}

// parseNumbers reads so many numbers, 0x and hexadecimal digits each.
func parseNumbers(fields []string, count int) ([]*big.Int, error) {
	if len(fields) != count {
		return nil, fmt.Errorf("%d numbers, where a key of its type has %d", len(fields), count)
	}
	var list []*big.Int
	for _, f := range fields {
		digits, ok := strings.CutPrefix(f, "0x")
		if !ok || digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
			return nil, fmt.Errorf("a number is not 0x and 1 to %d hexadecimal digits", maxDigits)
		}
		n, ok := new(big.Int).SetString(digits, 16)
		if !ok {
			return nil, errors.New(errNumbers)
		}
		list = append(list, n)
	}
	return list, nil
}

// rsaKey is ssh-rsa, e, n (RFC 4253 section 6.6).
func rsaKey(fields []string) ([]byte, error) {
	list, err := parseNumbers(fields, 2)
	if err != nil {
		return nil, err
	}
	e, n := list[0], list[1]
	if e.Bit(0) == 0 || e.Cmp(big.NewInt(3)) < 0 || e.BitLen() > maxRSAExp || n.Bit(0) == 0 || n.BitLen() < minRSA {
		return nil, errors.New(errNumbers)
	}
	return appendMpint(appendMpint(appendString(nil, "ssh-rsa"), e), n), nil
}

// dsaKey is ssh-dss, p, q, g, y (RFC 4253 section 6.6).
func dsaKey(fields []string) ([]byte, error) {
	list, err := parseNumbers(fields, 4)
	if err != nil {
		return nil, err
	}
	p, q, g, y := list[0], list[1], list[2], list[3]
	one := big.NewInt(1)
	within := func(x *big.Int) bool { return x.Cmp(one) > 0 && x.Cmp(p) < 0 }
	size := p.BitLen() >= minDSA && p.BitLen() <= maxDSA && q.BitLen() >= minDSASub && q.BitLen() <= maxDSASub
	if !size || p.Bit(0) == 0 || q.Bit(0) == 0 || !within(g) || !within(y) {
		return nil, errors.New(errNumbers)
	}
	b := appendString(nil, "ssh-dss")
	for _, x := range list {
		b = appendMpint(b, x)
	}
	return b, nil
}

// ecdsaKey is ecdsa-sha2-CURVE, CURVE, and the point without compression (RFC
// 5656 section 3.1, SEC 1 section 2.3.3).
func ecdsaKey(name string, curve ecdh.Curve, size int, fields []string) ([]byte, error) {
	if fields[0] != name {
		return nil, errors.New("the curve before its numbers is not the one of its type")
	}
	n, err := parseNumbers(fields[1:], 2)
	if err != nil {
		return nil, err
	}
	x, y := n[0], n[1]
	if x.BitLen() > 8*size || y.BitLen() > 8*size {
		return nil, errors.New("its point is not on the curve")
	}
	point := make([]byte, 1+2*size)
	point[0] = 4
	x.FillBytes(point[1 : 1+size])
	y.FillBytes(point[1+size:])
	if _, err := curve.NewPublicKey(point); err != nil { // which checks x and y against the field and the curve
		return nil, errors.New("its point is not on the curve")
	}
	b := appendString(nil, "ecdsa-sha2-"+name)
	return appendString(appendString(b, name), string(point)), nil
}

// ed25519Key is ssh-ed25519 and y, lowest byte first, whose highest bit is x's
// lowest (RFC 8709 section 4, RFC 8032 section 5.1.2). PuTTY keeps both
// coordinates, so that x is checked rather than found.
func ed25519Key(fields []string) ([]byte, error) {
	list, err := parseNumbers(fields, 2)
	if err != nil {
		return nil, err
	}
	x, y := list[0], list[1]
	if !onEd25519(x, y) {
		return nil, errors.New("its point is not on the curve")
	}
	var point [32]byte
	y.FillBytes(point[:])
	for i, j := 0, len(point)-1; i < j; i, j = i+1, j-1 {
		point[i], point[j] = point[j], point[i]
	}
	point[len(point)-1] |= byte(x.Bit(0)) << 7
	return appendString(appendString(nil, "ssh-ed25519"), string(point[:])), nil
}

// onEd25519 reports whether -x² + y² = 1 + d x² y² in the field of 2^255 - 19
// elements, where d is -121665/121666 (RFC 8032 section 5.1).
func onEd25519(x, y *big.Int) bool {
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	if x.Cmp(p) >= 0 || y.Cmp(p) >= 0 {
		return false
	}
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	xx, yy := new(big.Int).Mul(x, x), new(big.Int).Mul(y, y)
	left := new(big.Int).Sub(yy, xx)
	right := new(big.Int).Mul(xx, yy)
	right.Mod(right, p).Mul(right, d).Add(right, one)
	return left.Mod(left, p).Cmp(right.Mod(right, p)) == 0
}

// appendString and appendMpint append data types of RFC 4251 section 5.
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendMpint(b []byte, x *big.Int) []byte {
	raw := x.Bytes()
	if len(raw) > 0 && raw[0] >= 0x80 {
		raw = append([]byte{0}, raw...)
	}
	return appendString(b, string(raw))
}
