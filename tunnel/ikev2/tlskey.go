package ikev2

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"hash"
)

// A keyLog exports a key of TLS 1.2 as RFC 5216 section 2.3 says, also where the
// server knows no extended master secret (RFC 7627), as libtls of strongSwan
// 5.9.8 does not: crypto/tls refuses to export there. What RFC 7627 guards
// against takes renegotiation, resumption or a server that is trusted and plays
// false, and there is none of them here: the server's certificate is checked
// against the CA and the name that were given.
//
// It is a tls.Config.KeyLogWriter, to which crypto/tls writes the master secret,
// and hears the server's first message. It lives and dies with the login.
type keyLog struct {
	client, server, master []byte
}

// Write takes a line: CLIENT_RANDOM, the client's random, and the master secret
// in hexadecimal.
func (k *keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) == 3 && string(fields[0]) == "CLIENT_RANDOM" {
		k.client, _ = hex.DecodeString(string(fields[1]))
		k.master, _ = hex.DecodeString(string(fields[2]))
	}
	return len(line), nil
}

// heard takes the server's first flight, which begins with its hello:
//
//	22, version(2), length(2); 2, length(3), version(2), random(32)   (RFC 5246 sections 6.2.1, 7.4, 7.4.1.3)
func (k *keyLog) heard(flight []byte) {
	const record, handshake, version, random = 5, 4, 2, 32
	at := record + handshake + version
	if k.server == nil && len(flight) >= at+random && flight[0] == 22 && flight[record] == 2 {
		k.server = bytes.Clone(flight[at : at+random])
	}
}

// export is PRF(master, label, client's random, server's random) of RFC 5246
// section 5.
func (k *keyLog) export(suite uint16, label string, size int) ([]byte, error) {
	if k.client == nil || k.server == nil || k.master == nil {
		return nil, errors.New("TLS has made no key")
	}
	sum := sha256.New
	switch suite {
	case tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		sum = sha512.New384
	}
	return pHash(sum, k.master, concat([]byte(label), k.client, k.server), size), nil
}

// pHash is P_hash of RFC 5246 section 5.
func pHash(sum func() hash.Hash, secret, seed []byte, size int) []byte {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sum, secret)
		h.Write(concat(parts...))
		return h.Sum(nil)
	}
	var out []byte
	for a := mac(seed); len(out) < size; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:size]
}
