package remote_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys"
)

// certServer takes certificates of one authority and no plain key, oldCertServer
// those that were signed with SHA-1 by RSA, of old types alone.
const (
	certServer = `AuthorizedKeysFile none
TrustedUserCAKeys %D/ca.pub
PubkeyAcceptedAlgorithms +ssh-dss-cert-v01@openssh.com`
	oldCertServer = `AuthorizedKeysFile none
TrustedUserCAKeys %D/ca.pub
HostKeyAlgorithms ssh-dss,ssh-rsa
PubkeyAcceptedAlgorithms ssh-dss-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com
CASignatureAlgorithms ssh-rsa
KexAlgorithms diffie-hellman-group1-sha1
Ciphers 3des-cbc
MACs hmac-sha1
RequiredRSASize 1024`
)

// An authority signs keys.
type authority struct {
	file string
	args []string // for ssh-keygen
}

// sign makes the certificate beside a key, valid in these days.
func (a *authority) sign(t *testing.T, key, days string) {
	t.Helper()
	args := append([]string{"-q", "-s", a.file, "-I", "linehaul test", "-n", "tester", "-V", days}, a.args...)
	lab.Run(t, "ssh-keygen", append(args, key+".pub")...)
}

const today = "-1d:+1d"

// start starts an OpenSSH that trusts the authority.
func (a *authority) start(t *testing.T, o lab.SSHD) *lab.Server {
	t.Helper()
	o.Tester = true
	s := lab.StartSSHD(t, o)
	if err := os.WriteFile(filepath.Join(s.Dir, "ca.pub"), readAll(t, a.file+".pub"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// certified copies a key into a folder of its own, with a certificate beside.
func (k *matrixKey) certified(t *testing.T, a *authority) string {
	t.Helper()
	file := writePrivate(t, filepath.Join(t.TempDir(), "id"), readAll(t, k.file))
	writePrivate(t, file+".pub", readAll(t, k.file+".pub"))
	a.sign(t, file, today)
	return file
}

// inside writes a PuTTY file that holds the key and the certificate that lies
// beside another file.
func (k *matrixKey) inside(t *testing.T, f keys.Format, certified string) string {
	t.Helper()
	cert, _, _, _, err := ssh.ParseAuthorizedKey(readAll(t, certified+"-cert.pub"))
	if err != nil {
		t.Fatal(err)
	}
	both := *k.private
	both.Certificate = cert.(*ssh.Certificate)
	file := (&matrixKey{name: k.name, private: &both}).written(t, f, "")
	if !bytes.Contains(readAll(t, file), []byte("-cert-v01@openssh.com")) {
		t.Errorf("%s: the PuTTY file holds no certificate", k.name)
	}
	return file
}

// TestCertificateMatrix logs in with a certificate of every type: beside its
// key, inside a PuTTY file, and held by an agent; to every server that takes
// certificates, without the plain key being known there. Servers that do not
// take them must refuse, and take the plain key all the same where they know it.
func TestCertificateMatrix(t *testing.T) {
	startsOthers(t)
	lab.NeedRoot(t)
	dir := t.TempDir()
	modern := &authority{lab.Keygen(t, filepath.Join(dir, "ca"), "ed25519"), nil}
	old := &authority{lab.Keygen(t, filepath.Join(dir, "oldca"), "rsa", "-b", "2048"), []string{"-t", "ssh-rsa"}}
	all := matrixKeys(t, dir)
	var public []string
	for _, k := range all {
		public = append(public, k.file+".pub")
	}
	trusted := []string{`cert-authority,principals="tester" ` + strings.TrimSpace(string(readAll(t, modern.file+".pub")))}
	columns := []matrixColumn{
		{name: "OpenSSH", takes: "ed ec rs ds", server: modern.start(t, lab.SSHD{Config: certServer})},
		{name: "OpenSSH, old", takes: "rs ds", legacy: oldAlgorithms(), server: old.start(t, lab.SSHD{HostKeys: []string{"dsa", "rsa"}, Config: oldCertServer})},
		{name: "asyncssh", takes: "ed ec rs ds", server: lab.StartAsyncSSH(t, lab.Other{AuthorizedKeys: trusted})},
		{name: "dropbear", server: lab.StartDropbear(t, lab.Other{AuthorizedKeys: trusted})},
		{name: "ProFTPD", server: lab.StartProftpd(t, lab.Other{AuthorizedKeys: []string{modern.file + ".pub"}})},
		{name: "dropbear, key", takes: "ed ec rs ds", server: lab.StartDropbear(t, lab.Other{AuthorizedKeys: public})},
		{name: "ProFTPD, key", takes: "ed ec rs ds", server: lab.StartProftpd(t, lab.Other{AuthorizedKeys: public})},
	}
	var held, oldHeld []string
	for i := range all {
		held, oldHeld = append(held, all[i].certified(t, modern)), append(oldHeld, all[i].certified(t, old))
	}
	socket, oldSocket := lab.StartAgent(t, held...), lab.StartAgent(t, oldHeld...)
	var rows []matrixRow
	for i := range all {
		k := &all[i]
		plain := writePrivate(t, filepath.Join(t.TempDir(), "id.pub"), readAll(t, k.file+".pub"))
		// The certificates of the modern authority, and of the old one for the
		// server that trusts it.
		for _, of := range []struct {
			file, socket, suffix string
			old                  bool
		}{{held[i], socket, "", false}, {oldHeld[i], oldSocket, ", SHA-1", true}} {
			tries := func(c *matrixColumn) bool { return (c.legacy != nil) == of.old }
			knows := func(c *matrixColumn) bool { return tries(c) && !strings.HasSuffix(c.name, "key") }
			rows = append(rows,
				matrixRow{key: k, by: "no certificate", file: k.file, never: true, tries: knows},
				matrixRow{key: k, by: "KEY-cert.pub" + of.suffix, file: of.file, tries: tries},
				matrixRow{key: k, by: "in a ppk2" + of.suffix, file: k.inside(t, keys.PPK2, of.file), tries: knows},
				matrixRow{key: k, by: "in a ppk3" + of.suffix, file: k.inside(t, keys.PPK3, of.file), tries: knows},
				matrixRow{key: k, by: "agent" + of.suffix, file: plain, socket: of.socket, tries: tries})
		}
	}
	runMatrix(t, columns, rows)
}

// TestCertificateExpired: what is wrong with a certificate is said beside the
// server's refusal.
func TestCertificateExpired(t *testing.T) {
	startsOthers(t)
	lab.NeedRoot(t)
	dir := t.TempDir()
	ca := &authority{lab.Keygen(t, filepath.Join(dir, "ca"), "ed25519"), nil}
	s := ca.start(t, lab.SSHD{Config: certServer})
	h := sshdHost(t, s, lab.Keygen(t, filepath.Join(dir, "user"), "ed25519"))
	for _, tt := range []struct{ days, message string }{
		{"-2d:-1d", "expired on "}, {"+1d:+2d", "is valid from "}, {today, ""},
	} {
		ca.sign(t, h.KeyFiles[0], tt.days)
		_, err := logIn(t, h)
		if (err == nil) != (tt.message == "") || err != nil && !strings.Contains(err.Error(), tt.message) {
			t.Errorf("with a certificate for %s: %v", tt.days, err)
		}
	}
}
