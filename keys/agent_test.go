package keys_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
)

// startAgent runs a real ssh-agent that holds these keys of testdata.
func startAgent(t *testing.T, names ...string) (socket string) {
	t.Helper()
	lab.Need(t, "ssh-agent", "ssh-add")
	// Not t.TempDir(): the path of a socket has room for 100 characters only.
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	p := lab.Start(t, filepath.Join(dir, "log"), nil, "ssh-agent", "-D", "-a", socket)
	for range 200 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	for _, name := range names {
		file := private(t, name)
		if _, err := os.Stat(filepath.Join("testdata", name+"-cert.pub")); err == nil {
			write(t, file+"-cert.pub", testdata(t, name+"-cert.pub"))
		}
		if out := lab.Run(t, "ssh-add", "-q", file); out != "" {
			t.Log(out, p.Log())
		}
	}
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
func login(t *testing.T, server *lab.Server, h *keys.HostKeys, s ssh.Signer) {
	t.Helper()
	var last error
	for _, group := range h.Groups(server.Host, server.Port) {
		client, err := ssh.Dial("tcp", server.Addr, &ssh.ClientConfig{
			Config:            ssh.Config{KeyExchanges: keys.KeyExchanges(), Ciphers: keys.Ciphers(), MACs: keys.MACs()},
			User:              server.User,
			Auth:              []ssh.AuthMethod{ssh.PublicKeys(s)},
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

func TestOpenAgentRefuses(t *testing.T) {
	_, err := keys.OpenAgent(t.Context(), "")
	wantFault(t, err, fault.Key, "SSH_AUTH_SOCK is not set", "ssh-add FILE")
	absent := filepath.Join(t.TempDir(), "none")
	_, err = keys.OpenAgent(t.Context(), absent)
	wantFault(t, err, fault.Key, "connect to the ssh-agent at", "no agent listens there")
	if strings.Count(err.Error(), absent) != 1 {
		t.Errorf("the path stands twice in %q", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the run was stopped")
	cancel(stop)
	if _, err := keys.OpenAgent(ctx, absent); err != stop {
		t.Errorf("got %v, want the cause", err)
	}
}

// TestAgentUnknownKeys: keys of types that only the agent knows are left out.
func TestAgentUnknownKeys(t *testing.T) {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = agent.ServeAgent(oddAgent{agent.NewKeyring()}, conn)
			conn.Close()
		}
		done <- err
	}()
	a := openAgent(t, filepath.Join(dir, "s"))
	held, err := a.Keys()
	signers, err2 := a.Signers()
	if err != nil || err2 != nil || len(held) != 0 || len(signers) != 0 {
		t.Errorf("got %v, %v, %v, %v", held, signers, err, err2)
	}
	a.Close()
	listener.Close()
	<-done
}

// An oddAgent holds a key that no library knows.
type oddAgent struct{ agent.Agent }

func (oddAgent) List() ([]*agent.Key, error) {
	blob := ssh.Marshal(struct{ Type, Rest string }{"ssh-tomorrow", "data"})
	return []*agent.Key{{Format: "ssh-tomorrow", Blob: blob, Comment: "odd"}}, nil
}
