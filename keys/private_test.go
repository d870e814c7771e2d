package keys_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
)

// TestWrongDEKPassphrase: one wrong passphrase of 256 survives the padding of
// PEM's encryption, and is wrong all the same.
func TestWrongDEKPassphrase(t *testing.T) {
	for _, name := range []string{"pem-ecdsa256-des", "pem-rsa1024-aes128", "pem-dsa1024-des3"} {
		data := []byte(testdata(t, filepath.Join("corpus", name)))
		for n := range 1000 {
			_, err := keys.ParsePrivate(data, []byte(strings.Repeat("x", n+1)))
			refusedAs(t, err, keys.WrongPassphrase)
		}
	}
}

// TestLoadKinds: the error of Load says its kind too, with the path in hint
// and message.
func TestLoadKinds(t *testing.T) {
	phrase, _ := secret("wrong")
	for _, tt := range []struct {
		file   string
		secret keys.Secret
		kind   keys.LoadKind
	}{
		{"openssh-ed25519-enc", nil, keys.NeedsPassphrase},
		{"openssh-ed25519-enc", phrase, keys.WrongPassphrase},
		{"ppk3-ed25519-enc.ppk", phrase, keys.WrongPassphrase},
		{"openssh-sk", nil, keys.Unsupported},
		{"bad-pkcs8-scrypt1t", nil, keys.TooCostly},
		{"openssh-dsa1024", nil, keys.Legacy},
		{"bad-pem-rsa1024-cut50", nil, keys.Damaged},
		{"public-ed25519.pub", nil, keys.NotPrivate},
		{"other-text", nil, keys.NotAKey},
		{"absent", nil, keys.Unreadable},
	} {
		t.Run(tt.file, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if tt.kind != keys.Unreadable {
				write(t, path, testdata(t, filepath.Join("corpus", tt.file)))
			}
			_, err := keys.Load(t.Context(), path, tt.secret)
			refusedAs(t, err, tt.kind)
			if !strings.Contains(err.Error(), strconv.Quote(path)) || strings.Contains(fault.HintOf(err), "FILE") && !strings.Contains(fault.HintOf(err), "env:NAME") {
				t.Errorf("message %q, hint %q", err, fault.HintOf(err))
			}
		})
	}
}

// TestLoadLegacy: what a host's list of old algorithms names is offered, last
// and by itself.
func TestLoadLegacy(t *testing.T) {
	type offer struct {
		certificate bool
		algorithms  string
	}
	const modern = "rsa-sha2-512 rsa-sha2-256"
	for _, tt := range []struct {
		name   string
		files  []string
		legacy []string
		want   []offer
	}{
		{"RSA, modern", []string{"rsa"}, nil, []offer{{false, modern}}},
		{"RSA, other names", []string{"rsa"}, []string{"ssh-dss", "hmac-sha1"}, []offer{{false, modern}}},
		{"RSA, ssh-rsa", []string{"rsa"}, []string{"ssh-rsa"}, []offer{{false, modern}, {false, "ssh-rsa"}}},
		{"RSA with certificate", []string{"rsa", "rsa-cert.pub"}, []string{"ssh-rsa"}, []offer{{true, modern}, {false, modern}, {true, "ssh-rsa"}, {false, "ssh-rsa"}}},
		{"DSA", []string{"dsa"}, []string{"ssh-rsa", "ssh-dss"}, []offer{{false, "ssh-dss"}}},
		{"DSA in PEM", []string{"dsa_old.pem"}, []string{"ssh-dss"}, []offer{{false, "ssh-dss"}}},
		{"Ed25519", []string{"ed25519"}, []string{"ssh-rsa", "ssh-dss"}, []offer{{false, "ssh-ed25519"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := keys.Load(t.Context(), private(t, tt.files...), nil, tt.legacy...)
			if err != nil {
				t.Fatal(err)
			}
			var got []offer
			for _, s := range key.Signers() {
				_, certificate := s.PublicKey().(*ssh.Certificate)
				got = append(got, offer{certificate, strings.Join(s.(ssh.MultiAlgorithmSigner).Algorithms(), " ")})
				if !certificate {
					signs(t, s)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			signs(t, key.Signer)
		})
	}
}

// TestLoginLegacy: the keys of the past log in to a server of the past, and
// nothing else does.
func TestLoginLegacy(t *testing.T) {
	server := lab.StartSSHD(t, lab.SSHD{
		Config:         "PubkeyAcceptedAlgorithms ssh-rsa,ssh-dss\n",
		AuthorizedKeys: []string{line(t, "rsa.pub"), line(t, "dsa.pub"), line(t, "ed25519.pub")},
	})
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file(t, "known_hosts", server.KnownHosts("ed25519"))}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rsa", "dsa"} {
		key, err := keys.Load(t.Context(), private(t, name), nil, "ssh-rsa", "ssh-dss")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { login(t, server, h, key.Signers()...) })
	}
}

// TestNoLeak: nothing prints a private key.
func TestNoLeak(t *testing.T) {
	key := corpusKey(t, "openssh-rsa1024")
	want := "private key " + printOf(t, key)
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), fmt.Sprintf("%x", key), strings.Trim(string(text), `"`)} {
		if got != want && got != fmt.Sprintf("%x", want) {
			t.Errorf("got %s", got)
		}
	}
}

// TestInspectUseless: what is encrypted and no good is known to be no good.
func TestInspectUseless(t *testing.T) {
	for name, kind := range map[string]keys.LoadKind{
		"ppk3-ed448-enc.ppk": keys.Unsupported, "ppk2-dsa2048-enc.ppk": keys.Unsupported, "bad-ppk3-enc-memory1t.ppk": keys.TooCostly,
		"bad-pkcs8-iter1g": keys.TooCostly, "openssh-sk": keys.Unsupported, "bad-openssh-aes256-ctr-rounds1m": keys.TooCostly,
	} {
		info, err := keys.Inspect([]byte(testdata(t, filepath.Join("corpus", name))))
		refusedAs(t, err, kind)
		if info == nil || info.Format == "" {
			t.Errorf("%s: %+v", name, info)
		}
	}
}

// TestHostileText: a file of a megabyte that is all of one kind is refused in
// no time.
func TestHostileText(t *testing.T) {
	for name, line := range map[string]string{
		"begin":      "-----BEGIN RSA PRIVATE KEY-----\n",
		"parameters": "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n",
		"public":     "-----BEGIN PUBLIC KEY-----\n",
		"line ends":  "\r",
		"blanks":     " \n",
		"zeros":      "\x00",
	} {
		text := strings.Repeat(line, 1<<20/len(line))
		for _, start := range []string{"", "-----BEGIN RSA PRIVATE KEY-----\n", "---- BEGIN SSH2 PUBLIC KEY ----\na: \\\n", "PuTTY-User-Key-File-3: ssh-rsa\n", "ssh-rsa AAAA"} {
			before, began := allocated(), time.Now()
			_, err := keys.ParsePrivate([]byte(start + text)[:1<<20], nil)
			if took, used := time.Since(began), allocated()-before; took > 5*time.Second || used > 64<<20 {
				t.Errorf("%s after %q: %v, %d MiB", name, start, took, used>>20)
			}
			if err == nil {
				t.Fatal("loaded")
			}
			sorted(t, err)
		}
	}
	continued := strings.Repeat("a: b\\\n", 1<<17)
	_, err := keys.Inspect([]byte("---- BEGIN SSH2 PUBLIC KEY ----\n" + continued))
	refusedAs(t, err, keys.Damaged)
}

// TestLoadHuge: a file far too large is not read, and takes no memory.
func TestLoadHuge(t *testing.T) {
	path := file(t, "id", testdata(t, "ed25519"))
	if err := os.Truncate(path, 2<<30); err != nil {
		t.Skip(err)
	}
	before := allocated()
	_, err := keys.Load(t.Context(), path, nil)
	refusedAs(t, err, keys.Unreadable)
	if used := allocated() - before; used > 16<<20 {
		t.Errorf("took %d MiB", used>>20)
	}
}

// TestCertificateInside: a PuTTY file may hold its certificate, and one beside
// the file comes before it.
func TestCertificateInside(t *testing.T) {
	name := "ppk3-cert-rsa-ed25519-expired.ppk"
	path := file(t, "id.ppk", testdata(t, filepath.Join("corpus", name)))
	key, err := keys.Load(t.Context(), path, nil)
	if err != nil || key.Certificate == nil || key.Certificate.KeyId != "expired ed25519" || len(key.Signers()) != 2 {
		t.Fatalf("got %+v, %v", key, err)
	}
	write(t, strings.TrimSuffix(path, ".ppk")+"-cert.pub", testdata(t, filepath.Join("corpus", "cert-ed25519-ed25519-valid.pub")))
	key, err = keys.Load(t.Context(), path, nil)
	if err != nil || key.Certificate.KeyId != "valid ed25519" {
		t.Errorf("with one beside: %+v, %v", key, err)
	}
}

// TestAround: what stands around the numbers of a key, judged as ssh-keygen
// judges it; TestDifferential has found these.
func TestAround(t *testing.T) {
	replace := func(name, from, to string) string {
		text := testdata(t, filepath.Join("corpus", name))
		if !strings.Contains(text, from) {
			t.Fatalf("no %q in %s", from, name)
		}
		return strings.Replace(text, from, to, 1)
	}
	der := func(name string, from, to []byte) string {
		block, _ := pem.Decode([]byte(testdata(t, filepath.Join("corpus", name))))
		if !bytes.Contains(block.Bytes, from) {
			t.Fatalf("no % x in %s", from, name)
		}
		block.Bytes = bytes.Replace(block.Bytes, from, to, 1)
		return string(pem.EncodeToMemory(block))
	}
	rsaID := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00}
	notNull := append(bytes.Clone(rsaID[:9]), 0x0d, 0x00)
	for name, tt := range map[string]struct{ text, message string }{
		"a blank within base64":                {replace("pem-rsa1024", "MII", "M I\tI"), ""},
		"curve named before and in the key":    {replace("pem-ecdsa256-params", "EC PARAMETERS-----\n", "EC PARAMETERS-----\n!\n"), ""},
		"a Proc-Type of no standard":           {replace("pem-rsa1024-aes128", "4,ENCRYPTED", "5,ENCRYPTED"), "Proc-Type"},
		"a Proc-Type of a plain key":           {replace("pem-rsa1024-aes128", "4,ENCRYPTED", "4,MIC-CLEAR"), "Proc-Type"},
		"parameters where RSA has none":        {der("pkcs8-rsa1024", rsaID, notNull), "PKCS#8 structure"},
		"certificate that is altered":          {alteredCertificate(t, "rsa-cert.pub"), "the signature of its authority"},
		"certificate as its authority made it": {testdata(t, "rsa-cert.pub"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keys.Inspect([]byte(tt.text))
			if strings.Contains(tt.text, "ENCRYPTED") || tt.message == "" && !strings.Contains(tt.text, "-cert-v01") {
				_, err = keys.ParsePrivate([]byte(tt.text), []byte("sesame"))
			}
			if tt.message == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.Key, tt.message, "from a backup")
		})
	}
}
