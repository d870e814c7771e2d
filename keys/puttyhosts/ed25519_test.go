package puttyhosts

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// TestEd25519 gives the coordinates of keys that the standard library made, as
// PuTTY would, and wants the key back; x is found as RFC 8032 section 5.1.3
// says. The negative of x is on the curve too, and is another key.
func TestEd25519(t *testing.T) {
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	d, _ := new(big.Int).SetString("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3", 16)
	signs := [2]int{}
	for i := range 200 {
		seed := bytes.Repeat([]byte{byte(i)}, ed25519.SeedSize)
		public := []byte(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
		high := slices.Clone(public)
		slices.Reverse(high)
		sign := uint(high[0] >> 7)
		signs[sign]++
		high[0] &= 0x7f
		y := new(big.Int).SetBytes(high)
		yy := new(big.Int).Mul(y, y)
		below := new(big.Int).Mul(d, yy)
		below.Add(below, one).ModInverse(below, p)
		x := new(big.Int).Sub(yy, one)
		x.Mul(x, below).Mod(x, p)
		if x.ModSqrt(x, p) == nil {
			t.Fatalf("key %d is not on the curve", i)
		}
		negative := new(big.Int).Sub(p, x)
		if x.Bit(0) != sign {
			x, negative = negative, x
		}
		want := appendString(appendString(nil, "ssh-ed25519"), string(public))
		got, err := ed25519Key([]string{fmt.Sprintf("0x%x", x), fmt.Sprintf("0x%x", y)})
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("key %d: % x, %v\nwant % x", i, got, err, want)
		}
		got, err = ed25519Key([]string{fmt.Sprintf("0x%x", negative), fmt.Sprintf("0x%x", y)})
		want[len(want)-1] ^= 0x80
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("key %d with the other x: % x, %v", i, got, err)
		}
		for _, wrong := range []*big.Int{new(big.Int).Add(x, one), new(big.Int).Add(x, p), y} {
			if _, err := ed25519Key([]string{fmt.Sprintf("0x%x", wrong), fmt.Sprintf("0x%x", y)}); err == nil {
				t.Fatalf("key %d with x %x is taken", i, wrong)
			}
		}
	}
	if signs[0] < 50 || signs[1] < 50 {
		t.Errorf("signs of x: %v: the test saw one only", signs)
	}
}

// TestUnescape: the names that the registry has for host names.
func TestUnescape(t *testing.T) {
	for escaped, want := range map[string]string{
		"ssh-ed25519@22:plain.example.net": "ssh-ed25519@22:plain.example.net",
		"rsa2@2222:::1":                    "rsa2@2222:::1",
		"rsa2@22:fe80::1%25eth0":           "rsa2@22:fe80::1%eth0",
		"rsa2@22:%2Edot":                   "rsa2@22:.dot",
		"rsa2@22:a%20b%5C%2A%3F":           `rsa2@22:a b\*?`,
		"rsa2@22:h%C3%B6":                  "rsa2@22:hö",
	} {
		if got, err := unescape(escaped); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", escaped, got, err, want)
		}
	}
	for _, bad := range []string{"h%", "h%2", "h%2e", "h%G0", "h%%", "%+1"} {
		if got, err := unescape(bad); err == nil {
			t.Errorf("%q is taken as %q", bad, got)
		}
	}
}
