package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"linehaul/fault"
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

// An Agent is a connection to a running ssh-agent. It is safe for concurrent
// use; requests are answered one after another.
type Agent struct {
	socket string
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

// OpenAgent connects to the agent that listens on a Unix socket, which the
// variable SSH_AUTH_SOCK names by custom. ctx bounds the connecting only;
// Close ends requests that are under way.
//
// The errors of an Agent are *fault.Error of kind Key.
func OpenAgent(ctx context.Context, socket string) (*Agent, error) {
	if socket == "" {
		return nil, fault.New(fault.Key, "connect to the ssh-agent: SSH_AUTH_SOCK is not set").
			WithHint("start an agent with `eval $(ssh-agent)` and `ssh-add FILE`; a service does not see the agent of a login")
	}
	dialer := net.Dialer{Timeout: agentDial}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the address, which our message has
		}
		return nil, fault.New(fault.Key, "connect to the ssh-agent at %q: %w", socket, err).
			WithHint("no agent listens there: start one with `eval $(ssh-agent)` and `ssh-add FILE`, or check SSH_AUTH_SOCK")
	}
	return newAgent(socket, conn, agentReply), nil
}

func newAgent(socket string, conn net.Conn, reply time.Duration) *Agent {
	a := &Agent{socket: socket, conn: &agentConn{conn: conn, reply: reply}}
	a.client = agent.NewClient(a.conn)
	return a
}

// Keys lists what the agent holds, in the agent's order, without keys of types
// that this program does not know.
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
// PublicKeyAlgorithms has an algorithm for, in the agent's order. They work
// until Close.
func (a *Agent) Signers() ([]ssh.Signer, error) {
	held, err := a.client.Signers()
	if err != nil {
		return nil, a.fault("list the keys", err)
	}
	var signers []ssh.Signer
	for _, s := range held {
		public, err := ssh.ParsePublicKey(s.PublicKey().Marshal())
		inner, ok := s.(ssh.AlgorithmSigner)
		if err != nil || !ok {
			continue
		}
		if limited, err := modern(&agentSigner{AlgorithmSigner: inner, agent: a, public: public}); err == nil {
			signers = append(signers, limited)
		}
	}
	return signers, nil
}

// Close ends the connection, and with it requests that are under way. It may
// be called again.
func (a *Agent) Close() error {
	a.conn.end()
	return nil
}

func (a *Agent) fault(what string, err error) error {
	return fault.New(fault.Key, "%s of the ssh-agent at %q: %w", what, a.socket, err).
		WithHint("`ssh-add -l` shows what the agent holds and whether it answers")
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
	sig, err := s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	if err != nil {
		return nil, s.agent.fault(fmt.Sprintf("sign with key %s", ssh.FingerprintSHA256(plainKey(s.public))), err)
	}
	return sig, nil
}

// An agentConn gives each request a deadline, and gives up after the first
// failure, as the answer to one request could arrive in place of the answer to
// the next. It has no Close method on purpose: seeing one, the library would
// read in a goroutine that nobody waits for. Without, it writes a request in
// one piece and reads the answer before it writes the next.
type agentConn struct {
	conn  net.Conn
	reply time.Duration
	once  sync.Once
}

func (c *agentConn) Write(p []byte) (int, error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.reply)); err != nil {
		return 0, err
	}
	n, err := c.conn.Write(p)
	return n, c.give(err)
}

func (c *agentConn) Read(p []byte) (int, error) {
	n, err := c.conn.Read(p)
	return n, c.give(err)
}

// give passes an error on, and ends the connection if it is one.
func (c *agentConn) give(err error) error {
	if err != nil {
		c.end()
	}
	return err
}

func (c *agentConn) end() {
	c.once.Do(func() { c.conn.Close() })
}
