package keylog_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/tunnel/keylog"
	"linehaul/tunnel/suite"
)

// chosen is what a gateway makes of a proposal.
func chosen(t *testing.T, p suite.Protocol, text string) suite.Suite {
	t.Helper()
	proposal, err := suite.Parse(p, text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := proposal.Choose(proposal.Transforms)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	write := func(ike, esp string) {
		t.Helper()
		l, err := keylog.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		l.AddIKE(keylog.IKE{
			InitiatorSPI: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, ResponderSPI: [8]byte{9}, Suite: chosen(t, suite.IKE, ike),
			Initiator: keylog.Keys{Encryption: []byte{0xa1}, Integrity: []byte{0xa2}}, Responder: keylog.Keys{Encryption: []byte{0xb1}, Integrity: []byte{0xb2}},
		})
		l.AddESP(keylog.ESP{SPI: 0xc001, Suite: chosen(t, suite.ESP, esp), Keys: keylog.Keys{Encryption: []byte{0xc1}, Integrity: []byte{0xc2}}})
		l.AddESP(keylog.ESP{SPI: 0xc002, IPv6: true, Suite: chosen(t, suite.ESP, "aes256gcm12"), Keys: keylog.Keys{Encryption: []byte{0xd1}}})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("aes128-sha256-modp2048", "aes128ctr-aesxcbc")
	write("chacha20poly1305-prfsha256-x25519", "aes128ccm16") // added to what is there
	for name, want := range map[string]string{
		"ikev2_decryption_table": `0102030405060708,0900000000000000,a1,b1,"AES-CBC-128 [RFC3602]",a2,b2,"HMAC_SHA2_256_128 [RFC4868]"
# 0102030405060708,0900000000000000: Wireshark has no name for chacha20poly1305-prfsha256-x25519
`,
		"esp_sa": `"IPv4","*","*","0x0000c001","AES-CTR [RFC3686]","0xc1","ANY 96 bit authentication [no checking]","0xc2"
"IPv6","*","*","0x0000c002","AES-GCM with 12 octet ICV [RFC4106]","0xd1","NULL",""
# 0x0000c001: Wireshark has no name for aes128ccm16-noesn
"IPv6","*","*","0x0000c002","AES-GCM with 12 octet ICV [RFC4106]","0xd1","NULL",""
`,
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// TestOthers: keys are not written where others can read them.
func TestOthers(t *testing.T) {
	dir := t.TempDir()
	l, err := keylog.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		return // what a mode does to a file there is guard's to test
	}
	for _, name := range []string{"ikev2_decryption_table", "esp_sa"} {
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := keylog.Open(dir); !fault.Is(err, fault.LocalDisk) || !strings.Contains(fault.HintOf(err), "chmod") {
			t.Errorf("%s that others can read: %v", name, err)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNames: each algorithm of a tunnel has a name there, or is known to have
// none.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	l, err := keylog.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ike := strings.Fields("aes128 aes192 aes256 aes128ctr aes256ctr 3des aes256ccm8 aes256ccm12 aes256ccm16 aes128gcm8 aes128gcm12 aes128gcm16")
	esp := append(strings.Fields("null des blowfish cast"), ike...)
	for _, integrity := range strings.Fields("md5 sha1 sha256 sha384 sha512 aesxcbc aescmac") {
		for _, cipher := range ike {
			if text := cipher + "-" + integrity + "-modp2048"; !strings.Contains(cipher, "cm") {
				l.AddIKE(keylog.IKE{Suite: chosen(t, suite.IKE, text)})
			} else {
				l.AddIKE(keylog.IKE{Suite: chosen(t, suite.IKE, cipher+"-prfsha256-modp2048")})
			}
		}
		for _, cipher := range esp {
			text := cipher
			if !strings.Contains(cipher, "cm") {
				text += "-" + integrity
			}
			l.AddESP(keylog.ESP{Suite: chosen(t, suite.ESP, text)})
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int{"ikev2_decryption_table": {7 * 12, 0}, "esp_sa": {7 * 16, 7 * 3}} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if lines, remarks := strings.Count(string(b), "\n"), strings.Count("\n"+string(b), "\n#"); err != nil || lines != want[0] || remarks != want[1] {
			t.Errorf("%s: %d lines, %d of them remarks, want %v: %v\n%s", name, lines, remarks, want, err, b)
		}
	}
}
