package keys_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/keys"
)

func TestCheckCertificate(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	at := func(d time.Duration) uint64 { return uint64(now.Add(d).Unix()) }
	good := ssh.Certificate{CertType: ssh.UserCert, ValidAfter: at(-time.Hour), ValidBefore: at(time.Hour), ValidPrincipals: []string{"root", "tester"}}
	for name, tt := range map[string]struct {
		change func(*ssh.Certificate)
		want   string // in the error; empty for none
	}{
		"good":           {func(*ssh.Certificate) {}, ""},
		"for ever":       {func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity }, ""},
		"for anybody":    {func(c *ssh.Certificate) { c.ValidPrincipals = nil }, ""},
		"of a host":      {func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, "is for a host"},
		"not yet":        {func(c *ssh.Certificate) { c.ValidAfter = at(time.Second) }, "is valid from 2026-"},
		"over":           {func(c *ssh.Certificate) { c.ValidBefore = at(0) }, "expired on 2026-"},
		"for other ones": {func(c *ssh.Certificate) { c.ValidPrincipals = []string{"a", "b"} }, `is for a, b, and the login is "tester"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			tt.change(&c)
			k := keys.Key{Path: "/k", Certificate: &c}
			err := k.CheckCertificate("tester", now)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if err := (&keys.Key{}).CheckCertificate("tester", now); err != nil {
		t.Error(err)
	}
}
