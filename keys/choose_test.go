package keys_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/keys"
)

func TestChoose(t *testing.T) {
	macs := keys.MACs()
	for _, tt := range []struct {
		name   string
		use    keys.Use
		list   string
		legacy []string
		want   keys.Choice
	}{
		{"itself", keys.ForMAC, "hmac-sha2-512,hmac-sha2-256", nil,
			keys.Choice{Names: []string{"hmac-sha2-512", "hmac-sha2-256"}}},
		{"once", keys.ForMAC, "hmac-sha2-512,,hmac-sha2-512", nil,
			keys.Choice{Names: []string{"hmac-sha2-512"}}},
		{"not there", keys.ForMAC, "umac-128-etm@openssh.com,hmac-sha2-512,!hmac-sha2-256", nil,
			keys.Choice{Names: []string{"hmac-sha2-512"}, Missing: []string{"umac-128-etm@openssh.com", "!hmac-sha2-256"}}},
		{"nothing left", keys.ForCipher, "aes256-cbc", nil,
			keys.Choice{Missing: []string{"aes256-cbc"}}},
		{"case counts", keys.ForMAC, "HMAC-SHA2-256", nil,
			keys.Choice{Missing: []string{"HMAC-SHA2-256"}}},
		{"of the past", keys.ForMAC, "hmac-sha1,hmac-sha2-256", nil,
			keys.Choice{Names: []string{"hmac-sha1", "hmac-sha2-256"}, Old: []string{"hmac-sha1"}}},
		{"added", keys.ForMAC, "+hmac-sha1,hmac-sha2-256", nil,
			keys.Choice{Names: append(slices.Clone(macs), "hmac-sha1"), Old: []string{"hmac-sha1"}}},
		{"put before", keys.ForMAC, "^hmac-sha2-512", nil,
			keys.Choice{Names: []string{"hmac-sha2-512", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256"}}},
		{"taken out", keys.ForMAC, "-*-etm@*,hmac-md5", nil,
			keys.Choice{Names: []string{"hmac-sha2-256", "hmac-sha2-512"}}},
		{"all taken out", keys.ForMAC, "-*", nil, keys.Choice{Names: []string{}}},
		{"a pattern", keys.ForMAC, "hmac-sha2-???", nil,
			keys.Choice{Names: []string{"hmac-sha2-256", "hmac-sha2-512"}}},
		{"a pattern brings nothing back", keys.ForMAC, "+hmac-sha1*", nil,
			keys.Choice{Names: macs, Vague: []string{"hmac-sha1", "hmac-sha1-96"}}},
		{"a pattern, and a name", keys.ForMAC, "*,hmac-sha1", nil,
			keys.Choice{Names: append(slices.Clone(macs), "hmac-sha1"), Old: []string{"hmac-sha1"}, Vague: []string{"hmac-sha1-96"}}},
		{"legacy comes last", keys.ForMAC, "hmac-sha2-256", []string{"hmac-sha1-96", "3des-cbc"},
			keys.Choice{Names: []string{"hmac-sha2-256", "hmac-sha1-96"}}},
		{"legacy stays", keys.ForMAC, "-hmac*", []string{"hmac-sha1"},
			keys.Choice{Names: []string{"hmac-sha1"}}},
		{"Curve25519 by its older name", keys.ForKeyExchange, "curve25519-sha256@libssh.org,sntrup761x25519-sha512@openssh.com", nil,
			keys.Choice{Names: []string{"curve25519-sha256"}, Missing: []string{"sntrup761x25519-sha512@openssh.com"}}},
		{"host key of the past", keys.ForHostKey, "ssh-ed25519,ssh-rsa,ssh-rsa-cert-v01@openssh.com", nil,
			keys.Choice{Names: []string{"ssh-ed25519", "ssh-rsa"}, Old: []string{"ssh-rsa"}, Missing: []string{"ssh-rsa-cert-v01@openssh.com"}}},
		{"certificates", keys.ForLogin, "*-cert-v01@openssh.com,-x", nil, keys.Choice{
			Names: []string{
				"ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com",
				"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com",
				"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
			},
			Missing: []string{"-x"}, Vague: []string{"ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"},
		}},
		{"login of the past", keys.ForLogin, "ssh-dss-cert-v01@openssh.com,ssh-dss", nil,
			keys.Choice{Names: []string{"ssh-dss-cert-v01@openssh.com", "ssh-dss"}, Old: []string{"ssh-dss"}}},
		{"signatures of authorities", keys.ForCASignature, "ssh-rsa,rsa-sha2-512", nil,
			keys.Choice{Names: []string{"rsa-sha2-512"}, Missing: []string{"ssh-rsa"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := keys.Choose(tt.use, tt.list, tt.legacy...)
			for _, part := range []struct {
				what      string
				got, want []string
			}{
				{"names", got.Names, tt.want.Names}, {"old", got.Old, tt.want.Old},
				{"missing", got.Missing, tt.want.Missing}, {"vague", got.Vague, tt.want.Vague},
			} {
				if !slices.Equal(part.got, part.want) {
					t.Errorf("%s: %q, want %q", part.what, part.got, part.want)
				}
			}
		})
	}
}

// TestDefault: the lists are those that hold without a choice, and have every
// name of certificates that the library knows.
func TestDefault(t *testing.T) {
	for name, tt := range map[string]struct {
		got, want []string
	}{
		"key exchanges": {keys.Default(keys.ForKeyExchange, keys.LegacyNames()...), keys.KeyExchanges(keys.LegacyNames()...)},
		"ciphers":       {keys.Default(keys.ForCipher, "3des-cbc"), keys.Ciphers("3des-cbc")},
		"MACs":          {keys.Default(keys.ForMAC), keys.MACs()},
		"authorities":   {keys.Default(keys.ForCASignature, "ssh-rsa"), keys.PublicKeyAlgorithms()},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
	login := keys.Default(keys.ForLogin, "ssh-rsa")
	if !slices.Contains(login, "ssh-rsa-cert-v01@openssh.com") || slices.Contains(login, "ssh-dss") {
		t.Errorf("login: %q", login)
	}
	known := append(ssh.SupportedAlgorithms().PublicKeyAuths, ssh.InsecureAlgorithms().PublicKeyAuths...)
	for _, name := range login {
		if plain := strings.TrimSuffix(name, "-cert-v01@openssh.com"); plain != name {
			continue // the library lists plain names for logging in
		}
		if !slices.Contains(known, name) {
			t.Errorf("the library has no %s", name)
		}
	}
	for _, name := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(keys.Default(keys.ForHostKey), name) {
			t.Errorf("host keys: %s is left out", name)
		}
	}
}
