// Package ppk reads and writes PuTTY's private key files, as appendix C of
// PuTTY's manual describes them: versions 1 (never in a release), 2 (PuTTY 0.52
// to 0.74) and 3 (from 0.75).
//
//	PuTTY-User-Key-File-3: ssh-ed25519     or with a certificate: ssh-ed25519-cert-v01@openssh.com
//	Encryption: aes256-cbc                 or: none
//	Comment: any bytes but CR, LF and NUL
//	Public-Lines: 2
//	...                                    base64 of the public key or certificate, as on the wire
//	Key-Derivation: Argon2id               these five in version 3 if encrypted
//	Argon2-Memory: 8192                    KiB
//	Argon2-Passes: 34
//	Argon2-Parallelism: 1
//	Argon2-Salt: 1ed3a4ab...               hexadecimal
//	Private-Lines: 1
//	...                                    base64 of the private fields, padded and encrypted
//	Private-MAC: 4d8360ed...               lower-case hexadecimal; in version 1 also Private-Hash
//
// The MAC is over the strings algorithm, encryption, comment, public blob and
// padded plain private blob; in version 1 over the private blob alone.
//
//	             AES-256-CBC key, IV            MAC
//	version 1,2  SHA1(0,pw) SHA1(1,pw), zero    HMAC-SHA1, key SHA1("putty-private-key-file-mac-key" pw)
//	version 3    Argon2(pw, salt), 80 bytes: key 32, IV 16, key of HMAC-SHA256 32 (empty if not encrypted)
//
// The private fields are mpints, and for Ed25519 a string:
//
//	ssh-rsa      d, p, q, q^-1 mod p
//	ssh-dss      x
//	ecdsa-sha2-* d
//	ssh-ed25519  the seed, of 32 bytes; PuTTY reads it as a little-endian number of any length
//
// What PuTTY refuses is refused. It also loads what is refused here: a private
// half that is not that of the public one (it looks for some types only), a
// public key with something after it, base64 in another than its one proper
// form, zero bytes, and Argon2 parameters that RFC 9106 does not allow.
//
// Left out: Ed448, DSA other than 1024 bits with a 160-bit subgroup, RSA above
// 16384 bits, RSA exponents above 24 bits,
// Argon2 with more than 255 lanes, and passphrases of no length.
package ppk
