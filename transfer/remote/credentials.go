package remote

import (
	"context"
	"fmt"
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
	// seen is shown the server's key where it is the known one, and that is all
	// that is wanted: the handshake ends then, with errSeen.
	seen func(ssh.PublicKey)
	// follows is the login of another connection to the same host: it has the key.
	follows *step
	// leads is this one's login, if others follow, and lead what it is part of.
	leads *step
	lead  *lead

	offers   []offer
	password keys.Secret
	methods  []string // as in Host
	unusable []error  // keys and agents that were configured and cannot be used

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
// be used is an error only if nothing else is left; a certificate that belongs
// to no key is one always.
func loadCredentials(ctx context.Context, h Host, log *slog.Logger) (*credentials, error) {
	c := &credentials{methods: h.methods()}
	limit := maxOffers
	if h.Password != nil && (c.tries("password") || c.tries("keyboard-interactive")) {
		c.password = h.Password
		limit -= passwordTries
	}
	if c.tries("publickey") {
		if err := c.loadKeys(ctx, h); err != nil {
			c.close()
			return nil, err
		}
	}
	if len(c.offers) > limit {
		log.Warn("more keys than a server lets us try: the rest is not offered", "keys", len(c.offers), "offered", limit)
		c.offers = c.offers[:limit]
	}
	if len(c.offers) == 0 && c.password == nil && len(c.unusable) > 0 {
		c.close()
		return nil, fmt.Errorf("log in to %s: %w", h.label(), c.unusable[0])
	}
	for _, err := range c.unusable {
		log.Warn("a configured key cannot be used", "error", err)
	}
	return c, nil
}

// methods are the ways to log in that may be tried, in order.
func (h Host) methods() []string {
	if h.Methods != nil {
		return h.Methods
	}
	return []string{"publickey", "password", "keyboard-interactive"}
}

func (c *credentials) tries(method string) bool { return slices.Contains(c.methods, method) }

// loadKeys fills the offers: key files with their certificates, then the
// agent's keys.
func (c *credentials) loadKeys(ctx context.Context, h Host) error {
	certs, err := c.loadCertificates(h)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", h.label(), err)
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
		signers, err := h.allowed(keys.Certify(key.Signers(), certs.list()), fmt.Sprintf("key %q", file))
		if err != nil {
			c.unusable = append(c.unusable, err)
		}
		c.add(signers, key.Path, false)
		// The server would only say no; it may also know better.
		if err := key.CheckCertificate(h.User, time.Now()); err != nil {
			c.unusable = append(c.unusable, err)
		}
	}
	var agentErr error
	if h.AgentSocket != "" {
		agentErr = c.addAgent(ctx, h, configured, certs)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("connect to %s: %w", h.label(), ctxError(ctx))
	}
	for _, f := range failed {
		if f.public == nil || !c.has(f.public) {
			c.unusable = append(c.unusable, f.err)
		}
	}
	if agentErr != nil {
		c.unusable = append(c.unusable, agentErr)
		return nil // the agent may have had the keys of certificates
	}
	for _, f := range certs {
		if err := f.belongs(h, configured, c); err != nil {
			return err
		}
	}
	return nil
}

// allowed leaves out what the host's lists do not let us use. The error says
// that nothing is left of what.
func (h Host) allowed(signers []ssh.Signer, what string) ([]ssh.Signer, error) {
	bits := 0
	long := slices.DeleteFunc(slices.Clone(signers), func(s ssh.Signer) bool {
		n := keys.RSABits(s.PublicKey())
		if n > 0 && n < h.MinRSA {
			bits = n
		}
		return n > 0 && n < h.MinRSA
	})
	left := keys.Restrict(long, h.Algorithms.PublicKeys)
	switch {
	case len(left) > 0 || len(signers) == 0:
		return left, nil
	case bits > 0:
		return nil, fault.New(fault.Key, "%s is not offered: it is an RSA key of %d bits, and RequiredRSASize asks for %d", what, bits, h.MinRSA).
			WithHint("make a longer key, or one of another type: `ssh-keygen -t ed25519`")
	}
	return nil, fault.New(fault.Key, "%s is not offered: PubkeyAcceptedAlgorithms (%s) have nothing for its type", what, strings.Join(h.Algorithms.PublicKeys, ", ")).
		WithHint("add its algorithm to PubkeyAcceptedAlgorithms, or take the line out")
}

// addAgent adds an agent's keys: first those that belong to configured files,
// then, where that is wanted, the others.
func (c *credentials) addAgent(ctx context.Context, h Host, configured []ssh.PublicKey, certs certificates) error {
	agent, err := keys.OpenAgent(ctx, h.AgentSocket)
	if err != nil {
		return err
	}
	c.agent = agent
	// The agent has no deadline of its own that is short enough.
	defer context.AfterFunc(ctx, c.close)()
	held, err := agent.Signers(h.Legacy...)
	if err != nil {
		return err
	}
	for _, cert := range certs.list() {
		configured = append(configured, cert)
	}
	signers := keys.Match(held, configured)
	if h.AgentKeys == AgentAll || h.AgentKeys == AgentByFiles && len(h.KeyFiles) == 0 {
		signers = append(signers, slices.DeleteFunc(held, func(s ssh.Signer) bool { return slices.Contains(signers, s) })...)
	}
	allowed, err := h.allowed(keys.Certify(signers, certs.list()), "what the agent holds")
	if err != nil && len(c.offers) == 0 {
		c.unusable = append(c.unusable, err)
	}
	c.add(allowed, "agent", true)
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
