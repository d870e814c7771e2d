package keys_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
)

// hostKeys reads one known_hosts file of these lines.
func hostKeys(t testing.TB, lines string, pins ...string) *keys.HostKeys {
	t.Helper()
	o := keys.HostKeyOptions{
		Files: []keys.KnownHostsFile{{Path: file(t, "known_hosts", lines)}},
		Now:   func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) },
	}
	for _, s := range pins {
		p, err := keys.ParsePin(s)
		if err != nil {
			t.Fatal(err)
		}
		o.Pins = append(o.Pins, p)
	}
	h, err := keys.NewHostKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fingerprint is that of a public key of testdata.
func fingerprint(t testing.TB, name string) string {
	return ssh.FingerprintSHA256(public(t, name))
}

// TestCheckTexts: each refusal has its own reason, kind, message and next step.
func TestCheckTexts(t *testing.T) {
	ed, other, rsa := line(t, "ed25519.pub"), line(t, "other.pub"), line(t, "rsa.pub")
	cert := hostCert(t, public(t, "ed25519.pub"), nil)
	expired := hostCert(t, public(t, "ed25519.pub"), func(c *ssh.Certificate) { c.ValidBefore = 1 })
	for _, tt := range []struct {
		name    string
		lines   string
		pins    []string
		port    int
		key     ssh.PublicKey
		reason  keys.Reason
		kind    fault.Kind
		message string // FILE stands for the known_hosts file
		hint    string
	}{
		{
			"unknown", "elsewhere " + ed, nil, 22, public(t, "ed25519.pub"), keys.Unknown, fault.HostKeyUnknown,
			"the host key of db:22 is not known: the server shows ssh-ed25519 " + fingerprint(t, "ed25519.pub"),
			"add `host_keys: [\"" + fingerprint(t, "ed25519.pub") + "\"]` to the host, or this line to known_hosts: db " + ed,
		},
		{
			"unknown on another port", "", nil, 2222, public(t, "rsa.pub"), keys.Unknown, fault.HostKeyUnknown,
			"the host key of db:2222 is not known: the server shows ssh-rsa " + fingerprint(t, "rsa.pub"),
			"to known_hosts: [db]:2222 " + rsa,
		},
		{
			"unknown with a certificate", "", nil, 22, cert, keys.Unknown, fault.HostKeyUnknown,
			"the server shows ssh-ed25519 " + fingerprint(t, "ed25519.pub"),
			"to known_hosts: db " + ed,
		},
		{
			"changed", "# one\ndb " + other, nil, 22, public(t, "ed25519.pub"), keys.Changed, fault.HostKeyChanged,
			"the host key of db:22 has changed: known is ssh-ed25519 " + fingerprint(t, "other.pub") + " (FILE:2), the server shows ssh-ed25519 " + fingerprint(t, "ed25519.pub"),
			"set up anew or somebody stands in between: ask its administrator for the fingerprint, by another way than this connection; only if it is " + fingerprint(t, "ed25519.pub") + ", replace the key at FILE:2",
		},
		{
			"changed, several known", "db " + rsa + "\ndb " + line(t, "ecdsa256.pub") + "\ndb " + other, nil, 22, public(t, "ed25519.pub"), keys.Changed, fault.HostKeyChanged,
			"known is ssh-ed25519 " + fingerprint(t, "other.pub") + " (FILE:3), ssh-rsa " + fingerprint(t, "rsa.pub") + " (FILE:1) and 1 more, the server",
			"replace the key at FILE:3",
		},
		{
			"changed to another type", "db " + rsa, nil, 22, public(t, "ed25519.pub"), keys.Changed, fault.HostKeyChanged,
			"known is ssh-rsa " + fingerprint(t, "rsa.pub") + " (FILE:1), the server", "replace the key at FILE:1",
		},
		{
			"not pinned", "db " + ed, []string{fingerprint(t, "other.pub")}, 22, public(t, "ed25519.pub"), keys.NotPinned, fault.HostKeyChanged,
			"the host key of db:22 is not the pinned one: pinned is " + fingerprint(t, "other.pub") + ", the server shows ssh-ed25519 " + fingerprint(t, "ed25519.pub"),
			"only if it is " + fingerprint(t, "ed25519.pub") + ", put that into `host_keys`",
		},
		{
			"not pinned as a key", "", []string{other, rsa}, 22, public(t, "ed25519.pub"), keys.NotPinned, fault.HostKeyChanged,
			"pinned is ssh-ed25519 " + fingerprint(t, "other.pub") + " and ssh-rsa " + fingerprint(t, "rsa.pub") + ", the", "put that into `host_keys`",
		},
		{
			"revoked", "db " + ed + "\n@revoked db " + ed, nil, 22, public(t, "ed25519.pub"), keys.Revoked, fault.HostKeyChanged,
			"the host key of db:22 is revoked: ssh-ed25519 " + fingerprint(t, "ed25519.pub") + " (FILE:2) is marked @revoked", "do not trust this key again",
		},
		{
			"revoked, though pinned", "@revoked * " + ed, []string{fingerprint(t, "ed25519.pub")}, 22, public(t, "ed25519.pub"), keys.Revoked, fault.HostKeyChanged,
			"(FILE:1) is marked @revoked", "do not trust this key again",
		},
		{
			"authority revoked", "@cert-authority * " + line(t, "ca.pub") + "\n@revoked * " + line(t, "ca.pub"), nil, 22, cert, keys.Revoked, fault.HostKeyChanged,
			"revoked: ssh-ed25519 " + fingerprint(t, "ca.pub") + " (FILE:2) is marked @revoked", "do not trust this key again",
		},
		{
			"certificate refused", "@cert-authority * " + line(t, "ca.pub"), nil, 22, expired, keys.CertRefused, fault.HostKeyUnknown,
			"the host certificate of db:22 is not accepted: cert has expired; it is signed by ssh-ed25519 " + fingerprint(t, "ca.pub") + " (FILE:1) and certifies ssh-ed25519 " + fingerprint(t, "ed25519.pub"),
			"a new host certificate, or check its key with them and pin it: `host_keys: [\"" + fingerprint(t, "ed25519.pub") + "\"]`",
		},
		{
			"certificate refused, another key known", "@cert-authority * " + line(t, "ca.pub") + "\ndb " + other, nil, 22, expired, keys.Changed, fault.HostKeyChanged,
			"known is ssh-ed25519 " + fingerprint(t, "other.pub") + " (FILE:2), the", "replace the key at FILE:2",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "known_hosts", tt.lines)
			o := keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: path}}}
			for _, s := range tt.pins {
				p, err := keys.ParsePin(s)
				if err != nil {
					t.Fatal(err)
				}
				o.Pins = append(o.Pins, p)
			}
			h, err := keys.NewHostKeys(o)
			if err != nil {
				t.Fatal(err)
			}
			err = h.Check("db", tt.port, tt.key)
			wantFault(t, err, tt.kind, strings.ReplaceAll(tt.message, "FILE", path), strings.ReplaceAll(tt.hint, "FILE", path))
			var refused *keys.HostKeyError
			if !errors.As(err, &refused) || refused.Reason != tt.reason || refused.Host != "db" || refused.Port != tt.port || ssh.FingerprintSHA256(refused.Key) != ssh.FingerprintSHA256(tt.key) {
				t.Errorf("got %+v", refused)
			}
		})
	}
}

// TestHintIsTheCure: doing what the hint of an unknown key says makes it known.
func TestHintIsTheCure(t *testing.T) {
	for _, port := range []int{22, 2222} {
		err := hostKeys(t, "").Check("db.example.net", port, public(t, "rsa.pub"))
		_, cure, ok := strings.Cut(fault.HintOf(err), "known_hosts: ")
		if !ok {
			t.Fatalf("hint %q", fault.HintOf(err))
		}
		if err := hostKeys(t, cure).Check("db.example.net", port, public(t, "rsa.pub")); err != nil {
			t.Error(err)
		}
	}
}

// hostCert makes a certificate for the host db, signed by testdata's ca after
// change has had its way with it.
func hostCert(t testing.TB, key ssh.PublicKey, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	authority, err := ssh.ParsePrivateKey([]byte(testdata(t, "ca")))
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: key, CertType: ssh.HostCert, ValidPrincipals: []string{"db"}, ValidBefore: ssh.CertTimeInfinity}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestHostCertificate(t *testing.T) {
	now := uint64(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).Unix())
	key := public(t, "ed25519.pub")
	oldCA, err := ssh.ParsePrivateKey([]byte(testdata(t, "ca_rsa")))
	if err != nil {
		t.Fatal(err)
	}
	sha1CA, err := ssh.NewSignerWithAlgorithms(oldCA.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	sha1 := hostCert(t, key, nil)
	if err := sha1.SignCert(rand.Reader, sha1CA); err != nil {
		t.Fatal(err)
	}
	sha2 := hostCert(t, key, nil)
	if err := sha2.SignCert(rand.Reader, oldCA); err != nil {
		t.Fatal(err)
	}
	forged := hostCert(t, key, nil)
	forged.Serial++

	lines := "@cert-authority db " + line(t, "ca.pub") + "\n@cert-authority db " + line(t, "ca_rsa.pub")
	for _, tt := range []struct {
		name string
		cert *ssh.Certificate
		why  string
	}{
		{"good", hostCert(t, key, nil), ""},
		{"good until in a second", hostCert(t, key, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = now, now+1 }), ""},
		{"for several names", hostCert(t, key, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"a", "db"} }), ""},
		{"by RSA", sha2, ""},
		{"by RSA with SHA-1", sha1, "an algorithm of the past"},
		{"expired now", hostCert(t, key, func(c *ssh.Certificate) { c.ValidBefore = now }), "expired"},
		{"valid in a second", hostCert(t, key, func(c *ssh.Certificate) { c.ValidAfter = now + 1 }), "not yet valid"},
		{"for another name", hostCert(t, key, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"dbx"} }), `"db" not in the set`},
		{"for a thousand other names", hostCert(t, key, func(c *ssh.Certificate) {
			c.ValidPrincipals = slices.Repeat([]string{"elsewhere.example.net\n"}, 1000)
		}), "…;"},
		{"for a user", hostCert(t, key, func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), "made for a user"},
		{"with a condition", hostCert(t, key, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"only-on": "Monday"} }), "critical option"},
		{"forged", forged, "does not verify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := hostKeys(t, lines).Check("DB", 22, tt.cert)
			if tt.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.HostKeyUnknown, tt.why, "a new host certificate")
			if len(err.Error()) > 600 { // the path takes its share
				t.Errorf("%d bytes of message", len(err.Error()))
			}
			if err := hostKeys(t, lines+"\ndb "+line(t, "ed25519.pub")).Check("db", 22, tt.cert); err != nil {
				t.Errorf("with its key known: %v", err)
			}
			if err := hostKeys(t, lines, fingerprint(t, "ed25519.pub")).Check("db", 22, tt.cert); err != nil {
				t.Errorf("with its key pinned: %v", err)
			}
		})
	}
}

func TestAlgorithmsForHost(t *testing.T) {
	const ed, ec, rsa = "ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512 rsa-sha2-256"
	const ec384, ec521 = "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"
	const certs = "ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256-cert-v01@openssh.com ecdsa-sha2-nistp384-cert-v01@openssh.com " +
		"ecdsa-sha2-nistp521-cert-v01@openssh.com rsa-sha2-512-cert-v01@openssh.com rsa-sha2-256-cert-v01@openssh.com"
	all := join(ed, ec, ec384, ec521, rsa)
	sha := fingerprint(t, "ed25519.pub")
	edLine, rsaLine, ecLine := line(t, "ed25519.pub"), line(t, "rsa.pub"), line(t, "ecdsa256.pub")
	for _, tt := range []struct {
		name   string
		lines  string
		pins   []string
		port   int
		groups []string
	}{
		{"nothing known", "elsewhere " + rsaLine, nil, 22, []string{all}},
		{"ed25519 known", "db " + edLine, nil, 22, []string{all}},
		{"rsa known", "db " + rsaLine, nil, 22, []string{join(rsa, ed, ec, ec384, ec521)}},
		{"ecdsa and rsa known", "db " + rsaLine + "\ndb " + ecLine, nil, 22, []string{join(ec, rsa, ed, ec384, ec521)}},
		{"known without port", "db " + rsaLine, nil, 2222, []string{join(rsa, ed, ec, ec384, ec521)}},
		{"known with and without port", "db " + rsaLine + "\n[db]:2222 " + ecLine, nil, 2222, []string{join(ec, ed, ec384, ec521, rsa)}},
		{"dsa known", "db " + line(t, "dsa.pub"), nil, 22, []string{all}},
		{"revoked counts for nothing", "@revoked db " + rsaLine, nil, 22, []string{all}},
		{"authority", "@cert-authority * " + line(t, "ca.pub"), nil, 22, []string{join(certs, all)}},
		{"authority without port", "@cert-authority db " + line(t, "ca.pub"), nil, 2222, []string{join(certs, all)}},
		{"authority and rsa known", "@cert-authority * " + line(t, "ca_rsa.pub") + "\ndb " + rsaLine, nil, 22, []string{join(certs, rsa, ed, ec, ec384, ec521)}},
		{"authority of others", "@cert-authority elsewhere " + line(t, "ca.pub"), nil, 22, []string{all}},
		{"a pin", "db " + rsaLine + "\n@cert-authority * " + line(t, "ca.pub"), []string{sha}, 22, []string{ed, ec, ec384, ec521, rsa}},
		{"a pin with its type", "", []string{"ssh-rsa 2048 " + sha}, 22, []string{rsa}},
		{"a pinned key", "", []string{ecLine}, 22, []string{ec}},
		{"two types pinned", "", []string{rsaLine, edLine, rsaLine}, 22, []string{rsa, ed}},
		{"with and without type", "", []string{sha, "ssh-rsa 2048 " + sha}, 22, []string{rsa, ed, ec, ec384, ec521}},
		{"a pinned key of the past", "", []string{line(t, "dsa.pub")}, 22, []string{all}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hostKeys(t, tt.lines, tt.pins...)
			var got []string
			for _, group := range h.Groups("DB", tt.port) {
				got = append(got, strings.Join(group, " "))
			}
			if !slices.Equal(got, tt.groups) {
				t.Errorf("groups\n%q, want\n%q", got, tt.groups)
			}
			if got := strings.Join(h.Algorithms("DB", tt.port), " "); got != join(tt.groups...) {
				t.Errorf("algorithms\n%q, want\n%q", got, join(tt.groups...))
			}
			for _, a := range h.Algorithms("DB", tt.port) {
				if !slices.Contains(ssh.SupportedAlgorithms().HostKeys, a) {
					t.Errorf("%s is not supported", a)
				}
			}
		})
	}
}

func join(parts ...string) string { return strings.Join(parts, " ") }

// TestPins: any pin that fits will do, known_hosts files do not count, and
// what Groups says finds the pinned key of a server that has three.
func TestPins(t *testing.T) {
	h := hostKeys(t, "db "+line(t, "other.pub"), fingerprint(t, "ca.pub"), fingerprint(t, "rsa.pub"))
	if err := h.Check("db", 22, public(t, "rsa.pub")); err != nil {
		t.Error(err)
	}
	if err := h.Check("db", 22, public(t, "other.pub")); err == nil {
		t.Error("a known key was accepted beside pins")
	}

	offered := map[string]string{"ssh-ed25519": "ed25519.pub", "ecdsa-sha2-nistp256": "ecdsa256.pub", "rsa-sha2-512": "rsa.pub"}
	tries := 0
	for _, group := range h.Groups("db", 22) {
		name, ok := offered[group[0]]
		if !ok {
			continue // the handshake fails: no common algorithm
		}
		tries++
		err := h.Check("db", 22, public(t, name))
		var refused *keys.HostKeyError
		switch {
		case err == nil && name == "rsa.pub" && tries == 3:
			return
		case !errors.As(err, &refused) || refused.Reason != keys.NotPinned:
			t.Fatalf("%s: %v", name, err)
		}
	}
	t.Error("the pinned key was never asked for")
}

// TestBrokenLines: a line that cannot be used costs a warning that says where
// and why, once, and nothing else.
func TestBrokenLines(t *testing.T) {
	good := line(t, "ed25519.pub")
	for _, tt := range []struct{ name, line, why string }{
		{"bad base64", "db ssh-ed25519 AAA!", "bad base64"},
		{"unknown type", "db ssh-ed448 AAAACXNzaC1lZDQ0OAAAADk=", "an unknown key type"},
		{"damaged key", "db ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "a damaged key"},
		{"no type in the key", "db ssh-ed25519 AAAA", "a damaged key"},
		{"other type", "db ssh-rsa " + good[12:], "not the type in it"},
		{"SSH-1", "db 1024 35 1234567890", "an SSH-1 key"},
		{"too long", "db " + good + strings.Repeat(" x", 32<<10), "longer than 64 KiB"},
		{"name alone", "db", "no key"},
		{"type alone", "db ssh-ed25519", "no key"},
		{"marker", "@bogus db " + good, "unknown marker"},
		{"marker alone", "@revoked", "no key"},
		{"two markers", "@revoked @revoked db " + good, "two markers"},
		{"damaged hash", "|1|AAAA|AAAA " + good, "a damaged hashed name"},
		{"hash without end", "|1|AAAA " + good, "an unknown kind of hashed name"},
		{"hash of tomorrow", "|2|AAAA|AAAA " + good, "an unknown kind of hashed name"},
		{"certificate", "db " + strings.Join(strings.Fields(testdata(t, "ed25519-cert.pub"))[:2], " "), "a certificate where a key belongs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "known_hosts", "# first\n"+tt.line+"\nelsewhere "+line(t, "rsa.pub")+"\ndb "+good+"\n")
			var warnings []string
			f := keys.KnownHostsFile{Path: path}
			h, err := keys.NewHostKeys(keys.HostKeyOptions{
				Files: []keys.KnownHostsFile{f, f},
				Warn:  func(msg string) { warnings = append(warnings, msg) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != 1 || !strings.HasPrefix(warnings[0], path+":2: line left out: ") || !strings.Contains(warnings[0], tt.why) {
				t.Errorf("warnings %q, want one with %q", warnings, tt.why)
			}
			if err := h.Check("db", 22, public(t, "ed25519.pub")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKnownHostsFiles(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	one := file(t, "one", "db "+line(t, "ed25519.pub"))
	two := file(t, "two", "db "+line(t, "rsa.pub"))
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: absent}, {Path: one}, {Path: os.DevNull, Required: true}, {Path: two, Required: true}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ed25519.pub", "rsa.pub"} {
		if err := h.Check("db", 0, public(t, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(absent); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the absent file was made")
	}

	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 16<<20+1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, message, hint string }{
		{"absent", absent, "does not exist", "an empty file will do"},
		{"a folder", t.TempDir(), "not a file", "name a file"},
		{"too large", large, "larger than 16 MiB", "name a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: tt.path, Required: true}}})
			wantFault(t, err, fault.HostKeyUnknown, fmt.Sprintf("read known hosts %q: ", tt.path), tt.hint)
			if !strings.Contains(err.Error(), tt.message) {
				t.Errorf("message %q lacks %q", err, tt.message)
			}
		})
	}
}

// TestNoLookalikes: letters that Unicode folds to ASCII ones, and bytes that
// are no text, are not the letters they look like.
func TestNoLookalikes(t *testing.T) {
	for _, tt := range []struct{ pattern, host string }{
		{"dbK", "db\u212a"}, // the Kelvin sign
		{"db\u212a", "dbk"},
		{"db\xff", "db\xfe"},
		{"db\xff", "db\ufffd"},
		{"db?", "dbé"}, // one byte, not one letter
	} {
		if err := hostKeys(t, tt.pattern+" "+line(t, "ed25519.pub")).Check(tt.host, 22, public(t, "ed25519.pub")); err == nil {
			t.Errorf("%q matches %q", tt.pattern, tt.host)
		}
	}
}

// TestHashedBySSHKeygen reads a file that ssh-keygen hashed.
func TestHashedBySSHKeygen(t *testing.T) {
	lab.Need(t, "ssh-keygen")
	path := file(t, "known_hosts", "db,10.0.0.5,[db]:2222 "+line(t, "ed25519.pub")+"\n")
	lab.Run(t, "ssh-keygen", "-H", "-f", path)
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "10.0.0.5") {
		t.Fatalf("not hashed: %s %v", text, err)
	}
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: path}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"db", "DB", "10.0.0.5"} {
		for _, port := range []int{22, 2222} {
			if err := h.Check(host, port, public(t, "ed25519.pub")); err != nil {
				t.Error(err)
			}
		}
	}
	if err := h.Check("db2", 22, public(t, "ed25519.pub")); err == nil {
		t.Error("another name was accepted")
	}
}

func TestHostKeysConcurrently(t *testing.T) {
	h := hostKeys(t, "db "+line(t, "ed25519.pub")+"\n@cert-authority * "+line(t, "ca.pub"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				h.Algorithms("db", 22)
				if err := h.Check("db", 22, public(t, "ed25519.pub")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCheckLargeFile(b *testing.B) {
	var lines strings.Builder
	for range 2000 {
		fmt.Fprintf(&lines, "%s %s\n", hashed("elsewhere"), line(b, "ed25519.pub"))
	}
	h := hostKeys(b, lines.String()+"db "+line(b, "ed25519.pub"))
	for b.Loop() {
		if err := h.Check("db", 2222, public(b, "ed25519.pub")); err != nil {
			b.Fatal(err)
		}
	}
}
