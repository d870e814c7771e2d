package remote

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys"
)

// certificates are the files that a host names for keys that lie elsewhere.
type certificates []certificate

type certificate struct {
	keys.CertificateFile
	cert *ssh.Certificate
}

// loadCertificates reads the files of h, and notes which of them a server will
// refuse. One that is optional and cannot be read is noted too.
func (c *credentials) loadCertificates(h Host) (certificates, error) {
	var all certificates
	for _, f := range h.Certificates {
		cert, err := keys.LoadCertificate(f.Path)
		switch {
		case err == nil:
			all = append(all, certificate{f, cert})
			err = keys.CheckCertificate(fmt.Sprintf("the certificate %q", f.Path), cert, h.User, time.Now())
		case !f.Optional:
			return nil, err
		}
		if err != nil {
			c.unusable = append(c.unusable, err)
		}
	}
	return all, nil
}

// list returns the certificates alone.
func (all certificates) list() []*ssh.Certificate {
	var list []*ssh.Certificate
	for _, c := range all {
		list = append(list, c.cert)
	}
	return list
}

// belongs says that a certificate is of no key that there is: neither of those
// that are configured nor of those that are offered, the agent's among them.
func (f certificate) belongs(h Host, configured []ssh.PublicKey, c *credentials) error {
	blob := f.cert.Key.Marshal()
	mine := func(key ssh.PublicKey) bool {
		if cert, ok := key.(*ssh.Certificate); ok {
			key = cert.Key
		}
		return bytes.Equal(key.Marshal(), blob)
	}
	if slices.ContainsFunc(configured, mine) || slices.ContainsFunc(c.offers, func(o offer) bool { return mine(o.signer.PublicKey()) }) {
		return nil
	}
	err := fault.New(fault.Key, "the certificate %q belongs to none of the keys that log in to %s: it is for %s", f.Path, h.Name, ssh.FingerprintSHA256(f.cert.Key)).
		WithHint("name its private key in `keys`, or add that to the agent and `agent` to `keys`; `ssh-keygen -L -f FILE` shows what a certificate is for")
	if f.Optional {
		c.unusable = append(c.unusable, err)
		return nil
	}
	return err
}
