package config

import (
	"net"
	"strings"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
)

// A KeyPair is a certificate of ours and its private key, in files.
type KeyPair struct {
	Certs      []string // ours first, then those between it and its CA
	Key        string
	Passphrase Secret
	PSS        bool // sign by RSA-PSS
}

// An EAP is a login by EAP.
type EAP struct {
	User     string
	Password Secret
	Methods  []ikemsg.EAPType // nil: those that Password and Pair are good for
	Pair     *KeyPair         // of EAP-TLS
	Server   *ikemsg.Identity // of EAP-TLS; nil: the gateway
}

type partyEntry struct {
	ID  text      `yaml:"id" also:"identity rightid" doc:"An identity: a host name, an address, user@name, a distinguished name as in C=CH, O=Example, CN=branch, or TYPE:VALUE with ipv4, ipv6, fqdn, email, keyid or dn. Without it, a gateway with a ca must have a certificate for the name or address in gateway." example:"vpn.example.net"`
	PSK secretRef `yaml:"psk" also:"secret shared_secret" doc:"The gateway's pre-shared key, where it is not ours as well: a reference to a secret." example:"file:gateway.psk"`
	CA  texts     `yaml:"ca" also:"cacert cacerts ca_cert" doc:"Files of the CAs that the gateway's certificate may be signed by, in PEM or DER; or the gateway's own certificate. Relative to this file." example:"vpn-ca.pem"`
	CRL texts     `yaml:"crl" also:"crls" doc:"Files that say which certificates were revoked, in PEM or DER, read each time that the tunnel comes up. With them, each CA below the topmost one needs a list that is in force." example:"vpn-ca.crl"`
}

type localParty struct {
	ID         text      `yaml:"id" also:"identity leftid" doc:"An identity, as in remote. Without it, the subject of cert, or the user of eap." example:"branch@example.net"`
	PSK        secretRef `yaml:"psk" also:"secret shared_secret" doc:"The pre-shared key: a reference to a secret, never the secret itself. It is the gateway's too, unless remote has a psk or a ca." example:"file:hk.psk"`
	Cert       texts     `yaml:"cert" also:"certs certificate" doc:"Files of our certificate and of those between it and its CA, in PEM or DER. Relative to this file." example:"branch.pem"`
	Key        text      `yaml:"key" also:"private_key privatekey" doc:"File of the certificate's private key, in any format that keys of hosts may have." example:"branch.key"`
	Passphrase secretRef `yaml:"passphrase" doc:"The passphrase of key: a reference to a secret." example:"env:BRANCH_PASS"`
	PSS        flag      `yaml:"rsa_pss" also:"pss" default:"false" doc:"Whether an RSA key signs by RSA-PSS, which some gateways insist on."`
	EAP        eapEntry  `yaml:"eap" doc:"A login by EAP, alone, or as the second proof after psk or cert."`
}

type eapEntry struct {
	User       text      `yaml:"user" also:"identity username eap_id" doc:"The user, which may have a domain before a backslash." example:"alice"`
	Password   secretRef `yaml:"password" also:"secret" doc:"The user's password: a reference to a secret." example:"file:alice.password"`
	Method     texts     `yaml:"method" also:"methods" doc:"What is spoken, the first one preferred: mschapv2, md5, gtc, tls. Without it: tls if there is a cert, and mschapv2 and md5 if there is a password. gtc gives the gateway the password as it is." example:"mschapv2"`
	Cert       texts     `yaml:"cert" also:"certs certificate" doc:"Files of the certificate of EAP-TLS, as in local." example:"alice.pem"`
	Key        text      `yaml:"key" also:"private_key privatekey" doc:"File of its private key." example:"alice.key"`
	Passphrase secretRef `yaml:"passphrase" doc:"The passphrase of key: a reference to a secret." example:"env:ALICE_PASS"`
	ServerID   text      `yaml:"server_id" also:"aaa_id" doc:"Whom the certificate of the server of EAP-TLS must be for, where that is not the gateway." example:"radius.example.net"`
}

// proofs says how both sides of a link prove who they are.
func (r *rules) proofs(l *Link, at spot, s *ipsecEntry) {
	local, remote := &s.Local, &s.Remote
	l.PSK, l.RemotePSK = r.secret(&local.PSK), r.secret(&remote.PSK)
	l.Pair = r.pair(&local.Cert, &local.Key, &local.Passphrase)
	if l.Pair != nil {
		l.Pair.PSS = local.PSS.value
	}
	l.EAP = r.eap(&local.EAP)
	l.CAs, l.CRLs = r.paths(remote.CA), r.paths(remote.CRL)
	// A key that is named with a value that cannot be taken is no absent one.
	psk, cert, eap := !local.PSK.absent(), !absentTexts(&local.Cert) || !local.Key.absent(), local.EAP.given()
	switch {
	case !psk && !cert && !eap:
		r.problem(at, "`%s` has no `ipsec: local: psk`, `cert` or `eap`", at.name).suggest("add `ipsec: local: psk: file:hk.psk`")
	case psk && cert:
		r.problem(local.PSK.at, "`local` has a `psk` and a `cert`: we prove ourselves by one of them").suggest("leave one of them out")
	}
	if local.ID.absent() && !cert && !eap {
		r.problem(at, "`%s` has no `ipsec: local: id`", at.name).suggest("add `ipsec: local: id: branch@example.net`")
	}
	ca, theirs := !absentTexts(&remote.CA), !remote.PSK.absent()
	switch {
	case ca && theirs:
		r.problem(remote.PSK.at, "`remote` has a `psk` and a `ca`: the gateway proves itself by one of them").suggest("leave one of them out")
	case !ca && !theirs && !psk && (cert || eap):
		r.problem(at, "`%s` has no `ipsec: remote: ca` or `psk`: anybody could be the gateway", at.name).suggest("add `ipsec: remote: ca: vpn-ca.pem`")
	case !ca && l.EAP != nil && l.EAP.Pair != nil:
		r.problem(local.EAP.Cert.at, "EAP-TLS has no `ipsec: remote: ca` for its server's certificate").suggest("add `ipsec: remote: ca: vpn-ca.pem`")
	}
	if !absentTexts(&remote.CRL) && !ca {
		r.problem(remote.CRL.at, "`crl` is of a `ca`, and `remote` has none").suggest("add `ipsec: remote: ca: vpn-ca.pem`")
	}
	if ca && l.Remote == nil && remote.ID.absent() && s.Gateway.given {
		l.GatewayName = r.gatewayName(&s.Gateway)
	}
}

// gatewayName is whom the gateway's certificate must be for where nothing else
// says so.
func (r *rules) gatewayName(t *text) *ikemsg.Identity {
	host := t.value
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	id, err := ikev2.ParseIdentity(strings.Trim(host, "[]"))
	if err != nil {
		r.problem(t.at, "`%s`: %v", t.at.name, err)
		return nil
	}
	return &id
}

func absentTexts(t *texts) bool { return !t.given && t.at.line > 0 }

// pair is a certificate with its key; nil if there is neither.
func (r *rules) pair(cert *texts, key *text, passphrase *secretRef) *KeyPair {
	switch {
	case absentTexts(cert) && key.absent():
		if passphrase.given {
			r.problem(passphrase.at, "`passphrase` is of a `key`, and there is none").suggest("add `cert` and `key`, or remove it")
		}
		return nil
	case absentTexts(cert):
		r.problem(key.at, "`key` has no `cert` beside it").suggest("add `cert: branch.pem`")
	case key.absent():
		r.problem(cert.at, "`cert` has no `key` beside it").suggest("add `key: branch.key`")
	}
	p := &KeyPair{Certs: r.paths(*cert), Passphrase: r.secret(passphrase)}
	if key.given {
		p.Key, _ = r.path(key)
	}
	return p
}

// given reports whether the file names any of its keys.
func (s *eapEntry) given() bool {
	return !s.User.absent() || !s.Password.absent() || !absentTexts(&s.Method) || !absentTexts(&s.Cert) || !s.Key.absent() || !s.Passphrase.absent() || !s.ServerID.absent()
}

func (r *rules) eap(s *eapEntry) *EAP {
	if !s.given() {
		return nil
	}
	e := &EAP{User: s.User.value, Password: r.secret(&s.Password), Pair: r.pair(&s.Cert, &s.Key, &s.Passphrase)}
	at := s.User.at
	if s.User.absent() {
		r.problem(at, "`eap` has no `user`").suggest("add `user: alice`")
	}
	if s.Password.absent() && e.Pair == nil {
		r.problem(at, "`eap` has no `password`, and no `cert` for EAP-TLS").suggest("add `password: file:alice.password`")
	}
	if s.ServerID.given {
		e.Server = r.identity(&s.ServerID)
	}
	words := map[string]ikemsg.EAPType{"mschapv2": ikemsg.EAPMSCHAPv2, "md5": ikemsg.EAPMD5, "gtc": ikemsg.EAPGTC, "tls": ikemsg.EAPTLS}
	for _, t := range s.Method.items {
		word := strings.TrimPrefix(strings.ToLower(t.value), "eap-")
		m, ok := words[word]
		switch {
		case !ok:
			a := r.problem(t.at, "no EAP method %s", quote(t.value))
			if near := Nearest(word, []string{"mschapv2", "md5", "gtc", "tls"}); near != "" {
				a.suggest("did you mean `%s`?", near)
			} else {
				a.suggest("known here: mschapv2, md5, gtc, tls")
			}
		case m == ikemsg.EAPTLS && e.Pair == nil:
			r.problem(t.at, "EAP-TLS has no `cert` and `key`").suggest("add `cert: alice.pem` and `key: alice.key` to `eap`")
		case m != ikemsg.EAPTLS && s.Password.absent():
			r.problem(t.at, "EAP-%s has no `password`", strings.ToUpper(word)).suggest("add `password: file:alice.password` to `eap`")
		default:
			e.Methods = append(e.Methods, m)
		}
	}
	return e
}
