package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"linehaul/internal/lab"
)

// Decrypted ends the recording and has tshark read it with all keys that the
// gateway's log names; arguments are tshark's, such as a filter. It knows the
// algorithms of these tables only, and of IKEv1 only what goes by the key Ka.
func (g *Gateway) Decrypted(args ...string) string {
	g.t.Helper()
	lab.Need(g.t, "tshark")
	all := []string{"-r", g.Wire(), "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"}
	for _, row := range readKeys(g.Log(), ikeSPIs(g.Packets())) {
		all = append(all, "-o", "uat:"+row)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, lab.Path("tshark"), append(all, args...)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("tshark: %v\n%s", err, complaints.String())
	}
	return string(out)
}

// ikeSPIs lists the pairs of SPIs of IKE SAs, in the order in which they are
// first seen.
func ikeSPIs(packets []Packet) []string {
	var pairs []string
	seen := map[string]bool{}
	for _, p := range packets {
		m, ok := p.IKE()
		if !ok || [8]byte(m[8:]) == [8]byte{} {
			continue
		}
		pair := hex.EncodeToString(m[:8]) + "," + hex.EncodeToString(m[8:16])
		if !seen[pair] {
			seen[pair] = true
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// The names of algorithms, charon's and tshark's.
func ikeCiphers() map[string]string {
	return map[string]string{
		"AES_CBC_128": "AES-CBC-128 [RFC3602]", "AES_CBC_192": "AES-CBC-192 [RFC3602]", "AES_CBC_256": "AES-CBC-256 [RFC3602]",
		"3DES_CBC": "3DES [RFC2451]", "AES_CTR_128": "AES-CTR-128 [RFC5930]", "AES_CTR_256": "AES-CTR-256 [RFC5930]",
		"AES_GCM_16_128": "AES-GCM-128 with 16 octet ICV [RFC5282]", "AES_GCM_16_256": "AES-GCM-256 with 16 octet ICV [RFC5282]",
	}
}

func ikeMACs() map[string]string {
	return map[string]string{
		"HMAC_MD5_96": "HMAC_MD5_96 [RFC2403]", "HMAC_SHA1_96": "HMAC_SHA1_96 [RFC2404]", "HMAC_SHA2_256_128": "HMAC_SHA2_256_128 [RFC4868]",
		"HMAC_SHA2_384_192": "HMAC_SHA2_384_192 [RFC4868]", "HMAC_SHA2_512_256": "HMAC_SHA2_512_256 [RFC4868]", "": "NONE [RFC4306]",
	}
}

func espCiphers() map[string]string {
	return map[string]string{
		"AES_CBC": "AES-CBC [RFC3602]", "3DES_CBC": "TripleDES-CBC [RFC2451]", "DES_CBC": "DES-CBC [RFC2405]", "BLOWFISH_CBC": "BLOWFISH-CBC [RFC2451]",
		"CAST_CBC": "CAST5-CBC [RFC2144]", "AES_CTR": "AES-CTR [RFC3686]", "NULL": "NULL", "AES_GCM_8": "AES-GCM with 8 octet ICV [RFC4106]",
		"AES_GCM_12": "AES-GCM with 12 octet ICV [RFC4106]", "AES_GCM_16": "AES-GCM with 16 octet ICV [RFC4106]",
	}
}

func espMACs() map[string]string {
	return map[string]string{
		"HMAC_MD5_96": "HMAC-MD5-96 [RFC2403]", "HMAC_SHA1_96": "HMAC-SHA-1-96 [RFC2404]", "HMAC_SHA2_256_128": "HMAC-SHA-256-128 [RFC4868]",
		"HMAC_SHA2_384_192": "HMAC-SHA-384-192 [RFC4868]", "HMAC_SHA2_512_256": "HMAC-SHA-512-256 [RFC4868]", "": "NULL",
	}
}

// A keyReader goes through the log of charon at level 4.
type keyReader struct {
	spis      []string // of IKE SAs that have no keys yet
	rows      []string // of tshark's tables
	ike       []string // the proposal chosen last, cipher first
	initiator bool     // whether the exchange under way is the gateway's
	cipher    string   // of the child
	mac       string
	keys      map[string]string // by charon's name, in hex
	name      string            // of the key whose bytes follow
	missing   int               // how many of them
}

// readKeys turns the log into rows of tshark's tables: ikev1_decryption_table,
// ikev2_decryption_table and esp_sa.
func readKeys(log string, spis []string) []string {
	r := &keyReader{spis: spis, keys: map[string]string{}}
	lines := map[*regexp.Regexp]func(m []string){
		regexp.MustCompile(`selected proposal: IKE:(\S+)`):     func(m []string) { r.ike = strings.Split(m[1], "/") },
		regexp.MustCompile(`\] parsed \S+ (request|response)`): func(m []string) { r.initiator = m[1] == "response" },
		regexp.MustCompile(`using (\S+) for encryption`):       func(m []string) { r.cipher, r.mac = m[1], "" },
		regexp.MustCompile(`using (\S+) for integrity`):        func(m []string) { r.mac = m[1] },
		regexp.MustCompile(`\] (Sk_..|encryption key Ka|(?:encryption|integrity) (?:initiator|responder) key)(?: secret)? => (\d+) bytes`): func(m []string) {
			r.name, r.keys[m[1]] = m[1], ""
			fmt.Sscan(m[2], &r.missing)
		},
		regexp.MustCompile(`\] +\d+: ((?:[0-9A-F]{2} ){1,16})`):      func(m []string) { r.more(m[1]) },
		regexp.MustCompile(`SPI 0x([0-9a-f]+), src (\S+) dst (\S+)`): func(m []string) { r.child(m[1], m[2], m[3]) },
	}
	for line := range strings.Lines(log) {
		for shape, do := range lines {
			if m := shape.FindStringSubmatch(line); m != nil {
				do(m)
				break
			}
		}
	}
	return r.rows
}

// more takes a line of a key's bytes.
func (r *keyReader) more(text string) {
	if r.missing == 0 {
		return
	}
	b := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	b = b[:min(len(b), 2*r.missing)]
	r.keys[r.name] += b
	r.missing -= len(b) / 2
	if r.missing > 0 || len(r.spis) == 0 {
		return
	}
	switch r.name { // the last key that is needed of an IKE SA
	case "Sk_er":
		r.ikev2()
	case "encryption key Ka":
		spi, _, _ := strings.Cut(r.spis[0], ",")
		r.rows = append(r.rows, "ikev1_decryption_table:"+spi+","+r.keys[r.name])
		r.spis = r.spis[1:]
	}
}

func (r *keyReader) ikev2() {
	spi := r.spis[0]
	r.spis = r.spis[1:]
	if len(r.ike) < 2 {
		return
	}
	mac := r.ike[1]
	if strings.HasPrefix(mac, "PRF_") { // AEAD has none
		mac, r.keys["Sk_ai"], r.keys["Sk_ar"] = "", "", ""
	}
	cipher, known := ikeCiphers()[r.ike[0]]
	check, knownToo := ikeMACs()[mac]
	if known && knownToo {
		r.rows = append(r.rows, fmt.Sprintf("ikev2_decryption_table:%s,%s,%s,%q,%s,%s,%q",
			spi, r.keys["Sk_ei"], r.keys["Sk_er"], cipher, r.keys["Sk_ai"], r.keys["Sk_ar"], check))
	}
}

// child takes one direction of a child. The side that asked is the initiator
// of its keys (RFC 7296 2.17), and what it sends goes by the initiator's.
func (r *keyReader) child(spi, from, to string) {
	sent := from == Gate || from == Gate6
	side := "responder"
	if sent == r.initiator {
		side = "initiator"
	}
	version := "IPv4"
	if strings.Contains(to, ":") {
		version = "IPv6"
	}
	cipher, known := espCiphers()[r.cipher]
	check, knownToo := espMACs()[r.mac]
	if !known || !knownToo {
		return
	}
	number := func(name string) string {
		if r.keys[name] == "" {
			return ""
		}
		return "0x" + r.keys[name]
	}
	key, checkKey := number("encryption "+side+" key"), ""
	if r.cipher == "NULL" {
		key = ""
	}
	if r.mac != "" {
		checkKey = number("integrity " + side + " key")
	}
	r.rows = append(r.rows, fmt.Sprintf("esp_sa:%q,%q,%q,%q,%q,%q,%q,%q", version, from, to, "0x"+spi, cipher, key, check, checkKey))
}
