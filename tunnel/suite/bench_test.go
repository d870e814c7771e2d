package suite

import (
	"crypto/rand"
	"testing"
)

// BenchmarkPacket seals and opens what a tunnel with 1,500 bytes outside
// carries.
func BenchmarkPacket(b *testing.B) {
	const content = 1408
	for _, text := range []string{
		"aes128gcm16", "aes256gcm16", "aes256gcm8", "aes256ccm16", "chacha20poly1305", "aes128ctr-sha256", "aes128-sha1", "aes256-sha256", "aes256-sha512",
		"aes128-aesxcbc", "aes128-aescmac", "3des-sha1", "blowfish128-sha1", "cast128-sha1", "null-sha256",
	} {
		sender, receiver := pair(b, esp(b, text), source())
		packet := make([]byte, 8+sender.IVSize()+content+sender.ICVSize())
		counter := uint64(0)
		b.Run(text+"/seal", func(b *testing.B) {
			b.SetBytes(content)
			b.ReportAllocs()
			for b.Loop() {
				counter++
				sender.Seal(packet, 8, nil, counter)
			}
		})
		sender.Seal(packet, 8, nil, counter+1)
		sealed := append([]byte(nil), packet...)
		b.Run(text+"/open", func(b *testing.B) {
			b.SetBytes(content)
			b.ReportAllocs()
			for b.Loop() {
				copy(packet, sealed)
				if err := receiver.Open(packet, 8, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkExchange is both sides of a key exchange.
func BenchmarkExchange(b *testing.B) {
	for _, method := range methods() {
		b.Run(method.String(), func(b *testing.B) {
			for b.Loop() {
				k, err := NewKeyExchange(method, rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				public, _, err := Respond(method, rand.Reader, k.Public())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := k.Shared(public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
