package sshconfig_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/keys/sshconfig"
)

// An oracleCase is a configuration that the real ssh reads as well. DIR in it
// is a folder with the files of inclusions.
type oracleCase struct {
	name   string
	config string
	host   string // "foo" if empty
	user   string
	port   int

	hostName string // -o HostName=…
}

func inclusions() map[string]string {
	files := map[string]string{
		"one":          "Port 5\nHost other\nUser wrong\n",
		"two":          "User two\nIdentityFile ~/two\n",
		"final":        "Match final all\n  Include DIR/policy\n",
		"policy":       "Ciphers aes256-ctr\nMACs hmac-sha2-512\nUser policy\n",
		"d/10-a":       "User ten\n",
		"d/20-b":       "User twenty\nPort 20\n",
		"d/.hidden":    "ConnectTimeout 1\n",
		"d/folder/x":   "ConnectTimeout 2\n",
		"loop":         "Include DIR/loop\n",
		"unknown":      "Host other\nPort nonsense\n",
		"redhat":       "Match final all\n\tInclude DIR/crypto\n\tGSSAPIAuthentication yes\n\tForwardX11Trusted yes\n\tSendEnv LANG LC_CTYPE\n",
		"crypto":       "Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\nPubkeyAcceptedAlgorithms ssh-ed25519\nCASignatureAlgorithms ssh-ed25519\nRequiredRSASize 2048\n",
		"deep/16":      "Port 16\n",
		"toodeep/17":   "Port 17\n",
		"match":        "Match host foo\nUser matched\n",
		"open":         "Host elsewhere\n",
		"finalrequest": "Match final\n",
	}
	for _, chain := range []struct {
		dir  string
		last int
	}{{"deep", 16}, {"toodeep", 17}} {
		for i := 1; i < chain.last; i++ {
			files[fmt.Sprintf("%s/%d", chain.dir, i)] = fmt.Sprintf("Include DIR/%s/%d\n", chain.dir, i+1)
		}
	}
	return files
}

func oracleCases() []oracleCase {
	return []oracleCase{
		{name: "empty"},
		{name: "everything at once", config: "Host foo\n  HostName foo.example.net\n  User u\n  Port 2222\n  IdentityFile ~/.ssh/a\n  IdentityFile /etc/b\n  CertificateFile ~/.ssh/a-cert.pub\n  IdentitiesOnly yes\n  ProxyJump bastion\n  UserKnownHostsFile ~/kh /dev/null\n  GlobalKnownHostsFile /etc/kh\n  StrictHostKeyChecking accept-new\n  HostKeyAlias alias\n  ConnectTimeout 7\n  ServerAliveInterval 30\n  ServerAliveCountMax 2\n  Ciphers aes128-ctr\n  MACs hmac-sha2-256\n  KexAlgorithms curve25519-sha256\n  HostKeyAlgorithms ssh-ed25519\n  PubkeyAcceptedAlgorithms ssh-ed25519\n  PreferredAuthentications publickey\n  AddressFamily inet\n  BindAddress 127.0.0.1\n  Compression yes\n"},

		// First value wins.
		{name: "first value", config: "Port 1\nPort 2\nUser a\nHost foo\nUser b\n"},
		{name: "first value from a later block", config: "Host bar\nPort 1\nHost foo\nPort 2\nHost *\nPort 3\nUser z\n"},
		{name: "command line before file", config: "User a\nPort 1\n", user: "cmd", port: 9},
		{name: "HostName before file", config: "HostName %h.x\nMatch host 10.0.0.7\nPort 3\nMatch originalhost foo\nUser a\n", hostName: "10.0.0.7"},
		{name: "HostName before file, final", config: "Host 10.0.0.7\nPort 3\nMatch final all\nUser a\n", hostName: "10.0.0.7"},
		{name: "HostName before file, with a zone", config: "HostName x\n", hostName: "fe80::1%%Eth0"},
		{name: "first known_hosts line", config: "UserKnownHostsFile a b\nUserKnownHostsFile c\n"},
		{name: "ConnectTimeout none is not given", config: "ConnectTimeout none\nConnectTimeout 5\n"},

		// Host patterns.
		{name: "case of a pattern", config: "Host Foo\nPort 1\nHost foo\nPort 2\n"},
		{name: "case of the question", config: "Host Foo\nPort 1\nHost foo\nPort 2\n", host: "Foo"},
		{name: "comma is no separator", config: "Host foo,bar\nPort 3\n"},
		{name: "several patterns", config: "Host a b foo c\nPort 3\n"},
		{name: "negated first", config: "Host !foo *\nPort 3\n"},
		{name: "negated last", config: "Host * !f?o\nPort 3\n"},
		{name: "negated alone", config: "Host !bar\nPort 3\n"},
		{name: "question mark", config: "Host f??\nPort 3\n"},
		{name: "question mark for nothing", config: "Host foo?\nPort 3\n"},
		{name: "star inside", config: "Host f*.net\nPort 3\n", host: "foo.example.net"},
		{name: "star for nothing", config: "Host *foo*\nPort 3\n"},
		{name: "address", config: "Host 10.0.0.*\nPort 3\n", host: "10.0.0.7"},
		{name: "quoted pattern", config: "Host \"foo\"\nPort 3\n"},
		{name: "equals after Host", config: "Host=foo\nPort 3\n"},
		{name: "comment in Host", config: "Host bar # foo\nPort 3\n"},
		{name: "Host does not follow HostName", config: "HostName bar\nHost bar\nPort 3\n"},
		{name: "Host without patterns", config: "Host\nPort 3\n"},
		{name: "empty pattern", config: "Host \"\"\nPort 3\n"},

		// Match.
		{name: "Match all", config: "Match all\nPort 4\n"},
		{name: "Match not all", config: "Match !all\nPort 4\n"},
		{name: "Match host, any case", config: "Match host FOO\nPort 4\n", host: "fOo"},
		{name: "Match host list", config: "Match host a,b*,f?o\nPort 4\n"},
		{name: "Match host negated in list", config: "Match host *,!foo\nPort 4\n"},
		{name: "Match host only negated", config: "Match host !bar\nPort 4\n"},
		{name: "Match not host", config: "Match !host bar\nPort 4\n"},
		{name: "Match not host, same", config: "Match !host foo\nPort 4\n"},
		{name: "Match host after HostName", config: "HostName bar\nMatch host bar\nPort 4\n"},
		{name: "Match host with token", config: "HostName %h.net\nMatch host foo.net\nPort 4\n"},
		{name: "Match originalhost", config: "HostName bar\nMatch originalhost foo\nPort 4\n"},
		{name: "Match originalhost and host", config: "HostName bar\nMatch originalhost foo host foo\nPort 4\n"},
		{name: "Match user of question", config: "Match user bob\nPort 4\n", user: "bob"},
		{name: "Match user minds case", config: "Match user Bob\nPort 4\n", user: "bob"},
		{name: "Match user of file", config: "User bob\nMatch user alice,bob\nPort 4\n"},
		{name: "Match user too early", config: "Match user bob\nPort 4\nMatch all\nUser bob\n"},
		{name: "Match localuser", config: "Match localuser LOCALUSER\nPort 4\n"},
		{name: "Match localuser negated", config: "Match localuser *,!LOCALUSER\nPort 4\n"},
		{name: "Match combined", config: "Match host foo user bob\nPort 4\nMatch host foo user root,bob\nPort 5\n", user: "root"},
		{name: "Match combined and negated", config: "Match host foo !user bob\nPort 4\n", user: "alice"},
		{name: "Match equals and quotes", config: "Match host=\"foo,b r\" user = bob\nPort 4\n", user: "bob"},
		{name: "Match single quotes", config: "Match host 'foo'\nPort 4\n"},
		{name: "Match comment", config: "Match host foo # user nobody\nPort 4\n"},
		{name: "Match keywords in capitals", config: "MATCH HOST foo\nPORT 4\n"},
		{name: "Match host foo all", config: "Match host foo all\nPort 4\n"},
		{name: "Match two and all", config: "Match host foo user x all\nPort 4\n"},
		{name: "Match all and host", config: "Match all host foo\nPort 4\n"},
		{name: "Match without criteria", config: "Match\nPort 4\n"},
		{name: "Match comment only", config: "Match # x\nPort 4\n"},
		{name: "Match without argument", config: "Match host\nPort 4\n"},
		{name: "Match open quote", config: "Match host \"foo\nPort 4\n"},

		// The second pass.
		{name: "Match final", config: "Match final\nPort 4\nMatch all\nUser z\n"},
		{name: "Match final all", config: "Match final all\nPort 4\n"},
		{name: "Match final comes after", config: "Match final all\nPort 4\nHost foo\nPort 5\n"},
		{name: "Match not final", config: "Match !final\nPort 4\nMatch final\nUser z\n"},
		{name: "Match final host", config: "Match final host bar\nPort 9\nHost foo\nHostName bar\n"},
		{name: "second pass sees the new name", config: "Host foo\nHostName Bar\nHost bar\nPort 7\nMatch final\nUser z\nHostName late\n"},
		{name: "no second pass, no new name", config: "Host foo\nHostName bar\nHost bar\nPort 7\n"},
		{name: "keys of both passes", config: "IdentityFile ~/a\nMatch final\nIdentityFile ~/b\nIdentityFile ~/a\n"},
		{name: "canonical alone", config: "Match canonical\nPort 4\n"},
		{name: "canonical with final", config: "Match canonical\nPort 4\nMatch final\nUser z\n"},
		{name: "final in a block for others", config: "Match host bar final\nPort 4\nMatch canonical\nPort 5\n"},
		{name: "Red Hat", config: "Host foo\nUser me\nHost *\nInclude DIR/redhat\n"},
		{name: "Red Hat, own ciphers", config: "Host foo\nCiphers aes192-ctr\nUser me\nInclude DIR/redhat\n"},

		// Include.
		{name: "Include", config: "Include DIR/two\nUser z\n"},
		{name: "Include leaves the block alone", config: "Host foo\nInclude DIR/one DIR/open\nUser z\n"},
		{name: "Include in a block for others", config: "Host other\nInclude DIR/two DIR/match\n"},
		{name: "Include in a Match", config: "Match host foo\nInclude DIR/match\n"},
		{name: "Include pattern", config: "Include DIR/d/*\n"},
		{name: "Include class", config: "Include DIR/d/[!1]*\n"},
		{name: "Include hidden by name", config: "Include DIR/d/.h*\n"},
		{name: "Include nothing", config: "Include DIR/none* DIR/two\nPort 3\n"},
		{name: "Include final", config: "Include DIR/final\nPort 3\n"},
		{name: "Include final for others", config: "Host other\nInclude DIR/finalrequest\nMatch canonical\nPort 3\n"},
		{name: "Include empty", config: "Include \"\"\n"},
		{name: "Include without path", config: "Include\n"},
		{name: "Include loop", config: "Include DIR/loop\n"},
		{name: "Include 16 deep", config: "Include DIR/deep/1\n"},
		{name: "Include 17 deep", config: "Include DIR/toodeep/1\n"},
		{name: "Include with an error for others", config: "Include DIR/unknown\n"},

		// Lines, quotes, comments.
		{name: "indented, CRLF", config: "# c\r\n\r\nHost foo\r\n \t Port\t3 \t\r\n"},
		{name: "equals", config: "Port=3\nUser = u\nCompression =yes\n"},
		{name: "two equals", config: "Port = = 3\n"},
		{name: "equals first", config: "=Port 3\n"},
		{name: "quoted keyword", config: "\"Port\" 3\n"},
		{name: "quoted value", config: "User \"a b\"\nPort \"3\"\n"},
		{name: "single quotes", config: "User 'a \"b'\n"},
		{name: "quotes inside", config: "User a\"b c\"d\n"},
		{name: "escapes", config: "User a\\ b\\\"\\'\\\\\\c\n"},
		{name: "escaped blank in quotes", config: "User \"a\\ b\"\n"},
		{name: "comment after value", config: "User a # b\nPort 3#4\n"},
		{name: "hash inside", config: "User a#b\n"},
		{name: "only a comment", config: "User # b\n"},
		{name: "open quote", config: "User \"a\n"},
		{name: "empty value", config: "User \"\"\n"},
		{name: "no value", config: "User\n"},
		{name: "two values", config: "User a b\n"},
		{name: "form feed at the end", config: "User a\f\n"},
		{name: "no newline at the end", config: "Host foo\nUser a"},
		{name: "error for others", config: "Host other\nPort x\n"},
		{name: "IgnoreUnknown", config: "IgnoreUnknown x,USE*\nUseKeychain2 yes\nPort 3\n"},
		{name: "IgnoreUnknown with an open quote", config: "IgnoreUnknown bo*\nBogus \"x\n"},
		{name: "IgnoreUnknown without a value", config: "IgnoreUnknown bo*\nBogus\n"},

		// Values.
		{name: "service name", config: "Port ssh\n"},
		{name: "port plus", config: "Port +22\n"},
		{name: "port octal", config: "Port 022\n"},
		{name: "port hex", config: "Port 0x16\n"},
		{name: "port 0", config: "Port 0\n"},
		{name: "port 65536", config: "Port 65536\n"},
		{name: "times", config: "ConnectTimeout 1H30m\nServerAliveInterval 2d5\n"},
		{name: "time repeated", config: "ConnectTimeout 1m1m1w\n"},
		{name: "time 0", config: "ConnectTimeout 0\nConnectTimeout 5\n"},
		{name: "time negative", config: "ConnectTimeout -5\n"},
		{name: "time unit", config: "ConnectTimeout 5y\n"},
		{name: "time too long", config: "ConnectTimeout 99999999999\n"},
		{name: "time too long by unit", config: "ConnectTimeout 2147483647w\n"},
		{name: "count", config: "ServerAliveCountMax 0\n"},
		{name: "count negative", config: "ServerAliveCountMax -1\n"},
		{name: "count with unit", config: "ServerAliveCountMax 5x\n"},
		{name: "flag in capitals", config: "Compression YES\nIdentitiesOnly True\n"},
		{name: "flag maybe", config: "Compression maybe\n"},
		{name: "strict off", config: "StrictHostKeyChecking off\n"},
		{name: "strict in capitals", config: "StrictHostKeyChecking Accept-New\n"},
		{name: "strict maybe", config: "StrictHostKeyChecking maybe\n"},
		{name: "family in capitals", config: "AddressFamily INET6\n"},
		{name: "family inet4", config: "AddressFamily inet4\n"},
		{name: "host name in capitals", config: "HostName FOO.Example\nHostKeyAlias Al\n"},
		{name: "host name tokens", config: "HostName %h-%%.example\n"},
		{name: "host name unknown token", config: "HostName %n\n"},
		{name: "variables in HostName", config: "HostName ${home}\n"},
		{name: "IPv6 question", config: "Host 2001:DB8::1\nPort 3\n", host: "2001:DB8::1"},
		{name: "algorithms added", config: "Ciphers +3des-cbc\nHostKeyAlgorithms +ssh-rsa\n"},
		{name: "algorithms removed", config: "Ciphers -aes*-ctr\nMACs -*sha1*,umac*\n"},
		{name: "algorithms in front", config: "KexAlgorithms ^ecdh-sha2-nistp521\nPubkeyAcceptedKeyTypes ^ssh-rsa\n"},

		// Files.
		{name: "IdentityFile none", config: "IdentityFile none\n"},
		{name: "IdentityFile none and more", config: "IdentityFile none\nIdentityFile ~/a\nIdentityFile rel/b\nIdentityFile ~/a\n"},
		{name: "two words in IdentityFile", config: "IdentityFile a b\n"},
		{name: "certificates", config: "CertificateFile ~/c\nCertificateFile /d\nCertificateFile ~/c\n"},
		{name: "known_hosts none", config: "UserKnownHostsFile none\nGlobalKnownHostsFile NONE\n"},
		{name: "known_hosts none and more", config: "UserKnownHostsFile a none\n"},
		{name: "known_hosts quoted", config: "UserKnownHostsFile ~/a \"b c\" ~//d\n"},
		{name: "known_hosts tokens", config: "UserKnownHostsFile %d/%h_%n_%p_%r_%u_%i_%k_%L_%l_%C_%%\nHostName x.%h\nUser u\nPort 3\n"},
		{name: "known_hosts alias token", config: "UserKnownHostsFile ~/%k\nHostKeyAlias Al\n"},
		{name: "known_hosts unknown token", config: "UserKnownHostsFile %x\n"},
		{name: "known_hosts single percent", config: "UserKnownHostsFile a%\n"},
		{name: "known_hosts variables", config: "UserKnownHostsFile ${LINEHAUL_PLACE}/${LINEHAUL_PLACE} $LINEHAUL_PLACE\n"},
		{name: "known_hosts variable not set", config: "UserKnownHostsFile ${LINEHAUL_NONE}\n"},
		{name: "known_hosts variable not closed", config: "UserKnownHostsFile ${LINEHAUL_PLACE\n"},
		{name: "known_hosts variable without name", config: "UserKnownHostsFile ${}\n"},
		{name: "known_hosts own home by name", config: "UserKnownHostsFile ~LOCALUSER/x ~\n"},
		{name: "global known_hosts as written", config: "GlobalKnownHostsFile ~/x %h\n"},
		{name: "agent none", config: "IdentityAgent none\n"},
		{name: "agent path", config: "IdentityAgent ~/%h/${LINEHAUL_PLACE}\n"},
		{name: "agent variable not set", config: "IdentityAgent ${LINEHAUL_NONE}\n"},

		// ProxyJump.
		{name: "jump", config: "ProxyJump bob@bastion:2222\n"},
		{name: "jump twice", config: "ProxyJump a,bob@b:22\n"},
		{name: "jump none", config: "ProxyJump none\nProxyJump b\n"},
		{name: "jump None", config: "ProxyJump None\n"},
		{name: "jump IPv6", config: "ProxyJump bob@[2001:db8::1]:22\n"},
		{name: "jump IPv6 without port", config: "ProxyJump [::1]\n"},
		{name: "jump IPv6 without brackets", config: "ProxyJump ::1\n"},
		{name: "jump in brackets", config: "ProxyJump [a]:5\n"},
		{name: "jump to a URI", config: "ProxyJump ssh://u%40x@h:23\n"},
		{name: "jump to a URI with slash", config: "ProxyJump ssh://h/\n"},
		{name: "jump to a URI with path", config: "ProxyJump ssh://h/p\n"},
		{name: "jump user with @", config: "ProxyJump x@y@b\n"},
		{name: "jump without user", config: "ProxyJump @b\n"},
		{name: "jump with an empty one", config: "ProxyJump a,,b\n"},
		{name: "jump port 0", config: "ProxyJump a:0\n"},
		{name: "jump port empty", config: "ProxyJump a:\n"},
		{name: "jump port ssh", config: "ProxyJump=a:ssh # c\n"},
		{name: "jump with a path", config: "ProxyJump a/b\n"},
		{name: "jump after ProxyCommand none", config: "ProxyCommand none\nProxyJump b\n"},
		{name: "jump for others, wrong", config: "Host other\nProxyJump a:0\n"},
		{name: "jump with token in port", config: "ProxyJump a:%p\n"},
	}
}

// TestOracle holds Read against `ssh -G`.
func TestOracle(t *testing.T) {
	lab.Need(t, "ssh")
	if n := len(oracleCases()); n < 60 {
		t.Fatalf("only %d cases", n)
	}
	dir := t.TempDir()
	opts := local(t)
	fill := strings.NewReplacer("DIR", dir, "LOCALUSER", opts.LocalUser).Replace
	for name, text := range inclusions() {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), fill(text))
	}
	t.Setenv("LINEHAUL_PLACE", "/some/where")
	unset := askSSH(t, oracleCase{host: "foo"}, os.DevNull)
	for i, tt := range oracleCases() {
		t.Run(tt.name, func(t *testing.T) {
			if tt.host == "" {
				tt.host = "foo"
			}
			path := filepath.Join(dir, fmt.Sprintf("case%d", i))
			write(t, path, fill(tt.config))
			want := askSSH(t, tt, path)
			c, err := sshconfig.Read(path, sshconfig.Question{Host: tt.host, User: tt.user, Port: tt.port, HostName: strings.ReplaceAll(tt.hostName, "%%", "%")}, opts)
			if want == nil {
				if err == nil {
					t.Fatalf("ssh refuses the file, we read %+v", c)
				}
				if syntax := (*sshconfig.SyntaxError)(nil); !errors.As(err, &syntax) || syntax.File == "" || syntax.Line == 0 {
					t.Fatalf("no place in %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("ssh reads the file, we do not: %v", err)
			}
			got := asSSH(c, opts, unset)
			for _, keyword := range slices.Sorted(maps.Keys(got)) {
				if w := normal(keyword, want[keyword], opts.Home); !slices.Equal(got[keyword], w) {
					t.Errorf("%s: %q, ssh says %q", keyword, got[keyword], w)
				}
			}
		})
	}
}

func local(t *testing.T) sshconfig.Options {
	t.Helper()
	opts, err := sshconfig.Local()
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs ssh, and returns what it printed and whether it was content.
func run(t *testing.T, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, lab.Path("ssh"), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run ssh: %v", err)
	}
	return out.String(), errs.String(), err == nil
}

// askSSH returns what `ssh -G` says, or nil if it refuses the file.
func askSSH(t *testing.T, tt oracleCase, path string) map[string][]string {
	t.Helper()
	args := []string{"-G", "-F", path}
	if tt.user != "" {
		args = append(args, "-l", tt.user)
	}
	if tt.hostName != "" {
		args = append(args, "-o", "HostName="+tt.hostName)
	}
	if tt.port != 0 {
		args = append(args, "-p", strconv.Itoa(tt.port))
	}
	out, _, ok := run(t, append(args, tt.host)...)
	if !ok {
		return nil
	}
	said := map[string][]string{}
	for line := range strings.Lines(out) {
		keyword, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		said[keyword] = append(said[keyword], value)
	}
	return said
}

// asSSH spells a Config as `ssh -G` does. unset is what it says of an empty
// configuration.
func asSSH(c *sshconfig.Config, o sshconfig.Options, unset map[string][]string) map[string][]string {
	got := map[string][]string{"hostname": {c.HostName}}
	text := func(keyword, value string) {
		got[keyword] = normal(keyword, unset[keyword], o.Home)
		if value != "" {
			got[keyword] = []string{value}
		}
	}
	number := func(keyword string, value int) {
		text(keyword, "")
		if _, ok := c.Origin(keyword); ok || value != 0 {
			got[keyword] = []string{strconv.Itoa(value)}
		}
	}
	yesNo := func(keyword string, value bool) {
		text(keyword, map[bool]string{true: "yes", false: "no"}[value])
	}
	files := func(keyword string, list []string) {
		text(keyword, "")
		if list != nil && len(list) == 0 {
			list = []string{"none"}
		}
		if list != nil {
			got[keyword] = []string{strings.Join(list, " ")}
		}
	}
	text("user", c.User)
	number("port", c.Port)
	got["identityfile"] = normal("identityfile", unset["identityfile"], o.Home)
	if c.IdentityFiles != nil {
		got["identityfile"] = c.IdentityFiles
	}
	got["certificatefile"] = c.CertificateFiles
	yesNo("identitiesonly", c.IdentitiesOnly)
	text("identityagent", c.IdentityAgent)
	var hops []string
	for _, h := range c.ProxyJump {
		hops = append(hops, h.String())
	}
	text("proxyjump", strings.Join(hops, ","))
	files("userknownhostsfile", c.UserKnownHostsFiles)
	files("globalknownhostsfile", c.GlobalKnownHostsFiles)
	text("stricthostkeychecking", map[string]string{"yes": "true", "no": "false"}[c.StrictHostKeyChecking])
	if len(c.StrictHostKeyChecking) > len("yes") || c.StrictHostKeyChecking == "ask" {
		text("stricthostkeychecking", c.StrictHostKeyChecking)
	}
	text("hostkeyalias", c.HostKeyAlias)
	number("connecttimeout", int(c.ConnectTimeout/time.Second))
	number("serveraliveinterval", int(c.ServerAliveInterval/time.Second))
	number("serveralivecountmax", c.ServerAliveCountMax)
	number("requiredrsasize", c.RequiredRSASize)
	for keyword, list := range map[string]string{
		"ciphers": c.Ciphers, "macs": c.MACs, "kexalgorithms": c.KexAlgorithms, "hostkeyalgorithms": c.HostKeyAlgorithms,
		"pubkeyacceptedalgorithms": c.PubkeyAcceptedAlgorithms, "casignaturealgorithms": c.CASignatureAlgorithms,
	} {
		got[keyword] = []string{assemble(list, unset[keyword][0])}
	}
	text("preferredauthentications", c.PreferredAuthentications)
	text("addressfamily", c.AddressFamily)
	text("bindaddress", c.BindAddress)
	yesNo("compression", c.Compression)
	return got
}

// normal undoes what ssh prints differently for no reason that matters: it
// does not expand the tilde of keys, and lists the word none among them.
func normal(keyword string, values []string, home string) []string {
	var out []string
	for _, v := range values {
		switch keyword {
		case "identityfile", "certificatefile":
			if v == "none" {
				continue
			}
			if rest, ok := strings.CutPrefix(v, "~/"); ok {
				v = home + "/" + rest
			}
		case "globalknownhostsfile":
			v = strings.Replace(v, "NONE", "none", 1)
		}
		out = append(out, v)
	}
	return out
}

// assemble applies a list with a prefix to the defaults, as ssh prints it.
func assemble(list, defaults string) string {
	if list == "" {
		return defaults
	}
	all, names := strings.Split(defaults, ","), strings.Split(list[1:], ",")
	switch list[0] {
	case '+':
		all = append(all, names...)
	case '^':
		all = slices.DeleteFunc(all, func(a string) bool { return slices.Contains(names, a) })
		all = append(names, all...)
	case '-':
		all = slices.DeleteFunc(all, func(a string) bool {
			return slices.ContainsFunc(names, func(p string) bool { ok, _ := filepath.Match(p, a); return ok })
		})
	default:
		return list
	}
	return strings.Join(all, ",")
}

// TestOracleKeys holds the paths of keys and certificates, which `ssh -G` does
// not expand, against what ssh opens when it connects.
func TestOracleKeys(t *testing.T) {
	lab.Need(t, "ssh")
	t.Setenv("LINEHAUL_PLACE", "/some/where")
	t.Setenv("LINEHAUL_PERCENT", "%h${LINEHAUL_PLACE}")
	opts := local(t)
	for _, tt := range []struct{ name, config string }{
		{"tilde", "IdentityFile ~/a\nIdentityFile ~\nIdentityFile /b\nIdentityFile c\nIdentityFile a~/b\n"},
		{"tokens", "IdentityFile ~/%h_%n_%p_%r_%u_%i_%k_%L_%l_%C_%%\nHostName %h.net\nUser u\nPort 7\n"},
		{"home", "IdentityFile %d/a\nCertificateFile %d/b\n"},
		{"variables", "IdentityFile ${LINEHAUL_PLACE}/a\nIdentityFile ~/${LINEHAUL_PLACE}/$HOME\nIdentityFile $LINEHAUL_PLACE\n"},
		{"once only", "IdentityFile ${LINEHAUL_PERCENT}\n"},
		{"certificates", "CertificateFile ~/%k-cert.pub\nCertificateFile ${LINEHAUL_PLACE}/%r\nHostKeyAlias Al\nIdentityFile none\n"},
		{"none among others", "IdentityFile none\nIdentityFile a\nIdentityFile NONE\n"},
		{"unknown token", "IdentityFile %x\n"},
		{"variable not set", "IdentityFile ${LINEHAUL_NONE}\n"},
		{"open variable", "CertificateFile ${x\n"},
		{"blank and backslash", "IdentityFile \"~/a b/c\\d\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config")
			write(t, path, tt.config)
			_, said, _ := run(t, "-v", "-F", path, "-o", "ProxyCommand=head -c 1 >/dev/null", "-o", "BatchMode=yes", "foo")
			c, err := sshconfig.Read(path, sshconfig.Question{Host: "foo"}, opts)
			// The keys are known before anything is said to the server.
			if !strings.Contains(said, "kex_exchange_identification") {
				if err == nil {
					t.Fatalf("ssh refuses the file, we read %+v; it says %s", c, said)
				}
				return
			}
			if err != nil {
				t.Fatalf("ssh reads the file, we do not: %v", err)
			}
			keys, certs := opened(said, "debug1: identity file "), opened(said, "debug1: certificate file ")
			if c.IdentityFiles != nil && !slices.Equal(c.IdentityFiles, keys) {
				t.Errorf("keys %q, ssh opens %q", c.IdentityFiles, keys)
			}
			if !slices.Equal(c.CertificateFiles, certs) {
				t.Errorf("certificates %q, ssh opens %q", c.CertificateFiles, certs)
			}
		})
	}
}

// opened returns the paths in the lines of a log. A key's certificate beside
// it is tried unasked.
func opened(log, prefix string) []string {
	paths := []string{}
	log = strings.ReplaceAll(log, `\\`, `\`)
	for line := range strings.Lines(log) {
		if rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), prefix); ok {
			path := rest[:strings.LastIndex(rest, " type ")]
			if !strings.HasSuffix(path, "-cert") {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
