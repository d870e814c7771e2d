package keys_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/windows"

	"linehaul/fault"
	"linehaul/keys"
)

// A pipeEnd is the server's end of a named pipe.
type pipeEnd windows.Handle

func (p pipeEnd) Read(b []byte) (int, error) {
	var n uint32
	if err := windows.ReadFile(windows.Handle(p), b, &n, nil); err != nil {
		return 0, io.EOF
	}
	return int(n), nil
}

func (p pipeEnd) Write(b []byte) (n int, err error) {
	var done uint32
	err = windows.WriteFile(windows.Handle(p), b, &done, nil)
	return int(done), err
}

// servePipe serves one client of an agent, on a pipe that belongs to this user.
func servePipe(t *testing.T, ring agent.Agent) (name string) {
	t.Helper()
	name = `\\.\pipe\linehaul-` + rand.Text()
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	security, err := windows.SecurityDescriptorFromString(fmt.Sprintf("O:%[1]sD:P(A;;GA;;;%[1]s)", user.User.Sid))
	if err != nil {
		t.Fatal(err)
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: security}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	h, err := windows.CreateNamedPipe(path, windows.PIPE_ACCESS_DUPLEX, windows.PIPE_TYPE_BYTE|windows.PIPE_WAIT, 1, 4096, 4096, 0, &attributes)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer windows.CloseHandle(h)
		if err := windows.ConnectNamedPipe(h, nil); err == nil || errors.Is(err, windows.ERROR_PIPE_CONNECTED) {
			agent.ServeAgent(ring, pipeEnd(h))
		}
	}()
	t.Cleanup(func() { <-done })
	return name
}

// TestAgentPipe: the keys of an agent behind a named pipe are listed, and sign.
func TestAgentPipe(t *testing.T) {
	ring := agent.NewKeyring()
	for _, name := range []string{"ed25519", "rsa"} {
		key, err := ssh.ParseRawPrivateKey([]byte(testdata(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: key, Comment: name}); err != nil {
			t.Fatal(err)
		}
	}
	name := servePipe(t, ring)
	a, err := keys.OpenAgent(t.Context(), strings.ReplaceAll(name, `\`, "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	held, err := a.Keys()
	if err != nil || len(held) != 2 || held[0].Comment != "ed25519" || held[1].Type != ssh.KeyAlgoRSA {
		t.Fatalf("keys %v, %v", held, err)
	}
	signers, err := a.Signers()
	if err != nil || len(signers) != 2 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	for _, s := range signers {
		signs(t, s)
	}
}

func TestOpenAgentRefuses(t *testing.T) {
	_, err := keys.OpenAgent(t.Context(), `\\.\pipe\linehaul-none`)
	wantFault(t, err, fault.Key, `connect to the ssh-agent at "\\\\.\\pipe\\linehaul-none"`, `\\.\pipe\openssh-ssh-agent`)
	_, err = keys.OpenAgent(t.Context(), filepath.Join(t.TempDir(), "none"))
	wantFault(t, err, fault.Key, "connect to the ssh-agent at", "unset SSH_AUTH_SOCK")

	for _, where := range []string{"", "agent"} {
		if a, err := keys.OpenAgent(t.Context(), where); err == nil {
			a.Close() // somebody's own
		} else {
			wantFault(t, err, fault.Key, "connect to the ssh-agent: no agent answers", "start Pageant")
		}
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the run was stopped")
	cancel(stop)
	if _, err := keys.OpenAgent(ctx, ""); err != stop {
		t.Errorf("got %v, want the cause", err)
	}
}
