package keys_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

func TestParsePin(t *testing.T) {
	key := public(t, "ed25519.pub")
	sha, md5 := ssh.FingerprintSHA256(key), ssh.FingerprintLegacyMD5(key)
	text := line(t, "ed25519.pub")
	_, blob, _ := strings.Cut(text, " ")
	for _, tt := range []struct{ name, in, canonical string }{
		{"SHA256", sha, sha},
		{"SHA256 padded", sha + "=", sha},
		{"prefix in lower case", "sha256:" + sha[7:], sha},
		{"blanks around", "  " + sha + "\t", sha},
		{"MD5", "MD5:" + md5, "MD5:" + md5},
		{"MD5 without prefix", md5, "MD5:" + md5},
		{"MD5 in capitals", strings.ToUpper(md5), "MD5:" + md5},
		{"MD5 mixed", "md5:" + strings.ToUpper(md5[:10]) + md5[10:], "MD5:" + md5},
		{"base64", blob, text},
		{"type and base64", text, text},
		{"a line of a .pub file", testdata(t, "ed25519.pub"), text},
		{"type, bits, SHA256", "ssh-ed25519 255 " + sha, "ssh-ed25519 " + sha},
		{"type, bits, MD5", "ssh-ed25519 256 " + md5, "ssh-ed25519 MD5:" + md5},
		{"type, bits, MD5 with prefix", "ssh-ed25519 256 MD5:" + md5, "ssh-ed25519 MD5:" + md5},
		{"type and SHA256", "ssh-ed25519 " + sha, "ssh-ed25519 " + sha},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := keys.ParsePin(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if p.String() != tt.canonical {
				t.Errorf("got %q, want %q", p, tt.canonical)
			}
			if again, err := keys.ParsePin(p.String()); err != nil || again != p {
				t.Errorf("read again: %v, %v", again, err)
			}
			if !p.Matches(key) {
				t.Error("does not match its key")
			}
			if p.Matches(public(t, "other.pub")) || p.Matches(public(t, "rsa.pub")) {
				t.Error("matches another key")
			}
			if !p.Matches(public(t, "ed25519-cert.pub")) {
				t.Error("does not match a certificate of its key")
			}
		})
	}
}

func TestParsePinRefuses(t *testing.T) {
	key := public(t, "ed25519.pub")
	sha, md5 := ssh.FingerprintSHA256(key), ssh.FingerprintLegacyMD5(key)
	text := line(t, "ed25519.pub")
	for _, tt := range []struct{ name, in, message string }{
		{"empty", "", "it is empty"},
		{"blank", " \t\n", "it is empty"},
		{"star", "*", "accept every server"},
		{"star after a type", "ssh-ed25519 255 *", "accept every server"},
		{"SHA256 without its prefix", sha[7:], "SHA256: is missing"},
		{"the same, padded", sha[7:] + "=", "SHA256: is missing"},
		{"the same after a type", "ssh-ed25519 255 " + sha[7:], "SHA256: is missing"},
		{"SHA256 cut off", sha[:20], "43 characters"},
		{"SHA256 with one bit too many", sha[:len(sha)-1] + "B", "43 characters"},
		{"SHA256 alone", "SHA256:", "43 characters"},
		{"MD5 of 15 pairs", md5[3:], "16 pairs"},
		{"MD5 of 17 pairs", md5 + ":00", "16 pairs"},
		{"MD5 without colons", "MD5:" + strings.ReplaceAll(md5, ":", ""), "16 pairs"},
		{"MD5 with colons elsewhere", md5[:1] + ":" + md5[1:2] + md5[3:], "16 pairs"},
		{"MD5 of no digits", "zz" + md5[2:], "16 pairs"},
		{"SHA1", "SHA1:2jmj7l5rSw0yVb/vlWAYkK/YBwk", "16 pairs"},
		{"a word", "hk1", "neither a fingerprint nor a public key"},
		{"a host before the key", "hk1 " + text, "no type of host key"},
		{"unknown type", "ssh-ed448 448 " + sha, "no type of host key"},
		{"words after", "ssh-ed25519 255 " + sha + " more", "after the fingerprint"},
		{"wrong type", "ssh-rsa " + text[12:], "not the type in it"},
		{"base64 cut off", text[:40], "damaged key"},
		{"base64 broken", text + "!", "bad base64"},
		{"certificate", strings.Join(strings.Fields(testdata(t, "ed25519-cert.pub"))[1:2], ""), "a certificate where a key belongs"},
		{"type alone", "ssh-ed25519", "neither a fingerprint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := keys.ParsePin(tt.in)
			wantFault(t, err, fault.Config, tt.message, "a pin is SHA256:…, MD5:aa:bb:…")
			if p != (keys.Pin{}) || p.Matches(key) {
				t.Errorf("left %v", p)
			}
		})
	}
}

func TestPinType(t *testing.T) {
	p, err := keys.ParsePin("ssh-rsa 2048 " + ssh.FingerprintSHA256(public(t, "ed25519.pub")))
	if err != nil {
		t.Fatal(err)
	}
	if p.Matches(public(t, "ed25519.pub")) {
		t.Error("matches a key of another type")
	}
}

func FuzzParsePin(f *testing.F) {
	key := public(f, "ed25519.pub")
	for _, name := range []string{"ed25519.pub", "rsa.pub", "ecdsa256.pub", "dsa.pub"} {
		text := line(f, name)
		f.Add(text)
		f.Add(text[strings.Index(text, " ")+1:])
	}
	for _, fingerprint := range []string{ssh.FingerprintSHA256(key), ssh.FingerprintLegacyMD5(key)} {
		f.Add(fingerprint)
		f.Add(strings.ToUpper(fingerprint))
		f.Add("ssh-ed25519 256 " + fingerprint)
	}
	f.Add("*")
	// What is read is written so that it reads the same again; it matches a key
	// only if a fingerprint of it, or its base64, stands in the text.
	f.Fuzz(func(t *testing.T, s string) {
		p, err := keys.ParsePin(s)
		if err != nil {
			if !fault.Is(err, fault.Config) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%v: %q", fault.KindOf(err), err)
			}
			return
		}
		if again, err := keys.ParsePin(p.String()); err != nil || again != p {
			t.Errorf("%q, read again: %v, %v", p, again, err)
		}
		held := strings.Contains(s, ssh.FingerprintSHA256(key)[7:]) ||
			strings.Contains(strings.ToLower(s), ssh.FingerprintLegacyMD5(key)) ||
			strings.Contains(s, base64.StdEncoding.EncodeToString(key.Marshal()))
		if p.Matches(key) && !held {
			t.Errorf("%q matches a key that it does not name", s)
		}
	})
}
