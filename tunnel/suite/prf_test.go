package suite

import (
	"bytes"
	"crypto/hkdf"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"
)

func prf(t testing.TB, id uint16) PRF {
	t.Helper()
	p, err := NewPRF(Transform{Type: TypePRF, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPRFKeys: RFC 4434 section 3 and RFC 4615 section 4, keys that are longer
// and shorter than the 16 bytes of AES.
func TestPRFKeys(t *testing.T) {
	for _, c := range []struct {
		id   uint16
		key  []byte
		want string
	}{
		{PRFAESXCBC, count(0, 16), "47f51b4564966215b8985c63055ed308"},
		{PRFAESXCBC, count(0, 10), "0fa087af7d866e7653434e602fdde835"},
		{PRFAESXCBC, append(count(0, 16), 0xed, 0xcb), "8cd3c93ae598a9803006ffb67c40e9e4"},
		{PRFAESCMAC, count(0, 16), "980ae87b5f4c9c5214f5b6a8455e4c2d"},
		{PRFAESCMAC, count(0, 10), "290d9e112edb09ee141fcf64c0b72f3d"},
		{PRFAESCMAC, append(count(0, 16), 0xed, 0xcb), "84a348a4a45d235babfffc0d2b4da09a"},
	} {
		p := prf(t, c.id)
		message := count(0, 20)
		if got := p.Sum(c.key, message[:3], nil, message[3:]); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s with %d bytes: %x, want %s", p.Transform(), len(c.key), got, c.want)
		}
		if p.Size() != 16 || p.KeySize() != 16 {
			t.Errorf("%s: sizes %d and %d", p.Transform(), p.Size(), p.KeySize())
		}
	}
}

// TestPlus: prf+ of RFC 7296 section 2.13 with HMAC is what RFC 5869 section
// 2.3 calls expanding.
func TestPlus(t *testing.T) {
	prk := unhex(t, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5") // RFC 5869 A.1
	want := unhex(t, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
	if got := prf(t, PRFHMACSHA256).Plus(prk, count(0xf0, 10), 42); !bytes.Equal(got, want) || cap(got) != 42 {
		t.Errorf("%x, want %x", got, want)
	}
	for id, h := range map[uint16]func() hash.Hash{
		PRFHMACMD5: md5.New, PRFHMACSHA1: sha1.New, PRFHMACSHA256: sha256.New, PRFHMACSHA384: sha512.New384, PRFHMACSHA512: sha512.New,
	} {
		p := prf(t, id)
		if p.Size() != h().Size() || p.KeySize() != p.Size() {
			t.Errorf("%s: sizes %d and %d", p.Transform(), p.Size(), p.KeySize())
		}
		for _, n := range []int{0, 1, p.Size(), p.Size() + 1, 7 * p.Size(), 255 * p.Size()} {
			want, err := hkdf.Expand(h, count(1, p.Size()), "seed", n)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Plus(count(1, p.Size()), []byte("seed"), n); !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: %x, want %x", p.Transform(), n, got, want)
			}
		}
	}
	// For the others, T1 = prf(K, S | 1), T2 = prf(K, T1 | S | 2).
	for _, id := range []uint16{PRFAESXCBC, PRFAESCMAC} {
		p, key := prf(t, id), count(9, 16)
		t1 := p.Sum(key, []byte("seed\x01"))
		t2 := p.Sum(key, t1, []byte("seed\x02"))
		if got := p.Plus(key, []byte("seed"), 20); !bytes.Equal(got, append(t1, t2[:4]...)) {
			t.Errorf("%s: %x", p.Transform(), got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("prf+ goes beyond 255 blocks")
		}
	}()
	prf(t, PRFHMACMD5).Plus(nil, nil, 255*16+1)
}

// TestNonceKey: RFC 7296 section 2.14, the first 64 bits of each nonce for the
// functions that RFC 4434 and RFC 4615 give a fixed key.
func TestNonceKey(t *testing.T) {
	i, r := count(0, 32), count(0x80, 24)
	if got := prf(t, PRFHMACSHA1).NonceKey(i, r); !bytes.Equal(got, append(bytes.Clone(i), r...)) {
		t.Errorf("%x", got)
	}
	for _, id := range []uint16{PRFAESXCBC, PRFAESCMAC} {
		if got := prf(t, id).NonceKey(i, r); !bytes.Equal(got, append(count(0, 8), count(0x80, 8)...)) {
			t.Errorf("%x", got)
		}
		if got := prf(t, id).NonceKey(i[:3], nil); !bytes.Equal(got, i[:3]) {
			t.Errorf("short nonces: %x", got)
		}
	}
}

func TestNoSuchPRF(t *testing.T) {
	for _, none := range []Transform{{}, {Type: TypePRF}, {Type: TypePRF, ID: 3}, {Type: TypePRF, ID: PRFHMACSHA256, KeyBits: 256}, {Type: TypeIntegrity, ID: IntegHMACSHA1}} {
		if _, err := NewPRF(none); err == nil {
			t.Errorf("%s is a PRF", none)
		}
	}
}
