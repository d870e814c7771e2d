package remote_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer/remote"
)

// oldServer is an OpenSSH that takes nothing that is newer than DSA.
const oldServer = `HostKeyAlgorithms ssh-dss,ssh-rsa
PubkeyAcceptedAlgorithms ssh-dss,ssh-rsa
KexAlgorithms diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1
Ciphers 3des-cbc,aes128-cbc
MACs hmac-sha1,hmac-sha1-96
RequiredRSASize 1024`

// certServer takes certificates of one authority and no plain key.
const certServer = `AuthorizedKeysFile none
TrustedUserCAKeys %D/../CA.pub`

// matrixKey is one key in all the forms that it is written in.
type matrixKey struct {
	name   string
	public string // file
	forms  map[string]string
	legacy []string
}

// forms writes a key in every format that has a place for it.
func forms(t *testing.T, dir, name string, key *keys.PrivateKey) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, format := range []keys.Format{keys.OpenSSH, keys.PEM, keys.PKCS8, keys.PPK2, keys.PPK3} {
		if name == "ed25519" && format == keys.PEM {
			continue // there is no such form
		}
		text, err := keys.Marshal(key, format, nil, rand.Reader)
		if err != nil {
			t.Fatalf("%s as %s: %v", name, format, err)
		}
		file := filepath.Join(dir, name+"."+string(format))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		files[string(format)] = file
	}
	return files
}

func matrixKeys(t *testing.T, dir string) []matrixKey {
	t.Helper()
	var all []matrixKey
	for _, k := range []struct {
		name, keyType string
		args          []string
		legacy        []string
	}{
		{"ed25519", "ed25519", nil, nil},
		{"ecdsa256", "ecdsa", []string{"-b", "256"}, nil},
		{"ecdsa384", "ecdsa", []string{"-b", "384"}, nil},
		{"ecdsa521", "ecdsa", []string{"-b", "521"}, nil},
		{"rsa2048", "rsa", []string{"-b", "2048"}, nil},
		{"dsa", "dsa", nil, []string{"ssh-dss"}},
	} {
		file := lab.Keygen(t, filepath.Join(dir, k.name), k.keyType, k.args...)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := keys.ParsePrivate(data, nil)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		all = append(all, matrixKey{k.name, file + ".pub", forms(t, dir, k.name, parsed), k.legacy})
	}
	return all
}

// TestMatrix logs in for real: every type of key, in every form, to every
// server that takes it. The cells that a server refuses by what it is are
// listed and must be refused.
func TestMatrix(t *testing.T) {
	startsOthers(t)
	lab.NeedRoot(t)
	dir := t.TempDir()
	all := matrixKeys(t, dir)
	var public []string
	for _, k := range all {
		public = append(public, k.public)
	}
	old := []string{"ssh-rsa", "ssh-dss", "diffie-hellman-group1-sha1", "3des-cbc", "hmac-sha1"}
	servers := []struct {
		name   string
		server *lab.Server
		legacy []string
		takes  string // key types, by the beginnings of their names
	}{
		{"OpenSSH", lab.StartSSHD(t, lab.SSHD{Tester: true, AuthorizedKeys: public, Config: "PubkeyAcceptedAlgorithms +ssh-dss"}), nil, "ed ec rs ds"},
		{"OpenSSH, old", lab.StartSSHD(t, lab.SSHD{Tester: true, AuthorizedKeys: public, HostKeys: []string{"dsa", "rsa"}, Config: oldServer}), old, "rs ds"},
		{"dropbear", lab.StartDropbear(t, lab.Other{AuthorizedKeys: public}), nil, "ed ec rs ds"},
		{"ProFTPD", lab.StartProftpd(t, lab.Other{AuthorizedKeys: public}), nil, "ed ec rs ds"},
		{"asyncssh", lab.StartAsyncSSH(t, lab.Other{AuthorizedKeys: public}), nil, "ed ec rs ds"},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-10s %-8s", "key", "form")
	for _, s := range servers {
		fmt.Fprintf(&table, " %-13s", s.name)
	}
	cells, refused := 0, 0
	for _, k := range all {
		for form, file := range k.forms {
			fmt.Fprintf(&table, "\n%-10s %-8s", k.name, form)
			for _, s := range servers {
				takes := strings.Contains(" "+s.takes, " "+k.name[:2])
				err := logIn(t, s.server, file, append(k.legacy, s.legacy...))
				cells++
				switch {
				case err == nil && takes:
					fmt.Fprintf(&table, " %-13s", "ok")
				case err != nil && !takes:
					refused++
					fmt.Fprintf(&table, " %-13s", "refused")
				default:
					fmt.Fprintf(&table, " %-13s", "WRONG")
					t.Errorf("%s as %s to %s: taken %v, %v", k.name, form, s.name, err == nil, err)
				}
			}
		}
	}
	t.Logf("%d logins, %d of them refused as they must be\n%s", cells, refused, &table)
}

func logIn(t *testing.T, s *lab.Server, file string, legacy []string) error {
	t.Helper()
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(s.KnownHosts()), 0o600); err != nil {
		t.Fatal(err)
	}
	hostKeys, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: known, Required: true}}, Legacy: legacy})
	if err != nil {
		t.Fatal(err)
	}
	c, err := remote.Dial(t.Context(), &net.Dialer{}, remote.Host{
		Name: "h", Address: s.Host, Port: s.Port, User: s.User, KeyFiles: []string{file}, HostKeys: hostKeys, Legacy: legacy,
	}, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	files, err := c.Files(t.Context())
	if err != nil {
		return err
	}
	_, err = files.Stat(t.Context(), ".")
	return err
}

// TestCertificateLogin: a server that takes nothing but certificates of its
// authority, by a file beside the key, by one inside a PuTTY file, and by the
// agent.
func TestCertificateLogin(t *testing.T) {
	startsOthers(t)
	lab.NeedRoot(t)
	lab.Need(t, "ssh-agent", "ssh-add")
	dir := t.TempDir()
	ca := lab.Keygen(t, filepath.Join(dir, "ca"), "ed25519")
	public, err := os.ReadFile(ca + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(os.TempDir(), "linehaul-test-ca-"+filepath.Base(dir)+".pub")
	if err := os.WriteFile(authority, public, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(authority) })
	s := lab.StartSSHD(t, lab.SSHD{Tester: true, Config: strings.ReplaceAll(certServer, "%D/../CA.pub", authority)})
	key := lab.Keygen(t, filepath.Join(dir, "user"), "ed25519")
	if err := logIn(t, s, key, nil); err == nil {
		t.Error("the plain key is taken")
	}
	lab.Run(t, "ssh-keygen", "-q", "-s", ca, "-I", "linehaul test", "-n", "tester", "-V", "-1d:+1d", key+".pub")
	if err := logIn(t, s, key, nil); err != nil {
		t.Errorf("with the certificate beside the key: %v", err)
	}
	lab.Run(t, "ssh-keygen", "-q", "-s", ca, "-I", "linehaul test", "-n", "tester", "-V", "-2d:-1d", key+".pub")
	if err := logIn(t, s, key, nil); err == nil || !strings.Contains(err.Error(), "expired on ") {
		t.Errorf("with a certificate that expired: %v", err)
	}
	lab.Run(t, "ssh-keygen", "-q", "-s", ca, "-I", "linehaul test", "-n", "tester", "-V", "-1d:+1d", key+".pub")
	inside := filepath.Join(dir, "inside.ppk")
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := keys.ParsePrivate(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(key + "-cert.pub")
	if err != nil {
		t.Fatal(err)
	}
	cert, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	private.Certificate = cert.(*ssh.Certificate)
	text, err := keys.Marshal(private, keys.PPK3, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inside, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("cert-v01")) {
		t.Error("the PuTTY file holds no certificate")
	}
	if err := logIn(t, s, inside, nil); err != nil {
		t.Errorf("with the certificate inside a PuTTY file: %v", err)
	}
}
