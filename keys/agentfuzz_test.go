package keys

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// A recordedAgent answers from a recording, whatever it is asked.
type recordedAgent struct {
	bytes.Reader
	closed bool
}

func (*recordedAgent) Write(p []byte) (int, error)   { return len(p), nil }
func (*recordedAgent) SetDeadline(_ time.Time) error { return nil }

func (a *recordedAgent) Close() error {
	a.closed = true
	return nil
}

// FuzzAgentAnswers: whatever an agent answers, the list of keys, the signers
// and their signatures are whole or a fault of one line, and a broken
// connection is not used again.
func FuzzAgentAnswers(f *testing.F) {
	message := func(parts ...any) []byte {
		var body []byte
		for _, p := range parts {
			switch p := p.(type) {
			case byte:
				body = append(body, p)
			case uint32:
				body = append(body, ssh.Marshal(struct{ N uint32 }{p})...)
			case string:
				body = append(body, ssh.Marshal(struct{ S string }{p})...)
			}
		}
		return append(ssh.Marshal(struct{ N uint32 }{uint32(len(body))}), body...)
	}
	key := string(ssh.Marshal(struct{ Type, Key string }{"ssh-ed25519", strings.Repeat("k", 32)}))
	token := string(ssh.Marshal(struct{ Type, Key, Application string }{"sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:"}))
	signature := string(ssh.Marshal(struct{ Format, Blob string }{"ssh-ed25519", strings.Repeat("s", 64)}))
	list := message(byte(12), uint32(2), key, "id_ed25519", token, "token")
	f.Add(bytes.Join([][]byte{list, list, message(byte(14), signature), message(byte(5))}, nil))
	f.Add(bytes.Join([][]byte{list, list, message(byte(5)), message(byte(14), "no signature")}, nil))
	f.Add(bytes.Join([][]byte{list, message(byte(12), uint32(0))}, nil))
	held := []any{byte(12), uint32(0)} // the real keys and certificates of the corpus
	for _, text := range corpusFiles(f, "*.pub") {
		if real, comment, err := parsePublicLine(text); err == nil {
			held = append(held, string(real.Marshal()), comment)
		}
	}
	held[1] = uint32(len(held)/2 - 1)
	real := message(held...)
	f.Add(bytes.Join([][]byte{real, real, message(byte(14), signature)}, nil))
	f.Add(message(byte(12), uint32(1<<31), key, ""))
	f.Add(append(list, 0x80, 0, 0, 0))
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, answers []byte) {
		conn := &recordedAgent{Reader: *bytes.NewReader(answers)}
		a := newAgent("/agent", conn, time.Minute)
		check := func(err error) {
			var sorted *fault.Error
			if !errors.As(err, &sorted) || sorted.Kind() != fault.Key || strings.ContainsAny(fault.Line(err), "\r\n") {
				t.Errorf("the error %v is not a fault of the key", err)
			}
			if a.conn.broken() != nil != conn.closed {
				t.Errorf("broken by %v, closed %v", a.conn.broken(), conn.closed)
			}
		}
		held, err := a.Keys()
		if err != nil {
			check(err)
		}
		for _, k := range held {
			if k.Public == nil || k.Type != k.Public.Type() || !strings.HasPrefix(k.Fingerprint, "SHA256:") {
				t.Errorf("key %+v", k)
			}
		}
		signers, err := a.Signers("ssh-dss", "ssh-rsa")
		if err != nil {
			check(err)
		}
		for _, s := range signers {
			multi := s.(ssh.MultiAlgorithmSigner)
			sig, err := multi.SignWithAlgorithm(nil, []byte("data"), multi.Algorithms()[0])
			if err != nil {
				check(err)
			} else if sig.Format != multi.Algorithms()[0] {
				t.Errorf("a signature by %q for %q", sig.Format, multi.Algorithms()[0])
			}
		}
		left := conn.Len()
		if a.Close(); a.conn.broken() == nil || !conn.closed {
			t.Error("not closed")
		}
		if _, err := a.Keys(); err == nil || conn.Len() != left {
			t.Errorf("read %d bytes after Close, %v", left-conn.Len(), err)
		}
	})
}
