package remote_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// listen answers each connection with f, and returns the address.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// sshServer answers with the library's server, as config wants it.
func sshServer(t *testing.T, config *ssh.ServerConfig) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(signer)
	return listen(t, func(c net.Conn) {
		defer c.Close()
		if conn, chans, reqs, err := ssh.NewServerConn(c, config); err == nil {
			go ssh.DiscardRequests(reqs)
			for ch := range chans {
				ch.Reject(ssh.Prohibited, "no")
			}
			conn.Close()
		}
	})
}

// anyKey knows whatever keys a server shows, by way of a file that names none:
// it is for tests that end before the host key.
func noKeys(t *testing.T) *keys.HostKeys {
	t.Helper()
	h, err := keys.NewHostKeys(keys.HostKeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestDialErrors: each layer is told apart, and says what it saw.
func TestDialErrors(t *testing.T) {
	say := func(text string) func(*testing.T) string {
		return func(t *testing.T) string {
			return listen(t, func(c net.Conn) {
				c.Write([]byte(text))
				c.Read(make([]byte, 1000))
				// What comes after a whole close is answered with a reset, which may be
				// seen before the end.
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			})
		}
	}
	wait := func(text string) func(*testing.T) string {
		return func(t *testing.T) string {
			return listen(t, func(c net.Conn) {
				c.Write([]byte(text))
				for {
					if _, err := c.Read(make([]byte, 1000)); err != nil {
						return
					}
				}
			})
		}
	}
	blocked := make(chan struct{})
	t.Cleanup(func() { close(blocked) })
	for name, tt := range map[string]struct {
		serve func(*testing.T) string
		kind  fault.Kind
		want  []string
	}{
		"refused": {func(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)) },
			fault.TCP, []string{"connect to hk1 (127.0.0.1:", "connection refused"}},
		"no such name": {func(*testing.T) string { return "no-such-host.invalid:22" },
			fault.Name, []string{`resolve "no-such-host.invalid" for hk1: `}},
		"HTTP":           {say("HTTP/1.1 400 Bad Request\r\n\x1b[31m\r\n"), fault.SSH, []string{"is not an SSH server", `"HTTP/1.1 400 Bad Request [31m"`}},
		"FTP that waits": {wait("220 ready\r\n"), fault.SSH, []string{"is not an SSH server", `"220 ready"`}},
		"SSH 1":          {say("SSH-1.5-OpenSSH_3.4\r\n"), fault.SSH, []string{"version 1 only", "SSH-1.5-OpenSSH_3.4"}},
		"closes at once": {func(t *testing.T) string { return listen(t, func(c net.Conn) { c.Close() }) },
			fault.SSH, []string{"before its SSH banner"}},
		"silent":              {wait(""), fault.Stall, []string{"sends nothing within 700ms"}},
		"half a banner":       {wait("SS"), fault.Stall, []string{"no SSH banner"}},
		"silent after banner": {wait("SSH-2.0-test\r\n"), fault.Stall, []string{"key exchange", "700ms"}},
		"closes after banner": {say("SSH-2.0-test\r\n"), fault.SSH, []string{"during the key exchange"}},
		"talk before banner":  {wait("hello\r\nSSH-2.0-test\r\n"), fault.Stall, []string{"key exchange"}},
		"junk after banner":   {say("SSH-2.0-test\r\n" + strings.Repeat("junk", 100)), fault.SSH, []string{"key exchange", "failed"}},
		"unknown host key":    {func(t *testing.T) string { return sshServer(t, &ssh.ServerConfig{NoClientAuth: true}) }, fault.HostKeyUnknown, []string{"not known", "SHA256:"}},
		"no common algorithms": {func(t *testing.T) string {
			return sshServer(t, &ssh.ServerConfig{Config: ssh.Config{KeyExchanges: []string{"diffie-hellman-group14-sha1"}}, NoClientAuth: true})
		}, fault.SSH, []string{"no common algorithm", "diffie-hellman-group14-sha1", "curve25519-sha256"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hostAt(tt.serve(t))
			h.HostKeys, h.ConnectTimeout = noKeys(t), 700*time.Millisecond
			noLeft := time.Now()
			c, err := remote.Dial(t.Context(), &net.Dialer{}, h, testLog(t))
			if err == nil {
				c.Close()
				t.Fatal("connected")
			}
			check(t, err, tt.kind, tt.want...)
			if took := time.Since(noLeft); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// check holds an error's kind and parts of its text against what is wanted.
func check(t *testing.T, err error, kind fault.Kind, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if fault.KindOf(err) != kind {
		t.Errorf("%v is of kind %v, want %v", err, fault.KindOf(err), kind)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// A dialFunc is a Dialer.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

func TestDialerErrors(t *testing.T) {
	h := hostAt("192.0.2.1:22")
	h.HostKeys = noKeys(t)
	h.ConnectTimeout = 100 * time.Millisecond
	dial := func(ctx context.Context, f dialFunc) error {
		c, err := remote.Dial(ctx, f, h, nil)
		if err == nil {
			c.Close()
		}
		return err
	}
	check(t, dial(t.Context(), func(context.Context, string, string) (net.Conn, error) {
		return nil, fault.New(fault.ESP, "the tunnel carries nothing")
	}), fault.ESP, "the tunnel carries nothing")
	check(t, dial(t.Context(), func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", unreachable())}
	}), fault.Route, "connect to hk1 (192.0.2.1:22): ", "unreachable")
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	check(t, dial(t.Context(), hang), fault.TCP, "no answer within 100ms")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped by hand"))
	check(t, dial(ctx, hang), fault.Interrupted, "stopped by hand")
}

// TestHostKeys: a known key is found among several, and a changed one is told
// from an unknown one.
func TestHostKeys(t *testing.T) {
	startsOthers(t)
	t.Parallel()
	key, public := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}})
	known := func(text string) *keys.HostKeys {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hk, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: file}}})
		if err != nil {
			t.Fatal(err)
		}
		return hk
	}
	_, otherKey := newKey(t)
	other := ssh.FingerprintSHA256(otherKey)
	changed := fmt.Sprintf("[%s]:%d %s", s.Host, s.Port, ssh.MarshalAuthorizedKey(otherKey))
	for name, tt := range map[string]struct {
		known *keys.HostKeys
		want  string // the type of key, or nothing
		kind  fault.Kind
	}{
		"pinned, the last type":      {pinned(t, s.Fingerprint("rsa")), "ssh-rsa", 0},
		"pinned, one of two":         {pinned(t, s.Fingerprint("ecdsa"), other), "ecdsa-sha2-nistp256", 0},
		"pinned, another":            {pinned(t, other), "", fault.HostKeyChanged},
		"in a file, the second type": {known(s.KnownHosts("ecdsa")), "ecdsa-sha2-nistp256", 0},
		"in a file, nothing":         {known(""), "", fault.HostKeyUnknown},
		"in a file, another":         {known(changed), "", fault.HostKeyChanged},
		"nothing at all":             {nil, "", fault.HostKeyUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			h := sshdHost(t, s, key)
			h.HostKeys = tt.known
			c, err := remote.Dial(t.Context(), &net.Dialer{}, h, testLog(t))
			if tt.want == "" {
				check(t, err, tt.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			info := c.Info()
			if info.HostKeyType != tt.want || info.Address != s.Addr || info.User != s.User ||
				!strings.HasPrefix(info.ServerVersion, "SSH-2.0-OpenSSH_") || info.KeyUsed != ssh.FingerprintSHA256(public) || info.Protocol != remote.Auto {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// serveAgent serves an agent that holds n keys, the last of which is returned,
// and then the one in the file, if there is one.
func serveAgent(t *testing.T, n int, file string) string {
	t.Helper()
	ring := agent.NewKeyring()
	for range n {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: &key}); err != nil {
			t.Fatal(err)
		}
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "a")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				agent.ServeAgent(ring, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return socket
}

func secret(text string) keys.Secret {
	return func(context.Context) ([]byte, error) { return []byte(text), nil }
}

// TestLogin: what can log in does, and what cannot is named.
func TestLogin(t *testing.T) {
	t.Parallel()
	good, public := newKey(t)
	bad, badPublic := newKey(t)
	badPrint := ssh.FingerprintSHA256(badPublic)
	locked, lockedPublic := newLockedKey(t, "passphrase")
	stash := filepath.Join(t.TempDir(), "absent")
	tests := map[string]struct {
		server remotetest.Options
		host   remote.Host
		kind   fault.Kind
		want   []string // in the error or the log
		ok     bool
	}{
		"key":                  {host: remote.Host{KeyFiles: []string{good}}, ok: true},
		"second key":           {host: remote.Host{KeyFiles: []string{bad, good}}, ok: true},
		"encrypted key":        {host: remote.Host{KeyFiles: []string{locked}, Passphrase: secret("passphrase")}, ok: true},
		"agent":                {host: remote.Host{AgentSocket: serveAgent(t, 3, good)}, ok: true},
		"agent, key by .pub":   {host: remote.Host{AgentSocket: serveAgent(t, 20, good), KeyFiles: []string{good + ".pub"}}, ok: true},
		"password":             {server: remotetest.Options{Password: "pw"}, host: remote.Host{Password: secret("pw")}, ok: true},
		"keyboard-interactive": {server: remotetest.Options{Password: "pw", Keyboard: true}, host: remote.Host{Password: secret("pw")}, ok: true},
		"bad key, then password": {server: remotetest.Options{Password: "pw"}, host: remote.Host{KeyFiles: []string{stash, bad}, Password: secret("pw")}, ok: true,
			want: []string{"cannot be used", "absent"}},

		"wrong key": {server: remotetest.Options{Password: "pw"}, host: remote.Host{KeyFiles: []string{bad}}, kind: fault.Login,
			want: []string{`as "jephe" refused`, "offered key " + badPrint, bad, ", no password", "takes password, publickey"}},
		"wrong password": {server: remotetest.Options{Password: "pw"}, host: remote.Host{Password: secret("no")}, kind: fault.Login,
			want: []string{"offered no key, a password", "takes password, publickey"}},
		"wrong password by keyboard": {server: remotetest.Options{Password: "pw", Keyboard: true}, host: remote.Host{Password: secret("no")}, kind: fault.Login,
			want: []string{"a password", "keyboard-interactive"}},
		"wrong agent": {host: remote.Host{AgentSocket: serveAgent(t, 2, "")}, kind: fault.Login, want: []string{"offered 2 keys of the agent"}},
		"nothing":     {host: remote.Host{}, kind: fault.Login, want: []string{"offered no key, no password"}},
		"wrong key, and one that is missing": {host: remote.Host{KeyFiles: []string{bad, stash}}, kind: fault.Login,
			want: []string{badPrint, stash}},
		"wrong user": {server: remotetest.Options{User: "other"}, host: remote.Host{KeyFiles: []string{good}}, kind: fault.Login, want: []string{"jephe"}},

		"no usable key":   {host: remote.Host{KeyFiles: []string{stash}}, kind: fault.Key, want: []string{stash}},
		"no passphrase":   {host: remote.Host{KeyFiles: []string{locked}}, kind: fault.Key, want: []string{locked}},
		"no agent":        {host: remote.Host{AgentSocket: stash}, kind: fault.Key, want: []string{stash}},
		"password failed": {server: remotetest.Options{Password: "pw"}, host: remote.Host{Password: func(context.Context) ([]byte, error) { return nil, errors.New("env HK1 is empty") }}, kind: fault.Config, want: []string{"env HK1 is empty"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.server.AuthorizedKeys = []ssh.PublicKey{public, lockedPublic}
			_, at := startServer(t, tt.server)
			h := tt.host
			h.Name, h.Address, h.Port, h.User, h.HostKeys = at.Name, at.Address, at.Port, at.User, at.HostKeys
			var log logBuffer
			c, err := remote.Dial(t.Context(), &net.Dialer{}, h, log.logger())
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if tt.want == nil && strings.Contains(log.String(), "level=WARN") {
					t.Errorf("a warning for nothing:\n%s", log.String())
				}
				for _, w := range tt.want {
					if !strings.Contains(log.String(), w) {
						t.Errorf("the log lacks %q:\n%s", w, log.String())
					}
				}
				return
			}
			check(t, err, tt.kind, tt.want...)
			if strings.Contains(err.Error()+log.String(), "passphrase\"") {
				t.Error("a secret is in the error or the log")
			}
		})
	}
}

// TestTooManyKeys: a server that allows six tries gets the right key among
// them, and a password is not lost behind keys.
func TestTooManyKeys(t *testing.T) {
	startsOthers(t)
	t.Parallel()
	good, _ := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{good + ".pub"}, HostKeys: []string{"ed25519"}, Config: "MaxAuthTries 6"})
	h := sshdHost(t, s, good)
	h.AgentSocket = serveAgent(t, 20, "")
	connect(t, h)

	h.KeyFiles = nil
	_, err := remote.Dial(t.Context(), &net.Dialer{}, h, testLog(t))
	check(t, err, fault.Login, "6 keys of the agent", "Too many authentication failures")
}

// TestLoginNeverAnswered: a server that lets a login hang.
func TestLoginNeverAnswered(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	addr := sshServer(t, &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		<-block
		return nil, errors.New("no")
	}})
	defer close(block)
	key, _ := newKey(t)
	h := hostAt(addr)
	h.KeyFiles = []string{key}
	h.ConnectTimeout = 500 * time.Millisecond
	// The key has to be accepted to come so far.
	_, err := remote.Dial(t.Context(), &net.Dialer{}, withKeys(h, noKeys(t)), nil)
	var unknown *keys.HostKeyError
	if !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	h.HostKeys = pinned(t, ssh.FingerprintSHA256(unknown.Key))
	_, err = remote.Dial(t.Context(), &net.Dialer{}, h, nil)
	check(t, err, fault.Stall, `login to hk1 (`+addr+`) as "jephe"`, "500ms")

	h.ConnectTimeout = time.Minute
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the run is over"))
	defer cancel()
	_, err = remote.Dial(ctx, &net.Dialer{}, h, nil)
	check(t, err, fault.Timeout, "the run is over")
}

// TestLoginCutShort: a server that dies while it looks at a key has turned
// nothing down, so that a job tries again; one that says no has. Where the key
// was good a moment ago, the line is to blame.
func TestLoginCutShort(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"dies": true, "refuses": false} {
		config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, _ ssh.PublicKey) (*ssh.Permissions, error) {
			if dies {
				c.(io.Closer).Close()
			}
			return nil, errors.New("no")
		}}
		key, _ := newKey(t)
		h := hostAt(sshServer(t, config))
		h.KeyFiles = []string{key}
		_, err := remote.Dial(t.Context(), &net.Dialer{}, withKeys(h, noKeys(t)), nil)
		var unknown *keys.HostKeyError
		if !errors.As(err, &unknown) {
			t.Fatal(err)
		}
		h.HostKeys = pinned(t, ssh.FingerprintSHA256(unknown.Key))
		_, err = remote.Dial(t.Context(), &net.Dialer{}, h, nil)
		if fault.Transient(err) != dies || !fault.Is(err, fault.Login) {
			t.Errorf("%s: may it pass? %v: %v", name, fault.Transient(err), err)
		}
		h.LoggedIn = true
		_, err = remote.Dial(t.Context(), &net.Dialer{}, h, nil)
		if fault.Is(err, fault.TCP) != dies {
			t.Errorf("%s, and was logged in before: %v", name, err)
		}
	}
}

func withKeys(h remote.Host, k *keys.HostKeys) remote.Host {
	h.HostKeys = k
	return h
}

// TestJump goes through OpenSSH to a server in this process.
func TestJump(t *testing.T) {
	startsOthers(t)
	key, _ := newKey(t)
	bastion := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}})
	via := sshdHost(t, bastion, key)
	via.Name = "bastion"
	t.Run("works", func(t *testing.T) {
		noLeftovers(t, func() {
			root := t.TempDir()
			s, h := startServer(t, remotetest.Options{Root: root})
			h.Jump = &via
			files, c := openFiles(t, h)
			if err := putFile(t.Context(), files, "/x", pattern(100000), transferAttrs()); err != nil {
				t.Error(err)
			}
			if data, err := getFile(t.Context(), files, "/x"); err != nil || len(data) != 100000 {
				t.Errorf("%d, %v", len(data), err)
			}
			if got := c.Info().Address; got != s.Addr() {
				t.Errorf("address %s", got)
			}
			if runtime.GOOS != "openbsd" { // which tells nobody
				if info, err := c.TCPInfo(); err != nil || info.MSS == 0 || runtime.GOOS == "linux" && info.SentBytes < 100000 {
					t.Errorf("the line to the jump host: %+v, %v", info, err)
				}
			}
			c.Close()
			s.Close()
		})
	})
	t.Run("two jumps", func(t *testing.T) {
		_, h := startServer(t, remotetest.Options{})
		middle := via
		middle.Name, middle.Jump = "middle", &via
		h.Jump = &middle
		files, _ := openFiles(t, h)
		if _, err := files.List(t.Context(), "/"); err != nil {
			t.Error(err)
		}
	})
	t.Run("nothing behind it", func(t *testing.T) {
		h := hostAt(fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)))
		h.HostKeys, h.Jump = noKeys(t), &via
		_, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
		check(t, err, fault.TCP, "through bastion")
	})
	t.Run("silent behind it", func(t *testing.T) {
		noLeftovers(t, func() {
			s, h := startServer(t, remotetest.Options{Faults: remotetest.Faults{Silent: true}})
			h.ConnectTimeout, h.Jump = 500*time.Millisecond, &via
			_, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
			check(t, err, fault.Stall, "through bastion", "500ms")
			s.Close()
		})
	})
	t.Run("jump host refuses us", func(t *testing.T) {
		_, h := startServer(t, remotetest.Options{})
		other, _ := newKey(t)
		wrong := via
		wrong.KeyFiles = []string{other}
		h.Jump = &wrong
		_, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
		check(t, err, fault.Login, "on the way to hk1: login to bastion")
	})
	t.Run("endless", func(t *testing.T) {
		h := hostAt("127.0.0.1:1")
		h.HostKeys = noKeys(t)
		h.Jump = &h
		_, err := remote.Dial(t.Context(), &net.Dialer{}, h, nil)
		check(t, err, fault.Config, "jump hosts")
	})
}
