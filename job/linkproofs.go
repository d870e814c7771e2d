package job

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/tunnel/ikev2"
)

// maxCertFile is the most that a file of certificates or revoked ones may have.
// The largest lists of public CAs have ten megabytes.
const maxCertFile = 32 << 20

// proofs puts into a config how both sides of a link prove who they are. Files
// and secrets are read anew each time that the tunnel comes up.
func proofs(ctx context.Context, c *config.Link, to *ikev2.Config) error {
	resolve := func(s config.Secret, what string, into *[]byte) error {
		if s.IsZero() {
			return nil
		}
		secret, err := s.Resolve(ctx)
		if err != nil {
			return fault.New(fault.Config, "the %s of link %q: %w", what, c.Name, err)
		}
		*into = secret
		return nil
	}
	if err := resolve(c.PSK, "pre-shared key", &to.PSK); err != nil {
		return err
	}
	if err := resolve(c.RemotePSK, "gateway's pre-shared key", &to.RemotePSK); err != nil {
		return err
	}
	var err error
	if to.Certificate, err = pair(ctx, c.Pair); err != nil {
		return fmt.Errorf("the certificate of link %q: %w", c.Name, err)
	}
	if c.EAP != nil {
		e := &ikev2.EAP{User: c.EAP.User, Methods: c.EAP.Methods, Server: c.EAP.Server}
		if err := resolve(c.EAP.Password, "EAP password", &e.Password); err != nil {
			return err
		}
		if e.Certificate, err = pair(ctx, c.EAP.Pair); err != nil {
			return fmt.Errorf("the EAP certificate of link %q: %w", c.Name, err)
		}
		to.EAP = e
	}
	if len(c.CAs) == 0 {
		return nil
	}
	to.Trust = &ikev2.Trust{Name: c.GatewayName}
	if to.Trust.CAs, err = fromFiles(c.CAs, ikev2.ParseCertificates); err != nil {
		return fmt.Errorf("the CA of link %q: %w", c.Name, err)
	}
	if to.Trust.CRLs, err = fromFiles(c.CRLs, ikev2.ParseCRLs); err != nil {
		return fmt.Errorf("the CRL of link %q: %w", c.Name, err)
	}
	return nil
}

// pair reads a certificate and its key; nil if there is none.
func pair(ctx context.Context, p *config.KeyPair) (*ikev2.Certificate, error) {
	if p == nil {
		return nil, nil
	}
	chain, err := fromFiles(p.Certs, ikev2.ParseCertificates)
	if err != nil {
		return nil, err
	}
	private, err := keys.LoadPrivate(ctx, p.Key, secret(p.Passphrase))
	if err != nil {
		return nil, err
	}
	signer, ok := private.Key.(crypto.Signer)
	if !ok {
		return nil, fault.New(fault.Key, "the key %q is of a type that gateways do not know", p.Key).
			WithHint("RSA, ECDSA and Ed25519 are known")
	}
	return &ikev2.Certificate{Chain: chain, Key: signer, PSS: p.PSS}, nil
}

// fromFiles reads all that is in files, in their order.
func fromFiles[T *x509.Certificate | *x509.RevocationList](paths []string, parse func([]byte) ([]T, error)) ([]T, error) {
	var all []T
	for _, path := range paths {
		data, err := readFile(path)
		if err != nil {
			return nil, fault.New(fault.Key, "read %q: %w", path, err).
				WithHint("check that the file is there and that the user that linehaul runs as may read it")
		}
		some, err := parse(data)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", path, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// readFile reads a regular file: a pipe might never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCertFile+1))
	if err == nil && len(data) > maxCertFile {
		err = fmt.Errorf("it is longer than %d MiB", maxCertFile>>20)
	}
	return data, err
}

// withoutPath is the cause of an error that names its path, as we do so.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
