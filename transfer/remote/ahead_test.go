package remote_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/delay"
	"linehaul/internal/lab"
	"linehaul/keys"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// A door is an SSH server that notes each try to log in.
type door struct {
	host   remote.Host
	file   string // the key's
	public ssh.PublicKey
	line   *delay.Line

	mu    sync.Mutex
	tries []string // as in "1 none refused", by the order in which connections came
	came  []string // their addresses
}

func (d *door) number(c ssh.ConnMetadata) int {
	at := c.RemoteAddr().String()
	if !slices.Contains(d.came, at) {
		d.came = append(d.came, at)
	}
	return slices.Index(d.came, at) + 1
}

// seen are the tries up to now.
func (d *door) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tries)
}

// openDoor serves behind a line. takes decides of a key or password, which is
// empty then; it knows which connection it is, and how many came in before.
func openDoor(t *testing.T, rtt time.Duration, takes func(connection, in int, password string) error) *door {
	t.Helper()
	d := &door{}
	d.file, d.public = newKey(t)
	in := 0
	check := func(c ssh.ConnMetadata, password string) (*ssh.Permissions, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return nil, takes(d.number(c), in, password)
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != string(d.public.Marshal()) {
				return nil, errors.New("another key")
			}
			return check(c, "")
		},
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) { return check(c, string(password)) },
		AuthLogCallback: func(c ssh.ConnMetadata, method string, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			how := " refused"
			if err == nil {
				how = " in"
				in++
			}
			d.tries = append(d.tries, string(rune('0'+d.number(c)))+" "+method+how)
		},
	}
	addr := sshServer(t, config)
	line, err := delay.Listen(addr, delay.Options{RTT: rtt})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	d.line = line
	d.host = hostAt(line.Addr())
	d.host.KeyFiles = []string{d.file}
	d.host.Keepalive = -1
	_, err = remote.Dial(t.Context(), &net.Dialer{}, withKeys(d.host, noKeys(t)), nil)
	var unknown *keys.HostKeyError
	if !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	d.host.HostKeys = pinned(t, ssh.FingerprintSHA256(unknown.Key))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries, d.came, in = nil, nil, 0
	return d
}

// far is a line on which another connection is begun ahead by itself.
const far = 100 * time.Millisecond

// settled waits until as many connections as that are there, or n more will not
// be: what is asked for is what a test would wait for anyway.
func settled(t *testing.T, p *remote.Pool, enough func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !enough() {
		select {
		case <-deadline.C:
			t.Fatalf("%d connections after all this time, refused: %v", len(p.Conns()), p.Refused())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func always(int, int, string) error { return nil }

// TestAhead: where the line is long, or more connections are asked for, others
// log in behind the first one, by its key, and in its steps.
func TestAhead(t *testing.T) {
	for name, tt := range map[string]struct {
		rtt    time.Duration
		spread remote.Spread
		want   int
	}{
		"far":                      {far, remote.Spread{Ahead: true}, 2},
		"far, and nothing large":   {far, remote.Spread{}, 1},
		"far, one asked for":       {far, remote.Spread{Connections: 1, Ahead: true}, 1},
		"near":                     {0, remote.Spread{Ahead: true}, 1},
		"near, three asked for":    {0, remote.Spread{Connections: 3, Ahead: true}, 3},
		"near, twelve asked for":   {0, remote.Spread{Connections: 12, Ahead: true}, 12},
		"three, and nothing large": {0, remote.Spread{Connections: 3}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t, tt.rtt, always)
			d.line.Accepted()
			p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, d.host, tt.spread, testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			settled(t, p, func() bool { return len(p.Conns()) == tt.want })
			if got := p.Conns()[0]; got != p.First() {
				t.Error("the first connection is not the first")
			}
			if got, want := len(p.Conns()), max(tt.want, tt.spread.Connections); p.Spread() != want {
				t.Errorf("spreads over %d with %d connections, want %d", p.Spread(), got, want)
			}
			p.Close()
			tries := d.seen()
			firstIn := slices.Index(tries, "1 publickey in")
			for n := 2; n <= tt.want && n < 10; n++ {
				who := string(rune('0' + n))
				if at := slices.Index(tries, who+" publickey in"); at < firstIn || firstIn < 0 {
					t.Errorf("connection %d did not log in after the first: %q", n, tries)
				}
			}
			if len(tries) != 2*tt.want { // none, and the key
				t.Errorf("the server saw %q, want %d logins, each at once", tries, tt.want)
			}
		})
	}
}

// TestAheadRefused: that the others are refused, at the login or before, leaves
// the first one alone, and is not tried again.
func TestAheadRefused(t *testing.T) {
	d := openDoor(t, far, func(_, in int, _ string) error {
		if in > 0 {
			return errors.New("one at a time")
		}
		return nil
	})
	p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, d.host, remote.Spread{Ahead: true}, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	settled(t, p, p.Refused)
	came := d.line.Accepted()
	if n := len(p.Conns()); n != 1 || p.Spread() != 1 {
		t.Errorf("%d connections, spread over %d", n, p.Spread())
	}
	if _, err := p.Files(t.Context(), true); err == nil {
		t.Error("a session of a server that has none")
	}
	if d.line.Accepted() != came {
		t.Error("another connection was tried again")
	}
}

// TestAheadTriesNothing: a login that fails is one failed login, however many
// connections are asked for.
func TestAheadTriesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		takes func(connection, in int, password string) error
		host  func(*remote.Host)
	}{
		"another key":        {always, func(h *remote.Host) { h.KeyFiles[0], _ = newKey(t) }},
		"the key is refused": {func(int, int, string) error { return errors.New("no") }, func(*remote.Host) {}},
		"more than the key is wanted": {func(_, _ int, password string) error {
			if password != "" {
				return errors.New("no")
			}
			return &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
				PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("no") },
			}}
		}, func(h *remote.Host) { h.Password = secret("wrong") }},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, far, tt.takes)
			h := d.host
			h.KeyFiles = slices.Clone(h.KeyFiles)
			tt.host(&h)
			_, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, h, remote.Spread{Connections: 5, Ahead: true}, testLog(t))
			if !fault.Is(err, fault.Login) {
				t.Errorf("%v, want a refused login", err)
			}
			if n := d.line.Accepted(); n < 3 {
				t.Fatalf("%d connections: none was begun ahead, so this shows nothing", n)
			}
			tried := 0
			for _, try := range d.seen() {
				if !strings.HasSuffix(try, " none refused") && !strings.HasPrefix(try, "1 ") {
					t.Errorf("another connection tried, too: %q", d.seen())
				}
				tried++
			}
			if tried == 0 {
				t.Error("the server saw nothing")
			}
		})
	}
}

// TestAheadAsksNobody: what may ask a person or a token is used once, until
// another connection is needed; a passphrase is asked for once.
func TestAheadAsksNobody(t *testing.T) {
	if runtime.GOOS != "windows" { // whose agents listen elsewhere
		t.Run("agent", func(t *testing.T) {
			d := openDoor(t, far, always)
			d.host.AgentSocket, d.host.KeyFiles = serveAgent(t, 0, d.file), nil
			stays(t, d)
		})
	}
	t.Run("agent that has the file's key", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			return
		}
		d := openDoor(t, far, always)
		d.host.AgentSocket, d.host.KeyFiles = serveAgent(t, 0, d.file), []string{d.file + ".pub"}
		stays(t, d)
	})
	t.Run("password", func(t *testing.T) {
		d := openDoor(t, far, func(_, _ int, password string) error {
			if password != "sesame" {
				return errors.New("no")
			}
			return nil
		})
		d.host.KeyFiles, d.host.Password = nil, secret("sesame")
		stays(t, d)
	})
	t.Run("password after a key", func(t *testing.T) {
		d := openDoor(t, far, func(_, _ int, password string) error {
			if password != "sesame" {
				return errors.New("no")
			}
			return nil
		})
		d.host.Password = secret("sesame")
		stays(t, d)
	})
	t.Run("passphrase", func(t *testing.T) {
		d := openDoor(t, far, always)
		file, public := newLockedKey(t, "open it")
		asked := 0
		d.public, d.host.KeyFiles = public, []string{file}
		d.host.Passphrase = func(context.Context) ([]byte, error) { asked++; return []byte("open it"), nil }
		p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, d.host, remote.Spread{Ahead: true}, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		settled(t, p, func() bool { return len(p.Conns()) == 2 })
		if asked != 1 {
			t.Errorf("the passphrase was asked for %d times", asked)
		}
	})
}

// stays has a pool connect, which must log in once, and once more only when that
// is needed.
func stays(t *testing.T, d *door) {
	t.Helper()
	var log logBuffer
	p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, d.host, remote.Spread{Connections: 2, Ahead: true}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	began := d.line.Accepted() // one for the test, one for the pool, and maybe one ahead
	if began > 2 {
		settled(t, p, func() bool { return strings.Contains(log.String(), "no connection ahead") })
	}
	for _, try := range d.seen() {
		if !strings.HasPrefix(try, "1 ") {
			t.Errorf("another connection tried to log in: %q", d.seen())
		}
	}
	if p.Refused() {
		t.Error("that it stayed counts as a refusal")
	}
	p.Files(t.Context(), false) //nolint:errcheck // the server has none
	if n := len(p.Conns()); n != 2 {
		t.Errorf("%d connections when there should be another, want 2: %s", n, log.String())
	}
}

// TestAheadUnused: a run that ends before the others are there does not log in
// with them, and leaves nothing behind.
func TestAheadUnused(t *testing.T) {
	d := openDoor(t, 300*time.Millisecond, always)
	noLeftovers(t, func() {
		p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, d.host, remote.Spread{Ahead: true}, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		if n := d.line.Accepted(); n != 3 {
			t.Errorf("%d connections, want one of the test, the first, and one ahead", n)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := p.Files(t.Context(), false); err == nil {
			t.Error("a session of a pool that is closed")
		}
	})
	if tries := d.seen(); slices.Contains(tries, "2 publickey in") {
		t.Errorf("it logged in all the same: %q", tries)
	}
}

// TestAheadMaxStartups: a server that lets nobody wait beside the first one has
// all sessions on that.
func TestAheadMaxStartups(t *testing.T) {
	startsOthers(t)
	key, _ := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}, Config: "MaxStartups 1:100:1"})
	line, err := delay.Listen(s.Addr, delay.Options{RTT: far})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	h := sshdHost(t, s, key)
	at := hostAt(line.Addr())
	h.Address, h.Port = at.Address, at.Port
	var log logBuffer
	p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, h, remote.Spread{Connections: 4, Ahead: true}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	settled(t, p, p.Refused)
	path := filepath.ToSlash(s.Dir)
	if _, err := p.First().FilesAhead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files, err := crowd(t, p, false, path); len(files) != 8 {
		t.Errorf("%d sessions beside the first, want 8; then %v\n%s", len(files), err, log.String())
	}
	if text := log.String(); strings.Count(text, "msg=\"another connection\"") != 0 || !strings.Contains(text, "no further connection") {
		t.Errorf("the log does not say what became of the others:\n%s", text)
	}
}

// TestAheadSessions: sessions are spread over the connections, those on their way
// among them, and what the log calls a login is one to the server.
func TestAheadSessions(t *testing.T) {
	file, public := newKey(t)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "f"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	var server, log logBuffer
	s, h := startServer(t, remotetest.Options{Root: root, AuthorizedKeys: []ssh.PublicKey{public}, Log: server.logger()})
	line, err := delay.Listen(s.Addr(), delay.Options{RTT: far})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	at := hostAt(line.Addr())
	h.Address, h.Port, h.KeyFiles = at.Address, at.Port, []string{file}
	p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, h, remote.Spread{Ahead: true}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.First().FilesAhead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Spread(); got != 2 {
		t.Errorf("spread over %d connections, want that on its way among them", got)
	}
	var wg sync.WaitGroup
	for range transfer.MaxSessions - 1 {
		wg.Go(func() {
			f, err := p.Files(t.Context(), false)
			if err != nil {
				t.Error(err)
				return
			}
			if e, err := f.Stat(t.Context(), "f"); err != nil || e.Size != 7 {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(server.String(), "msg=\"logged in\""); n != 2 || len(p.Conns()) != 2 {
		t.Errorf("%d logins at the server, %d connections", n, len(p.Conns()))
	}
	if n := strings.Count(log.String(), "msg=\"another connection\""); n != 1 {
		t.Errorf("the log tells of %d connections more:\n%s", n, log.String())
	}
}
