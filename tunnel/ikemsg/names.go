package ikemsg

import (
	"fmt"
	"strings"
)

// The numbers are those of the registries "Internet Key Exchange Version 2
// (IKEv2) Parameters" and "Extensible Authentication Protocol (EAP) Registry"
// of IANA, with the RFC that gave them.

// number is what stands for a value without a name: TYPE(1234).
func number[T ~uint8 | ~uint16](what string, v T) string {
	if what == "" {
		return fmt.Sprint(uint16(v))
	}
	return fmt.Sprintf("%s(%d)", what, uint16(v))
}

// printable keeps bytes that should be text on one line.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, string(b))
}

// ExchangeType is what a message is part of (RFC 7296 section 3.1).
type ExchangeType uint8

// What ExchangeType may be.
const (
	IKESAInit        ExchangeType = 34 // RFC 7296
	IKEAuth          ExchangeType = 35 // RFC 7296
	CreateChildSA    ExchangeType = 36 // RFC 7296
	Informational    ExchangeType = 37 // RFC 7296
	IKESessionResume ExchangeType = 38 // RFC 5723
	IKEIntermediate  ExchangeType = 43 // RFC 9242
	IKEFollowupKE    ExchangeType = 44 // RFC 9370
)

// String is the name in the registry of IANA, or the number.
func (t ExchangeType) String() string {
	switch t {
	case IKESAInit:
		return "IKE_SA_INIT"
	case IKEAuth:
		return "IKE_AUTH"
	case CreateChildSA:
		return "CREATE_CHILD_SA"
	case Informational:
		return "INFORMATIONAL"
	case IKESessionResume:
		return "IKE_SESSION_RESUME"
	case IKEIntermediate:
		return "IKE_INTERMEDIATE"
	case IKEFollowupKE:
		return "IKE_FOLLOWUP_KE"
	}
	return number("exchange", t)
}

// PayloadType is what a payload is (RFC 7296 section 3.2). 0 is none.
type PayloadType uint8

// What PayloadType may be.
const (
	PayloadSA        PayloadType = 33 // RFC 7296 section 3.3
	PayloadKE        PayloadType = 34 // section 3.4
	PayloadIDi       PayloadType = 35 // section 3.5
	PayloadIDr       PayloadType = 36 // section 3.5
	PayloadCert      PayloadType = 37 // section 3.6
	PayloadCertReq   PayloadType = 38 // section 3.7
	PayloadAuth      PayloadType = 39 // section 3.8
	PayloadNonce     PayloadType = 40 // section 3.9
	PayloadNotify    PayloadType = 41 // section 3.10
	PayloadDelete    PayloadType = 42 // section 3.11
	PayloadVendorID  PayloadType = 43 // section 3.12
	PayloadTSi       PayloadType = 44 // section 3.13
	PayloadTSr       PayloadType = 45 // section 3.13
	PayloadEncrypted PayloadType = 46 // section 3.14
	PayloadConfig    PayloadType = 47 // section 3.15
	PayloadEAP       PayloadType = 48 // section 3.16
	PayloadFragment  PayloadType = 53 // RFC 7383
)

// String is the name in the registry of IANA, or the number.
func (t PayloadType) String() string {
	switch t {
	case PayloadSA:
		return "SA"
	case PayloadKE:
		return "KE"
	case PayloadIDi:
		return "IDi"
	case PayloadIDr:
		return "IDr"
	case PayloadCert:
		return "CERT"
	case PayloadCertReq:
		return "CERTREQ"
	case PayloadAuth:
		return "AUTH"
	case PayloadNonce:
		return "No"
	case PayloadNotify:
		return "N"
	case PayloadDelete:
		return "D"
	case PayloadVendorID:
		return "V"
	case PayloadTSi:
		return "TSi"
	case PayloadTSr:
		return "TSr"
	case PayloadEncrypted:
		return "SK"
	case PayloadConfig:
		return "CP"
	case PayloadEAP:
		return "EAP"
	case PayloadFragment:
		return "SKF"
	case 49:
		return "GSPM"
	case 50:
		return "IDg"
	case 51:
		return "GSA"
	case 52:
		return "KD"
	case 54:
		return "PS"
	}
	return number("payload", t)
}

// ProtocolID is whose SA it is (RFC 7296 section 3.3.1).
type ProtocolID uint8

// What ProtocolID may be.
const (
	ProtocolIKE ProtocolID = 1 // RFC 7296
	ProtocolAH  ProtocolID = 2 // RFC 7296
	ProtocolESP ProtocolID = 3 // RFC 7296
)

// String is the name in the registry of IANA, or the number.
func (t ProtocolID) String() string {
	switch t {
	case ProtocolIKE:
		return "IKE"
	case ProtocolAH:
		return "AH"
	case ProtocolESP:
		return "ESP"
	}
	return number("protocol", t)
}

// CertEncoding is the form of a certificate (RFC 7296 section 3.6).
type CertEncoding uint8

// What CertEncoding may be.
const (
	CertPKCS7         CertEncoding = 1  // RFC 7296; not defined further
	CertX509Signature CertEncoding = 4  // RFC 7296
	CertCRL           CertEncoding = 7  // RFC 7296
	CertHashURLX509   CertEncoding = 12 // RFC 7296
	CertHashURLBundle CertEncoding = 13 // RFC 7296
	CertOCSP          CertEncoding = 14 // RFC 4806
	CertRawPublicKey  CertEncoding = 15 // RFC 7670
)

// String is the name in the registry of IANA, or the number.
func (t CertEncoding) String() string {
	switch t {
	case CertPKCS7:
		return "PKCS #7 wrapped X.509"
	case CertX509Signature:
		return "X.509"
	case CertCRL:
		return "CRL"
	case CertHashURLX509:
		return "hash and URL of X.509"
	case CertHashURLBundle:
		return "hash and URL of a bundle"
	case CertOCSP:
		return "OCSP"
	case CertRawPublicKey:
		return "raw public key"
	case 2:
		return "PGP"
	case 3:
		return "DNS signed key"
	case 6:
		return "Kerberos token"
	case 8:
		return "ARL"
	case 9:
		return "SPKI"
	case 10:
		return "X.509 attribute"
	case 11:
		return "raw RSA key"
	}
	return number("encoding", t)
}

// AuthMethod is how an identity is proved (RFC 7296 section 3.8).
type AuthMethod uint8

// What AuthMethod may be.
const (
	AuthRSA              AuthMethod = 1  // RFC 7296
	AuthSharedKey        AuthMethod = 2  // RFC 7296, also with EAP
	AuthDSS              AuthMethod = 3  // RFC 7296
	AuthECDSA256         AuthMethod = 9  // RFC 4754
	AuthECDSA384         AuthMethod = 10 // RFC 4754
	AuthECDSA521         AuthMethod = 11 // RFC 4754
	AuthSecurePassword   AuthMethod = 12 // RFC 6467
	AuthNull             AuthMethod = 13 // RFC 7619
	AuthDigitalSignature AuthMethod = 14 // RFC 7427
)

// String is the name in the registry of IANA, or the number.
func (t AuthMethod) String() string {
	switch t {
	case AuthRSA:
		return "RSA digital signature"
	case AuthSharedKey:
		return "shared key"
	case AuthDSS:
		return "DSS digital signature"
	case AuthECDSA256:
		return "ECDSA with SHA-256 on P-256"
	case AuthECDSA384:
		return "ECDSA with SHA-384 on P-384"
	case AuthECDSA521:
		return "ECDSA with SHA-512 on P-521"
	case AuthSecurePassword:
		return "secure password"
	case AuthNull:
		return "NULL"
	case AuthDigitalSignature:
		return "digital signature"
	}
	return number("method", t)
}

// HashAlgorithm is what a digital signature is made over (RFC 7427 section 7).
type HashAlgorithm uint16

// What HashAlgorithm may be.
const (
	HashSHA1     HashAlgorithm = 1 // RFC 7427
	HashSHA256   HashAlgorithm = 2 // RFC 7427
	HashSHA384   HashAlgorithm = 3 // RFC 7427
	HashSHA512   HashAlgorithm = 4 // RFC 7427
	HashIdentity HashAlgorithm = 5 // RFC 8420: Ed25519 and Ed448
)

// String is the name in the registry of IANA, or the number.
func (t HashAlgorithm) String() string {
	switch t {
	case HashSHA1:
		return "SHA1"
	case HashSHA256:
		return "SHA2-256"
	case HashSHA384:
		return "SHA2-384"
	case HashSHA512:
		return "SHA2-512"
	case HashIdentity:
		return "identity"
	case 6:
		return "STREEBOG_256"
	case 7:
		return "STREEBOG_512"
	}
	return number("hash", t)
}

// IDType is the form of an identity (RFC 7296 section 3.5).
type IDType uint8

// What IDType may be.
const (
	IDIPv4        IDType = 1  // RFC 7296: 4 bytes
	IDFQDN        IDType = 2  // RFC 7296
	IDEmail       IDType = 3  // RFC 7296
	IDIPv6        IDType = 5  // RFC 7296: 16 bytes
	IDName        IDType = 9  // RFC 7296: DER of a distinguished name
	IDGeneralName IDType = 10 // RFC 7296: DER of a GeneralName
	IDKey         IDType = 11 // RFC 7296: any bytes
	IDNull        IDType = 13 // RFC 7619
)

// String is the name in the registry of IANA, or the number.
func (t IDType) String() string {
	switch t {
	case IDIPv4:
		return "ipv4"
	case IDFQDN:
		return "fqdn"
	case IDEmail:
		return "email"
	case IDIPv6:
		return "ipv6"
	case IDName:
		return "dn"
	case IDGeneralName:
		return "gn"
	case IDKey:
		return "keyid"
	case IDNull:
		return "null"
	case 12:
		return "fcname"
	}
	return number("id", t)
}

// SelectorType is what a traffic selector is made of (RFC 7296 section 3.13.1).
type SelectorType uint8

// What SelectorType may be.
const (
	SelectorIPv4  SelectorType = 7  // RFC 7296
	SelectorIPv6  SelectorType = 8  // RFC 7296
	SelectorLabel SelectorType = 10 // RFC 9478
)

// String is the name in the registry of IANA, or the number.
func (t SelectorType) String() string {
	switch t {
	case SelectorIPv4:
		return "TS_IPV4_ADDR_RANGE"
	case SelectorIPv6:
		return "TS_IPV6_ADDR_RANGE"
	case SelectorLabel:
		return "TS_SECLABEL"
	case 9:
		return "TS_FC_ADDR_RANGE"
	}
	return number("selector", t)
}

// ConfigType is what a Config payload wants (RFC 7296 section 3.15).
type ConfigType uint8

// What ConfigType may be.
const (
	ConfigRequest ConfigType = 1 // RFC 7296
	ConfigReply   ConfigType = 2 // RFC 7296
	ConfigSet     ConfigType = 3 // RFC 7296
	ConfigAck     ConfigType = 4 // RFC 7296
)

// String is the name in the registry of IANA, or the number.
func (t ConfigType) String() string {
	switch t {
	case ConfigRequest:
		return "CFG_REQUEST"
	case ConfigReply:
		return "CFG_REPLY"
	case ConfigSet:
		return "CFG_SET"
	case ConfigAck:
		return "CFG_ACK"
	}
	return number("configuration", t)
}

// AttributeType is what is asked for, or given, in a Config payload (RFC 7296 section 3.15.1).
type AttributeType uint16

// What AttributeType may be.
const (
	InternalIP4Address  AttributeType = 1     // RFC 7296: 4 bytes
	InternalIP4Netmask  AttributeType = 2     // RFC 7296: 4 bytes
	InternalIP4DNS      AttributeType = 3     // RFC 7296: 4 bytes
	InternalIP4NBNS     AttributeType = 4     // RFC 7296: 4 bytes
	InternalIP4DHCP     AttributeType = 6     // RFC 7296: 4 bytes
	ApplicationVersion  AttributeType = 7     // RFC 7296: text
	InternalIP6Address  AttributeType = 8     // RFC 7296: 16 bytes and the length of the prefix
	InternalIP6DNS      AttributeType = 10    // RFC 7296: 16 bytes
	InternalIP6DHCP     AttributeType = 12    // RFC 7296: 16 bytes
	InternalIP4Subnet   AttributeType = 13    // RFC 7296: address and mask
	SupportedAttributes AttributeType = 14    // RFC 7296
	InternalIP6Subnet   AttributeType = 15    // RFC 7296: 16 bytes and the length of the prefix
	PCSCFIP4Address     AttributeType = 20    // RFC 7651
	PCSCFIP6Address     AttributeType = 21    // RFC 7651
	InternalDNSDomain   AttributeType = 25    // RFC 8598
	InternalDNSSECTA    AttributeType = 26    // RFC 8598
	UnityBanner         AttributeType = 28672 // Cisco, text
	UnityDefaultDomain  AttributeType = 28674 // Cisco, text
	UnitySplitDNS       AttributeType = 28675 // Cisco, text
	UnitySplitInclude   AttributeType = 28676 // Cisco, 14 bytes each
)

// String is the name in the registry of IANA, or the number.
func (t AttributeType) String() string {
	switch t {
	case InternalIP4Address:
		return "INTERNAL_IP4_ADDRESS"
	case InternalIP4Netmask:
		return "INTERNAL_IP4_NETMASK"
	case InternalIP4DNS:
		return "INTERNAL_IP4_DNS"
	case InternalIP4NBNS:
		return "INTERNAL_IP4_NBNS"
	case InternalIP4DHCP:
		return "INTERNAL_IP4_DHCP"
	case ApplicationVersion:
		return "APPLICATION_VERSION"
	case InternalIP6Address:
		return "INTERNAL_IP6_ADDRESS"
	case InternalIP6DNS:
		return "INTERNAL_IP6_DNS"
	case InternalIP6DHCP:
		return "INTERNAL_IP6_DHCP"
	case InternalIP4Subnet:
		return "INTERNAL_IP4_SUBNET"
	case SupportedAttributes:
		return "SUPPORTED_ATTRIBUTES"
	case InternalIP6Subnet:
		return "INTERNAL_IP6_SUBNET"
	case PCSCFIP4Address:
		return "P_CSCF_IP4_ADDRESS"
	case PCSCFIP6Address:
		return "P_CSCF_IP6_ADDRESS"
	case InternalDNSDomain:
		return "INTERNAL_DNS_DOMAIN"
	case InternalDNSSECTA:
		return "INTERNAL_DNSSEC_TA"
	case UnityBanner:
		return "UNITY_BANNER"
	case UnityDefaultDomain:
		return "UNITY_DEF_DOMAIN"
	case UnitySplitDNS:
		return "UNITY_SPLITDNS_NAME"
	case UnitySplitInclude:
		return "UNITY_SPLIT_INCLUDE"
	case 16:
		return "MIP6_HOME_PREFIX"
	case 17:
		return "INTERNAL_IP6_LINK"
	case 18:
		return "INTERNAL_IP6_PREFIX"
	case 19:
		return "HOME_AGENT_ADDRESS"
	case 22:
		return "FTT_KAT"
	case 23:
		return "EXTERNAL_SOURCE_IP4_NAT_INFO"
	case 24:
		return "TIMEOUT_PERIOD_FOR_LIVENESS_CHECK"
	case 27:
		return "ENCDNS_IP4"
	case 28:
		return "ENCDNS_IP6"
	case 29:
		return "ENCDNS_DIGEST_INFO"
	}
	return number("attribute", t)
}
