package keys_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"linehaul/fault"
	"linehaul/internal/lab"
)

// serveAgent serves one client of an agent that is not OpenSSH's.
func serveAgent(t *testing.T, serve func(net.Conn)) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		lab.NotUnderWine(t, "Unix sockets")
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := listener.Accept(); err == nil {
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		os.RemoveAll(dir)
	})
	return socket
}

// TestAgentUnknownKeys: keys of types that only the agent knows are left out.
func TestAgentUnknownKeys(t *testing.T) {
	a := openAgent(t, serveAgent(t, func(c net.Conn) { agent.ServeAgent(oddAgent{agent.NewKeyring()}, c) }))
	held, err := a.Keys()
	signers, err2 := a.Signers()
	if err != nil || err2 != nil || len(held) != 0 || len(signers) != 0 {
		t.Errorf("got %v, %v, %v, %v", held, signers, err, err2)
	}
}

// An oddAgent holds a key that no library knows.
type oddAgent struct{ agent.Agent }

func (oddAgent) List() ([]*agent.Key, error) {
	blob := ssh.Marshal(struct{ Type, Rest string }{"ssh-tomorrow", "data"})
	return []*agent.Key{{Format: "ssh-tomorrow", Blob: blob, Comment: "odd"}}, nil
}

// TestAgentBadAnswers: whatever an agent sends, the answer is a fault, at once.
func TestAgentBadAnswers(t *testing.T) {
	key := ssh.Marshal(struct{ Type, Rest string }{"ssh-ed25519", "short"})
	tests := []struct {
		name, answer, message string
	}{
		{"nothing", "", "it hangs up"},
		{"half a length", "\x00\x00", "it hangs up"},
		{"half a message", "\x00\x00\x00\x09\x0c\x00", "it hangs up"},
		{"length of 2^31", "\x80\x00\x00\x00\x0c", "a message of 2147483648 bytes, where 1 to 262144 are allowed"},
		{"length of 2^32-1", "\xff\xff\xff\xff\x0c", "a message of 4294967295 bytes"},
		{"length beyond the limit", "\x00\x04\x00\x01\x0c", "a message of 262145 bytes"},
		{"length of nothing", "\x00\x00\x00\x00", "a message of 0 bytes"},
		{"another server", "SSH-2.0-OpenSSH_9.2\r\n", "a message of 1397966893 bytes"},
		{"refusal", "\x00\x00\x00\x01\x05", "failed to list keys"},
		{"unknown message", "\x00\x00\x00\x01\x77", "list the keys"},
		{"answer to another request", "\x00\x00\x00\x01\x06", "list the keys"},
		{"count without keys", "\x00\x00\x00\x05\x0c\x00\x00\x00\x02", "list the keys"},
		{"count of 2^31", "\x00\x00\x00\x05\x0c\x80\x00\x00\x00", "list the keys"},
		{"count as great as the library takes", "\x00\x00\x00\x05\x0c\x00\x1f\xff\xff", "list the keys"},
		{"key of 2^31 bytes", "\x00\x00\x00\x09\x0c\x00\x00\x00\x01\x80\x00\x00\x00", "list the keys"},
		{"damaged key", "\x00\x00\x00\x28\x0c\x00\x00\x00\x01\x00\x00\x00\x18" + string(key) + "\x00\x00\x00\x03abc", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := openAgent(t, serveAgent(t, func(c net.Conn) {
				io.ReadFull(c, make([]byte, 5))
				io.WriteString(c, tt.answer)
			}))
			held, err := a.Keys()
			if tt.message == "" {
				if err != nil || len(held) != 0 {
					t.Errorf("got %v, %v", held, err)
				}
				return
			}
			wantFault(t, err, fault.Key, tt.message, "ssh-add -l")
		})
	}
}

// TestAgentClose: Close frees a request that an agent does not answer.
func TestAgentClose(t *testing.T) {
	asked := make(chan struct{})
	a := openAgent(t, serveAgent(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 5))
		close(asked)
		io.Copy(io.Discard, c)
	}))
	go func() {
		<-asked
		a.Close()
	}()
	_, err := a.Keys()
	wantFault(t, err, fault.Key, "list the keys of the ssh-agent", "ssh-add -l")
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed in it", err)
	}
}

// TestAgentOldRSA: an agent that knows RSA with SHA-1 only is found out.
func TestAgentOldRSA(t *testing.T) {
	ring := agent.NewKeyring()
	rsa, err := ssh.ParseRawPrivateKey([]byte(testdata(t, "rsa")))
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: rsa}); err != nil {
		t.Fatal(err)
	}
	// Without the extended interface the server of the library ignores the flags.
	a := openAgent(t, serveAgent(t, func(c net.Conn) { agent.ServeAgent(oldAgent{ring}, c) }))
	signers, err := a.Signers()
	if err != nil || len(signers) != 1 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	_, err = signers[0].(ssh.AlgorithmSigner).SignWithAlgorithm(nil, []byte("data"), ssh.KeyAlgoRSASHA512)
	wantFault(t, err, fault.Key, `it signs by "ssh-rsa", not by "rsa-sha2-512"`, "update it")
}

type oldAgent struct{ agent.Agent }
