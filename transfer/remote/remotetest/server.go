// Package remotetest is an SSH server inside the process. `linehaul demo`
// pulls from it, and tests transfer to and from it, without any other program.
//
// It serves one folder by SFTP (version 3, with posix-rename@openssh.com) and
// by SCP, and runs the few shell commands that SCP needs besides: mv, rm,
// mkdir, rmdir and test. Nothing outside of the folder can be reached: every path is
// taken below it, and symbolic links that leave it are not followed. There is
// no shell, no terminal and no forwarding.
//
// It listens on the loopback address unless it is told otherwise, and it lets
// nobody in unless keys or a password are given. It can also be made to fail
// in the ways that servers and lines do: see Faults.
package remotetest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginTime is how long a client may take until it is logged in.
const loginTime = 30 * time.Second

// Options says what to serve and to whom.
type Options struct {
	// Root is the folder that is served. It is the login folder, too.
	Root string
	// User is the only name that may log in; empty stands for any.
	User string
	// AuthorizedKeys may log in.
	AuthorizedKeys []ssh.PublicKey
	// Password lets in, too, unless it is empty.
	Password string
	// Keyboard asks for the password by keyboard-interactive alone.
	Keyboard bool
	// HostKey is the server's key. Default: a new Ed25519 key.
	HostKey ssh.Signer
	// NoSFTP leaves SFTP out, NoExec leaves out SCP and all commands.
	NoSFTP, NoExec bool
	// SFTP serves the SFTP sessions in place of the server's own, if it is set.
	// It closes the stream in the end.
	SFTP func(io.ReadWriteCloser) error
	// Run runs all commands in place of the server's own, if it is set: it returns
	// what they print, and their exit status.
	Run func(command string) (output string, status int)
	// Version is what the server says it is. Default: SSH-2.0-linehaul_demo.
	Version string
	// Listen is the TCP address to listen on. Default: 127.0.0.1, a free port.
	Listen string
	// Listener is used in place of Listen, if it is set; the server closes it.
	Listener net.Listener
	// Log is told of logins and commands. Default: nobody is.
	Log *slog.Logger
	// Faults are what goes wrong.
	Faults Faults
}

// Faults makes the server fail. The zero value is a good server.
type Faults struct {
	// CloseAtOnce ends each connection before a byte was sent.
	CloseAtOnce bool
	// Silent accepts connections and never says a word.
	Silent bool
	// Delay is slept before each piece that a session sends.
	Delay time.Duration
	// StallConn stops all sending on a connection after so many bytes, and
	// StallSession that of one session, while the connection lives on.
	StallConn, StallSession int64
	// CutSession ends each session after it has sent so many bytes.
	CutSession int64
	// MaxSessions refuses more sessions than this on one connection, and all
	// of them if it is negative.
	MaxSessions int
}

// A Server runs until it is closed. Its methods may be called concurrently.
type Server struct {
	o        Options
	log      *slog.Logger
	root     *os.Root
	listener net.Listener
	config   *ssh.ServerConfig

	stopped  chan struct{}
	stopOnce sync.Once
	wg       sync.WaitGroup // the accept loop, connections and sessions

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once the server is stopping
}

// Start serves until Close is called or ctx ends. The caller calls Close in
// either case.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o, log: o.Log, stopped: make(chan struct{}), conns: map[net.Conn]bool{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.o.HostKey == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a host key: %w", err)
		}
		if s.o.HostKey, err = ssh.NewSignerFromKey(key); err != nil {
			return nil, fmt.Errorf("make a host key: %w", err)
		}
	}
	if s.o.Listen == "" {
		s.o.Listen = "127.0.0.1:0"
	}
	s.config = s.sshConfig()
	var err error
	if s.root, err = os.OpenRoot(o.Root); err != nil {
		return nil, fmt.Errorf("serve a folder: %w", err)
	}
	var lc net.ListenConfig
	if s.listener = s.o.Listener; s.listener == nil {
		s.listener, err = lc.Listen(ctx, "tcp", s.o.Listen)
	}
	if err != nil {
		s.root.Close()
		return nil, fmt.Errorf("serve a folder: %w", err)
	}
	s.wg.Go(func() {
		defer context.AfterFunc(ctx, s.stop)()
		s.accept()
	})
	return s, nil
}

// Addr returns the address that the server listens on, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// HostKey returns the public half of the server's key.
func (s *Server) HostKey() ssh.PublicKey { return s.o.HostKey.PublicKey() }

// Fingerprint is that of the server's host key, as in SHA256:….
func (s *Server) Fingerprint() string { return ssh.FingerprintSHA256(s.HostKey()) }

// Close ends all connections and waits until nothing is left of them. It may
// be called again.
func (s *Server) Close() error {
	s.stop()
	s.wg.Wait()
	return s.root.Close()
}

// stop ends everything and waits for nothing.
func (s *Server) stop() {
	s.stopOnce.Do(func() {
		close(s.stopped)
		s.listener.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.Close()
		}
		s.conns = nil
	})
}

// sshConfig decides who may log in.
func (s *Server) sshConfig() *ssh.ServerConfig {
	refused := errors.New("not allowed")
	userOK := func(c ssh.ConnMetadata) bool { return s.o.User == "" || c.User() == s.o.User }
	passwordOK := func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if userOK(c) && subtle.ConstantTimeCompare(password, []byte(s.o.Password)) == 1 {
			return nil, nil
		}
		return nil, refused
	}
	config := &ssh.ServerConfig{
		ServerVersion: cmp.Or(s.o.Version, "SSH-2.0-linehaul_demo"),
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if userOK(c) && slices.ContainsFunc(s.o.AuthorizedKeys, func(k ssh.PublicKey) bool {
				return string(k.Marshal()) == string(key.Marshal())
			}) {
				return nil, nil
			}
			return nil, refused
		},
	}
	switch {
	case s.o.Password == "":
	case s.o.Keyboard:
		config.KeyboardInteractiveCallback = func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, refused
			}
			return passwordOK(c, []byte(answers[0]))
		}
	default:
		config.PasswordCallback = passwordOK
	}
	config.AddHostKey(s.o.HostKey)
	return config
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // stop closed it
		}
		if !s.track(c) {
			c.Close()
			return
		}
		s.wg.Go(func() {
			defer s.untrack(c)
			s.serve(c)
		})
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = true
	return true
}

func (s *Server) untrack(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.Close()
}

// serve runs one connection to its end.
func (s *Server) serve(c net.Conn) {
	switch {
	case s.o.Faults.CloseAtOnce:
		return
	case s.o.Faults.Silent:
		io.Copy(io.Discard, c) //nolint:errcheck // until either side closes
		return
	}
	if s.o.Faults.StallConn > 0 {
		c = &stallingConn{Conn: c, stall: stall{left: s.o.Faults.StallConn, stopped: s.stopped}}
	}
	c.SetDeadline(time.Now().Add(loginTime)) //nolint:errcheck // a closed connection shows below
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		s.log.Info("login failed", "from", c.RemoteAddr(), "error", err)
		return
	}
	c.SetDeadline(time.Time{}) //nolint:errcheck // likewise
	s.log.Info("logged in", "from", c.RemoteAddr(), "user", conn.User())
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	var open atomic.Int64
	for ch := range channels {
		switch {
		case ch.ChannelType() != "session":
			ch.Reject(ssh.UnknownChannelType, "sessions only") //nolint:errcheck // the connection is gone then
		case s.o.Faults.MaxSessions != 0 && open.Load() >= int64(s.o.Faults.MaxSessions):
			ch.Reject(ssh.ConnectionFailed, "open failed") //nolint:errcheck // likewise; OpenSSH's words
		default:
			open.Add(1)
			s.wg.Go(func() {
				defer open.Add(-1)
				s.session(ch)
			})
		}
	}
}

// A stall swallows time: after left bytes, wait blocks until the server stops.
type stall struct {
	mu      sync.Mutex
	left    int64
	stopped chan struct{}
}

// wait returns whether n more bytes may be sent.
func (s *stall) wait(n int) bool {
	s.mu.Lock()
	s.left -= int64(n)
	over := s.left < 0
	s.mu.Unlock()
	if over {
		<-s.stopped
	}
	return !over
}

// A stallingConn stops sending after some bytes.
type stallingConn struct {
	net.Conn
	stall stall
}

func (c *stallingConn) Write(p []byte) (int, error) {
	if !c.stall.wait(len(p)) {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}
