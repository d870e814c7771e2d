package keys_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

// secret returns a Secret that gives s, and a function that says what became
// of the bytes it gave.
func secret(s string) (keys.Secret, func() []byte) {
	given := []byte(s)
	return func(context.Context) ([]byte, error) { return given, nil }, func() []byte { return given }
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		file      string
		format    keys.Format
		keyType   string
		encrypted bool
	}{
		{"ed25519", keys.OpenSSH, "ssh-ed25519", false},
		{"rsa", keys.OpenSSH, "ssh-rsa", false},
		{"ecdsa256", keys.OpenSSH, "ecdsa-sha2-nistp256", false},
		{"ecdsa384", keys.OpenSSH, "ecdsa-sha2-nistp384", false},
		{"ecdsa521", keys.OpenSSH, "ecdsa-sha2-nistp521", false},
		{"rsa_pkcs1.pem", keys.PEM, "ssh-rsa", false},
		{"ecdsa_params.pem", keys.PEM, "ecdsa-sha2-nistp256", false},
		{"ecdsa_pkcs8.pem", keys.PKCS8, "ecdsa-sha2-nistp256", false},
		{"ed25519_pkcs8.pem", keys.PKCS8, "ssh-ed25519", false},
		{"ed25519.ppk", keys.PPK3, "ssh-ed25519", false},
		{"ed25519_enc", keys.OpenSSH, "ssh-ed25519", true},
		{"rsa_enc", keys.OpenSSH, "ssh-rsa", true},
		{"ed25519_cbc", keys.OpenSSH, "ssh-ed25519", true},
		{"ed25519_aes128", keys.OpenSSH, "ssh-ed25519", true},
		{"ed25519_gcm", keys.OpenSSH, "ssh-ed25519", true},
		{"rsa_pkcs1_aes.pem", keys.PEM, "ssh-rsa", true},
		{"rsa_pkcs1_3des.pem", keys.PEM, "ssh-rsa", true},
		{"ecdsa_pkcs8_enc.pem", keys.PKCS8, "ecdsa-sha2-nistp256", true},
	} {
		t.Run(tt.file, func(t *testing.T) {
			path := private(t, tt.file)
			phrase, left := secret(passphrase)
			key, err := keys.Load(t.Context(), path, phrase)
			if err != nil {
				t.Fatal(err)
			}
			if key.Path != path || key.Format != tt.format || key.Type != tt.keyType || key.Certificate != nil {
				t.Errorf("got %+v", key)
			}
			if want := ssh.FingerprintSHA256(key.Signer.PublicKey()); key.Fingerprint != want {
				t.Errorf("fingerprint %s, want %s", key.Fingerprint, want)
			}
			signs(t, key.Signer)
			if wiped := bytes.Equal(left(), make([]byte, len(passphrase))); wiped != tt.encrypted {
				t.Errorf("passphrase fetched and wiped: %v, want %v", wiped, tt.encrypted)
			}
		})
	}
}

// TestLoadText loads one key in the shapes that editors and copying give it.
func TestLoadText(t *testing.T) {
	text := testdata(t, "ed25519")
	for name, shaped := range map[string]string{
		"CRLF":             strings.ReplaceAll(text, "\n", "\r\n"),
		"byte order mark":  "\ufeff" + text,
		"blank lines":      "\n\n" + text + "\n\n",
		"no final newline": strings.TrimRight(text, "\n"),
		"text before":      "this is my key\n" + text,
		"text after":       text + "and that was it\n",
	} {
		t.Run(name, func(t *testing.T) {
			key, err := keys.Load(t.Context(), file(t, "any.txt", shaped), nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := ssh.FingerprintSHA256(public(t, "ed25519.pub")); key.Fingerprint != want {
				t.Errorf("fingerprint %s, want %s", key.Fingerprint, want)
			}
		})
	}
}

// TestLoadComment: a comment is in the file, or beside it.
func TestLoadComment(t *testing.T) {
	key, err := keys.Load(t.Context(), private(t, "ed25519"), nil)
	if err != nil || key.Comment != "ed25519 comment" {
		t.Errorf("got %+v, %v", key, err)
	}
	for name, comment := range map[string]string{"rsa.pub": "rsa comment", "other.pub": ""} {
		path := private(t, "rsa_pkcs1.pem")
		write(t, path+".pub", testdata(t, name))
		if name == "rsa.pub" {
			write(t, path, testdata(t, "rsa"))
		}
		key, err = keys.Load(t.Context(), path, nil)
		if err != nil || key.Comment != comment {
			t.Errorf("beside %s: %+v, %v", name, key, err)
		}
	}
}

// TestLoadNoSHA1: an RSA key never signs with SHA-1, whatever a server asks.
func TestLoadNoSHA1(t *testing.T) {
	key, err := keys.Load(t.Context(), private(t, "rsa"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := key.Signer.(ssh.MultiAlgorithmSigner)
	if got, want := s.Algorithms(), []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}; !slices.Equal(got, want) {
		t.Errorf("algorithms %q, want %q", got, want)
	}
	if _, err := s.SignWithAlgorithm(nil, []byte("data"), ssh.KeyAlgoRSA); err == nil {
		t.Error("signed with ssh-rsa")
	}
}

func TestLoadRefuses(t *testing.T) {
	reused := func(name string) func(*testing.T) string {
		return func(t *testing.T) string { return private(t, name) }
	}
	text := func(s string) func(*testing.T) string {
		return func(t *testing.T) string { return file(t, "id", s) }
	}
	for _, tt := range []struct {
		name    string
		path    func(*testing.T) string
		message string
		hint    string
	}{
		{"absent", func(t *testing.T) string { return filepath.Join(t.TempDir(), "id") }, "does not exist", "check the path"},
		{"a folder", func(t *testing.T) string { return t.TempDir() }, "it is a folder", "the private key file itself"},
		{"too large", text(strings.Repeat("x", 1<<20+1)), "larger than 1 MiB", "a few KiB"},
		{"empty", text(""), "it is empty", "from a backup"},
		{"blank", text("\ufeff \r\n\n"), "it is empty", "from a backup"},
		{"not a key", text("PATH=/bin\n"), "not a private key", "-----BEGIN OPENSSH PRIVATE KEY-----"},
		{"binary", text("\x00\x01\xff\xfe" + strings.Repeat("\x80", 300)), "not a private key", "name a private key file"},
		{"X.509 certificate", reused("x509.pem"), "not a private key", "name a private key file"},
		{"public", reused("ed25519.pub"), "it is a public key", "the same name without .pub"},
		{"public with its private beside", func(t *testing.T) string { return private(t, "ed25519.pub", "ed25519") }, "it is a public key", "seems to be"},
		{"public in RFC 4716", reused("ed25519_rfc4716.pub"), "it is a public key", "without .pub"},
		{"public in PEM", text("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"), "it is a public key", "-m PKCS8 -f"},
		{"certificate", reused("ed25519-cert.pub"), "it is a certificate", "without -cert.pub; a certificate is found by itself"},
		{"cut PuTTY", func(t *testing.T) string { return file(t, "id", testdata(t, "ed25519.ppk")[:200]) }, "it is damaged", "from a backup"},
		{"ssh.com", reused("rsa_sshcom.pem"), "format of ssh.com", "-O private-openssh -o OUT"},
		{"SSH-1", text("SSH PRIVATE KEY FILE FORMAT 1.1\n\x00\x03\x00"), "an SSH-1 key", "make a new key"},
		{"encrypted PKCS#8", reused("ecdsa_pkcs8_enc.pem"), "there is no passphrase", "`passphrase:`"},
		{"encrypted OpenSSH", reused("ed25519_enc"), "there is no passphrase", "`passphrase:`"},
		{"encrypted PEM", reused("rsa_pkcs1_aes.pem"), "there is no passphrase", "`passphrase:`"},
		{"other cipher", text(envelope(public(t, "ed25519.pub").Marshal(), "blowfish-cbc", "bcrypt", nil)), `encrypted with "blowfish-cbc"`, "-Z aes256-ctr"},
		{"other KDF", text(envelope(public(t, "ed25519.pub").Marshal(), "aes256-ctr", "scrypt", nil)), `a KDF that is not known here ("scrypt")`, "ssh-keygen -p"},
		{"DSA", reused("dsa"), "of type ssh-dss", "`legacy: [ssh-dss]`"},
		{"DSA in PEM", reused("dsa_old.pem"), "of type ssh-dss", "ssh-keygen -t ed25519"},
		{"not for SSH", reused("x25519_pkcs8.pem"), "SSH does not use", "ssh-keygen -t ed25519"},
		{"short RSA", reused("rsa_short.pem"), "768 bits of RSA are too few", "ssh-keygen -t ed25519"},
		{"security key", text(envelope(ssh.Marshal(struct{ Type, Rest string }{"sk-ssh-ed25519@openssh.com", ""}), "none", "none", nil)), "it is a security key", "write `agent`"},
		{"key of tomorrow", text(envelope(ssh.Marshal(struct{ Type, Rest string }{"ssh-mldsa-65", ""}), "none", "none", nil)), "does not know", "ssh-keygen -t ed25519"},
		{"dear passphrase", text(envelope(public(t, "ed25519.pub").Marshal(), "aes256-ctr", "bcrypt", ssh.Marshal(struct {
			Salt   string
			Rounds uint32
		}{"sixteen bytes...", 1 << 30}))), "1073741824 rounds of bcrypt", "ssh-keygen -p -a 64"},
		{"cut off", func(t *testing.T) string { return file(t, "id", testdata(t, "ed25519")[:200]) }, "it is damaged", "from a backup"},
		{"half an RSA", func(t *testing.T) string { return file(t, "id", testdata(t, "rsa_pkcs1.pem")[:900]) }, "it is damaged", "from a backup"},
		{"a byte changed", func(t *testing.T) string { return file(t, "id", flipped(t, "ed25519", 200)) }, "it is damaged", "from a backup"},
		{"other public half", func(t *testing.T) string { return file(t, "id", flipped(t, "ed25519", 70)) }, "it is damaged", "from a backup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path(t)
			_, err := keys.Load(t.Context(), path, nil)
			wantFault(t, err, fault.Key, tt.message, tt.hint)
			noKeyText(t, path, err)
		})
	}
}

// envelope makes a file in OpenSSH's format around any public key.
func envelope(public []byte, cipher, kdf string, options []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF string
		Options     []byte
		Count       uint32
		Public      []byte
		Private     []byte
	}{cipher, kdf, options, 1, public, make([]byte, 64)})...)}))
}

// flipped changes one bit of the decoded content of a key.
func flipped(t *testing.T, name string, at int) string {
	t.Helper()
	block, _ := pem.Decode([]byte(testdata(t, name)))
	block.Bytes[at] ^= 1
	return string(pem.EncodeToMemory(block))
}

// noKeyText fails the test if a line of the file or the passphrase stands in
// the error or its hint.
func noKeyText(t *testing.T, path string, err error) {
	t.Helper()
	said := err.Error() + " " + fault.HintOf(err)
	if strings.Contains(said, passphrase) {
		t.Errorf("the passphrase is in %q", said)
	}
	data, readErr := os.ReadFile(path)
	if readErr != nil {
		return
	}
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSpace(text)
		if len(text) > 40 && strings.Contains(said, text) { // longer than what a hint quotes of a format
			t.Errorf("the line %q of the file is in %q", text, said)
		}
	}
}

func TestLoadPassphrase(t *testing.T) {
	for _, name := range []string{"ed25519_enc", "ed25519_cbc", "rsa_enc", "rsa_pkcs1_aes.pem", "rsa_pkcs1_3des.pem"} {
		path := private(t, name)
		for wrong, message := range map[string]string{
			"Sesame": "the passphrase does not fit", "sesame\n": "the passphrase does not fit", "": "there is no passphrase",
		} {
			phrase, left := secret(wrong)
			_, err := keys.Load(t.Context(), path, phrase)
			wantFault(t, err, fault.Key, message, "passphrase")
			noKeyText(t, path, err)
			if !bytes.Equal(left(), make([]byte, len(wrong))) {
				t.Errorf("%s: the passphrase was not wiped", name)
			}
		}
	}

	t.Run("damaged behind the right one", func(t *testing.T) {
		block, _ := pem.Decode([]byte(testdata(t, "ed25519_enc")))
		block.Bytes[len(block.Bytes)-1] ^= 1
		phrase, _ := secret(passphrase)
		_, err := keys.Load(t.Context(), file(t, "id", string(pem.EncodeToMemory(block))), phrase)
		wantFault(t, err, fault.Key, "it is damaged", "from a backup")
	})
	t.Run("no wrong one makes a key", func(t *testing.T) {
		// One of 256 survives the padding check of PEM's encryption.
		path := private(t, "rsa_pkcs1_aes.pem")
		for i := range 600 {
			phrase, _ := secret(strings.Repeat("x", i+1))
			_, err := keys.Load(t.Context(), path, phrase)
			wantFault(t, err, fault.Key, "the passphrase does not fit", "passphrase")
		}
	})
	t.Run("cannot be fetched", func(t *testing.T) {
		path := private(t, "ed25519_enc")
		gone := errors.New("no such variable")
		_, err := keys.Load(t.Context(), path, func(context.Context) ([]byte, error) { return nil, gone })
		if !fault.Is(err, fault.Key) || !errors.Is(err, gone) || !strings.Contains(err.Error(), "fetch the passphrase") {
			t.Errorf("got %v", err)
		}
		sorted := fault.New(fault.Config, "secret: variable is not set")
		_, err = keys.Load(t.Context(), path, func(context.Context) ([]byte, error) { return nil, sorted })
		if !fault.Is(err, fault.Config) {
			t.Errorf("kind %v, want the one of the secret", fault.KindOf(err))
		}
	})
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("the run was stopped")
		_, err := keys.Load(ctx, private(t, "ed25519_enc"), func(ctx context.Context) ([]byte, error) {
			cancel(stop)
			return nil, ctx.Err()
		})
		if err != stop {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

func TestLoadMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing there")
	}
	path := private(t, "ed25519")
	for _, mode := range []fs.FileMode{0o604, 0o640, 0o660, 0o644, 0o610, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keys.Load(t.Context(), path, nil)
		wantFault(t, err, fault.Key, "others may use it", "chmod 600 "+path)
	}
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Load(t.Context(), path, nil); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		// Somebody else's file is somebody else's business, as for ssh.
		if err := os.Chown(path, 21001, 21001); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Load(t.Context(), path, nil); err != nil {
			t.Errorf("another's file: %v", err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("this user may read everything")
	}
	path := private(t, "ed25519")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := keys.Load(t.Context(), path, nil)
	wantFault(t, err, fault.Key, "permission denied", "owner")
	_, err = keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: path}}})
	wantFault(t, err, fault.HostKeyUnknown, "permission denied", "read the file")
}

func TestCertificate(t *testing.T) {
	t.Run("beside", func(t *testing.T) {
		for _, name := range []string{"ed25519", "rsa"} {
			key, err := keys.Load(t.Context(), private(t, name, name+"-cert.pub"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if key.Certificate == nil || key.Certificate.KeyId != "tester" {
				t.Fatalf("certificate %+v", key.Certificate)
			}
			offered := key.Signers()
			if len(offered) != 2 || offered[0].PublicKey().Type() != key.Type+"-cert-v01@openssh.com" || offered[1] != key.Signer {
				t.Errorf("offers %v", offered)
			}
			if !slices.Equal(offered[0].(ssh.MultiAlgorithmSigner).Algorithms(), key.Signer.(ssh.MultiAlgorithmSigner).Algorithms()) {
				t.Error("the certificate may sign with more than the key")
			}
		}
	})
	t.Run("extension off", func(t *testing.T) {
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, "jephe.pem"), testdata(t, "ed25519"))
		write(t, filepath.Join(dir, "jephe-cert.pub"), testdata(t, "ed25519-cert.pub"))
		key, err := keys.Load(t.Context(), path, nil)
		if err != nil || key.Certificate == nil {
			t.Errorf("got %+v, %v", key, err)
		}
		// Without the extension it may as well belong to a neighbour.
		write(t, filepath.Join(dir, "jephe-cert.pub"), testdata(t, "rsa-cert.pub"))
		key, err = keys.Load(t.Context(), path, nil)
		if err != nil || key.Certificate != nil || len(key.Signers()) != 1 {
			t.Errorf("with a neighbour's: %+v, %v", key, err)
		}
	})
	for name, tt := range map[string]struct{ text, message string }{
		"another key's": {testdata(t, "rsa-cert.pub"), "it certifies another key"},
		"a host's":      {testdata(t, "host-cert.pub"), "made for a host"},
		"a plain key":   {testdata(t, "ed25519.pub"), "it is a plain public key"},
		"damaged":       {testdata(t, "ed25519-cert.pub")[:200], "cannot be read"},
		"altered":       {alteredCertificate(t, "ed25519-cert.pub"), "the signature of its authority does not fit"},
		"empty":         {"", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			path := private(t, "ed25519")
			write(t, path+"-cert.pub", tt.text)
			_, err := keys.Load(t.Context(), path, nil)
			wantFault(t, err, fault.Key, tt.message, "certified anew")
		})
	}
}

// alteredCertificate changes the serial number of a certificate, which its
// authority has signed.
func alteredCertificate(t *testing.T, name string) string {
	t.Helper()
	cert := public(t, name).(*ssh.Certificate)
	cert.Serial++
	return keys.AuthorizedLine(cert, "")
}

func TestPublic(t *testing.T) {
	for name, path := range map[string]string{
		"encrypted OpenSSH":      private(t, "ed25519_enc"),
		"a cipher with a tag":    private(t, "ed25519_gcm"),
		"encrypted PEM and .pub": private(t, "rsa_pkcs1_aes.pem", "rsa_pkcs1_aes.pem.pub"),
		"the public file":        private(t, "ed25519.pub"),
		"only the public file":   strings.TrimSuffix(private(t, "rsa.pub"), ".pub"),
	} {
		t.Run(name, func(t *testing.T) {
			key, err := keys.Public(path)
			if err != nil {
				t.Fatal(err)
			}
			want := filepath.Base(strings.TrimSuffix(path, ".pub")) + ".pub"
			if got := ssh.FingerprintSHA256(key); got != ssh.FingerprintSHA256(public(t, want)) {
				t.Errorf("fingerprint %s, want that of %s", got, want)
			}
		})
	}
	for name, want := range map[string]string{"ed25519.ppk": "ed25519.pub", "rsa_pkcs1.pem": ""} {
		key, err := keys.Public(private(t, name))
		if err != nil || want != "" && !bytes.Equal(key.Marshal(), public(t, want).Marshal()) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	_, err := keys.Public(private(t, "rsa_pkcs1_aes.pem"))
	wantFault(t, err, fault.Key, "public half", "ssh-keygen -y -f")
	_, err = keys.Public(filepath.Join(t.TempDir(), "none"))
	wantFault(t, err, fault.Key, "does not exist", "check the path")
}

func TestMatch(t *testing.T) {
	load := func(name string, more ...string) *keys.Key {
		key, err := keys.Load(t.Context(), private(t, append([]string{name}, more...)...), nil)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ed, rsa, other := load("ed25519", "ed25519-cert.pub"), load("rsa"), load("other")
	cert := ed.Signers()[0]
	held := []ssh.Signer{other.Signer, rsa.Signer, cert, ed.Signer}
	for _, tt := range []struct {
		name string
		want []ssh.PublicKey
		got  []ssh.Signer
	}{
		{"nothing wanted", nil, nil},
		{"not held", []ssh.PublicKey{public(t, "ca.pub")}, nil},
		{"in the wanted order", []ssh.PublicKey{public(t, "rsa.pub"), public(t, "other.pub")}, []ssh.Signer{rsa.Signer, other.Signer}},
		{"a certificate goes with its key", []ssh.PublicKey{public(t, "ed25519.pub")}, []ssh.Signer{cert, ed.Signer}},
		{"and a key with its certificate", []ssh.PublicKey{public(t, "ed25519-cert.pub")}, []ssh.Signer{cert, ed.Signer}},
		{"wanted twice", []ssh.PublicKey{public(t, "rsa.pub"), public(t, "rsa.pub")}, []ssh.Signer{rsa.Signer}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := keys.Match(held, tt.want); !slices.Equal(got, tt.got) {
				t.Errorf("got %v, want %v", got, tt.got)
			}
		})
	}
}
