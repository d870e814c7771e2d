package keys

import (
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// A Reason says why a host key was not accepted.
type Reason int

// The reasons. Unknown and CertRefused are of fault kind HostKeyUnknown, the
// others of HostKeyChanged.
const (
	Unknown     Reason = iota // nothing is known of the server
	Changed                   // other keys are known for the server
	NotPinned                 // it is none of the pinned keys; the server may have others
	Revoked                   // the key, or who signed its certificate, is marked @revoked
	CertRefused               // who signed the certificate is known, but it is not good
)

// A HostKeyError says why a server's key was not accepted.
type HostKeyError struct {
	Reason Reason
	Host   string
	Port   int
	Key    ssh.PublicKey // what the server showed: a key or a host certificate
	Want   []Known       // what is known of the server and does not fit
	cert   error         // what is wrong with the certificate
}

// Known is a key that is known for a server.
type Known struct {
	File        string // empty for a pin
	Line        int    // from 1; 0 for a pin
	Type        string // empty for a pin that does not say
	Fingerprint string // SHA256:…, or MD5:… for a pin that is given so
}

// String returns "TYPE FINGERPRINT (FILE:LINE)", as far as it is known.
func (k Known) String() string {
	s := strings.TrimSpace(k.Type + " " + k.Fingerprint)
	if k.File != "" {
		s += " (" + k.place() + ")"
	}
	return s
}

func (k Known) place() string { return k.File + ":" + strconv.Itoa(k.Line) }

// Error returns one line: the server, the key that it showed, and what is
// known instead.
func (e *HostKeyError) Error() string {
	server := net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
	shown := e.shown()
	switch e.Reason {
	case Changed:
		return fmt.Sprintf("the host key of %s has changed: known is %s, the server shows %s", server, e.wanted(), shown)
	case NotPinned:
		return fmt.Sprintf("the host key of %s is not the pinned one: pinned is %s, the server shows %s", server, e.wanted(), shown)
	case Revoked:
		return fmt.Sprintf("the host key of %s is revoked: %s is marked @revoked, the server shows %s", server, e.wanted(), shown)
	case CertRefused:
		return fmt.Sprintf("the host certificate of %s is not accepted: %v; it is signed by %s and certifies %s", server, e.cert, e.wanted(), shown)
	case Unknown:
	}
	return fmt.Sprintf("the host key of %s is not known: the server shows %s", server, shown)
}

// shown names the key that the server showed, without its certificate.
func (e *HostKeyError) shown() string {
	key := plainKey(e.Key)
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// wanted names the first two of the keys that are known, those of the shown
// type before others.
func (e *HostKeyError) wanted() string {
	var same, other []string
	for _, k := range e.Want {
		if k.Type == plainKey(e.Key).Type() {
			same = append(same, k.String())
		} else {
			other = append(other, k.String())
		}
	}
	all := append(same, other...)
	const most = 2
	if more := len(all) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), more)
	}
	return strings.Join(all, " and ")
}

// fault sorts the error and gives it its next step.
func (e *HostKeyError) fault() error {
	key := plainKey(e.Key)
	fingerprint := ssh.FingerprintSHA256(key)
	switch e.Reason {
	case Changed:
		return fault.New(fault.HostKeyChanged, "%w", e).WithHint(
			"either the server was set up anew or somebody stands in between: ask its administrator for the fingerprint, by another way than this connection; only if it is %s, replace the key at %s", fingerprint, e.replace().place())
	case NotPinned:
		return fault.New(fault.HostKeyChanged, "%w", e).WithHint(
			"either the server was set up anew or somebody stands in between: ask its administrator for the fingerprint, by another way than this connection; only if it is %s, put that into `host_keys`", fingerprint)
	case Revoked:
		return fault.New(fault.HostKeyChanged, "%w", e).WithHint(
			"do not trust this key again: ask the server's administrator for a new one, and why the old one was revoked")
	case CertRefused:
		return fault.New(fault.HostKeyUnknown, "%w", e).WithHint(
			"ask the server's administrator for a new host certificate, or check its key with them and pin it: `host_keys: [%q]`", fingerprint)
	case Unknown:
	}
	return fault.New(fault.HostKeyUnknown, "%w", e).WithHint(
		"compare the fingerprint with the server's administrator, then add `host_keys: [%q]` to the host, or this line to known_hosts: %s %s %s",
		fingerprint, lookupName(e.Host, e.Port), key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
}

// replace picks the line whose key the shown one would take the place of.
func (e *HostKeyError) replace() Known {
	for _, k := range e.Want {
		if k.Type == plainKey(e.Key).Type() {
			return k
		}
	}
	return e.Want[0]
}
