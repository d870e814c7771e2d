package keys_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/keys"
)

// TestAlgorithms: the library has every name that we offer, and calls none of
// them insecure. A name that it does not know would be dropped in silence.
func TestAlgorithms(t *testing.T) {
	supported := ssh.SupportedAlgorithms()
	for _, tt := range []struct {
		name string
		ours []string
		have []string
	}{
		{"key exchanges", keys.KeyExchanges(), supported.KeyExchanges},
		{"ciphers", keys.Ciphers(), supported.Ciphers},
		{"MACs", keys.MACs(), supported.MACs},
		{"host keys", keys.HostKeyAlgorithms(), supported.HostKeys},
		{"public keys", keys.PublicKeyAlgorithms(), supported.PublicKeyAuths},
	} {
		if len(tt.ours) < 4 {
			t.Errorf("%s: only %q", tt.name, tt.ours)
		}
		for i, name := range tt.ours {
			if !slices.Contains(tt.have, name) {
				t.Errorf("%s: %s is not supported", tt.name, name)
			}
			if slices.Contains(tt.ours[:i], name) {
				t.Errorf("%s: %s stands there twice", tt.name, name)
			}
			for _, old := range []string{"sha1", "cbc", "dss", "md5", "arcfour"} {
				if strings.Contains(name, old) || name == ssh.KeyAlgoRSA {
					t.Errorf("%s: %s is of the past", tt.name, name)
				}
			}
		}
	}
	keys.Ciphers()[0] = "changed"
	if keys.Ciphers()[0] == "changed" {
		t.Error("a caller can change the list")
	}
}
