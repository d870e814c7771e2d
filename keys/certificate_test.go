package keys_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

func TestLoadCertificate(t *testing.T) {
	cert, err := keys.LoadCertificate(file(t, "x", testdata(t, "ed25519-cert.pub")))
	if err != nil || string(cert.Marshal()) != string(public(t, "ed25519-cert.pub").Marshal()) {
		t.Fatalf("%v, %v", cert, err)
	}
	for name, tt := range map[string]struct{ path, message, hint string }{
		"absent":     {filepath.Join(t.TempDir(), "none"), "file does not exist", "after `certificate:`"},
		"a folder":   {t.TempDir(), "it is a folder", "ssh-keygen -s"},
		"plain":      {file(t, "x", testdata(t, "ed25519.pub")), "a plain public key", "have the key signed"},
		"private":    {file(t, "x", testdata(t, "ed25519")), "load certificate", "ssh-keygen -s"},
		"of a host":  {file(t, "x", testdata(t, "host-cert.pub")), "made for a host", "without `-h`"},
		"damaged":    {file(t, "x", testdata(t, "ed25519-cert.pub")[:200]), "a damaged certificate", "ssh-keygen -s"},
		"empty":      {file(t, "x", ""), "load certificate", "ssh-keygen -s"},
		"very large": {file(t, "x", strings.Repeat("x", 1<<20+1)), "larger than 1 MiB", "ssh-keygen -s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keys.LoadCertificate(tt.path)
			wantFault(t, err, fault.Key, tt.message, tt.hint)
		})
	}
}

// certificate reads a certificate of testdata.
func certificate(t *testing.T, name string) *ssh.Certificate {
	t.Helper()
	return public(t, name).(*ssh.Certificate)
}

// signers loads a key of testdata.
func signers(t *testing.T, names []string, legacy ...string) []ssh.Signer {
	t.Helper()
	key, err := keys.Load(t.Context(), private(t, names...), nil, legacy...)
	if err != nil {
		t.Fatal(err)
	}
	return key.Signers()
}

// described names what signers are and may sign with.
func described(list []ssh.Signer) string {
	var all []string
	for _, s := range list {
		all = append(all, s.PublicKey().Type()+":"+strings.Join(s.(ssh.MultiAlgorithmSigner).Algorithms(), "+"))
	}
	return strings.ReplaceAll(strings.Join(all, " "), "-cert-v01@openssh.com", "-CERT")
}

func TestCertify(t *testing.T) {
	ed, rsa := certificate(t, "ed25519-cert.pub"), certificate(t, "rsa-cert.pub")
	plain := signers(t, []string{"ed25519"})
	for _, tt := range []struct {
		name    string
		signers []ssh.Signer
		certs   []*ssh.Certificate
		want    string
	}{
		{"none", plain, nil, "ssh-ed25519:ssh-ed25519"},
		{"its own", plain, []*ssh.Certificate{rsa, ed}, "ssh-ed25519-CERT:ssh-ed25519 ssh-ed25519:ssh-ed25519"},
		{"another's", plain, []*ssh.Certificate{rsa}, "ssh-ed25519:ssh-ed25519"},
		{"there already", signers(t, []string{"ed25519", "ed25519-cert.pub"}), []*ssh.Certificate{ed}, "ssh-ed25519-CERT:ssh-ed25519 ssh-ed25519:ssh-ed25519"},
		{"with an algorithm of the past", signers(t, []string{"rsa"}, "ssh-rsa"), []*ssh.Certificate{rsa},
			"ssh-rsa-CERT:rsa-sha2-512+rsa-sha2-256 ssh-rsa:rsa-sha2-512+rsa-sha2-256 ssh-rsa-CERT:ssh-rsa ssh-rsa:ssh-rsa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := keys.Certify(tt.signers, tt.certs)
			if described(got) != tt.want {
				t.Errorf("got  %s\nwant %s", described(got), tt.want)
			}
			for _, s := range got {
				if _, ok := s.PublicKey().(*ssh.Certificate); !ok {
					signs(t, s)
				}
			}
		})
	}
}

func TestRestrict(t *testing.T) {
	ed := signers(t, []string{"ed25519", "ed25519-cert.pub"})
	rsa := signers(t, []string{"rsa", "rsa-cert.pub"}, "ssh-rsa")
	all := slices.Concat(ed, rsa)
	for _, tt := range []struct {
		name    string
		allowed []string
		want    string
	}{
		{"everything", nil, described(all)},
		{"the default", keys.Default(keys.ForLogin, "ssh-rsa"), described(all)},
		{"nothing", []string{}, ""},
		{"plain keys", []string{"ssh-ed25519", "rsa-sha2-256"}, "ssh-ed25519:ssh-ed25519 ssh-rsa:rsa-sha2-256"},
		{"certificates", []string{"ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"},
			"ssh-ed25519-CERT:ssh-ed25519 ssh-rsa-CERT:rsa-sha2-512"},
		{"in another order", []string{"rsa-sha2-256", "rsa-sha2-512"}, "ssh-rsa:rsa-sha2-256+rsa-sha2-512"},
		{"of the past alone", []string{"ssh-rsa"}, "ssh-rsa:ssh-rsa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := described(keys.Restrict(all, tt.allowed)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	for _, s := range keys.Restrict(rsa, []string{"rsa-sha2-256", "ssh-rsa"}) {
		signs(t, s)
	}
}

func TestRSABits(t *testing.T) {
	for name, want := range map[string]int{"rsa.pub": 2048, "rsa-cert.pub": 2048, "ed25519.pub": 0, "ecdsa256.pub": 0, "dsa.pub": 0} {
		if got := keys.RSABits(public(t, name)); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestCASignatures: an authority's signature counts only if its algorithm may
// be used.
func TestCASignatures(t *testing.T) {
	cert := certificate(t, "host-cert.pub")
	file := file(t, "known_hosts", "@cert-authority * "+line(t, "ca.pub")+"\n")
	check := func(allowed []string) error {
		h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file, Required: true}}, CASignatures: allowed,
			Now: func() time.Time { return time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC) }})
		if err != nil {
			t.Fatal(err)
		}
		return h.Check(cert.ValidPrincipals[0], 22, cert)
	}
	if err := check(nil); err != nil {
		t.Error(err)
	}
	if err := check([]string{cert.Signature.Format}); err != nil {
		t.Error(err)
	}
	wantFault(t, check([]string{"rsa-sha2-512"}), fault.HostKeyUnknown, "signed with "+cert.Signature.Format+", which CASignatureAlgorithms does not have", "")
}
