package ppk_test

import (
	"bytes"
	"errors"
	"testing"

	"linehaul/keys/ppk"
)

// FuzzParse: no content of a file makes Parse fall over, nor take much. What it
// reads, Marshal writes and Parse reads again.
func FuzzParse(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.data, s.passphrase)
	}
	for _, name := range []string{"rsa1024-2.ppk", "dsa1024-2.ppk"} {
		for _, pass := range []string{"", "sesame"} {
			c := uncraft(f, get(f, name))
			c.version, c.passphrase = 1, pass
			f.Add(c.bytes(), pass)
			c.hashed = true
			f.Add(c.bytes(), pass)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, passphrase string) {
		spent(t, func() {
			// The limits are lower than the usual ones, to try more files.
			k, err := ppk.ParseWithin(data, []byte(passphrase), 8192, 16384)
			info, inspected := ppk.Inspect(data)
			if err != nil {
				refused(t, err)
				if e := err.(*ppk.Error); e.Kind != ppk.Unsupported && e.Kind != ppk.Damaged && inspected != nil {
					t.Errorf("Inspect: %v, Parse: %v", inspected, err)
				}
				return
			}
			if !ppk.Is(data) {
				t.Error("it was read, and Is says no")
			}
			if inspected != nil || info.Comment != k.Comment || info.Version != k.Version || info.Encrypted != k.Encrypted ||
				info.KDF != k.KDF || !bytes.Equal(info.Public.Marshal(), k.Public.Marshal()) {
				t.Errorf("Inspect: %+v, %v", info, inspected)
			}
			for _, o := range []ppk.Options{{Version: 2}, {Version: 3}, {Version: 3, Passphrase: []byte("x"), Memory: 8, Passes: 1}} {
				text, err := ppk.Marshal(k, o)
				if err != nil {
					t.Fatal(err)
				}
				sameKey(t, must(t, text, string(o.Passphrase)), k)
			}
		})
	})
}

// FuzzHalves: whatever stands in a file whose MAC is right, a key that is read
// is a key that can be written.
func FuzzHalves(f *testing.F) {
	for _, s := range samples(f) {
		if !s.encrypted() {
			c := uncraft(f, s)
			f.Add(c.algorithm, c.public, c.private)
		}
	}
	f.Fuzz(func(t *testing.T, algorithm string, public, private []byte) {
		c := craft{version: 3, algorithm: algorithm, public: public, private: private}
		text := c.bytes()
		if len(text) > 32<<10 {
			return
		}
		spent(t, func() {
			k, err := ppk.Parse(text, nil)
			if err != nil {
				refused(t, err)
				return
			}
			again, err := ppk.Marshal(k, ppk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			sameKey(t, must(t, again, ""), k)
		})
	})
}

// refused fails the test unless err is an *Error with a text.
func refused(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*ppk.Error](err); !ok || e.Msg == "" {
		t.Errorf("error %v of type %T", err, err)
	}
}
