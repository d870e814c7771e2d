package keys_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
)

// startAgent runs a real ssh-agent that holds these keys of testdata, and
// makes it the user's.
func startAgent(t *testing.T, names ...string) (socket string) {
	t.Helper()
	var files []string
	for _, name := range names {
		file := private(t, name)
		if _, err := os.Stat(filepath.Join("testdata", name+"-cert.pub")); err == nil {
			write(t, file+"-cert.pub", testdata(t, name+"-cert.pub"))
		}
		files = append(files, file)
	}
	socket = lab.StartAgent(t, files...)
	t.Setenv("SSH_AUTH_SOCK", socket)
	return socket
}

func openAgent(t *testing.T, socket string) *keys.Agent {
	t.Helper()
	a, err := keys.OpenAgent(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestAgent(t *testing.T) {
	before := runtime.NumGoroutine()
	socket := startAgent(t, "ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521", "dsa")
	started := runtime.NumGoroutine() // with the one that waits for the agent
	a := openAgent(t, socket)

	held, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, k := range held {
		types = append(types, strings.TrimSuffix(k.Type, "-cert-v01@openssh.com"))
		if !strings.HasSuffix(k.Comment, " comment") || !strings.HasPrefix(k.Fingerprint, "SHA256:") || k.Public.Type() != k.Type {
			t.Errorf("key %+v", k)
		}
	}
	if want := []string{"ssh-ed25519", "ssh-ed25519", "ssh-rsa", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-dss"}; !slices.Equal(types, want) {
		t.Errorf("keys %q, want %q", types, want)
	}

	signers, err := a.Signers()
	if err != nil {
		t.Fatal(err)
	}
	if len(signers) != 7 { // all but the DSA one
		t.Errorf("%d signers, want 7", len(signers))
	}
	for _, s := range signers {
		signs(t, s)
		if s.PublicKey().Type() == "ssh-rsa" {
			if _, err := s.(ssh.AlgorithmSigner).SignWithAlgorithm(nil, []byte("data"), ssh.KeyAlgoRSA); err == nil {
				t.Error("signed with SHA-1")
			}
		}
	}
	if runtime.NumGoroutine() > started {
		t.Errorf("%d goroutines, %d before the agent was opened, %d at first", runtime.NumGoroutine(), started, before)
	}

	want, err := keys.Public(private(t, "rsa", "rsa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	matching := keys.Match(signers, []ssh.PublicKey{want})
	if len(matching) != 2 || matching[0].PublicKey().Type() != "ssh-rsa" || matching[1].PublicKey().Type() != "ssh-rsa-cert-v01@openssh.com" {
		t.Errorf("matching %v", matching)
	}

	lab.Run(t, "ssh-add", "-q", "-d", strings.TrimSuffix(private(t, "ecdsa384.pub"), ".pub"))
	for _, s := range signers {
		if s.PublicKey().Type() == "ecdsa-sha2-nistp384" {
			_, err := s.Sign(nil, []byte("data"))
			wantFault(t, err, fault.Key, "sign with key SHA256:", "ssh-add -l")
		}
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	_, err = a.Signers()
	wantFault(t, err, fault.Key, "list the keys of the ssh-agent", "ssh-add -l")
}

// TestAgentLogin logs in to a real server with keys that only the agent has.
func TestAgentLogin(t *testing.T) {
	names := []string{"ed25519", "rsa", "ecdsa256"}
	var authorized []string
	for _, name := range names {
		authorized = append(authorized, line(t, name+".pub"))
	}
	authorized = append(authorized, "cert-authority,principals=\"tester\" "+line(t, "ca.pub"))
	server := lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"}, AuthorizedKeys: authorized})
	a := openAgent(t, startAgent(t, names...))
	signers, err := a.Signers()
	if err != nil {
		t.Fatal(err)
	}
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file(t, "known_hosts", server.KnownHosts())}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		t.Run(s.PublicKey().Type(), func(t *testing.T) { login(t, server, h, s) })
	}
	if len(signers) != 5 { // two of them with a certificate
		t.Errorf("%d signers", len(signers))
	}
}

// TestLogin logs in to a real server with each kind of key, and certificates.
func TestLogin(t *testing.T) {
	names := []string{"ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521"}
	var authorized []string
	for _, name := range names[2:] {
		authorized = append(authorized, line(t, name+".pub"))
	}
	authorized = append(authorized, line(t, "ed25519_enc.pub"), "cert-authority,principals=\"tester\" "+line(t, "ca.pub"))
	server := lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519", "rsa"}, AuthorizedKeys: authorized})
	pin, err := keys.ParsePin(server.Fingerprint("rsa"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file(t, "known_hosts", server.KnownHosts("rsa"))}}})
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := keys.NewHostKeys(keys.HostKeyOptions{Pins: []keys.Pin{pin}})
	if err != nil {
		t.Fatal(err)
	}
	phrase, _ := secret(passphrase)
	for _, name := range append(names, "ed25519_enc") {
		files := []string{name}
		if name == "ed25519" || name == "rsa" {
			files = append(files, name+"-cert.pub")
		}
		key, err := keys.Load(t.Context(), private(t, files...), phrase)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { login(t, server, h, key.Signers()[0]) })
	}
	key, err := keys.Load(t.Context(), private(t, "ecdsa256"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("pinned", func(t *testing.T) { login(t, server, pinned, key.Signer) })
}

// login logs in as the caller of Groups is told to: list after list.
func login(t *testing.T, server *lab.Server, h *keys.HostKeys, signers ...ssh.Signer) {
	t.Helper()
	var last error
	for _, group := range h.Groups(server.Host, server.Port) {
		client, err := ssh.Dial("tcp", server.Addr, &ssh.ClientConfig{
			Config:            ssh.Config{KeyExchanges: keys.KeyExchanges(), Ciphers: keys.Ciphers(), MACs: keys.MACs()},
			User:              server.User,
			Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
			HostKeyAlgorithms: group,
			HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
				return h.Check(server.Host, server.Port, key)
			},
			Timeout: 10 * time.Second,
		})
		if err == nil {
			client.Close()
			return
		}
		last = err
		var none *ssh.AlgorithmNegotiationError
		var refused *keys.HostKeyError
		if !errors.As(err, &none) && (!errors.As(err, &refused) || refused.Reason != keys.NotPinned) {
			break
		}
	}
	t.Errorf("%v\n%s", last, server.Log())
}

// TestAgentDSA: a DSA key in an agent is offered to a host that asks for it.
func TestAgentDSA(t *testing.T) {
	server := lab.StartSSHD(t, lab.SSHD{
		HostKeys: []string{"ed25519"}, AuthorizedKeys: []string{line(t, "dsa.pub")},
		Config: "PubkeyAcceptedAlgorithms ssh-dss\n",
	})
	a := openAgent(t, startAgent(t, "dsa"))
	signers, err := a.Signers("ssh-dss")
	if err != nil || len(signers) != 1 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	signs(t, signers[0])
	login(t, server, knownHosts(t, server), signers[0])
}

// knownHosts knows the keys of one server.
func knownHosts(t *testing.T, server *lab.Server) *keys.HostKeys {
	t.Helper()
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file(t, "known_hosts", server.KnownHosts())}}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestAgentManyKeys: of an agent full of keys, a configured file finds its own.
func TestAgentManyKeys(t *testing.T) {
	socket := startAgent(t)
	dir := t.TempDir()
	var fingerprints []string
	for i := range 9 {
		file := lab.Keygen(t, filepath.Join(dir, fmt.Sprint("key", i)), "ed25519")
		lab.Run(t, "ssh-add", "-q", file)
		fingerprints = append(fingerprints, lab.Fingerprint(t, file))
	}
	a := openAgent(t, socket)
	held, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range held {
		if k.Fingerprint != fingerprints[i] {
			t.Errorf("key %d is %s, want %s", i, k.Fingerprint, fingerprints[i])
		}
	}
	signers, err := a.Signers()
	if err != nil || len(signers) != 9 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	want, err := keys.Public(filepath.Join(dir, "key7"))
	if err != nil {
		t.Fatal(err)
	}
	matching := keys.Match(signers, []ssh.PublicKey{want})
	if len(matching) != 1 || ssh.FingerprintSHA256(matching[0].PublicKey()) != fingerprints[7] {
		t.Errorf("matching %v, want one with %s", matching, fingerprints[7])
	}
}

// askpass lets ssh-add and ssh-agent have a password, and turns down what they
// ask to be allowed.
func askpass(t *testing.T) {
	t.Helper()
	script := file(t, "askpass", "#!/bin/sh\ncase $1 in *Allow*) exit 1;; esac\necho sesame\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_ASKPASS", script)
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	t.Setenv("DISPLAY", ":0")
}

func TestAgentLocked(t *testing.T) {
	askpass(t)
	a := openAgent(t, startAgent(t, "ecdsa256"))
	signers, err := a.Signers()
	if err != nil || len(signers) != 1 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	lab.Run(t, "ssh-add", "-x")
	if held, err := a.Keys(); err != nil || len(held) != 0 {
		t.Errorf("locked: keys %v, %v", held, err)
	}
	if none, err := a.Signers(); err != nil || len(none) != 0 {
		t.Errorf("locked: signers %v, %v", none, err)
	}
	_, err = signers[0].Sign(nil, []byte("data"))
	wantFault(t, err, fault.Key, "sign with key SHA256:", "it may be locked")
	lab.Run(t, "ssh-add", "-X")
	signs(t, signers[0])
}

// TestAgentTurnsDown: the agent's user turns down the use of one key, and the
// login goes on with the next one.
func TestAgentTurnsDown(t *testing.T) {
	askpass(t)
	server := lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"}, AuthorizedKeys: []string{line(t, "ecdsa256.pub"), line(t, "ecdsa384.pub")},
		Config: "MaxAuthTries 2\n"})
	socket := startAgent(t)
	lab.Run(t, "ssh-add", "-q", "-c", private(t, "ecdsa256"))
	lab.Run(t, "ssh-add", "-q", private(t, "ecdsa384"))
	signers, err := openAgent(t, socket).Signers()
	if err != nil || len(signers) != 2 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	h := knownHosts(t, server)
	config := &ssh.ClientConfig{
		User: server.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, Timeout: 10 * time.Second,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			return h.Check(server.Host, server.Port, key)
		},
	}
	if client, err := ssh.Dial("tcp", server.Addr, config); err == nil {
		client.Close()
		t.Log("the library goes on by itself now: PublicKeyLogin is not needed any more")
	}
	l := keys.NewPublicKeyLogin(signers)
	config.Auth = []ssh.AuthMethod{l.Method()}
	config.AuthCallback = func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) { return l.Next(c), nil }
	client, err := ssh.Dial("tcp", server.Addr, config)
	if err != nil {
		t.Fatalf("%v\n%s", err, server.Log())
	}
	client.Close()
	unsigned := l.Unsigned()
	if len(unsigned) != 1 {
		t.Fatalf("unsigned %v", unsigned)
	}
	wantFault(t, unsigned[0], fault.Key, "sign with key "+ssh.FingerprintSHA256(signers[0].PublicKey()), "ssh-add -l")
}
