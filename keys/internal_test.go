package keys

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// TestCipherOrder: ChaCha20 is first or last, by what the processor can do.
func TestCipherOrder(t *testing.T) {
	with, without := ciphers(true), ciphers(false)
	if with[0] != ssh.CipherAES128GCM || with[1] != ssh.CipherAES256GCM || with[len(with)-1] != ssh.CipherChaCha20Poly1305 {
		t.Errorf("with AES instructions: %q", with)
	}
	if without[0] != ssh.CipherChaCha20Poly1305 || without[1] != ssh.CipherAES128GCM || len(with) != len(without) {
		t.Errorf("without: %q", without)
	}
}

// TestAgentSilent: an agent that does not answer costs a minute, not for ever,
// and is not asked again.
func TestAgentSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			buf := make([]byte, 100)
			for {
				if _, err := theirs.Read(buf); err != nil {
					return
				}
			}
		}()
		a := newAgent("/agent", ours, agentReply)
		start := time.Now()
		for range 2 {
			_, err := a.Signers()
			if !fault.Is(err, fault.Key) || !strings.Contains(err.Error(), `list the keys of the ssh-agent at "/agent"`) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took != agentReply {
				t.Errorf("gave up after %v, want %v", took, agentReply)
			}
		}
		a.Close()
	})
}

func TestShellQuote(t *testing.T) {
	tests := map[string]string{
		"/root/.ssh/id": "/root/.ssh/id",
		"my key":        "'my key'",
		"it's":          `'it'\''s'`,
		`C:\keys\id`:    `"C:\keys\id"`,
		"$(reboot)":     "'$(reboot)'",
		"":              "''",
	}
	if runtime.GOOS == "windows" {
		tests = map[string]string{
			"keys/id":             "keys/id",
			"my key":              `"my key"`,
			"it's":                `"it's"`,
			`C:\keys\id`:          `"C:\keys\id"`,
			`C:\it's $(shutdown)`: `'C:\it''s $(shutdown)'`,
			"":                    `""`,
		}
	}
	for in, want := range tests {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
