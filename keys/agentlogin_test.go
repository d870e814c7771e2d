package keys_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"linehaul/keys"
)

// A reluctantSigner does not sign if it has a reason not to.
type reluctantSigner struct {
	ssh.MultiAlgorithmSigner
	why   error
	asked int
}

func (s *reluctantSigner) SignWithAlgorithm(r io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.asked++
	if s.why != nil {
		return nil, s.why
	}
	return s.MultiAlgorithmSigner.SignWithAlgorithm(r, data, algorithm)
}

func newSigner(t *testing.T, why string) *reluctantSigner {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	multi, err := ssh.NewSignerWithAlgorithms(s.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoED25519})
	if err != nil {
		t.Fatal(err)
	}
	signer := &reluctantSigner{MultiAlgorithmSigner: multi}
	if why != "" {
		signer.why = errors.New(why)
	}
	return signer
}

// serveLogin is a server in this process, for one login. It knows these keys,
// and a password if one is given. It returns the client's end, and what it was
// offered once the login is over.
func serveLogin(t *testing.T, known []ssh.Signer, password string) (net.Conn, func() []string) {
	t.Helper()
	var attempts []string
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range known {
				if string(k.PublicKey().Marshal()) == string(key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("unknown key")
		},
		AuthLogCallback: func(_ ssh.ConnMetadata, method string, err error) {
			result := "refused"
			if err == nil {
				result = "accepted"
			}
			attempts = append(attempts, method+" "+result)
		},
	}
	if password != "" {
		config.PasswordCallback = func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
			if string(got) != password {
				return nil, errors.New("wrong password")
			}
			return nil, nil
		}
	}
	config.AddHostKey(newSigner(t, ""))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		listener.Close() // not before: what nobody accepted would be reset
		if err != nil {
			return
		}
		defer conn.Close()
		ssh.NewServerConn(conn, config)
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	wait := func() []string {
		<-done
		return attempts
	}
	t.Cleanup(func() {
		conn.Close()
		wait()
	})
	return conn, wait
}

func TestPublicKeyLogin(t *testing.T) {
	const down, unplugged = "turned down", "the token is unplugged"
	tests := []struct {
		name     string
		why      []string // why each key does not sign; empty: it does
		known    []int    // the keys that the server knows
		password string
		attempts []string
		unsigned []string
		error    string
	}{
		{"all sign", []string{"", ""}, []int{1}, "", []string{"none refused", "publickey refused", "publickey accepted"}, nil, ""},
		{"first of two", []string{down, ""}, []int{0, 1}, "", []string{"none refused", "publickey accepted"}, []string{down}, ""},
		{"unknown ones between", []string{"", down, "", ""}, []int{1, 3}, "",
			[]string{"none refused", "publickey refused", "publickey refused", "publickey accepted"}, []string{down}, ""},
		{"several", []string{down, "", unplugged, ""}, []int{0, 2, 3}, "",
			[]string{"none refused", "publickey refused", "publickey accepted"}, []string{down, unplugged}, ""},
		{"the last", []string{"", down}, []int{1}, "", []string{"none refused", "publickey refused"}, []string{down}, down},
		{"the last, then a password", []string{"", down}, []int{1}, "sesame",
			[]string{"none refused", "publickey refused", "password accepted"}, []string{down}, ""},
		{"all, then a password", []string{down, unplugged}, []int{0, 1}, "sesame",
			[]string{"none refused", "password accepted"}, []string{down, unplugged}, ""},
		{"the rest is unknown", []string{down, "", ""}, []int{0}, "",
			[]string{"none refused", "publickey refused", "publickey refused"}, []string{down}, "no supported methods remain"},
		{"the rest is unknown, then a password", []string{down, ""}, []int{0}, "sesame",
			[]string{"none refused", "publickey refused", "password accepted"}, []string{down}, ""},
		{"none known", []string{down, unplugged}, nil, "", []string{"none refused", "publickey refused", "publickey refused"}, nil, "no supported methods remain"},
		{"no keys", nil, nil, "", []string{"none refused"}, nil, "no supported methods remain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var signers, known []ssh.Signer
			for _, why := range tt.why {
				signers = append(signers, newSigner(t, why))
			}
			for _, i := range tt.known {
				known = append(known, signers[i])
			}
			conn, attempts := serveLogin(t, known, tt.password)
			l := keys.NewPublicKeyLogin(signers)
			config := &ssh.ClientConfig{
				User: "tester", Auth: []ssh.AuthMethod{l.Method()},
				HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil },
				AuthCallback:    func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) { return l.Next(c), nil },
			}
			if tt.password != "" {
				config.Auth = append(config.Auth, ssh.Password(tt.password))
			}
			c, _, _, err := ssh.NewClientConn(conn, "server", config)
			if err == nil {
				c.Close()
			}
			conn.Close()
			if (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
				t.Errorf("got %v, want %q", err, tt.error)
			}
			got := slices.DeleteFunc(attempts(), func(a string) bool { return a == "none accepted" })
			if !slices.Equal(got, tt.attempts) {
				t.Errorf("attempts %q, want %q", got, tt.attempts)
			}
			var unsigned []string
			for _, err := range l.Unsigned() {
				unsigned = append(unsigned, err.Error())
			}
			if !slices.Equal(unsigned, tt.unsigned) {
				t.Errorf("unsigned %q, want %q", unsigned, tt.unsigned)
			}
			for i, s := range signers {
				if asked := s.(*reluctantSigner).asked; asked > 1 {
					t.Errorf("key %d was asked %d times", i, asked)
				}
			}
		})
	}
}

// TestPublicKeyLoginLeavesOut: a signer that cannot say its algorithms would
// not be limited to those of today.
func TestPublicKeyLoginLeavesOut(t *testing.T) {
	plain, err := ssh.ParsePrivateKey([]byte(testdata(t, "rsa")))
	if err != nil {
		t.Fatal(err)
	}
	good := newSigner(t, "")
	conn, attempts := serveLogin(t, []ssh.Signer{good}, "")
	l := keys.NewPublicKeyLogin([]ssh.Signer{struct{ ssh.Signer }{plain}, good})
	c, _, _, err := ssh.NewClientConn(conn, "server", &ssh.ClientConfig{
		User: "tester", Auth: []ssh.AuthMethod{l.Method()},
		HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got, want := attempts(), []string{"none refused", "publickey accepted"}; !slices.Equal(got, want) {
		t.Errorf("attempts %q, want %q", got, want)
	}
}
