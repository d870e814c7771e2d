package ikev2

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"slices"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// A Certificate is one of ours, with its key.
type Certificate struct {
	Chain []*x509.Certificate // ours first, then those between it and its CA
	Key   crypto.Signer       // RSA, ECDSA or Ed25519
	// PSS signs by RSA-PSS, which some gateways insist on. Default: PKCS #1
	// version 1.5, which all know.
	PSS bool
}

// EAP is a login by EAP (RFC 7296 section 2.16).
type EAP struct {
	User     string
	Password []byte
	// Methods are those that are spoken, the first one preferred: MSCHAPv2, MD5,
	// GTC and TLS. Nil is TLS if there is a Certificate, and MSCHAPv2 and MD5 if
	// there is a Password. GTC must be named, as it gives the password away.
	Methods     []ikemsg.EAPType
	Certificate *Certificate // of TLS
	// Server is whom the certificate of TLS must be for; nil: the gateway.
	Server *ikemsg.Identity
}

// Trust is what the gateway's certificate is held against.
type Trust struct {
	CAs []*x509.Certificate // or the gateway's own certificate
	// CRLs say which certificates were revoked. If there are any, each CA below
	// the topmost one needs its own.
	CRLs []*x509.RevocationList
	// Name is whom the certificate must be for where Config.Remote is nil.
	Name *ikemsg.Identity
}

// checkProofs completes and checks how both sides prove who they are.
func (c *Config) checkProofs() error {
	if c.Local.Kind == 0 {
		c.Local = c.localDefault()
	}
	if c.EAP != nil {
		e := *c.EAP
		if err := e.complete(); err != nil {
			return err
		}
		c.EAP = &e
	}
	switch {
	case c.Local.Kind == 0:
		return fault.New(fault.Config, "a tunnel without an identity of ours")
	case c.PSK == nil && c.Certificate == nil && c.EAP == nil:
		return fault.New(fault.Config, "a tunnel without a pre-shared key, certificate or EAP to log in with")
	case c.PSK != nil && len(c.PSK) == 0 || c.RemotePSK != nil && len(c.RemotePSK) == 0:
		return fault.New(fault.Config, "a tunnel with an empty pre-shared key")
	case c.PSK != nil && c.Certificate != nil:
		return fault.New(fault.Config, "a tunnel with both a pre-shared key and a certificate to log in with")
	case c.Trust != nil && c.RemotePSK != nil:
		return fault.New(fault.Config, "a tunnel whose gateway has both a pre-shared key and a certificate")
	case c.Trust == nil && c.RemotePSK == nil && c.PSK == nil:
		return fault.New(fault.Config, "a tunnel whose gateway proves itself by nothing").
			WithHint("give the link's `remote` a `ca` or a `psk`: without it anybody could be the gateway")
	case c.Trust != nil && len(c.Trust.CAs) == 0:
		return fault.New(fault.Config, "a tunnel without the CA of its gateway's certificate")
	case c.Trust != nil && c.Remote == nil && c.Trust.Name == nil:
		return fault.New(fault.Config, "a tunnel whose gateway may be anybody whom the CA knows").
			WithHint("give the link's `remote` an `id`")
	case c.Trust == nil && c.EAP != nil && slices.Contains(c.EAP.Methods, ikemsg.EAPTLS):
		return fault.New(fault.Config, "EAP-TLS without the CA of its server's certificate")
	}
	return c.Certificate.check()
}

// localDefault is who we are if nobody has said: whom the certificate is for, or
// the user.
func (c *Config) localDefault() ikemsg.Identity {
	switch {
	case c.Certificate != nil && len(c.Certificate.Chain) > 0:
		return ikemsg.Identity{Kind: ikemsg.IDName, Data: c.Certificate.Chain[0].RawSubject}
	case c.EAP != nil:
		if id, err := ParseIdentity(c.EAP.User); err == nil {
			return id
		}
		return ikemsg.Identity{Kind: ikemsg.IDKey, Data: []byte(c.EAP.User)}
	}
	return ikemsg.Identity{}
}

func (e *EAP) complete() error {
	if e.Methods == nil {
		if e.Certificate != nil {
			e.Methods = append(e.Methods, ikemsg.EAPTLS)
		}
		if len(e.Password) > 0 {
			e.Methods = append(e.Methods, ikemsg.EAPMSCHAPv2, ikemsg.EAPMD5)
		}
	}
	if e.User == "" {
		return fault.New(fault.Config, "EAP without a user")
	}
	if len(e.Methods) == 0 {
		return fault.New(fault.Config, "EAP without a password or a certificate")
	}
	for _, m := range e.Methods {
		switch m {
		case ikemsg.EAPTLS:
			if e.Certificate == nil {
				return fault.New(fault.Config, "EAP-TLS without a certificate")
			}
		case ikemsg.EAPMSCHAPv2, ikemsg.EAPMD5, ikemsg.EAPGTC:
			if len(e.Password) == 0 {
				return fault.New(fault.Config, "EAP-%v without a password", m)
			}
		default:
			return fault.New(fault.Config, "EAP-%v is not spoken here", m)
		}
	}
	return e.Certificate.check()
}

// mutual reports whether each method proves the server too, so that the gateway
// need not do so before (RFC 5998 section 4). MSCHAPv2 is no such method: who
// hears it may guess the password. Nor is TLS with a server that is not the
// gateway: it proves nothing of that (section 6).
func (e *EAP) mutual() bool {
	return e != nil && e.Server == nil && !slices.ContainsFunc(e.Methods, func(m ikemsg.EAPType) bool { return m != ikemsg.EAPTLS })
}

// check holds a certificate against its key.
func (c *Certificate) check() error {
	switch {
	case c == nil:
		return nil
	case len(c.Chain) == 0 || c.Key == nil:
		return fault.New(fault.Config, "a certificate without its key")
	}
	own, ok := c.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !own.Equal(c.Chain[0].PublicKey) {
		return fault.New(fault.Key, "the certificate of %s is not for the key beside it", quotedName(c.Chain[0])).
			WithHint("`cert` and `key` belong together: one was made anew, or they are of different pairs")
	}
	return nil
}

// payloads are the certificates as they are sent: ours first, and no CA that
// vouches for itself (RFC 7296 section 3.6).
func (c *Certificate) payloads() []ikemsg.Payload {
	var all []ikemsg.Payload
	for i, cert := range c.Chain {
		if i > 0 && bytes.Equal(cert.RawSubject, cert.RawIssuer) {
			continue
		}
		all = append(all, &ikemsg.Cert{Encoding: ikemsg.CertX509Signature, Data: cert.Raw})
	}
	return all
}

// Bounds of what a file may hold.
const (
	maxCertificates = 64
	maxCRLs         = 64
)

// ParseCertificates reads certificates as files have them: PEM, with any text
// around it, or one in DER.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	return parseFile(data, "CERTIFICATE", maxCertificates, x509.ParseCertificate)
}

// ParseCRLs reads lists of revoked certificates, likewise.
func ParseCRLs(data []byte) ([]*x509.RevocationList, error) {
	return parseFile(data, "X509 CRL", maxCRLs, x509.ParseRevocationList)
}

func parseFile[T any](data []byte, kind string, most int, parse func([]byte) (T, error)) ([]T, error) {
	var all []T
	rest := data
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != kind {
			continue
		}
		one, err := parse(block.Bytes)
		if err != nil {
			return nil, fault.New(fault.Config, "its %s number %d cannot be read: %w", kind, len(all)+1, err)
		}
		if all = append(all, one); len(all) > most {
			return nil, fault.New(fault.Config, "it has more than %d of %s", most, kind)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	if one, err := parse(data); err == nil {
		return []T{one}, nil
	}
	return nil, fault.New(fault.Config, "there is no %s in it, neither PEM nor DER", kind)
}
