package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

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
	partly    bool                 // the server wanted more than one of them
	signed    string               // fingerprint of the key that signed last
}

// methods lists what to try. All keys are in one method, as of a kind only the
// first is tried.
func (l *loginAttempt) methods() []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	for _, name := range l.creds.methods {
		switch {
		case name == "publickey" && len(l.creds.offers) > 0:
			methods = append(methods, l.publicKeys())
		case name == "password" && l.creds.password != nil:
			methods = append(methods, ssh.PasswordCallback(l.password))
		case name == "keyboard-interactive" && l.creds.password != nil:
			methods = append(methods, ssh.KeyboardInteractive(l.challenge))
		}
	}
	return methods
}

// publicKeys is the method that offers the keys.
func (l *loginAttempt) publicKeys() ssh.AuthMethod {
	signers := make([]ssh.Signer, len(l.creds.offers))
	for i, o := range l.creds.offers {
		signers[i] = o.signer
		if multi, ok := o.signer.(ssh.MultiAlgorithmSigner); ok {
			signers[i] = notingSigner{multi, l, o}
		}
	}
	l.keys = keys.NewPublicKeyLogin(signers)
	return l.keys.Method()
}

// note keeps what the server says of itself.
func (l *loginAttempt) note(c *ssh.ClientAuthContext) {
	l.takes, l.tried = c.AllowedMethods, c.TriedMethods
	l.partly = len(c.PartialSuccessMethods) > 0
	if slices.Contains(c.TriedMethods, "publickey") {
		l.signed = "" // the server has refused the signature after all
	}
}

// next goes on with the next key where one did not sign, and leaves the choice
// to the library otherwise. What follows another login has its key by now.
func (l *loginAttempt) next(c *ssh.ClientAuthContext) ssh.AuthMethod {
	switch {
	case l.keys == nil && l.creds.follows != nil:
		return l.publicKeys()
	case l.keys == nil:
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
// key then. Where another login goes first, it waits for that.
type notingSigner struct {
	ssh.MultiAlgorithmSigner
	l *loginAttempt
	o offer
}

func (s notingSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if leads := s.l.creds.leads; leads != nil {
		leads.agreed(s.o)
	}
	if follows := s.l.creds.follows; follows != nil {
		if err := follows.login(s.l.ctx); err != nil {
			return nil, err
		}
	}
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
	case network(err) && (a.host.LoggedIn || !errors.Is(err, io.EOF) && !l.refused()):
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
	if network(err) {
		// It did not say that it had enough: its process may have died.
		e = e.AsTransient()
	}
	if len(l.takes) > 0 && !slices.Contains(l.takes, "publickey") && l.creds.password == nil {
		e = e.WithHint("the server takes no keys: give a `password`, or allow PubkeyAuthentication on it")
	}
	return e
}
