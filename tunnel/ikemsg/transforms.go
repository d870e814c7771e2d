package ikemsg

// TransformType is what a transform is for (RFC 7296 section 3.3.2).
type TransformType uint8

// What TransformType may be.
const (
	TransformEncryption    TransformType = 1  // RFC 7296
	TransformPRF           TransformType = 2  // RFC 7296
	TransformIntegrity     TransformType = 3  // RFC 7296
	TransformKeyExchange   TransformType = 4  // RFC 7296, renamed by RFC 9370
	TransformESN           TransformType = 5  // RFC 7296
	TransformAdditionalKE1 TransformType = 6  // RFC 9370; the others up to ADDKE7 follow
	TransformAdditionalKE7 TransformType = 12 // RFC 9370
)

// String is the name in the registry of IANA, or the number.
func (t TransformType) String() string {
	switch t {
	case TransformEncryption:
		return "ENCR"
	case TransformPRF:
		return "PRF"
	case TransformIntegrity:
		return "INTEG"
	case TransformKeyExchange:
		return "KE"
	case TransformESN:
		return "ESN"
	case TransformAdditionalKE1:
		return "ADDKE1"
	case 7:
		return "ADDKE2"
	case 8:
		return "ADDKE3"
	case 9:
		return "ADDKE4"
	case 10:
		return "ADDKE5"
	case 11:
		return "ADDKE6"
	case TransformAdditionalKE7:
		return "ADDKE7"
	}
	return number("transform", t)
}

// transformName is the name of an algorithm without its key length, such as
// AES_CBC, or ENCR(1234).
func transformName(t TransformType, id uint16) string {
	name := ""
	switch t {
	case TransformEncryption:
		name = encryptionName(id)
	case TransformPRF:
		name = prfName(id)
	case TransformIntegrity:
		name = integrityName(id)
	case TransformESN:
		name = esnName(id)
	default:
		if t == TransformKeyExchange || t >= TransformAdditionalKE1 && t <= TransformAdditionalKE7 {
			name = keyExchangeName(id)
		}
	}
	if name == "" {
		return number(t.String(), id)
	}
	return name
}

// encryptionName is one of transform type 1.
func encryptionName(id uint16) string {
	switch id {
	case 1:
		return "DES_IV64"
	case 2:
		return "DES"
	case 3:
		return "3DES"
	case 4:
		return "RC5"
	case 5:
		return "IDEA"
	case 6:
		return "CAST"
	case 7:
		return "BLOWFISH"
	case 8:
		return "3IDEA"
	case 9:
		return "DES_IV32"
	case 11:
		return "NULL"
	case 12:
		return "AES_CBC"
	case 13:
		return "AES_CTR"
	case 14:
		return "AES_CCM_8"
	case 15:
		return "AES_CCM_12"
	case 16:
		return "AES_CCM_16"
	case 18:
		return "AES_GCM_8"
	case 19:
		return "AES_GCM_12"
	case 20:
		return "AES_GCM_16"
	case 21:
		return "NULL_AUTH_AES_GMAC"
	case 23:
		return "CAMELLIA_CBC"
	case 24:
		return "CAMELLIA_CTR"
	case 25:
		return "CAMELLIA_CCM_8"
	case 26:
		return "CAMELLIA_CCM_12"
	case 27:
		return "CAMELLIA_CCM_16"
	case 28:
		return "CHACHA20_POLY1305"
	}
	return ""
}

// prfName is one of transform type 2.
func prfName(id uint16) string {
	switch id {
	case 1:
		return "PRF_HMAC_MD5"
	case 2:
		return "PRF_HMAC_SHA1"
	case 3:
		return "PRF_HMAC_TIGER"
	case 4:
		return "PRF_AES128_XCBC"
	case 5:
		return "PRF_HMAC_SHA2_256"
	case 6:
		return "PRF_HMAC_SHA2_384"
	case 7:
		return "PRF_HMAC_SHA2_512"
	case 8:
		return "PRF_AES128_CMAC"
	}
	return ""
}

// integrityName is one of transform type 3.
func integrityName(id uint16) string {
	switch id {
	case 0:
		return "NONE"
	case 1:
		return "HMAC_MD5_96"
	case 2:
		return "HMAC_SHA1_96"
	case 3:
		return "DES_MAC"
	case 4:
		return "KPDK_MD5"
	case 5:
		return "AES_XCBC_96"
	case 6:
		return "HMAC_MD5_128"
	case 7:
		return "HMAC_SHA1_160"
	case 8:
		return "AES_CMAC_96"
	case 9:
		return "AES_128_GMAC"
	case 10:
		return "AES_192_GMAC"
	case 11:
		return "AES_256_GMAC"
	case 12:
		return "HMAC_SHA2_256_128"
	case 13:
		return "HMAC_SHA2_384_192"
	case 14:
		return "HMAC_SHA2_512_256"
	}
	return ""
}

// keyExchangeName is one of transform type 4 and of the additional key exchanges.
func keyExchangeName(id uint16) string {
	switch id {
	case 0:
		return "NONE"
	case 1:
		return "MODP_768"
	case 2:
		return "MODP_1024"
	case 5:
		return "MODP_1536"
	case 14:
		return "MODP_2048"
	case 15:
		return "MODP_3072"
	case 16:
		return "MODP_4096"
	case 17:
		return "MODP_6144"
	case 18:
		return "MODP_8192"
	case 19:
		return "ECP_256"
	case 20:
		return "ECP_384"
	case 21:
		return "ECP_521"
	case 22:
		return "MODP_1024_S160"
	case 23:
		return "MODP_2048_S224"
	case 24:
		return "MODP_2048_S256"
	case 25:
		return "ECP_192"
	case 26:
		return "ECP_224"
	case 27:
		return "BRAINPOOL_P224R1"
	case 28:
		return "BRAINPOOL_P256R1"
	case 29:
		return "BRAINPOOL_P384R1"
	case 30:
		return "BRAINPOOL_P512R1"
	case 31:
		return "CURVE25519"
	case 32:
		return "CURVE448"
	case 35:
		return "ML_KEM_512"
	case 36:
		return "ML_KEM_768"
	case 37:
		return "ML_KEM_1024"
	}
	return ""
}

// esnName is one of transform type 5.
func esnName(id uint16) string {
	switch id {
	case 0:
		return "NO_ESN"
	case 1:
		return "ESN"
	}
	return ""
}
