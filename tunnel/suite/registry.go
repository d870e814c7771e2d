package suite

import (
	"slices"
	"strconv"
	"strings"
)

// An algorithm is all that is known of one before there are keys.
type algorithm struct {
	typ     Type // TypeKeyExchange stands for the additional ones too
	id      uint16
	name    string   // strongSwan's; "%" is the key length in bits
	aliases []string // other spellings of it
	bits    []int    // the key lengths that need the attribute; the first is that of a name without one

	key   int // bytes of key where the length is fixed
	salt  int // bytes of key material after the key, the nonce's constant part
	iv    int
	icv   int // for an AEAD and for integrity
	block int // content is a multiple of it

	only Protocol // 0 for both
	old  string   // why not to use it, empty if it is good
}

func (a algorithm) aead() bool { return a.typ == TypeEncryption && a.icv > 0 }

// keySize returns the bytes of key material for t, the salt included.
func (a algorithm) keySize(t Transform) int {
	if a.key > 0 {
		return a.key + a.salt
	}
	return t.KeyBits/8 + a.salt
}

// Why an algorithm is old, where several are for the same reason.
const (
	blocks64   = "blocks of 64 bits repeat within one large transfer (Sweet32), and RFC 9395 deprecates it"
	sha1Old    = "SHA-1 is on its way out (RFC 8247 calls it MUST-); sha256 is as fast"
	md5Old     = "MD5 is broken as a hash, and RFC 9395 deprecates it"
	smallPrime = "so small a group can be computed by an organisation with money"
)

// algorithms is the one table of all of them. It is a function and not a
// variable so that nothing can change it.
//
// AES has the three lengths of RFC 3602. Blowfish's range from 40 to 448 bits
// (RFC 2451 section 2.2) is cut to those that gateways speak; CAST-128 of less
// than 128 bits is another cipher (RFC 2144 section 2.5). 3DES, DES and
// ChaCha20-Poly1305 must not have a key length (RFC 7634 section 5).
func algorithms() []algorithm {
	aes := []int{128, 192, 256}
	return slices.Concat([]algorithm{
		{typ: TypeEncryption, id: EncrAESGCM16, name: "aes%gcm16", aliases: []string{"aes%gcm128", "aes%gcm"}, bits: aes, salt: 4, iv: 8, icv: 16, block: 1},
		{typ: TypeEncryption, id: EncrAESGCM12, name: "aes%gcm12", aliases: []string{"aes%gcm96"}, bits: aes, salt: 4, iv: 8, icv: 12, block: 1},
		{typ: TypeEncryption, id: EncrAESGCM8, name: "aes%gcm8", aliases: []string{"aes%gcm64"}, bits: aes, salt: 4, iv: 8, icv: 8, block: 1},
		{typ: TypeEncryption, id: EncrAESCCM16, name: "aes%ccm16", aliases: []string{"aes%ccm128", "aes%ccm"}, bits: aes, salt: 3, iv: 8, icv: 16, block: 1},
		{typ: TypeEncryption, id: EncrAESCCM12, name: "aes%ccm12", aliases: []string{"aes%ccm96"}, bits: aes, salt: 3, iv: 8, icv: 12, block: 1},
		{typ: TypeEncryption, id: EncrAESCCM8, name: "aes%ccm8", aliases: []string{"aes%ccm64"}, bits: aes, salt: 3, iv: 8, icv: 8, block: 1},
		{typ: TypeEncryption, id: EncrChaCha20Poly1305, name: "chacha20poly1305", key: 32, salt: 4, iv: 8, icv: 16, block: 1},
		{typ: TypeEncryption, id: EncrAESCBC, name: "aes%", aliases: []string{"aes"}, bits: aes, iv: 16, block: 16},
		{typ: TypeEncryption, id: EncrAESCTR, name: "aes%ctr", aliases: []string{"aesctr"}, bits: aes, salt: 4, iv: 8, block: 1},
		{typ: TypeEncryption, id: Encr3DES, name: "3des", key: 24, iv: 8, block: 8,
			old: "blocks of 64 bits repeat within one large transfer (Sweet32), and it is ten times slower than AES; RFC 8221 says SHOULD NOT"},
		{typ: TypeEncryption, id: EncrDES, name: "des", key: 8, iv: 8, block: 8,
			old: "keys of 56 bits are found in a day, and RFC 9395 deprecates it"},
		{typ: TypeEncryption, id: EncrBlowfish, name: "blowfish%", aliases: []string{"blowfish"}, bits: []int{128, 192, 256, 448}, iv: 8, block: 8, old: blocks64},
		{typ: TypeEncryption, id: EncrCAST, name: "cast%", aliases: []string{"cast"}, bits: []int{128}, iv: 8, block: 8, old: blocks64},
		{typ: TypeEncryption, id: EncrNull, name: "null", block: 1, only: ESP,
			old: "it does not encrypt: whoever is on the line reads everything"},

		{typ: TypeIntegrity, id: IntegHMACSHA256, name: "sha256", aliases: []string{"sha2_256"}, key: 32, icv: 16},
		{typ: TypeIntegrity, id: IntegHMACSHA384, name: "sha384", aliases: []string{"sha2_384"}, key: 48, icv: 24},
		{typ: TypeIntegrity, id: IntegHMACSHA512, name: "sha512", aliases: []string{"sha2_512"}, key: 64, icv: 32},
		{typ: TypeIntegrity, id: IntegAESXCBC, name: "aesxcbc", key: 16, icv: 12},
		{typ: TypeIntegrity, id: IntegAESCMAC, name: "aescmac", key: 16, icv: 12},
		{typ: TypeIntegrity, id: IntegHMACSHA1, name: "sha1", aliases: []string{"sha"}, key: 20, icv: 12, old: sha1Old},
		{typ: TypeIntegrity, id: IntegHMACMD5, name: "md5", key: 16, icv: 12, old: md5Old},

		{typ: TypePRF, id: PRFHMACSHA256, name: "prfsha256", key: 32, only: IKE},
		{typ: TypePRF, id: PRFHMACSHA384, name: "prfsha384", key: 48, only: IKE},
		{typ: TypePRF, id: PRFHMACSHA512, name: "prfsha512", key: 64, only: IKE},
		{typ: TypePRF, id: PRFAESXCBC, name: "prfaesxcbc", key: 16, only: IKE},
		{typ: TypePRF, id: PRFAESCMAC, name: "prfaescmac", key: 16, only: IKE},
		{typ: TypePRF, id: PRFHMACSHA1, name: "prfsha1", key: 20, only: IKE, old: sha1Old},
		{typ: TypePRF, id: PRFHMACMD5, name: "prfmd5", key: 16, only: IKE, old: md5Old},

		{typ: TypeESN, id: ESNNo, name: "noesn", only: ESP},
		{typ: TypeESN, id: ESNYes, name: "esn", only: ESP},
	}, exchanges())
}

// exchanges is the part of the table that is spelled with kN_ before it for
// the additional ones.
func exchanges() []algorithm {
	return []algorithm{
		{typ: TypeKeyExchange, id: Curve25519, name: "x25519", aliases: []string{"curve25519"}},
		{typ: TypeKeyExchange, id: Curve448, name: "x448", aliases: []string{"curve448"}},
		{typ: TypeKeyExchange, id: ECP256, name: "ecp256"},
		{typ: TypeKeyExchange, id: ECP384, name: "ecp384"},
		{typ: TypeKeyExchange, id: ECP521, name: "ecp521"},
		{typ: TypeKeyExchange, id: MODP2048, name: "modp2048"},
		{typ: TypeKeyExchange, id: MODP3072, name: "modp3072"},
		{typ: TypeKeyExchange, id: MODP4096, name: "modp4096"},
		{typ: TypeKeyExchange, id: MODP6144, name: "modp6144"},
		{typ: TypeKeyExchange, id: MODP8192, name: "modp8192"},
		{typ: TypeKeyExchange, id: MODP768, name: "modp768", old: "a group of 768 bits is broken in practice, and RFC 9395 deprecates it"},
		{typ: TypeKeyExchange, id: MODP1024, name: "modp1024", old: smallPrime + " (Logjam); RFC 8247 says SHOULD NOT"},
		{typ: TypeKeyExchange, id: MODP1536, name: "modp1536", old: smallPrime + "; RFC 8247 says SHOULD NOT"},
		{typ: TypeKeyExchange, id: MLKEM512, name: "mlkem512"},
		{typ: TypeKeyExchange, id: MLKEM768, name: "mlkem768"},
		{typ: TypeKeyExchange, id: MLKEM1024, name: "mlkem1024"},
		{typ: TypeKeyExchange, id: KENone, name: "none", aliases: []string{"modpnone"}},
	}
}

// find returns the row of t. A key length that the algorithm does not have, or
// none where it needs one, finds nothing.
func find(t Transform) (algorithm, bool) {
	typ := t.Type
	if typ.additional() {
		typ = TypeKeyExchange
	}
	for _, a := range algorithms() {
		if a.typ == typ && a.id == t.ID {
			return a, t.KeyBits == 0 && len(a.bits) == 0 || slices.Contains(a.bits, t.KeyBits)
		}
	}
	return algorithm{}, false
}

// nameOf returns the name of t, or nothing.
func nameOf(t Transform) string {
	a, ok := find(t)
	if !ok {
		return ""
	}
	name := strings.Replace(a.name, "%", strconv.Itoa(t.KeyBits), 1)
	if t.Type.additional() {
		return additionalPrefix(t.Type) + name
	}
	return name
}

// additionalPrefix is what strongSwan writes before a method to make it the
// Nth additional one: "ke1_" to "ke7_".
func additionalPrefix(t Type) string { return "ke" + strconv.Itoa(int(t-TypeAdditionalKE1)+1) + "_" }

// lookup returns the transform that a name in lower case stands for, with its
// row.
func lookup(name string) (Transform, algorithm, bool) {
	typ := TypeKeyExchange
	table := algorithms()
	for t := TypeAdditionalKE1; t <= TypeAdditionalKE7; t++ {
		if rest, ok := strings.CutPrefix(name, additionalPrefix(t)); ok {
			typ, name, table = t, rest, exchanges()
		}
	}
	for _, a := range table {
		t := Transform{Type: a.typ, ID: a.id}
		if a.typ == TypeKeyExchange {
			t.Type = typ
		}
		for _, spelling := range append([]string{a.name}, a.aliases...) {
			lengths := a.bits
			if !strings.Contains(spelling, "%") {
				lengths = append(lengths, 0)[:1] // one name, one length
			}
			for _, bits := range lengths {
				if name == strings.Replace(spelling, "%", strconv.Itoa(bits), 1) {
					t.KeyBits = bits
					return t, a, true
				}
			}
		}
	}
	return Transform{}, algorithm{}, false
}

// names returns every name that Parse reads in a proposal for p, without
// aliases.
func names(p Protocol) []string {
	var all []string
	for _, a := range algorithms() {
		if a.only != 0 && a.only != p {
			continue
		}
		for _, bits := range append(a.bits, 0)[:max(1, len(a.bits))] {
			all = append(all, strings.Replace(a.name, "%", strconv.Itoa(bits), 1))
		}
	}
	return all
}
