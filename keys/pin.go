package keys

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/pattern"
)

// A Pin names one host key: by a fingerprint, or by the key itself. The zero
// Pin matches nothing. Pins are comparable values.
type Pin struct {
	keyType string // empty if the pin does not say
	form    pinForm
	value   string // the raw bytes of the fingerprint or of the key
}

type pinForm int

const (
	pinNone pinForm = iota
	pinSHA256
	pinMD5
	pinKey
)

const (
	sha256Prefix = "SHA256:"
	md5Prefix    = "MD5:"
)

// ParsePin reads a pin in any form that PuTTY's -hostkey takes: SHA256:… with
// or without a trailing =, an MD5 fingerprint of 16 colon-separated pairs with
// or without MD5: before it, either of them after a key type and a number of
// bits, and a base64 public key with or without its type. The bits may be left
// out and are compared with nothing; a public key may be followed by a comment.
//
// The error is a *fault.Error of kind Config, and its hint says what forms
// there are.
func ParsePin(s string) (Pin, error) {
	p, err := parsePin(s)
	if err != nil {
		return Pin{}, fault.New(fault.Config, "host key pin %q: %w", shorten(s, 100), err).
			WithHint("a pin is SHA256:…, MD5:aa:bb:… (16 pairs), either of them after `TYPE BITS`, or a public key as `TYPE BASE64`; `ssh-keygen -l -f FILE` prints the fingerprint of a key")
	}
	return p, nil
}

func parsePin(s string) (Pin, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Pin{}, errors.New("it is empty")
	}
	keyType := ""
	if len(words) > 1 {
		keyType, words = words[0], words[1:]
		if !slices.Contains(keyTypes(), keyType) {
			return Pin{}, errors.New("its first word is no type of host key")
		}
		if _, err := strconv.ParseUint(words[0], 10, 16); err == nil && len(words) > 1 {
			words = words[1:]
		}
	}
	p, err := parseFingerprint(words[0])
	switch {
	case err != nil:
		return Pin{}, err
	case p.form == pinNone:
		return parseKeyPin(keyType, words[0])
	case len(words) > 1:
		return Pin{}, errors.New("there is something after the fingerprint")
	}
	p.keyType = keyType
	return p, nil
}

// parseFingerprint reads SHA256:… or MD5 pairs. Anything that does not look
// like a fingerprint is left alone: the zero Pin and no error.
func parseFingerprint(s string) (Pin, error) {
	if s == "*" {
		return Pin{}, errors.New("it would accept every server")
	}
	if text, ok := cutPrefixFold(s, sha256Prefix); ok {
		sum, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimSuffix(text, "="))
		if err != nil || len(sum) != sha256.Size {
			return Pin{}, errors.New("after SHA256: belong 43 characters of base64")
		}
		return Pin{form: pinSHA256, value: string(sum)}, nil
	}
	if text, ok := cutPrefixFold(s, md5Prefix); ok || strings.Contains(s, ":") {
		sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(sum) != md5.Size || pattern.Lower(text) != hexPairs(sum) {
			return Pin{}, errors.New("an MD5 fingerprint is 16 pairs of hexadecimal digits with colons between")
		}
		return Pin{form: pinMD5, value: string(sum)}, nil
	}
	if sum, err := base64.RawStdEncoding.DecodeString(strings.TrimSuffix(s, "=")); err == nil && len(sum) == sha256.Size {
		return Pin{}, errors.New("SHA256: is missing before the fingerprint")
	}
	return Pin{}, nil
}

// parseKeyPin reads a base64 public key, whose type may stand before it.
func parseKeyPin(keyType, blob string) (Pin, error) {
	if keyType == "" {
		raw, err := base64.StdEncoding.Strict().DecodeString(blob)
		if keyType = blobType(raw); err != nil || keyType == "" {
			return Pin{}, errors.New("it is neither a fingerprint nor a public key")
		}
	}
	key, err := parsePublic(keyType, blob)
	if err != nil {
		return Pin{}, err
	}
	return Pin{keyType: keyType, form: pinKey, value: string(key.Marshal())}, nil
}

// Matches reports whether key is the pinned one. For a host certificate it is
// the certified key that counts.
func (p Pin) Matches(key ssh.PublicKey) bool {
	key = plainKey(key)
	if p.keyType != "" && p.keyType != key.Type() {
		return false
	}
	raw := key.Marshal()
	switch p.form {
	case pinSHA256:
		sum := sha256.Sum256(raw)
		return p.value == string(sum[:])
	case pinMD5:
		sum := md5.Sum(raw)
		return p.value == string(sum[:])
	case pinKey:
		return p.value == string(raw)
	case pinNone:
	}
	return false
}

// String returns the pin in one form of several that ParsePin reads; a public
// key is written out in full.
func (p Pin) String() string {
	text := ""
	switch p.form {
	case pinSHA256:
		text = sha256Prefix + base64.RawStdEncoding.EncodeToString([]byte(p.value))
	case pinMD5:
		text = md5Prefix + hexPairs([]byte(p.value))
	case pinKey:
		text = base64.StdEncoding.EncodeToString([]byte(p.value))
	case pinNone:
	}
	if p.keyType != "" {
		return p.keyType + " " + text
	}
	return text
}

// known describes the pin as HostKeyError.Want lists it.
func (p Pin) known() Known {
	k := Known{Type: p.keyType, Fingerprint: Pin{form: p.form, value: p.value}.String()}
	if p.form == pinKey {
		sum := sha256.Sum256([]byte(p.value))
		k.Fingerprint = Pin{form: pinSHA256, value: string(sum[:])}.String()
	}
	return k
}

// plainKey takes the certified key out of a certificate.
func plainKey(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// hexPairs writes a fingerprint as aa:bb:cc.
func hexPairs(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = hex.EncodeToString([]byte{b})
	}
	return strings.Join(pairs, ":")
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// shorten keeps an error message readable whatever was put in.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
