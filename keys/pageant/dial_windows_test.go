package pageant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"linehaul/internal/lab"
)

// pipeName is one that a Pageant might have, and no other test.
func pipeName(t *testing.T) string {
	sum := sha256.Sum256([]byte(t.Name() + time.Now().String()))
	return pipeFolder + pageantPrefix + userName() + "." + hex.EncodeToString(sum[:])
}

// servePipe makes a pipe, as PuTTY makes its own, and serves one client with these answers; after the
// last it falls silent. It ends when the client has gone.
func servePipe(t *testing.T, name string, answers ...[]byte) {
	t.Helper()
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	id := me(t)
	security, err := windows.SecurityDescriptorFromString(fmt.Sprintf("O:%[1]sD:P(A;;GA;;;%[1]s)", id.sid))
	if err != nil {
		t.Fatal(err)
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: security}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	h, err := windows.CreateNamedPipe(path, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_FIRST_PIPE_INSTANCE,
		windows.PIPE_TYPE_BYTE|windows.PIPE_READMODE_BYTE|windows.PIPE_WAIT|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, 4096, 4096, 0, &attributes)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer windows.CloseHandle(h)
		if err := windows.ConnectNamedPipe(h, nil); err != nil && !errors.Is(err, windows.ERROR_PIPE_CONNECTED) && !errors.Is(err, windows.ERROR_NO_DATA) {
			t.Error(err)
			return
		}
		buf := make([]byte, maxRequest)
		var n uint32
		for {
			if err := windows.ReadFile(h, buf, &n, nil); err != nil {
				return
			}
			if len(answers) > 0 {
				if err := windows.WriteFile(h, answers[0], &n, nil); err != nil {
					return
				}
				answers = answers[1:]
			}
		}
	}()
	t.Cleanup(func() {
		// If nobody came, it still waits for its client.
		if c, err := windows.CreateFile(path, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0); err == nil {
			windows.CloseHandle(c)
		}
		<-done
	})
}

func me(t *testing.T) identity {
	t.Helper()
	id, err := whoAmI()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPipe(t *testing.T) {
	name, id := pipeName(t), me(t)
	servePipe(t, name, list(1), list(9))
	conn, how, err := find(t.Context(), []way{pipeWay(pipeName(t)+"0", id.ownPipe), pipeWay(name, id.ownPipe)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if how != name {
		t.Errorf("found %q", how)
	}
	if _, err := conn.Write(frame(agentRequestIdentities)); err != nil {
		t.Fatal(err)
	}
	if answer, err := ReadMessage(conn); err != nil || !bytes.Equal(answer, list(9)) {
		t.Errorf("got % x, %v", answer, err)
	}
}

func TestListPipes(t *testing.T) {
	name := pipeName(t)
	servePipe(t, name)
	all, err := listPipes()
	if errors.Is(err, windows.ERROR_BAD_DEV_TYPE) {
		lab.NotUnderWine(t, "the list of pipes")
	}
	if err != nil {
		t.Fatal(err)
	}
	if pipes := pageantPipes(all, userName()); !slices.Contains(pipes, name) {
		t.Errorf("%q is not among the pipes of Pageant, %q, of %q", name, pipes, all)
	}
}

func TestPipeOfAnother(t *testing.T) {
	name, id := pipeName(t), me(t)
	servePipe(t, name)
	conn, err := openPipe(t.Context(), name, func(owner string) bool {
		if !id.ownPipe(owner) || !id.systemPipe(owner) {
			t.Errorf("the owner of our own pipe is %s, and we are %+v", owner, id)
		}
		return false
	})
	if conn != nil || err == nil || !strings.Contains(err.Error(), "it belongs to another user (S-1-") {
		t.Errorf("got %v, %v", conn, err)
	}
}

// TestPipeSilent: the deadline and Close end a read that waits.
func TestPipeSilent(t *testing.T) {
	name := pipeName(t)
	servePipe(t, name)
	conn, err := DialPipe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(frame(agentRequestIdentities)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMessage(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() {
		conn.Close()
		close(closed)
	})
	if _, err := ReadMessage(conn); !errors.Is(err, os.ErrClosed) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	<-closed
}

// TestPipeBusy: a pipe whose only end is taken is waited for, until the
// context ends.
func TestPipeBusy(t *testing.T) {
	name := pipeName(t)
	servePipe(t, name)
	first, err := DialPipe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	stop := errors.New("the run was stopped")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, stop)
	defer cancel()
	if conn, err := DialPipe(ctx, name); conn != nil || err != stop {
		t.Errorf("got %v, %v", conn, err)
	}
}

func TestPipeAbsent(t *testing.T) {
	if conn, err := DialPipe(t.Context(), pipeName(t)); conn != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, %v", conn, err)
	}
}
