package ikemsg

// NotifyType is what a Notify payload says (RFC 7296 section 3.10.1).
type NotifyType uint16

// What NotifyType may be.
const (
	UnsupportedCriticalPayload    NotifyType = 1     // RFC 7296
	InvalidIKESPI                 NotifyType = 4     // RFC 7296
	InvalidMajorVersion           NotifyType = 5     // RFC 7296
	InvalidSyntax                 NotifyType = 7     // RFC 7296
	InvalidMessageID              NotifyType = 9     // RFC 7296
	InvalidSPI                    NotifyType = 11    // RFC 7296
	NoProposalChosen              NotifyType = 14    // RFC 7296
	InvalidKEPayload              NotifyType = 17    // RFC 7296
	AuthenticationFailed          NotifyType = 24    // RFC 7296
	SinglePairRequired            NotifyType = 34    // RFC 7296
	NoAdditionalSAs               NotifyType = 35    // RFC 7296
	InternalAddressFailure        NotifyType = 36    // RFC 7296
	FailedCPRequired              NotifyType = 37    // RFC 7296
	TSUnacceptable                NotifyType = 38    // RFC 7296
	InvalidSelectors              NotifyType = 39    // RFC 7296
	UnacceptableAddresses         NotifyType = 40    // RFC 4555
	UnexpectedNATDetected         NotifyType = 41    // RFC 4555
	TemporaryFailure              NotifyType = 43    // RFC 7296
	ChildSANotFound               NotifyType = 44    // RFC 7296
	AuthorizationFailed           NotifyType = 46    // draft-ietf-ipsecme-g-ikev2
	StateNotFound                 NotifyType = 47    // RFC 9370
	InitialContact                NotifyType = 16384 // RFC 7296
	SetWindowSize                 NotifyType = 16385 // RFC 7296
	AdditionalTSPossible          NotifyType = 16386 // RFC 7296
	IPCompSupported               NotifyType = 16387 // RFC 7296
	NATDetectionSourceIP          NotifyType = 16388 // RFC 7296
	NATDetectionDestinationIP     NotifyType = 16389 // RFC 7296
	Cookie                        NotifyType = 16390 // RFC 7296
	UseTransportMode              NotifyType = 16391 // RFC 7296
	HTTPCertLookupSupported       NotifyType = 16392 // RFC 7296
	RekeySA                       NotifyType = 16393 // RFC 7296
	ESPTFCPaddingNotSupported     NotifyType = 16394 // RFC 7296
	NonFirstFragmentsAlso         NotifyType = 16395 // RFC 7296
	MOBIKESupported               NotifyType = 16396 // RFC 4555
	AdditionalIP4Address          NotifyType = 16397 // RFC 4555
	AdditionalIP6Address          NotifyType = 16398 // RFC 4555
	NoAdditionalAddresses         NotifyType = 16399 // RFC 4555
	UpdateSAAddresses             NotifyType = 16400 // RFC 4555
	Cookie2                       NotifyType = 16401 // RFC 4555
	NoNATsAllowed                 NotifyType = 16402 // RFC 4555
	AuthLifetime                  NotifyType = 16403 // RFC 4478
	MultipleAuthSupported         NotifyType = 16404 // RFC 4739
	AnotherAuthFollows            NotifyType = 16405 // RFC 4739
	RedirectSupported             NotifyType = 16406 // RFC 5685
	Redirect                      NotifyType = 16407 // RFC 5685
	RedirectedFrom                NotifyType = 16408 // RFC 5685
	EAPOnlyAuthentication         NotifyType = 16417 // RFC 5998
	ChildlessIKEv2Supported       NotifyType = 16418 // RFC 6023
	QuickCrashDetection           NotifyType = 16419 // RFC 6290
	IKEv2FragmentationSupported   NotifyType = 16430 // RFC 7383
	SignatureHashAlgorithms       NotifyType = 16431 // RFC 7427
	UsePPK                        NotifyType = 16435 // RFC 8784
	PPKIdentity                   NotifyType = 16436 // RFC 8784
	NoPPKAuth                     NotifyType = 16437 // RFC 8784
	IntermediateExchangeSupported NotifyType = 16438 // RFC 9242
	AdditionalKeyExchange         NotifyType = 16441 // RFC 9370
	SupportedAuthMethods          NotifyType = 16443 // RFC 9593
)

// String is the name in the registry of IANA, or the number.
func (t NotifyType) String() string {
	switch t {
	case UnsupportedCriticalPayload:
		return "UNSUPPORTED_CRITICAL_PAYLOAD"
	case InvalidIKESPI:
		return "INVALID_IKE_SPI"
	case InvalidMajorVersion:
		return "INVALID_MAJOR_VERSION"
	case InvalidSyntax:
		return "INVALID_SYNTAX"
	case InvalidMessageID:
		return "INVALID_MESSAGE_ID"
	case InvalidSPI:
		return "INVALID_SPI"
	case NoProposalChosen:
		return "NO_PROPOSAL_CHOSEN"
	case InvalidKEPayload:
		return "INVALID_KE_PAYLOAD"
	case AuthenticationFailed:
		return "AUTHENTICATION_FAILED"
	case SinglePairRequired:
		return "SINGLE_PAIR_REQUIRED"
	case NoAdditionalSAs:
		return "NO_ADDITIONAL_SAS"
	case InternalAddressFailure:
		return "INTERNAL_ADDRESS_FAILURE"
	case FailedCPRequired:
		return "FAILED_CP_REQUIRED"
	case TSUnacceptable:
		return "TS_UNACCEPTABLE"
	case InvalidSelectors:
		return "INVALID_SELECTORS"
	case UnacceptableAddresses:
		return "UNACCEPTABLE_ADDRESSES"
	case UnexpectedNATDetected:
		return "UNEXPECTED_NAT_DETECTED"
	case TemporaryFailure:
		return "TEMPORARY_FAILURE"
	case ChildSANotFound:
		return "CHILD_SA_NOT_FOUND"
	case AuthorizationFailed:
		return "AUTHORIZATION_FAILED"
	case StateNotFound:
		return "STATE_NOT_FOUND"
	case InitialContact:
		return "INITIAL_CONTACT"
	case SetWindowSize:
		return "SET_WINDOW_SIZE"
	case AdditionalTSPossible:
		return "ADDITIONAL_TS_POSSIBLE"
	case IPCompSupported:
		return "IPCOMP_SUPPORTED"
	case NATDetectionSourceIP:
		return "NAT_DETECTION_SOURCE_IP"
	case NATDetectionDestinationIP:
		return "NAT_DETECTION_DESTINATION_IP"
	case Cookie:
		return "COOKIE"
	case UseTransportMode:
		return "USE_TRANSPORT_MODE"
	case HTTPCertLookupSupported:
		return "HTTP_CERT_LOOKUP_SUPPORTED"
	case RekeySA:
		return "REKEY_SA"
	case ESPTFCPaddingNotSupported:
		return "ESP_TFC_PADDING_NOT_SUPPORTED"
	case NonFirstFragmentsAlso:
		return "NON_FIRST_FRAGMENTS_ALSO"
	case MOBIKESupported:
		return "MOBIKE_SUPPORTED"
	case AdditionalIP4Address:
		return "ADDITIONAL_IP4_ADDRESS"
	case AdditionalIP6Address:
		return "ADDITIONAL_IP6_ADDRESS"
	case NoAdditionalAddresses:
		return "NO_ADDITIONAL_ADDRESSES"
	case UpdateSAAddresses:
		return "UPDATE_SA_ADDRESSES"
	case Cookie2:
		return "COOKIE2"
	case NoNATsAllowed:
		return "NO_NATS_ALLOWED"
	case AuthLifetime:
		return "AUTH_LIFETIME"
	case MultipleAuthSupported:
		return "MULTIPLE_AUTH_SUPPORTED"
	case AnotherAuthFollows:
		return "ANOTHER_AUTH_FOLLOWS"
	case RedirectSupported:
		return "REDIRECT_SUPPORTED"
	case Redirect:
		return "REDIRECT"
	case RedirectedFrom:
		return "REDIRECTED_FROM"
	case EAPOnlyAuthentication:
		return "EAP_ONLY_AUTHENTICATION"
	case ChildlessIKEv2Supported:
		return "CHILDLESS_IKEV2_SUPPORTED"
	case QuickCrashDetection:
		return "QUICK_CRASH_DETECTION"
	case IKEv2FragmentationSupported:
		return "IKEV2_FRAGMENTATION_SUPPORTED"
	case SignatureHashAlgorithms:
		return "SIGNATURE_HASH_ALGORITHMS"
	case UsePPK:
		return "USE_PPK"
	case PPKIdentity:
		return "PPK_IDENTITY"
	case NoPPKAuth:
		return "NO_PPK_AUTH"
	case IntermediateExchangeSupported:
		return "INTERMEDIATE_EXCHANGE_SUPPORTED"
	case AdditionalKeyExchange:
		return "ADDITIONAL_KEY_EXCHANGE"
	case SupportedAuthMethods:
		return "SUPPORTED_AUTH_METHODS"
	case 42:
		return "USE_ASSIGNED_HoA"
	case 45:
		return "INVALID_GROUP_ID"
	case 48:
		return "TS_MAX_QUEUE"
	case 49:
		return "REGISTRATION_FAILED"
	case 16409:
		return "TICKET_LT_OPAQUE"
	case 16410:
		return "TICKET_REQUEST"
	case 16411:
		return "TICKET_ACK"
	case 16412:
		return "TICKET_NACK"
	case 16413:
		return "TICKET_OPAQUE"
	case 16414:
		return "LINK_ID"
	case 16415:
		return "USE_WESP_MODE"
	case 16416:
		return "ROHC_SUPPORTED"
	case 16420:
		return "IKEV2_MESSAGE_ID_SYNC_SUPPORTED"
	case 16421:
		return "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED"
	case 16422:
		return "IKEV2_MESSAGE_ID_SYNC"
	case 16423:
		return "IPSEC_REPLAY_COUNTER_SYNC"
	case 16424:
		return "SECURE_PASSWORD_METHODS"
	case 16425:
		return "PSK_PERSIST"
	case 16426:
		return "PSK_CONFIRM"
	case 16427:
		return "ERX_SUPPORTED"
	case 16428:
		return "IFOM_CAPABILITY"
	case 16432:
		return "CLONE_IKE_SA_SUPPORTED"
	case 16433:
		return "CLONE_IKE_SA"
	case 16434:
		return "PUZZLE"
	case 16439:
		return "IP4_ALLOWED"
	case 16440:
		return "IP6_ALLOWED"
	case 16442:
		return "USE_AGGFRAG"
	case 16444:
		return "SA_RESOURCE_INFO"
	}
	return number("notify", t)
}

// IsError reports whether it says that something failed; the others tell of a
// state (RFC 7296 section 3.10.1). An error that is not known is one all the
// same, and an unknown state is to be skipped.
func (t NotifyType) IsError() bool { return t < 16384 }
