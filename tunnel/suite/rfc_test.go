package suite

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// Vectors from the RFCs that say how each algorithm is used.

// count returns n bytes that count up from first.
func count(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// TestAESCBCRFC3602: section 4, cases 1 to 4.
func TestAESCBCRFC3602(t *testing.T) {
	for _, c := range []struct {
		key, iv string
		content []byte
		want    string
	}{
		{"06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41", []byte("Single block msg"), "e353779c1079aeb82708942dbe77181a"},
		{"c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58", count(0, 32),
			"d296cd94c2cccf8a3a863028b5e1dc0a 7586602d253cfff91b8266bea6d61ab1"},
		{"6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81", []byte("This is a 48-byte message (exactly 3 AES blocks)"),
			"d0a02b3836451753d493665d33f0e886 2dea54cdb293abc7506939276772f8d5 021c19216bad525c8579695d83ba2684"},
		{"56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9", count(0xa0, 64),
			"c30e32ffedc0774e6aff6af0869f71aa 0f3af07a9a31a9c684db207eb0ef8e4e 35907aa632c3ffdf868bb7b29d3d46ad 83ce9f9a102ee99d49a53e87f4c3da55"},
	} {
		cipher, err := newCipher(EncrAESCBC, unhex(t, c.key), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(c.content)
		cipher.encrypt(unhex(t, c.iv), got)
		if !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%x, want %s", got, c.want)
		}
		cipher.decrypt(unhex(t, c.iv), got)
		if !bytes.Equal(got, c.content) {
			t.Errorf("back to %x", got)
		}
	}
}

// TestAESCTRRFC3686: section 6, one and more blocks with each length of key.
func TestAESCTRRFC3686(t *testing.T) {
	for _, c := range []struct {
		key, nonce, iv string
		content        []byte
		want           string
	}{
		{"ae6852f8121067cc4bf7a5765577f39e", "00000030", "0000000000000000", []byte("Single block msg"), "e4095d4fb7a7b3792d6175a3261311b8"},
		{"7e24067817fae0d743d6ce1f32539163", "006cb6db", "c0543b59da48d90b", count(0, 32),
			"5104a106168a72d9790d41ee8edad388 eb2e1efc46da57c8fce630df9141be28"},
		{"7691be035e5020a8ac6e618529f9a0dc", "00e0017b", "27777f3f4a1786f0", count(0, 36),
			"c1cf48a89f2ffdd9cf4652e9efdb72d7 4540a42bde6d7836d59a5ceaaef31053 25b2072f"},
		{"16af5b145fc9f579c175f93e3bfb0eed 863d06ccfdb78515", "00000048", "36733c147d6d93cb", []byte("Single block msg"), "4b55384fe259c9c84e7935a003cbe928"},
		{"776beff2851db06f4c8a0542c8696f6c 6a81af1eec96b4d37fc1d689e6c1c104", "00000060", "db5672c97aa8f0b2", []byte("Single block msg"), "145ad01dbf824ec7560863dc71e3e0c0"},
	} {
		cipher, err := newCipher(EncrAESCTR, unhex(t, c.key), unhex(t, c.nonce))
		if err != nil {
			t.Fatal(err)
		}
		got, iv := bytes.Clone(c.content), make([]byte, 8)
		cipher.makeIV(iv, binary.BigEndian.Uint64(unhex(t, c.iv)))
		cipher.encrypt(iv, got)
		if !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%x, want %s", got, c.want)
		}
	}
}

// TestAEADs: AES-GCM by draft-mcgrew-gcm-test-01 section 4, which has RFC 4106's
// extended sequence numbers in it, ChaCha20-Poly1305 by RFC 7634 appendices A
// (ESP) and B (IKE).
func TestAEADs(t *testing.T) {
	for _, c := range []struct {
		suite, key, head, high, iv, content, want string
	}{
		{"aes128gcm16", "4c80cdefbb5d10da906ac73c3613a634 2e443b68", "00004321 00000000", "87654321", "4956ed7e3b244cfe",
			"45000048699a000080114db7c0a80102 c0a801010a9bf15638d3010000010000 00000000045f736970045f7564700373 69700963796265726369747902646b00 0021000101020201",
			"fecf537e729d5b07dc30df528dd22b76 8d1b98736696a6fd348509fa13ceac34 cfa2436f14a3f3cf65925bf1f4a13c5d 15b21e1884f5ff6247aeabb786b93bce 61bc17d768fd9732 459018148f6cbe722fd04796562dfdb4"},
		{"aes192gcm16", "feffe9928665731c6d6a8f9467308308 feffe9928665731c cafebabe", "0000a5f80000000a", "", "facedbaddecaf888",
			"45000028a4ad4000400678800a01038f 0a010612802306b8cb712602dd6bb03e 501016d075680001",
			"a5b1f8066029aea40e598b8122de0242 0938b3ab33f828e687b8858b5bfbdbd0 315b27452144cc77 95457b9652037f5318027b5b4cd7a636"},
		{"chacha20poly1305", hexOf(count(0x80, 32)) + "a0a1a2a3", "01020304 00000005", "", "1011121314151617",
			"45000054a6f200004001e778c6336405 c000020508005b7a3a080000553bec10 00073627" + hexOf(count(8, 48)) + "01020204",
			"24039428b97f417e3c13753a4f05087b 67c352e6a7fab1b982d466ef407ae5c6 14ee8099d52844eb61aa95dfab4c02f7 2aa71e7c4c4f64c9befe2facc638e8f3 cbec163fac469b502773f6fb94e664da 9165b82829f641e0 76aaa8266b7fb0f7b11b369907e1ad43"},
		{"chacha20poly1305", hexOf(count(0x80, 32)) + "a0a1a2a3", "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d7 2e202500000000090000004529000029", "", "1011121314151617",
			"0000000c000040010000000a00", "610394701f8d017f7c129248 89 6b71bfe25236efd7cdc670 6690 6315b2"},
	} {
		s := esp(t, c.suite)
		p, err := s.Protection(unhex(t, c.key), nil)
		if err != nil {
			t.Fatal(err)
		}
		head, iv, content := unhex(t, c.head), unhex(t, c.iv), unhex(t, c.content)
		want := append(append(bytes.Clone(head), iv...), unhex(t, c.want)...)
		packet := make([]byte, len(want))
		copy(packet, head)
		copy(packet[len(head)+8:], content)
		p.Seal(packet, len(head), unhex(t, c.high), binary.BigEndian.Uint64(iv))
		if !bytes.Equal(packet, want) {
			t.Errorf("%s: sealed to\n%x, want\n%x", c.suite, packet, want)
		}
		if err := p.Open(packet, len(head), unhex(t, c.high)); err != nil || !bytes.Equal(packet[len(head)+8:len(packet)-16], content) {
			t.Errorf("%s: opened to %x, %v", c.suite, packet, err)
		}
		// What RFC 4106 section 6 calls shorter ICVs are the first bytes of it.
		if icv := strings.TrimSuffix(c.suite, "gcm16"); icv != c.suite {
			for _, n := range []int{8, 12} {
				short, err := esp(t, fmt.Sprintf("%sgcm%d", icv, n)).Protection(unhex(t, c.key), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := short.Open(bytes.Clone(want[:len(want)-16+n]), len(head), unhex(t, c.high)); err != nil {
					t.Errorf("ICV of %d bytes: %v", n, err)
				}
			}
		}
	}
}

func hexOf(b []byte) string { return fmt.Sprintf("%x", b) }

// TestIntegrity: RFC 2202 and 4231 (cases 1, 2 and 6 each), RFC 4868 section
// 2.7.2, RFC 3566 section 4.6 and RFC 4494 section 4. What is sent is the first
// bytes of these.
func TestIntegrity(t *testing.T) {
	const (
		md5, sha1, sha256, sha384, sha512 = IntegHMACMD5, IntegHMACSHA1, IntegHMACSHA256, IntegHMACSHA384, IntegHMACSHA512
		larger                            = "Test Using Larger Than Block-Size Key - Hash Key First"
	)
	fill := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	rfc4493 := "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
	cmacKey := unhex(t, "2b7e151628aed2a6abf7158809cf4f3c")
	for i, c := range []struct {
		id        uint16
		key, data []byte
		want      string
	}{
		{md5, fill(0x0b, 16), []byte("Hi There"), "9294727a3638bb1c13f48ef8158bfc9d"},
		{md5, []byte("Jefe"), []byte("what do ya want for nothing?"), "750c783e6ab0b503eaa86e310a5db738"},
		{md5, fill(0xaa, 80), []byte(larger), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
		{sha1, fill(0x0b, 20), []byte("Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00"},
		{sha1, []byte("Jefe"), []byte("what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{sha1, fill(0xaa, 80), []byte(larger), "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
		{sha256, fill(0x0b, 20), []byte("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{sha256, []byte("Jefe"), []byte("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{sha256, fill(0xaa, 131), []byte(larger), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{sha256, fill(0x0b, 32), []byte("Hi There"), "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"},
		{sha384, []byte("Jefe"), []byte("what do ya want for nothing?"), "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"},
		{sha384, fill(0x0b, 48), []byte("Hi There"), "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee9737a959796489bddbc4c5df61d5b3297b4fb68dab9f1b582c2"},
		{sha512, []byte("Jefe"), []byte("what do ya want for nothing?"), "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
		{sha512, fill(0x0b, 64), []byte("Hi There"), "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8ac2878ebd5803f6f0b61dbce5e251ff8789a4722c1be65aea45fd464e89f8f5b"},

		{IntegAESXCBC, count(0, 16), nil, "75f0251d528ac01c4573dfd584d79f29"},
		{IntegAESXCBC, count(0, 16), count(0, 3), "5b376580ae2f19afe7219ceef172756f"},
		{IntegAESXCBC, count(0, 16), count(0, 16), "d2a246fa349b68a79998a4394ff7a263"},
		{IntegAESXCBC, count(0, 16), count(0, 20), "47f51b4564966215b8985c63055ed308"},
		{IntegAESXCBC, count(0, 16), count(0, 32), "f54f0ec8d2b9f3d36807734bd5283fd4"},
		{IntegAESXCBC, count(0, 16), count(0, 34), "becbb3bccdb518a30677d5481fb6b4d8"},
		{IntegAESXCBC, count(0, 16), make([]byte, 1000), "f0dafee895db30253761103b5d84528f"},

		{IntegAESCMAC, cmacKey, nil, "bb1d6929e95937287fa37d129b756746"},
		{IntegAESCMAC, cmacKey, unhex(t, rfc4493)[:16], "070a16b46b4d4144f79bdd9dd04a287c"},
		{IntegAESCMAC, cmacKey, unhex(t, rfc4493)[:40], "dfa66747de9ae63030ca32611497c827"},
		{IntegAESCMAC, cmacKey, unhex(t, rfc4493), "51f0bebf7e3b9d92fc49741779363cfe"},
	} {
		m, err := newIntegrity(c.id, c.key)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time after a Reset
			for at := 0; at < len(c.data); at += 7 { // in pieces
				m.Write(c.data[at:min(at+7, len(c.data))])
			}
			if got := m.Sum(nil); !bytes.Equal(got, unhex(t, c.want)) || m.Size() != len(got) {
				t.Errorf("%d: %x, want %s", i, got, c.want)
			}
			m.Reset()
		}
	}
	if _, err := newIntegrity(99, nil); err == nil {
		t.Error("there is an algorithm 99")
	}
	for _, id := range []uint16{IntegAESCMAC, IntegAESXCBC} {
		if _, err := newIntegrity(id, make([]byte, 15)); err == nil {
			t.Errorf("%d takes a key of 15 bytes", id)
		}
	}
}

// TestCCMLongHead: associated data of 65,280 bytes and more has its length in
// six bytes (RFC 3610 section 2.2). The answer is from OpenSSL 4.0.
func TestCCMLongHead(t *testing.T) {
	block, err := aes.NewCipher(count(0, 16))
	if err != nil {
		t.Fatal(err)
	}
	c := newCCM(block, []byte{1, 2, 3}, 16)
	packet := make([]byte, 70000+8+5+16)
	copy(packet[70000+8:], "hello")
	c.seal(packet, 70000, nil, 7)
	if got, want := hexOf(packet[70000:]), "0000000000000007435cdb37d94535c56909dabcff00828880de898b25"; got != want {
		t.Errorf("sealed to %s, want %s", got, want)
	}
	if !c.open(packet, 70000, nil) || string(packet[70000+8:][:5]) != "hello" {
		t.Error("not opened")
	}
}

// TestECPRFC5903: section 8. The private keys are what the source of randomness
// gives.
func TestECPRFC5903(t *testing.T) {
	for _, c := range []struct {
		id                          uint16
		i, public, r, reply, shared string
	}{
		{ECP256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
			"dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180 5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
			"c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
			"d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63 56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
			"d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
		{ECP384, "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
			"667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa 9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
			"41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
			"e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571 dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
			"11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746"},
		{ECP521, "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52",
			"0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176ced3e 017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
			"0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
			"00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f 015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
			"01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea"},
	} {
		method := Transform{Type: TypeKeyExchange, ID: c.id}
		k, err := NewKeyExchange(method, bytes.NewReader(unhex(t, c.i)))
		if err != nil {
			t.Fatal(err)
		}
		reply, theirs, err := Respond(method, bytes.NewReader(unhex(t, c.r)), k.Public())
		if err != nil {
			t.Fatal(err)
		}
		ours, err := k.Shared(reply)
		if err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2][]byte{"public": {k.Public(), unhex(t, c.public)}, "reply": {reply, unhex(t, c.reply)},
			"ours": {ours, unhex(t, c.shared)}, "theirs": {theirs, unhex(t, c.shared)}} {
			if !bytes.Equal(pair[0], pair[1]) {
				t.Errorf("%s, %s: %x, want %x", method, what, pair[0], pair[1])
			}
		}
	}
}

// TestMontgomeryRFC7748: section 6.
func TestMontgomeryRFC7748(t *testing.T) {
	for _, c := range []struct {
		id                          uint16
		a, public, b, reply, shared string
	}{
		{Curve25519, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
			"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
		{Curve448, "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
			"9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0",
			"1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d",
			"3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609",
			"07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d"},
	} {
		method := Transform{Type: TypeKeyExchange, ID: c.id}
		k, err := NewKeyExchange(method, bytes.NewReader(unhex(t, c.a)))
		if err != nil {
			t.Fatal(err)
		}
		reply, theirs, err := Respond(method, bytes.NewReader(unhex(t, c.b)), k.Public())
		if err != nil {
			t.Fatal(err)
		}
		ours, err := k.Shared(reply)
		if err != nil || !bytes.Equal(k.Public(), unhex(t, c.public)) || !bytes.Equal(reply, unhex(t, c.reply)) ||
			!bytes.Equal(ours, unhex(t, c.shared)) || !bytes.Equal(theirs, ours) {
			t.Errorf("%s: %x, %x, %x, %x, %v", method, k.Public(), reply, ours, theirs, err)
		}
	}
}
