package suite

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"linehaul/fault"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		protocol Protocol
		text     string
		want     string // as String writes it
	}{
		{IKE, "aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha384-ecp384"},
		{IKE, "aes256-sha256-modp2048", "aes256-sha256-modp2048-prfsha256"},
		{IKE, "aes-sha-sha512-modp1024", "aes128-sha1-sha512-modp1024-prfsha1-prfsha512"},
		{IKE, "aes-sha2_384-prfsha256-curve25519", "aes128-sha384-prfsha256-x25519"},
		{IKE, "3des-sha1-modp1024", "3des-sha1-modp1024-prfsha1"},
		{IKE, " AES128GCM128-SHA256-X25519\n", "aes128gcm16-x25519-prfsha256"},
		{IKE, "aes256gcm16-prfsha384-x25519-ke1_mlkem768", "aes256gcm16-prfsha384-x25519-ke1_mlkem768"},
		{IKE, "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_none-ke7_ecp384", "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_none-ke7_ecp384"},
		{IKE, "chacha20poly1305-prfaesxcbc-x448", "chacha20poly1305-prfaesxcbc-x448"},
		{IKE, "aes192ctr-aesxcbc-aescmac-ecp521", "aes192ctr-aesxcbc-aescmac-ecp521-prfaesxcbc-prfaescmac"},
		{IKE, "blowfish-cast128-des-md5-modp768", "blowfish128-cast128-des-md5-modp768-prfmd5"},
		{ESP, "aes256gcm16", "aes256gcm16-noesn"},
		{ESP, "aes128ccm64-aes192ccm12-esn", "aes128ccm8-aes192ccm12-esn"},
		{ESP, "aes256-sha256-esn-noesn", "aes256-sha256-esn-noesn"},
		{ESP, "null-md5-modpnone-modp1536", "null-md5-none-modp1536-noesn"},
		{ESP, "aes256gcm16-sha256-x25519", "aes256gcm16-x25519-noesn"},
	} {
		p, err := Parse(c.protocol, c.text)
		if err != nil {
			t.Errorf("%s %q: %v", c.protocol, c.text, err)
			continue
		}
		if p.String() != c.want || p.Protocol != c.protocol {
			t.Errorf("%s %q is %s %s, want %s", c.protocol, c.text, p.Protocol, p, c.want)
		}
		again, err := Parse(c.protocol, p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s %q, read again: %v, %v", c.protocol, p, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		protocol    Protocol
		text        string
		words, hint string
	}{
		{IKE, "", `"" in the IKE proposal`, "IKE knows aes128gcm16,"},
		{IKE, "aes256gcm17-prfsha384-ecp384", "aes256gcm17", `perhaps "aes256gcm1`},
		{IKE, "aes256-sha265-modp2048", "sha265", `perhaps "sha256"`},
		{IKE, "aes256-sha256", "no key exchange", "x25519"},
		{IKE, "aes256-sha256-none", "cannot do without a key exchange", ""},
		{IKE, "aes256-sha256-ke1_mlkem768", "no key exchange", "x25519"},
		{IKE, "aes256gcm16-x25519", "no pseudo-random function", "prfsha256"},
		{IKE, "aes256-x25519-prfsha256", "no integrity algorithm, and aes256 needs one", "aes256gcm16"},
		{IKE, "sha256-x25519", "no encryption", "aes256gcm16"},
		{IKE, "aes256-aes256gcm16-sha256-x25519", "mixes", "two proposals"},
		{IKE, "aes256-sha256-x25519-esn", "ESP only", ""},
		{IKE, "null-sha256-x25519", "ESP only", ""},
		{IKE, "aes256-sha256-modp2048,aes128-sha1-modp1024", "no single algorithm", "item of the list"},
		{IKE, "aes256-aes256-sha256-modp2048", "twice", ""},
		{IKE, "aes-aes128-sha256-modp2048", "twice", ""},
		{IKE, "aes256-sha256-modp2048-ke0_mlkem768", "ke0_mlkem768", ""},
		{IKE, "aes256-sha256-modp2048-ke8_mlkem768", "ke8_mlkem768", ""},
		{IKE, "aes256-sha256-modp2048-ke1_aes256", "aes256", ""},
		{IKE, "aes256-sha256-modp2048!", "modp2048!", "modp2048"},
		{IKE, strings.Repeat("a", 5000), "5000 bytes", ""},
		{IKE, strings.Repeat("a", 4000), "no algorithm", "IKE knows"},
		{ESP, "aes256", "no integrity algorithm", "aes256-sha256"},
		{ESP, "aes256gcm16-prfsha256", "IKE only", ""},
		{ESP, "aes256gcm16-ke1_mlkem768", "no key exchange", ""},
		{AH, "sha256", "AH", ""},
		{Protocol(9), "sha256", "PROTO9", ""},
	} {
		p, err := Parse(c.protocol, c.text)
		if err == nil || len(p.Transforms) > 0 {
			t.Errorf("%s %.60q is taken: %v", c.protocol, c.text, p)
			continue
		}
		if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), c.words) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s %.60q: %v (hint: %s)", c.protocol, c.text, err, fault.HintOf(err))
		}
	}
}

// TestNames: each algorithm is found by each of its names, and no name stands
// for two.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range []Protocol{IKE, ESP} {
		for _, name := range names(p) {
			transform, _, ok := lookup(name)
			if !ok || transform.String() != name {
				t.Errorf("%q is %v", name, transform)
			}
			if p == IKE && seen[name] {
				t.Errorf("%q stands for two", name)
			}
			seen[name] = true
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d names", len(seen))
	}
	for _, a := range algorithms() {
		for _, alias := range a.aliases {
			for _, bits := range append(a.bits, 0)[:max(1, len(a.bits))] {
				name := strings.Replace(alias, "%", strconv.Itoa(bits), 1)
				if transform, _, ok := lookup(name); !ok || transform.ID != a.id || transform.Type != a.typ || seen[name] {
					t.Errorf("alias %q is %v", name, transform)
				}
			}
		}
	}
	for transform, want := range map[Transform]string{
		{TypeEncryption, 1234, 0}:                   "ENCR(1234)",
		{TypeEncryption, EncrAESCBC, 0}:             "ENCR(12)",
		{TypeEncryption, EncrAESCBC, 512}:           "ENCR(12,512)",
		{TypeEncryption, Encr3DES, 192}:             "ENCR(3,192)",
		{TypePRF, 9, 0}:                             "PRF(9)",
		{TypeIntegrity, IntegNone, 0}:               "INTEG(0)",
		{TypeKeyExchange, 22, 0}:                    "KE(22)",
		{TypeESN, 2, 0}:                             "ESN(2)",
		{TypeAdditionalKE3, 99, 0}:                  "ADDKE3(99)",
		{TypeAdditionalKE7, Curve25519, 0}:          "ke7_x25519",
		{Type(13), 1, 0}:                            "TYPE13(1)",
		{TypeEncryption, EncrBlowfish, 256}:         "blowfish256",
		{TypeEncryption, EncrChaCha20Poly1305, 256}: "ENCR(28,256)",
	} {
		if transform.String() != want {
			t.Errorf("%#v is %s, want %s", transform, transform, want)
		}
	}
}

// TestDefault: the defaults have nothing old, a key exchange that is in each,
// and are read as they are written.
func TestDefault(t *testing.T) {
	for _, p := range []Protocol{IKE, ESP} {
		defaults := Default(p)
		if len(defaults) != 2 {
			t.Fatalf("%d defaults for %s", len(defaults), p)
		}
		for _, d := range defaults {
			if w := d.Warnings(); len(w) > 0 {
				t.Errorf("the default %s has warnings: %q", d, w)
			}
			again, err := Parse(p, d.String())
			if err != nil || !reflect.DeepEqual(again, d) {
				t.Errorf("%s is read as %s, %v", d, again, err)
			}
			if p == IKE && d.Of(TypeKeyExchange)[0].ID != Curve25519 {
				t.Errorf("%s guesses %s", d, d.Of(TypeKeyExchange)[0])
			}
			if p == ESP && (len(d.Of(TypeKeyExchange)) > 0 || len(d.Of(TypeESN)) != 2) {
				t.Errorf("ESP: %s", d)
			}
		}
	}
	if Default(AH) != nil {
		t.Error("defaults for AH")
	}
}

// TestWarnings: each old algorithm has one line that says its name first.
func TestWarnings(t *testing.T) {
	old := []string{"3des", "des", "blowfish128", "cast128", "null", "sha1", "md5", "modp768", "modp1024", "modp1536"}
	p, err := Parse(ESP, strings.Join(old, "-")+"-aes128-sha256-modp2048")
	if err != nil {
		t.Fatal(err)
	}
	warnings := p.Warnings()
	if len(warnings) != len(old) {
		t.Errorf("%d warnings for %d: %q", len(warnings), len(old), warnings)
	}
	for i, w := range warnings {
		if !strings.HasPrefix(w, old[i]+": ") || len(w) < len(old[i])+40 {
			t.Errorf("%q", w)
		}
	}
	for text, want := range map[string]string{
		"aes256-sha1-prfsha1-prfmd5-x25519-ke1_modp1024": "sha1 prfmd5 ke1_modp1024",
		"3des-sha1-modp1024":                             "3des sha1 modp1024",
		"aes256gcm16-prfsha1-x25519":                     "prfsha1",
		"aes256-sha256-prfsha1-x25519":                   "prfsha1",
		"aes256-aesxcbc-modp2048":                        "",
	} {
		var names []string
		for _, w := range parse(t, IKE, text).Warnings() {
			name, _, _ := strings.Cut(w, ":")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s warns of %q, want %q", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range append(Default(IKE), Default(ESP)...) {
		f.Add(byte(p.Protocol), p.String())
	}
	for _, s := range []string{"3des-sha1-modp1024", "x25519-ke1_mlkem768-ke2_none", "aes256gcm16-esn", "aes256gcm16-prfsha384-ecp384", "--", "ke1_", "aes%gcm16", "aes0", "NULL-aesxcbc"} {
		f.Add(byte(IKE), s)
		f.Add(byte(ESP), s)
	}
	f.Fuzz(func(t *testing.T, protocol byte, text string) {
		p, err := Parse(Protocol(protocol), text)
		if err != nil {
			if len(p.Transforms) > 0 || !fault.Is(err, fault.Config) || fault.HintOf(err) == "" {
				t.Fatalf("%v beside %v", p, err)
			}
			return
		}
		again, err := Parse(p.Protocol, p.String())
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%q is %q, and that is %q, %v", text, p, again, err)
		}
		if slices.ContainsFunc(p.Transforms, func(t Transform) bool { _, ok := find(t); return !ok }) {
			t.Fatalf("%q has something that is not there", p)
		}
		// Whoever takes the first of each type has a suite.
		var first []Transform
		seen := map[Type]bool{}
		for _, transform := range p.Transforms {
			if !seen[transform.Type] {
				first = append(first, transform)
			}
			seen[transform.Type] = true
		}
		s, err := p.Choose(first)
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		e, i, _ := s.KeySizes()
		if _, err := s.Protection(make([]byte, e), make([]byte, i)); err != nil {
			t.Fatalf("%q: %v", p, err)
		}
	})
}
