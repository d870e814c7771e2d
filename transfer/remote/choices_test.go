package remote_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// dialed connects and returns what the log and the error say.
func dialed(t *testing.T, h remote.Host) (info remote.Info, log string, err error) {
	t.Helper()
	var b logBuffer
	c, err := remote.Dial(t.Context(), &net.Dialer{}, h, b.logger())
	if err == nil {
		info = c.Info()
		c.Close()
	}
	return info, b.String(), err
}

// newRSA makes an RSA key of a size that some call short.
func newRSA(t *testing.T, bits int) (string, ssh.PublicKey) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "id_rsa")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return file, public
}

// newCertificate signs a key for a user, and returns the file.
func newCertificate(t *testing.T, key ssh.PublicKey, user string) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{user}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cert.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestChoices: what a host may choose of keys, ways to log in and algorithms
// holds, and what it leaves out is named.
func TestChoices(t *testing.T) {
	t.Parallel()
	good, public := newKey(t)
	bad, badPublic := newKey(t)
	short, shortPublic := newRSA(t, 2048)
	certs := func(optional bool, files ...string) (all []keys.CertificateFile) {
		for _, f := range files {
			all = append(all, keys.CertificateFile{Path: f, Optional: optional})
		}
		return all
	}
	mine, foreign := newCertificate(t, public, "jephe"), newCertificate(t, badPublic, "jephe")
	crowd := serveAgent(t, 3, good)
	for name, tt := range map[string]struct {
		server remotetest.Options
		host   remote.Host
		kind   fault.Kind // of the error
		want   []string   // in the error, or else in the log
		never  string     // in the log
		ok     bool
	}{
		"the agent's other keys": {host: remote.Host{KeyFiles: []string{bad}, AgentSocket: crowd, AgentKeys: remote.AgentAll}, ok: true},
		"only those of files":    {host: remote.Host{KeyFiles: []string{bad}, AgentSocket: crowd}, kind: fault.Login, want: []string{bad}},
		"only those, and no files": {host: remote.Host{AgentSocket: crowd, AgentKeys: remote.AgentMatching}, kind: fault.Login,
			want: []string{"offered no key"}},
		"only those of certificates": {host: remote.Host{AgentSocket: crowd, AgentKeys: remote.AgentMatching, Certificates: certs(false, mine)}, ok: true},

		"a certificate that the server does not know": {host: remote.Host{KeyFiles: []string{good}, Certificates: certs(false, mine)}, ok: true, never: "WARN"},
		"of no key":              {host: remote.Host{KeyFiles: []string{good}, Certificates: certs(false, mine, foreign)}, kind: fault.Key, want: []string{foreign, "belongs to none of the keys", ssh.FingerprintSHA256(badPublic)}},
		"of no key, as it may":   {host: remote.Host{KeyFiles: []string{good}, Certificates: certs(true, foreign)}, ok: true, want: []string{"WARN", "belongs to none of the keys"}},
		"of nobody":              {host: remote.Host{KeyFiles: []string{good}, Certificates: certs(false, good+".pub")}, kind: fault.Key, want: []string{"a plain public key"}},
		"of nobody, as it may":   {host: remote.Host{KeyFiles: []string{good}, Certificates: certs(true, good+".pub")}, ok: true, want: []string{"a plain public key"}},
		"of a key by its public": {host: remote.Host{KeyFiles: []string{good + ".pub"}, AgentSocket: crowd, Certificates: certs(false, mine)}, ok: true},
		"for another user": {host: remote.Host{KeyFiles: []string{good}, Certificates: certs(false, newCertificate(t, public, "other"))}, ok: true,
			want: []string{`is for other, and the login is`}},

		"password alone": {server: remotetest.Options{Password: "pw"}, ok: true,
			host: remote.Host{KeyFiles: []string{filepath.Join(t.TempDir(), "absent")}, Password: secret("pw"), Methods: []string{"password"}}, never: "absent"},
		"no password": {server: remotetest.Options{Password: "pw"}, kind: fault.Login,
			host: remote.Host{Password: secret("pw"), Methods: []string{"publickey"}}, want: []string{"offered no key, no password"}},
		"not by keyboard": {server: remotetest.Options{Password: "pw", Keyboard: true}, kind: fault.Login,
			host: remote.Host{Password: secret("pw"), Methods: []string{"publickey", "password"}}, want: []string{"takes"}},

		"short RSA":       {host: remote.Host{KeyFiles: []string{short}, MinRSA: 2048}, ok: true},
		"too short RSA":   {host: remote.Host{KeyFiles: []string{short}, MinRSA: 2049}, kind: fault.Key, want: []string{short, "2048 bits", "asks for 2049"}},
		"another instead": {host: remote.Host{KeyFiles: []string{short, good}, MinRSA: 4096}, ok: true, want: []string{"WARN", "2048 bits"}},
		"not its algorithm": {host: remote.Host{KeyFiles: []string{good}, Algorithms: keys.Algorithms{PublicKeys: []string{"rsa-sha2-512"}}}, kind: fault.Key,
			want: []string{good, "PubkeyAcceptedAlgorithms (rsa-sha2-512)"}},
		"its algorithm": {host: remote.Host{KeyFiles: []string{good}, Algorithms: keys.Algorithms{PublicKeys: []string{"rsa-sha2-512", "ssh-ed25519"}}}, ok: true},
		"ciphers": {host: remote.Host{KeyFiles: []string{good}, Algorithms: keys.Algorithms{Ciphers: []string{"3des-cbc"}}}, kind: fault.SSH,
			want: []string{"no common algorithm", "linehaul asks for 3des-cbc"}},
		"key exchanges": {host: remote.Host{KeyFiles: []string{good}, Algorithms: keys.Algorithms{KeyExchanges: []string{"diffie-hellman-group1-sha1"}}}, kind: fault.SSH,
			want: []string{"linehaul asks for diffie-hellman-group1-sha1"}},
		"host keys": {host: remote.Host{KeyFiles: []string{good}, Algorithms: keys.Algorithms{HostKeys: []string{"ssh-ed25519"}}}, ok: true},
		"no host keys": {host: remote.Host{KeyFiles: []string{good}, Algorithms: keys.Algorithms{HostKeys: []string{"ssh-dss"}}}, kind: fault.Config,
			want: []string{"HostKeyAlgorithms (ssh-dss)"}},

		"another family": {host: remote.Host{KeyFiles: []string{good}, Network: "tcp6"}, kind: fault.TCP, want: []string{"connect to hk1"}},
		"the family":     {host: remote.Host{KeyFiles: []string{good}, Network: "tcp4", BindAddress: "127.0.0.1"}, ok: true},
		"no address of ours": {host: remote.Host{KeyFiles: []string{good}, BindAddress: "no-such-name.invalid"}, kind: fault.Config,
			want: []string{`"no-such-name.invalid"`}},

		"warnings": {ok: true, want: []string{`level=WARN msg="something is asked for that linehaul does not do" host=hk1 what="/c:7: X is not honoured: no"`, "level=DEBUG", "what=\"Y is not honoured: never\""},
			host: remote.Host{KeyFiles: []string{good}, Warnings: []remote.Warning{{File: "/c", Line: 7, What: "X", Why: "no"}, {What: "Y", Why: "never", Minor: true}}}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.server.AuthorizedKeys = []ssh.PublicKey{public, shortPublic}
			_, at := startServer(t, tt.server)
			h := tt.host
			h.Name, h.Address, h.Port, h.User, h.HostKeys = at.Name, at.Address, at.Port, at.User, at.HostKeys
			_, log, err := dialed(t, h)
			if !tt.ok {
				check(t, err, tt.kind, tt.want...)
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			for _, w := range tt.want {
				if !strings.Contains(log, w) {
					t.Errorf("the log lacks %q:\n%s", w, log)
				}
			}
			if tt.never != "" && strings.Contains(log, tt.never) {
				t.Errorf("the log has %q:\n%s", tt.never, log)
			}
		})
	}
}

// TestHostKeyAlias: the key is looked up by the alias, without the port.
func TestHostKeyAlias(t *testing.T) {
	t.Parallel()
	s, h := startServer(t, remotetest.Options{})
	file := filepath.Join(t.TempDir(), "known_hosts")
	text := strings.Join([]string{"prod.example.net", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.HostKey())))}, " ")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.HostKeys, err = keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file, Required: true}}}); err != nil {
		t.Fatal(err)
	}
	_, _, err = dialed(t, h)
	check(t, err, fault.HostKeyUnknown, fmt.Sprintf("127.0.0.1:%d is not known", h.Port))
	h.HostKeyAlias = "prod.example.net"
	if _, _, err = dialed(t, h); err != nil {
		t.Error(err)
	}
	h.HostKeyAlias = "other"
	_, _, err = dialed(t, h)
	check(t, err, fault.HostKeyUnknown, `connect to hk1 (127.0.0.1:`, `whose key is known as "other"`)
}

// TestShortHostKey: a server's RSA key that is known is still too short.
func TestShortHostKey(t *testing.T) {
	t.Parallel()
	file, public := newRSA(t, 2048)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	h := hostAt(listen(t, func(c net.Conn) { ssh.NewServerConn(c, config) }))
	h.HostKeys, h.MinRSA = pinned(t, ssh.FingerprintSHA256(public)), 3072
	_, _, err = dialed(t, h)
	check(t, err, fault.HostKeyChanged, "an RSA key of 2048 bits", "3072")
	h.MinRSA = 2048
	if _, _, err = dialed(t, h); err != nil {
		t.Error(err)
	}
}

// TestBindAddress: the server sees the address, also by name, and only a plain
// dialer can begin there.
func TestBindAddress(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	h := hostAt(listen(t, func(c net.Conn) {
		seen <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		fmt.Fprint(c, "no SSH\r\n")
	}))
	h.HostKeys, h.ConnectTimeout = noKeys(t), 5*time.Second
	h.BindAddress = "127.0.0.3"
	if runtime.GOOS != "linux" {
		h.BindAddress = "127.0.0.1" // others have only this one
	}
	_, _, err := dialed(t, h)
	check(t, err, fault.SSH, "from "+h.BindAddress, "is not an SSH server")
	if got := <-seen; got != h.BindAddress {
		t.Errorf("the server sees %s", got)
	}
	h.BindAddress = "192.0.2.7"
	_, _, err = dialed(t, h)
	check(t, err, fault.TCP, "from 192.0.2.7")
	_, err = remote.Dial(t.Context(), dialFunc(func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }), h, nil)
	check(t, err, fault.Config, "cannot begin at the address")
}
