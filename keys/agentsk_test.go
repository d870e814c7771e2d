package keys_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"linehaul/internal/lab"
)

// A tokenAgent holds a security key: what OpenSSH's PROTOCOL.u2f says of an
// agent with a FIDO token behind it, whose user has touched it.
type tokenAgent struct {
	agent.Agent
	private ed25519.PrivateKey
	held    []ssh.PublicKey // the key, and certificates for it
}

const tokenApplication = "ssh:"

func newTokenAgent(t *testing.T) *tokenAgent {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, tokenApplication}))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.ParsePrivateKey([]byte(testdata(t, "ca")))
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{"tester"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return &tokenAgent{agent.NewKeyring(), private, []ssh.PublicKey{key, cert}}
}

func (a *tokenAgent) List() ([]*agent.Key, error) {
	var list []*agent.Key
	for _, key := range a.held {
		list = append(list, &agent.Key{Format: key.Type(), Blob: key.Marshal(), Comment: "token"})
	}
	return list, nil
}

func (a *tokenAgent) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte(tokenApplication)), sha256.Sum256(data)
	counted := []byte{1, 0, 0, 0, 42} // the flag for a touch, and a counter
	signed := ed25519.Sign(a.private, bytes.Join([][]byte{application[:], counted, message[:]}, nil))
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: signed, Rest: counted}, nil
}

// TestAgentSecurityKey: a security key and a certificate for it are listed, and
// log in to a real server.
func TestAgentSecurityKey(t *testing.T) {
	token := newTokenAgent(t)
	key := token.held[0]
	servers := []*lab.Server{
		lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"},
			AuthorizedKeys: []string{key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal())}}),
		lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"},
			AuthorizedKeys: []string{"cert-authority,principals=\"tester\" " + line(t, "ca.pub")}}),
	}
	a := openAgent(t, serveAgent(t, func(c net.Conn) { agent.ServeAgent(token, c) }))
	held, err := a.Keys()
	if err != nil || len(held) != 2 {
		t.Fatalf("keys %v, %v", held, err)
	}
	signers, err := a.Signers()
	if err != nil || len(signers) != 2 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	for i, want := range []string{ssh.KeyAlgoSKED25519, ssh.CertAlgoSKED25519v01} {
		if held[i].Type != want || held[i].Fingerprint != ssh.FingerprintSHA256(key) || signers[i].PublicKey().Type() != want {
			t.Errorf("key %+v, signer for %s, want %s", held[i], signers[i].PublicKey().Type(), want)
		}
		login(t, servers[i], knownHosts(t, servers[i]), signers[i])
	}
}
