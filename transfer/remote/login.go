package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

// maxOffers is how many keys are offered at most: servers count each refused
// one, and OpenSSH's MaxAuthTries allows 6. A password needs two of these, as
// it is tried in two ways.
const (
	maxOffers     = 6
	passwordTries = 2
)

// credentials is everything that can log in to one host. Its methods may be
// called concurrently.
type credentials struct {
	offers   []offer
	password keys.Secret
	unusable []error // keys and agents that were configured and cannot be used

	mu     sync.Mutex
	agent  *keys.Agent
	secret *string // the password, once it was fetched
}

// An offer is a key, in the words of messages and ready to sign.
type offer struct {
	name   string // SHA256:… (FILE)
	agent  bool   // an agent holds it
	signer ssh.Signer
}

// loadCredentials loads the keys of h and reaches its agent. A key that cannot
// be used is an error only if nothing else is left.
func loadCredentials(ctx context.Context, h Host, log *slog.Logger) (*credentials, error) {
	c := &credentials{password: h.Password}
	limit := maxOffers
	if h.Password != nil {
		limit -= passwordTries
	}
	// A key that cannot be loaded, and its public half if that is known.
	type failedKey struct {
		err    error
		public ssh.PublicKey
	}
	var configured []ssh.PublicKey
	var failed []failedKey
	for _, file := range h.KeyFiles {
		key, err := keys.Load(ctx, file, h.Passphrase, h.Legacy...)
		if err != nil {
			// Its public half may still stand for a key in the agent.
			public, publicErr := keys.Public(file)
			if publicErr == nil {
				configured = append(configured, public)
			}
			failed = append(failed, failedKey{err, public})
			continue
		}
		for _, s := range key.Signers() {
			configured = append(configured, s.PublicKey())
		}
		c.add(key.Signers(), key.Path, false)
		// The server would only say no; it may also know better.
		if err := key.CheckCertificate(h.User, time.Now()); err != nil {
			c.unusable = append(c.unusable, err)
		}
	}
	var agentErr error
	if h.AgentSocket != "" {
		agentErr = c.addAgent(ctx, h, configured)
	}
	for _, f := range failed {
		if f.public == nil || !c.has(f.public) {
			c.unusable = append(c.unusable, f.err)
		}
	}
	if agentErr != nil {
		c.unusable = append(c.unusable, agentErr)
	}
	if ctx.Err() != nil {
		c.close()
		return nil, fmt.Errorf("connect to %s: %w", h.label(), ctxError(ctx))
	}
	if len(c.offers) > limit {
		log.Warn("more keys than a server lets us try: the rest is not offered", "keys", len(c.offers), "offered", limit)
		c.offers = c.offers[:limit]
	}
	if len(c.offers) == 0 && h.Password == nil && len(c.unusable) > 0 {
		c.close()
		return nil, fmt.Errorf("log in to %s: %w", h.label(), c.unusable[0])
	}
	for _, err := range c.unusable {
		log.Warn("a configured key cannot be used", "error", err)
	}
	return c, nil
}

// addAgent adds an agent's keys: those among the configured ones, or all.
func (c *credentials) addAgent(ctx context.Context, h Host, configured []ssh.PublicKey) error {
	agent, err := keys.OpenAgent(ctx, h.AgentSocket)
	if err != nil {
		return err
	}
	c.agent = agent
	// The agent has no deadline of its own that is short enough.
	defer context.AfterFunc(ctx, c.close)()
	signers, err := agent.Signers(h.Legacy...)
	if err != nil {
		return err
	}
	if len(h.KeyFiles) > 0 {
		signers = keys.Match(signers, configured)
	}
	c.add(signers, "agent", true)
	return nil
}

// add offers the keys of one source that none before it has offered. A source
// may name a key twice: once more with an algorithm of the past. keys sees to
// it that it signs with no other.
func (c *credentials) add(signers []ssh.Signer, from string, agent bool) {
	var fresh []offer
	for _, s := range signers {
		if c.has(s.PublicKey()) {
			continue
		}
		name := fmt.Sprintf("%s (%s)", fingerprint(s.PublicKey()), from)
		if _, ok := s.PublicKey().(*ssh.Certificate); ok {
			name = "certificate for " + name
		}
		fresh = append(fresh, offer{name, agent, s})
	}
	c.offers = append(c.offers, fresh...)
}

// has reports whether a key is offered already.
func (c *credentials) has(key ssh.PublicKey) bool {
	blob := string(key.Marshal())
	return slices.ContainsFunc(c.offers, func(o offer) bool { return string(o.signer.PublicKey().Marshal()) == blob })
}

// fingerprint names a key, or the key that a certificate is for.
func fingerprint(key ssh.PublicKey) string {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return ssh.FingerprintSHA256(key)
}

// close lets go of the agent. It may be called again.
func (c *credentials) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agent != nil {
		c.agent.Close() //nolint:errcheck // nothing was written that could be lost
		c.agent = nil
	}
}

// fetch returns the password, asking for it once.
func (c *credentials) fetch(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret == nil {
		b, err := c.password(ctx)
		if err != nil {
			return "", err
		}
		s := string(b)
		clear(b)
		c.secret = &s
	}
	return *c.secret, nil
}

// A loginAttempt is the use of credentials on one connection. The handshake's
// goroutine alone uses it until that has ended.
type loginAttempt struct {
	creds     *credentials
	keys      *keys.PublicKeyLogin // nil: there are none
	ctx       context.Context      // the library's callbacks take none
	secretErr error                // why there is no password
	answered  bool                 // the server was given the password by keyboard-interactive
	takes     []string             // the methods that the server takes
	tried     []string             // those that it refused
	signed    string               // fingerprint of the key that signed last
}

// methods lists what to try. All keys are in one method, as of a kind only the
// first is tried.
func (l *loginAttempt) methods() []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	if len(l.creds.offers) > 0 {
		signers := make([]ssh.Signer, len(l.creds.offers))
		for i, o := range l.creds.offers {
			signers[i] = o.signer
			if multi, ok := o.signer.(ssh.MultiAlgorithmSigner); ok {
				signers[i] = notingSigner{multi, l}
			}
		}
		l.keys = keys.NewPublicKeyLogin(signers)
		methods = append(methods, l.keys.Method())
	}
	if l.creds.password != nil {
		methods = append(methods, ssh.PasswordCallback(l.password), ssh.KeyboardInteractive(l.challenge))
	}
	return methods
}

// note keeps what the server says of itself.
func (l *loginAttempt) note(c *ssh.ClientAuthContext) {
	l.takes, l.tried = c.AllowedMethods, c.TriedMethods
	if slices.Contains(c.TriedMethods, "publickey") {
		l.signed = "" // the server has refused the signature after all
	}
}

// next goes on with the next key where one did not sign, and leaves the choice
// to the library otherwise.
func (l *loginAttempt) next(c *ssh.ClientAuthContext) ssh.AuthMethod {
	if l.keys == nil {
		return nil
	}
	return l.keys.Next(c)
}

// useless are the keys that could not be used: those that did not load, and
// those that did not sign.
func (l *loginAttempt) useless() []error {
	if l.keys == nil {
		return l.creds.unusable
	}
	return slices.Concat(l.creds.unusable, l.keys.Unsigned())
}

// refused reports whether the server has turned anything down that we have.
func (l *loginAttempt) refused() bool {
	return slices.ContainsFunc(l.tried, func(method string) bool { return method != "none" })
}

func (l *loginAttempt) password() (string, error) {
	secret, err := l.creds.fetch(l.ctx)
	if err != nil {
		l.secretErr = err
	}
	return secret, err
}

// challenge answers the question for the password, once. Questions whose
// answers may be seen, and further ones, are for a person.
func (l *loginAttempt) challenge(_, _ string, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	if len(questions) > 1 || echos[0] || l.answered {
		return nil, fmt.Errorf("the server asks %q, which only a person can answer", oneLine(strings.Join(questions, " ")))
	}
	l.answered = true
	secret, err := l.password()
	return []string{secret}, err
}

// A notingSigner notes that it was asked to sign: the server had accepted the
// key then.
type notingSigner struct {
	ssh.MultiAlgorithmSigner
	l *loginAttempt
}

func (s notingSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.l.signed = fingerprint(s.PublicKey())
	return s.MultiAlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

// loginError says who was refused, with what, and what the server would take.
func (a *attempt) loginError(err error) error {
	l := a.login
	label := a.host.label()
	var sorted *fault.Error
	switch {
	case l.secretErr != nil:
		return fault.Wrap(fault.Config, fmt.Errorf("the password for %s: %w", label, l.secretErr))
	case errors.As(err, &sorted):
		return fmt.Errorf("login to %s as %q: %w", label, a.host.User, err) // an agent that does not sign
	case network(err) && !errors.Is(err, io.EOF) && !l.refused():
		return fault.New(fault.TCP, "lost the connection to %s during the login: %w", label, bare(err))
	}
	text := fmt.Sprintf("login to %s as %q refused: %s", label, a.host.User, l.creds.offered())
	if len(l.takes) > 0 {
		text += "; the server takes " + strings.Join(l.takes, ", ")
	}
	switch {
	case errors.Is(err, io.EOF):
		text += "; then it closed the connection"
	case !strings.Contains(err.Error(), "no supported methods remain"): // which says no more
		text += "; " + libraryText(err)
	}
	for _, bad := range l.useless() {
		text += "; " + bad.Error()
	}
	e := fault.New(fault.Login, "%s", text)
	if len(l.takes) > 0 && !slices.Contains(l.takes, "publickey") && l.creds.password == nil {
		e = e.WithHint("the server takes no keys: give a `password`, or allow PubkeyAuthentication on it")
	}
	return e
}

// offered says what there was to log in with.
func (c *credentials) offered() string {
	var parts []string
	agent := 0
	for _, o := range c.offers {
		if o.agent {
			agent++
			continue
		}
		parts = append(parts, "key "+o.name)
	}
	switch {
	case agent > 0:
		parts = append(parts, fmt.Sprintf("%d keys of the agent", agent))
	case len(parts) == 0:
		parts = append(parts, "no key")
	}
	if c.password != nil {
		parts = append(parts, "a password")
	} else {
		parts = append(parts, "no password")
	}
	return "offered " + strings.Join(parts, ", ")
}
