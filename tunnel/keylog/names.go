package keylog

import (
	"fmt"

	"linehaul/tunnel/suite"
)

// The names of Wireshark's tables (epan/dissectors/packet-isakmp.c and
// packet-ipsec.c); the empty text stands for none.

func ikeCipher(t suite.Transform) string {
	icv := func(kind string, n int) string {
		return fmt.Sprintf("AES-%s-%d with %d octet ICV [RFC5282]", kind, t.KeyBits, n)
	}
	switch t.ID {
	case suite.Encr3DES:
		return "3DES [RFC2451]"
	case suite.EncrAESCBC:
		return fmt.Sprintf("AES-CBC-%d [RFC3602]", t.KeyBits)
	case suite.EncrAESCTR:
		return fmt.Sprintf("AES-CTR-%d [RFC5930]", t.KeyBits)
	case suite.EncrAESGCM8:
		return icv("GCM", 8)
	case suite.EncrAESGCM12:
		return icv("GCM", 12)
	case suite.EncrAESGCM16:
		return icv("GCM", 16)
	case suite.EncrAESCCM8:
		return icv("CCM", 8)
	case suite.EncrAESCCM12:
		return icv("CCM", 12)
	case suite.EncrAESCCM16:
		return icv("CCM", 16)
	}
	return ""
}

func ikeCheck(s suite.Suite) string {
	if s.Encryption.AEAD() {
		return "NONE [RFC4306]"
	}
	switch s.Integrity.ID {
	case suite.IntegHMACMD5:
		return "HMAC_MD5_96 [RFC2403]"
	case suite.IntegHMACSHA1:
		return "HMAC_SHA1_96 [RFC2404]"
	case suite.IntegHMACSHA256:
		return "HMAC_SHA2_256_128 [RFC4868]"
	case suite.IntegHMACSHA384:
		return "HMAC_SHA2_384_192 [RFC4868]"
	case suite.IntegHMACSHA512:
		return "HMAC_SHA2_512_256 [RFC4868]"
	case suite.IntegAESXCBC, suite.IntegAESCMAC: // which it decrypts and does not check
		return "ANY 96-bits of Authentication [No Checking]"
	}
	return ""
}

func espCipher(t suite.Transform) string {
	switch t.ID {
	case suite.EncrNull:
		return "NULL"
	case suite.Encr3DES:
		return "TripleDES-CBC [RFC2451]"
	case suite.EncrDES:
		return "DES-CBC [RFC2405]"
	case suite.EncrBlowfish:
		return "BLOWFISH-CBC [RFC2451]"
	case suite.EncrCAST:
		return "CAST5-CBC [RFC2144]"
	case suite.EncrAESCBC:
		return "AES-CBC [RFC3602]"
	case suite.EncrAESCTR:
		return "AES-CTR [RFC3686]"
	case suite.EncrAESGCM8:
		return "AES-GCM with 8 octet ICV [RFC4106]"
	case suite.EncrAESGCM12:
		return "AES-GCM with 12 octet ICV [RFC4106]"
	case suite.EncrAESGCM16:
		return "AES-GCM with 16 octet ICV [RFC4106]"
	}
	return ""
}

func espCheck(s suite.Suite) string {
	if s.Encryption.AEAD() {
		return "NULL"
	}
	switch s.Integrity.ID {
	case suite.IntegHMACMD5:
		return "HMAC-MD5-96 [RFC2403]"
	case suite.IntegHMACSHA1:
		return "HMAC-SHA-1-96 [RFC2404]"
	case suite.IntegHMACSHA256:
		return "HMAC-SHA-256-128 [RFC4868]"
	case suite.IntegHMACSHA384:
		return "HMAC-SHA-384-192 [RFC4868]"
	case suite.IntegHMACSHA512:
		return "HMAC-SHA-512-256 [RFC4868]"
	case suite.IntegAESXCBC, suite.IntegAESCMAC:
		return "ANY 96 bit authentication [no checking]"
	}
	return ""
}
