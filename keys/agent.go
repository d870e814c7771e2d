package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"linehaul/fault"
	"linehaul/keys/pageant"
)

// Our own limits.
const (
	// agentDial is how long the connecting may take: the agent is a process
	// on this machine.
	agentDial = 5 * time.Second
	// agentReply is how long one answer may take: a signature may wait until
	// somebody has touched a token.
	agentReply = time.Minute
)

// An Agent is a connection to a running ssh-agent or Pageant. It is safe for
// concurrent use; requests are answered one after another.
type Agent struct {
	where  string
	conn   *agentConn
	client agent.ExtendedAgent
}

// An AgentKey is a key that an agent holds.
type AgentKey struct {
	Type        string        // as in ssh-ed25519; a certificate has a type of its own
	Fingerprint string        // SHA256:…, for a certificate that of its key
	Comment     string        // often the file that it came from
	Public      ssh.PublicKey // *ssh.Certificate for a certificate
}

// OpenAgent connects to an agent: on Unix the one whose socket where is, which
// the variable SSH_AUTH_SOCK names by custom. On Windows where is a named pipe
// (\\.\pipe\NAME) or a socket, and empty or "agent" for a search: the service of
// OpenSSH, then Pageant; one with keys before one without. ctx bounds the
// connecting only; Close ends requests that are under way.
//
// The errors of an Agent are *fault.Error of kind Key.
func OpenAgent(ctx context.Context, where string) (*Agent, error) {
	conn, name, err := dialAgent(ctx, where)
	if ctx.Err() != nil {
		if err == nil {
			conn.Close()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return newAgent(name, conn, agentReply), nil
}

// dialSocket connects to a Unix socket, which Windows has too.
func dialSocket(ctx context.Context, path string) (pageant.Conn, error) {
	dialer := net.Dialer{Timeout: agentDial}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // without the address, which our message has
		}
		return nil, err
	}
	return conn, nil
}

func newAgent(where string, conn pageant.Conn, reply time.Duration) *Agent {
	a := &Agent{where: where, conn: &agentConn{conn: conn, reply: reply}}
	a.client = agent.NewClient(a.conn)
	return a
}

// Keys lists what the agent holds, in the agent's order, without keys of types
// that this program does not know. A locked agent lists none.
func (a *Agent) Keys() ([]AgentKey, error) {
	held, err := a.client.List()
	if err != nil {
		return nil, a.fault("list the keys", err)
	}
	var list []AgentKey
	for _, k := range held {
		public, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			continue
		}
		list = append(list, AgentKey{
			Type:        public.Type(),
			Fingerprint: ssh.FingerprintSHA256(plainKey(public)),
			Comment:     k.Comment,
			Public:      public,
		})
	}
	return list, nil
}

// Signers returns a signer for each key and certificate of the agent that
// PublicKeyAlgorithms has an algorithm for, in the agent's order. With the names
// ssh-dss and ssh-rsa in legacy, signers with these come last, as for Load. They
// work until Close. To a PublicKeyLogin they can be given as they are.
func (a *Agent) Signers(legacy ...string) ([]ssh.Signer, error) {
	held, err := a.client.Signers()
	if err != nil {
		return nil, a.fault("list the keys", err)
	}
	var signers, last []ssh.Signer
	for _, s := range held {
		public, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
		inner, ok := s.(ssh.AlgorithmSigner)
		if err != nil || !ok {
			continue
		}
		now, old := offers(&agentSigner{AlgorithmSigner: inner, agent: a, public: public}, legacy)
		signers, last = append(signers, now...), append(last, old...)
	}
	return append(signers, last...), nil
}

// Close ends the connection, and with it requests that are under way. It may
// be called again.
func (a *Agent) Close() error {
	a.conn.end(net.ErrClosed) //nolint:errcheck // it returns why the connection ended
	return nil
}

// fault says what the agent did not do. What broke the connection stands for
// what the library made of it.
func (a *Agent) fault(what string, err error) error {
	switch broken := a.conn.broken(); {
	case broken == nil:
		err = errors.New(strings.TrimPrefix(err.Error(), "agent: "))
	case errors.Is(broken, os.ErrDeadlineExceeded):
		err = fmt.Errorf("no answer within %v: %w", a.conn.reply, broken)
	case errors.Is(broken, io.EOF), errors.Is(broken, io.ErrUnexpectedEOF):
		err = fmt.Errorf("it hangs up: %w", broken)
	default:
		err = broken
	}
	return fault.New(fault.Key, "%s of the ssh-agent at %q: %w", what, a.where, err).
		WithHint("`ssh-add -l`, or Pageant's own list, shows what the agent holds and whether it answers; it may be locked (`ssh-add -X`)")
}

// An agentSigner signs by the agent. Unlike the library's own it knows its
// public key as what it is, a certificate for one, and sorts its errors.
type agentSigner struct {
	ssh.AlgorithmSigner
	agent  *Agent
	public ssh.PublicKey
}

func (s *agentSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, plainKey(s.public).Type())
}

func (s *agentSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	what := fmt.Sprintf("sign with key %s", ssh.FingerprintSHA256(plainKey(s.public)))
	sig, err := s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	if err != nil {
		return nil, s.agent.fault(what, err)
	}
	if algorithm != "" && sig.Format != algorithm {
		// A server would refuse it, and say less.
		return nil, fault.New(fault.Key, "%s of the ssh-agent at %q: it signs by %q, not by %q", what, s.agent.where, sig.Format, algorithm).
			WithHint("the agent is older than RSA signatures with SHA-2 (RFC 8332): update it, or use a key of another type")
	}
	return sig, nil
}

// An agentConn gives each request a deadline, bounds the answers, and gives up
// after the first failure, as the answer to one request could arrive in place
// of the answer to the next. It has no Close method on purpose: seeing one, the
// library would read in a goroutine that nobody waits for. Without, it writes a
// request in one piece and reads the answer before it writes the next.
type agentConn struct {
	conn   pageant.Conn
	reply  time.Duration
	answer []byte // what the library has not read yet; it serves one caller at a time

	mu    sync.Mutex
	cause error // why the connection was ended
}

func (c *agentConn) Write(p []byte) (int, error) {
	if err := c.broken(); err != nil {
		return 0, err
	}
	c.answer = nil
	if err := c.conn.SetDeadline(time.Now().Add(c.reply)); err != nil {
		return 0, c.end(err)
	}
	n, err := c.conn.Write(p)
	return n, c.end(err)
}

func (c *agentConn) Read(p []byte) (int, error) {
	if len(c.answer) == 0 {
		answer, err := pageant.ReadMessage(c.conn)
		if err != nil {
			return 0, c.end(err)
		}
		c.answer = answer
	}
	n := copy(p, c.answer)
	c.answer = c.answer[n:]
	return n, nil
}

// end ends the connection if there is a cause, which it passes on. The first
// one counts.
func (c *agentConn) end(cause error) error {
	if cause == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
		c.conn.Close()
	}
	return c.cause
}

// broken returns why the connection was ended, nil if it was not.
func (c *agentConn) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
