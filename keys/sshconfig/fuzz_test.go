package sshconfig_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/keys/sshconfig"
)

// FuzzRead reads any two files, which may include each other. It ends, within
// bounds; an error has its place; the answer is the same each time; and what
// the question gives is kept.
func FuzzRead(f *testing.F) {
	f.Add("Host *.example.net !bastion\n  User deploy\n  IdentityFile ~/.ssh/id_%h\n  ProxyJump jo@bastion:2222\n", "", "db.example.net")
	f.Add("Include ~/.ssh/other\nMatch host foo,b* !user root\r\n\tPort = 2222 # comment\r\n", "Match final all\nCiphers +aes128-cbc\nHostName %h.net\n", "foo")
	f.Add("Include other\nInclude other\n", "Include other other\nInclude *\n", "foo")
	f.Add("Match exec \"test -f ~/x\" host \"a b\"\nProxyCommand nc -x 'a:b' %h %p\nCanonicalizeHostname yes\n", "\ufeffHost foo\n", "FOO")
	f.Add("IgnoreUnknown Use*\nUseThis \"x\nUser \"a\\\" b\" \nIdentityAgent $SOCK\nUserKnownHostsFile ~/a \"${SOCK}/%C\" %%\n", "", "::1")
	f.Add("IdentityFile none\nStrictHostKeyChecking accept-new\nConnectTimeout 1h30\nProxyJump ssh://u%40x@[::1]:22,none\n", "Port 22\x00", "10.0.0.1")
	for _, tt := range oracleCases() {
		f.Add(strings.ReplaceAll(tt.config, "DIR/", ""), "Match final\nInclude config\n", "foo")
	}
	f.Fuzz(func(t *testing.T, main, other, host string) {
		o := inMemory(map[string]string{userFile: main, "/home/jo/.ssh/other": other})
		o.WithSystem = true
		q := sshconfig.Question{Host: host, User: "asked", Port: 7}
		c, err := sshconfig.Read(userFile, q, o)
		if err != nil {
			var syntax *sshconfig.SyntaxError
			if !fault.Is(err, fault.Config) || (host != "" && len(host) < 1000 && (!errors.As(err, &syntax) || syntax.Line < 1)) {
				t.Fatalf("not sorted, or no place: %v", err)
			}
			return
		}
		if c.User != "asked" || c.Port != 7 || c.HostName == "" {
			t.Fatalf("the question is not kept: %+v", c)
		}
		if len(c.IdentityFiles) > 100 || len(c.CertificateFiles) > 100 || len(c.UserKnownHostsFiles) > 32 || len(c.NotHonoured) > 1000 {
			t.Fatal("out of bounds")
		}
		for _, h := range c.ProxyJump {
			if h.Host == "" || strings.ContainsAny(h.Host, " /@") || strings.HasPrefix(h.Host, "-") || strings.HasPrefix(h.User, "-") {
				t.Fatalf("a hop is no host: %+v", h)
			}
		}
		for _, list := range [][]string{c.IdentityFiles, c.CertificateFiles, c.UserKnownHostsFiles} {
			if slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(p, "~") }) {
				t.Fatalf("not expanded: %q", list)
			}
		}
		again, err := sshconfig.Read(userFile, q, o)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("twice the same files, two answers: %+v, %+v, %v", c, again, err)
		}
	})
}
