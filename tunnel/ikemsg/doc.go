// Package ikemsg reads and writes the messages of IKEv2 (RFC 7296): the
// header, every payload of the core protocol, the Encrypted payload and its
// fragments (RFC 7383), and the EAP packets inside. It is codec only: it has
// no state but a Reassembly, no clock, no keys. What protects a message comes
// in as a Protection.
//
// A datagram, without the four zero bytes that precede it on port 4500
// (RFC 3948 section 2.2):
//
//	 0                   1                   2                   3
//	+---------------------------------------------------------------+
//	|                    initiator's SPI, 8 bytes                   |
//	|                    responder's SPI, 8 bytes                   |
//	+---------------+-------+-------+---------------+---------------+
//	| next payload  | major | minor | exchange type |     flags     |
//	+---------------+-------+-------+---------------+---------------+
//	|                           message id                          |
//	|                  length of all, header included               |
//	+---------------+-+-------------+-------------------------------+
//	| next payload  |C|  reserved   |  length, these 4 bytes too    |  each payload
//	|                             body                              |
//	+---------------------------------------------------------------+
//
// In the payload SK the body is IV, content and ICV, where the content is a
// chain of payloads, padding, and the length of the padding in one byte; SKF
// has two bytes each of fragment number and total before the IV.
//
//	m, err := ikemsg.Parse(datagram)      // SK or SKF is still closed
//	m, err = reassembly.Open(m, datagram, p) // nil until all fragments are there
//	sa, ok := ikemsg.Get[*ikemsg.SA](m.Payloads)
//
// Nothing here panics on bytes from a peer. Parse makes one copy of the
// datagram and everything points into it; structures are bounded by the
// constants of limits.go. What it reads, Marshal writes with the same meaning:
// reserved bits, which are to be ignored, are written as zero.
//
// Left to the state machine: which payloads may stand in which message, which
// of them may repeat, whether an SPI has the length that its place asks for,
// and the answer to an unknown payload that is marked as critical (Critical).
//
// IKEv1 (RFC 2408) has the same header, the same chain of payloads and nearly
// the same numbers; ParseHeader reads its header too, and Parse refuses it
// with an *Error of kind OtherVersion.
package ikemsg
