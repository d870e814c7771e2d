// Package suite holds the algorithms of IKEv2 and ESP: their numbers, their
// names, and the arithmetic behind them.
//
// A Proposal is a set of transforms (RFC 7296 section 3.3) for one protocol,
// written as strongSwan writes it: aes256gcm16-prfsha384-ecp384, or
// x25519-ke1_mlkem768 for a second key exchange (RFC 9370). Parse reads one,
// String writes it, Default gives those for peers of whom nothing is known.
// What a peer makes of a proposal is a Suite, by Choose; a suite gives the
// lengths of the keys and, with keys, a Protection for each direction. NewPRF,
// NewKeyExchange and Respond are the other half of a handshake.
//
// A Protection works on a packet in place, in IKE's encrypted payload as in
// ESP:
//
//	+-----------+---------+----------------+---------+
//	| head      | IV      | content        | ICV     |
//	| in clear  | IVSize  | encrypted,     | ICVSize |
//	| head      |         | BlockSize * n  |         |
//	+-----------+---------+----------------+---------+
//	|<------------ authenticated --------->|
//
// Algorithms that are no longer good enough are here because old gateways know
// no others. A proposal must name each one, Warnings says why not to, and no
// default has any. DES, 3DES, Blowfish and CAST-128 look things up by secrets,
// and so does AES on processors without instructions for it: their time is not
// constant.
//
// Left out: AH, Camellia, AES-GMAC, the ECP groups of 192 and 224 bits, those
// of RFC 5639 (brainpool) and of RFC 5114. Nothing here is built to be a
// FIPS 140 module, though AES-CBC with SHA-2 works inside one.
package suite
