package keys

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/pattern"
)

// HostKeyOptions says what is known of servers' keys.
type HostKeyOptions struct {
	// Pins are the only keys that are accepted, if there are any: Files then
	// count for their @revoked lines alone.
	Pins []Pin
	// Files are the known_hosts files, in order.
	Files []KnownHostsFile
	// Warn is told of each line that cannot be used, once, as FILE:LINE and
	// why. It may be nil.
	Warn func(msg string)
	// Legacy names host key algorithms of the past to ask for too.
	Legacy []string
	// CASignatures are the algorithms that an authority may have signed a host
	// certificate with. Nil stands for those of today.
	CASignatures []string
	// Now tells the time by which host certificates are valid. It may be nil
	// for time.Now.
	Now func() time.Time
}

// A KnownHostsFile is a file of known host keys.
type KnownHostsFile struct {
	Path     string
	Required bool // its absence is an error, as somebody named it; else it counts as empty
}

// HostKeys decides whether a server's key is accepted. It never changes, and
// so is safe for concurrent use.
type HostKeys struct {
	pins   []Pin
	lines  []knownLine
	legacy []string
	signed []string // what host certificates may be signed with
	now    func() time.Time
}

// NewHostKeys reads the files of o. Its errors are *fault.Error of kind
// HostKeyUnknown: a file that is missing though required, that cannot be read,
// or that is larger than 16 MiB.
func NewHostKeys(o HostKeyOptions) (*HostKeys, error) {
	h := &HostKeys{pins: slices.Clone(o.Pins), legacy: slices.Clone(o.Legacy), signed: slices.Clone(o.CASignatures), now: o.Now}
	if h.signed == nil {
		h.signed = Default(ForCASignature)
	}
	if h.now == nil {
		h.now = time.Now
	}
	warned := map[string]bool{}
	warn := func(msg string) {
		if o.Warn != nil && !warned[msg] {
			warned[msg] = true
			o.Warn(msg)
		}
	}
	for _, f := range o.Files {
		lines, err := readKnownHosts(f, warn)
		if err != nil {
			return nil, err
		}
		h.lines = append(h.lines, lines...)
	}
	return h, nil
}

// A server is all that the files say about one server.
type server struct {
	plain     []*knownLine // the keys it may have
	authority []*knownLine // who may sign its certificates
	revoked   []*knownLine // what it must not show
	// bare are the plain lines for the host without a port. They count if no
	// plain line names the port, as other servers of the host may have other
	// keys; so a different key there is no sign of a change.
	bare []*knownLine
}

// lookup collects the lines about a server, once by [host]:port and, where
// that is not the standard port, once more by the host alone. OpenSSH takes no
// notice of a @revoked line without the port if there is a line with it: here
// it counts.
func (h *HostKeys) lookup(host string, port int) server {
	var s server
	full, short := lookupName(host, port), lookupName(host, 0)
	for i := range h.lines {
		line := &h.lines[i]
		byFull := line.matches(full)
		if !byFull && (short == full || !line.matches(short)) {
			continue
		}
		switch {
		case line.marker == markRevoked:
			s.revoked = append(s.revoked, line)
		case line.marker == markAuthority:
			s.authority = append(s.authority, line)
		case byFull:
			s.plain = append(s.plain, line)
		default:
			s.bare = append(s.bare, line)
		}
	}
	return s
}

// accepted returns the lines whose plain keys are accepted.
func (s *server) accepted() []*knownLine {
	if len(s.plain) > 0 {
		return s.plain
	}
	return s.bare
}

// Algorithms returns the host key algorithms to ask a server for, in order:
// those of known keys before others, so that a server with several keys shows
// the known one, and the others after, so that a changed key is seen as
// changed. Certificates are asked for, first of all, only if an authority is
// known for the server. With pins it is all of Groups in one list.
func (h *HostKeys) Algorithms(host string, port int) []string {
	if len(h.pins) > 0 {
		return slices.Concat(h.pinGroups()...)
	}
	s := h.lookup(host, port)
	var list []string
	if len(s.authority) > 0 {
		list = hostCertAlgorithms()
	}
	var first, last []string
	for _, algorithm := range h.algorithms() {
		isKnown := slices.ContainsFunc(s.accepted(), func(l *knownLine) bool {
			return len(typeAlgorithms([]string{algorithm}, l.key.Type())) > 0
		})
		if isKnown {
			first = append(first, algorithm)
		} else {
			last = append(last, algorithm)
		}
	}
	return slices.Concat(list, first, last)
}

// Groups returns the lists of host key algorithms to try on one connection
// after another until Check accepts the key. Known hosts need one list, as the
// order in it suffices. A fingerprint does not say what type of key it is of,
// and a server shows only the key for the first algorithm that it shares with
// us: so pins need one list for each type, those that pins name first.
//
// A caller goes on to the next list after a *HostKeyError of reason NotPinned,
// and after a handshake that found no common host key algorithm, and reports
// the first error if no list is left.
func (h *HostKeys) Groups(host string, port int) [][]string {
	if len(h.pins) > 0 {
		return h.pinGroups()
	}
	return [][]string{h.Algorithms(host, port)}
}

// algorithms are those for plain keys, with the ones of the past that the host
// needs.
func (h *HostKeys) algorithms() []string {
	return append(HostKeyAlgorithms(), named(legacyPublicKeyAlgorithms(), h.legacy)...)
}

func (h *HostKeys) pinGroups() [][]string {
	var types []string
	untyped := false
	for _, p := range h.pins {
		if p.keyType == "" {
			untyped = true
		} else if !slices.Contains(types, p.keyType) {
			types = append(types, p.keyType)
		}
	}
	if untyped {
		for _, t := range keyTypes() {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	var groups [][]string
	for _, t := range types {
		if list := typeAlgorithms(h.algorithms(), t); len(list) > 0 {
			groups = append(groups, list)
		}
	}
	if len(groups) == 0 {
		// Only keys of types that are not asked for are pinned. An empty list
		// would ask for the SSH library's default, so ask for ours: what the
		// server shows is then refused with its name.
		return [][]string{h.algorithms()}
	}
	return groups
}

// Check returns nil if the server's key is accepted. Otherwise it returns a
// *HostKeyError in a *fault.Error of kind HostKeyUnknown or HostKeyChanged,
// whose hint says what line to add or replace.
//
// The host is what the user named, without brackets; port 0 stands for 22.
func (h *HostKeys) Check(host string, port int, key ssh.PublicKey) error {
	s := h.lookup(host, port)
	refuse := &HostKeyError{Host: host, Port: port, Key: key}
	if port == 0 {
		refuse.Port = defaultPort
	}
	cert, _ := key.(*ssh.Certificate)
	plain := plainKey(key)

	for _, line := range s.revoked {
		if sameKey(line.key, plain) || cert != nil && sameKey(line.key, cert.SignatureKey) {
			refuse.Reason, refuse.Want = Revoked, []Known{line.known()}
			return refuse.fault()
		}
	}
	if len(h.pins) > 0 {
		if slices.ContainsFunc(h.pins, func(p Pin) bool { return p.Matches(plain) }) {
			return nil
		}
		refuse.Reason = NotPinned
		for _, p := range h.pins {
			refuse.Want = append(refuse.Want, p.known())
		}
		return refuse.fault()
	}
	// A certificate that is no good leaves its plain key to be known, as some
	// servers show a certificate that nobody asked for.
	if cert != nil {
		if i := slices.IndexFunc(s.authority, func(l *knownLine) bool { return sameKey(l.key, cert.SignatureKey) }); i >= 0 {
			refuse.cert = checkHostCert(cert, pattern.Lower(host), h.now(), h.signed)
			if refuse.cert == nil {
				return nil
			}
			refuse.Reason, refuse.Want = CertRefused, []Known{s.authority[i].known()}
		}
	}
	if slices.ContainsFunc(s.accepted(), func(l *knownLine) bool { return sameKey(l.key, plain) }) {
		return nil
	}
	if len(s.plain) > 0 {
		refuse.Reason, refuse.Want = Changed, nil
		for _, line := range s.plain {
			refuse.Want = append(refuse.Want, line.known())
		}
	}
	return refuse.fault()
}

// checkHostCert holds a certificate of a known authority against the server's
// name and the time, and verifies its signature (PROTOCOL.certkeys).
func checkHostCert(cert *ssh.Certificate, host string, now time.Time, signed []string) error {
	switch {
	case cert.CertType != ssh.HostCert:
		return errors.New("it is made for a user, not for a host")
	case !slices.Contains(PublicKeyAlgorithms(), cert.Signature.Format):
		return errors.New("it is signed with an algorithm of the past")
	case !slices.Contains(signed, cert.Signature.Format):
		return fmt.Errorf("it is signed with %s, which CASignatureAlgorithms does not have", cert.Signature.Format)
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return now }}
	if err := checker.CheckCert(host, cert); err != nil {
		return errors.New(shorten(strings.TrimPrefix(err.Error(), "ssh: "), 200))
	}
	return nil
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
