package ikemsg

// What RFC 7296 fixes.
const (
	HeaderSize    = 28        // section 3.1
	payloadHeader = 4         // section 3.2
	maxPayload    = 1<<16 - 1 // section 3.2: the length has 16 bits
	minNonce      = 16        // sections 2.10 and 3.9
	maxNonce      = 256       // section 3.9
	maxProposals  = 255       // section 3.3.1: the number of a proposal has 8 bits, and counts from 1
	maxTransforms = 255       // section 3.3.1: their count has 8 bits
	maxSelectors  = 255       // section 3.13: their count has 8 bits
	maxSPI        = 255       // sections 3.3.1 and 3.10: the SPI's size has 8 bits
)

// What we choose.
const (
	// MaxDatagram is what fits into a UDP datagram over IPv4.
	MaxDatagram = 65507

	// maxPayloads of one message. A payload may be four bytes, so that a
	// datagram could hold 16,000; real ones have a dozen, and two dozen with a
	// long chain of certificates.
	maxPayloads = 128

	// maxOffered transforms and attributes in all proposals of an SA payload,
	// key lengths aside. The widest offers that are known have about a hundred.
	maxOffered = 1024

	// maxTransformAttributes of one transform. IKEv2 knows one.
	maxTransformAttributes = 4

	// maxConfigAttributes of one Config payload: as many networks may be behind
	// a gateway.
	maxConfigAttributes = 1024

	// maxSelectorSize keeps selectors of types that are not known to what a
	// security label may need (RFC 9478).
	maxSelectorSize = 4096

	// maxFragments of one message (RFC 7383 section 2.5 allows 65,535): 64 KiB
	// in the smallest pieces that anybody makes, of half an IPv6 minimum MTU.
	maxFragments = 256

	// maxReassembled is the content of one message in fragments, and all that a
	// Reassembly ever holds for a message.
	maxReassembled = 128 << 10

	// maxMessages under reassembly at once: with the window of one (RFC 7296
	// section 2.3) a request and a response, and one of each that a peer gave
	// up.
	maxMessages = 4
)
