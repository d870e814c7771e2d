package job

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/keys/sshconfig"
	"linehaul/transfer/remote"
)

// asked is a folder with an OpenSSH configuration and key files beside it, and
// what asks it.
type asked struct {
	dir string
	Place
}

// newAsked writes ssh_config. DIR in it is the folder, in which the files k1,
// k2, k3.pub, c1 and usual lie.
func newAsked(t *testing.T, text string) asked {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ssh_config": strings.ReplaceAll(text, "DIR", filepath.ToSlash(dir)), "k1": "", "k2": "", "k3.pub": "", "c1": "", "usual": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return asked{dir: dir, Place: Place{
		AgentSocket: "/run/agent", KnownHosts: []string{"/u/known"}, GlobalKnownHosts: []string{"/g/known"},
		UsualKeys: []string{filepath.Join(dir, "usual"), filepath.Join(dir, "not-there")},
		SSH: func() (sshconfig.Options, error) {
			return sshconfig.Options{Home: dir, LocalUser: "me", LocalHost: "here"}, nil
		},
	}}
}

// host decodes what linehaul.yaml says of a host web, and makes it.
func (a *asked) host(t *testing.T, yaml string) (*remote.Host, error) {
	t.Helper()
	text := fmt.Sprintf("state: s\nlogs: {dir: l}\nhosts:\n  bastion: {address: 192.0.2.9, user: b}\n  web: {ssh_config: ssh_config, %s}\n", yaml)
	f, err := config.Decode(filepath.Join(a.dir, "linehaul.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return HostFromConfig(f, "web", a.Place)
}

// show spells what the tests look at of a host: only what is not the default.
func (a *asked) show(h *remote.Host) map[string]string {
	all := map[string]string{}
	set := func(name, value, usual string) {
		if value != usual {
			all[name] = strings.ReplaceAll(filepath.ToSlash(value), filepath.ToSlash(a.dir)+"/", "")
		}
	}
	var certs, warnings []string
	for _, c := range h.Certificates {
		certs = append(certs, fmt.Sprintf("%s %v", c.Path, c.Optional))
	}
	for _, w := range h.Warnings {
		mark := "!"
		if w.Minor {
			mark = "."
		}
		warnings = append(warnings, fmt.Sprintf("%s%d %s", mark, w.Line, w.What))
	}
	set("address", h.Address, "web")
	set("port", fmt.Sprint(h.Port), "22")
	set("user", h.User, "u")
	set("keys", strings.Join(h.KeyFiles, " "), filepath.Join(a.dir, "usual"))
	set("agent", h.AgentSocket, "/run/agent")
	set("offers", fmt.Sprint(h.AgentKeys), fmt.Sprint(remote.AgentAll))
	set("certs", strings.Join(certs, " "), "")
	set("alias", h.HostKeyAlias, "")
	set("network", h.Network, "")
	set("bind", h.BindAddress, "")
	set("connect", h.ConnectTimeout.String(), "30s")
	set("stall", h.StallTimeout.String(), "1m0s")
	set("keepalive", h.Keepalive.String(), "15s")
	set("alive", h.AliveTimeout.String(), "0s")
	set("methods", strings.Join(h.Methods, " "), "")
	set("legacy", strings.Join(h.Legacy, " "), "")
	set("rsa", fmt.Sprint(h.MinRSA), "0")
	set("kex", strings.Join(h.Algorithms.KeyExchanges, ","), strings.Join(keys.KeyExchanges(), ","))
	set("ciphers", strings.Join(h.Algorithms.Ciphers, ","), strings.Join(keys.Ciphers(), ","))
	set("macs", strings.Join(h.Algorithms.MACs, ","), strings.Join(keys.MACs(), ","))
	set("hostkeys", strings.Join(h.Algorithms.HostKeys, ","), strings.Join(keys.Default(keys.ForHostKey), ","))
	set("pubkeys", strings.Join(h.Algorithms.PublicKeys, ","), strings.Join(keys.Default(keys.ForLogin), ","))
	set("warnings", strings.Join(warnings, "; "), "")
	set("jump", way(h.Jump), "")
	return all
}

// way spells the hosts on the way, the nearest first.
func way(h *remote.Host) string {
	if h == nil {
		return ""
	}
	s := fmt.Sprintf("%s=%s@%s:%d", h.Name, h.User, h.Address, h.Port)
	if h.Jump != nil {
		s = way(h.Jump) + " " + s
	}
	return s
}

// TestSSHConfig: what each keyword makes of a host, and that linehaul.yaml
// outweighs it.
func TestSSHConfig(t *testing.T) {
	const s = "Host web\n"
	for _, tt := range []struct {
		name, ssh, yaml string
		want            map[string]string
	}{
		{"nothing but a user", s + "User u", "", nil},
		{"nothing but a user here", "", "user: u", nil},
		{"address, port, user", s + "HostName 192.0.2.1\nPort 2222\nUser x", "", map[string]string{"address": "192.0.2.1", "port": "2222", "user": "x"}},
		{"outweighed", s + "HostName 192.0.2.1\nPort 2222\nUser x", "address: 192.0.2.2, port: 22, user: u", map[string]string{"address": "192.0.2.2"}},
		{"port in the address", s + "Port 2222\nUser u", "address: '192.0.2.2:23'", map[string]string{"address": "192.0.2.2", "port": "23"}},
		{"the usual port in the address", s + "Port 2222\nUser u", "address: '192.0.2.2:22'", map[string]string{"address": "192.0.2.2"}},
		{"what is said here is matched", "Match user u host 192.0.2.2\nPort 5\nHost 192.0.2.2\nPort 6", "address: 192.0.2.2, user: u", map[string]string{"address": "192.0.2.2", "port": "5"}},

		{"key files", "User u\nIdentityFile DIR/k1\nIdentityFile k2\nIdentityFile ~/k3", "", map[string]string{"keys": "k1 k2 k3", "offers": "0"}},
		{"key files, some absent", "User u\nIdentityFile DIR/k1\nIdentityFile DIR/no", "", map[string]string{"keys": "k1", "offers": "0", "warnings": ".2 IdentityFile no"}},
		{"key files, all absent", "User u\nIdentityFile DIR/no", "", map[string]string{"keys": "", "offers": "0", "warnings": "!2 IdentityFile no"}},
		{"no key files", "User u\nIdentityFile none", "", map[string]string{"keys": "", "offers": "0"}},
		{"key files outweighed", "User u\nIdentityFile DIR/k1", "keys: k2", map[string]string{"keys": "k2", "offers": "0", "agent": ""}},
		{"a password, and no key files", "User u", "password: env:X", map[string]string{"keys": "", "agent": ""}},
		{"a password, and key files", "User u\nIdentityFile DIR/k1", "password: env:X", map[string]string{"keys": "k1", "offers": "0"}},
		{"identities only", "User u\nIdentitiesOnly yes", "", map[string]string{"offers": "1"}},
		{"identities only, outweighed", "User u\nIdentitiesOnly yes\nIdentityFile DIR/k1", "identities_only: false", map[string]string{"keys": "k1"}},
		{"not identities only", "User u\nIdentitiesOnly no\nIdentityFile DIR/k1", "", map[string]string{"keys": "k1"}},
		{"not identities only, outweighed", "User u\nIdentitiesOnly no\nIdentityFile DIR/k1", "identities_only: true", map[string]string{"keys": "k1", "offers": "0"}},
		{"no agent", "User u\nIdentityAgent none", "", map[string]string{"agent": ""}},
		{"another agent", "User u\nIdentityAgent DIR/agent", "", map[string]string{"agent": "agent"}},
		{"another agent for keys here", "User u\nIdentityAgent DIR/agent", "keys: [k1, agent]", map[string]string{"agent": "agent", "keys": "k1", "offers": "0"}},
		{"the agent is named here", "User u\nIdentityAgent none", "keys: agent", map[string]string{"keys": "", "offers": "0"}},
		{"certificates", "User u\nCertificateFile DIR/c1\nCertificateFile DIR/no", "", map[string]string{"certs": "c1 true", "warnings": "!2 CertificateFile no"}},
		{"certificates outweighed", "User u\nCertificateFile DIR/c1", "certificate: c2", map[string]string{"certs": "c2 false"}},

		{"trust is not given away", "User u\nStrictHostKeyChecking accept-new", "", map[string]string{"warnings": "!2 StrictHostKeyChecking accept-new"}},
		{"nor switched off", "User u\nStrictHostKeyChecking off", "", map[string]string{"warnings": "!2 StrictHostKeyChecking no"}},
		{"what asks is refused anyway", "User u\nStrictHostKeyChecking ask", "", nil},
		{"what is strict is so", "User u\nStrictHostKeyChecking yes", "", nil},
		{"alias", "User u\nHostKeyAlias Prod", "", map[string]string{"alias": "prod"}},

		{"family and address", "User u\nAddressFamily inet6\nBindAddress ::1", "", map[string]string{"network": "tcp6", "bind": "::1"}},
		{"family", "User u\nAddressFamily inet", "", map[string]string{"network": "tcp4"}},
		{"any family", "User u\nAddressFamily any", "", nil},
		{"connecting", "User u\nConnectTimeout 7", "", map[string]string{"connect": "7s"}},
		{"connecting, outweighed", "User u\nConnectTimeout 7", "connect_timeout: 8s", map[string]string{"connect": "8s"}},
		{"connecting for ever", "User u\nConnectTimeout 0", "", map[string]string{"warnings": "!2 ConnectTimeout 0"}},
		{"asking", "User u\nServerAliveInterval 5", "", map[string]string{"keepalive": "5s", "alive": "15s"}},
		{"asking long", "User u\nServerAliveInterval 60\nServerAliveCountMax 10", "", map[string]string{"keepalive": "1m0s", "alive": "10m0s", "stall": "10m0s"}},
		{"asking for ever", "User u\nServerAliveInterval 2147483647\nServerAliveCountMax 2147483647", "", map[string]string{"keepalive": "596523h14m7s", "alive": "24h0m0s", "stall": "24h0m0s"}},
		{"asking, outweighed", "User u\nServerAliveInterval 60", "keepalive: 10s", map[string]string{"keepalive": "10s"}},
		{"asking, half outweighed", "User u\nServerAliveInterval 60", "stall_timeout: 10s", map[string]string{"keepalive": "1m0s", "stall": "10s"}},
		{"not asking", "User u\nServerAliveInterval 0", "", map[string]string{"keepalive": "-1ns"}},
		{"never giving up", "User u\nServerAliveInterval 5\nServerAliveCountMax 0", "", map[string]string{"keepalive": "5s", "warnings": "!3 ServerAliveCountMax 0"}},
		{"a count alone", "User u\nServerAliveCountMax 9", "", nil},

		{"lists", "User u\nCiphers aes256-ctr\nMACs hmac-sha2-512\nKexAlgorithms curve25519-sha256\nHostKeyAlgorithms ssh-ed25519\nPubkeyAcceptedAlgorithms rsa-sha2-512\nRequiredRSASize 3072", "",
			map[string]string{"ciphers": "aes256-ctr", "macs": "hmac-sha2-512", "kex": "curve25519-sha256", "hostkeys": "ssh-ed25519", "pubkeys": "rsa-sha2-512", "rsa": "3072"}},
		{"of the past, by name", "User u\nMACs hmac-sha2-512,hmac-sha1", "", map[string]string{"macs": "hmac-sha2-512,hmac-sha1", "legacy": "hmac-sha1"}},
		{"of the past, here and there", "User u\nCiphers aes256-ctr,3des-cbc", "legacy: [aes128-cbc, hmac-sha1]",
			map[string]string{"ciphers": "aes256-ctr,3des-cbc,aes128-cbc", "legacy": "aes128-cbc 3des-cbc hmac-sha1", "macs": strings.Join(keys.MACs("hmac-sha1"), ",")}},
		{"of the past, for host keys alone", "User u\nHostKeyAlgorithms ssh-rsa", "", map[string]string{"hostkeys": "ssh-rsa", "legacy": "ssh-rsa"}},
		{"of the past, by a pattern", "User u\nMACs hmac-sha2-512,*sha1", "", map[string]string{"macs": "hmac-sha2-512", "warnings": "!2 MACs hmac-sha1"}},
		{"not there", "User u\nMACs umac-64@openssh.com,hmac-sha2-512", "", map[string]string{"macs": "hmac-sha2-512", "warnings": "!2 MACs umac-64@openssh.com"}},
		{"many not there", "User u\nMACs a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,hmac-sha2-512", "", map[string]string{"macs": "hmac-sha2-512", "warnings": "!2 MACs a1, a2, a3, a4, a5, a6, a7, a8, and 2 more"}},
		{"ways to log in", "User u\nPreferredAuthentications password,gssapi-with-mic,publickey,password", "",
			map[string]string{"methods": "password publickey", "warnings": "!2 PreferredAuthentications gssapi-with-mic"}},

		{"not honoured", "User u\nProxyCommand nc %h %p\nForwardAgent yes\nCompression yes", "",
			map[string]string{"warnings": "!2 ProxyCommand nc …; .3 ForwardAgent yes; .4 Compression yes"}},

		{"a host on the way", "Host web\nProxyJump b\nHost b\nHostName 192.0.2.8\nPort 24\nHost *\nUser u", "", map[string]string{"jump": "b=u@192.0.2.8:24"}},
		{"hosts on the way", "Host web\nProxyJump x@a:1,b,c\nHost c\nProxyJump ignored\nHost *\nUser u", "", map[string]string{"jump": "a=x@a:1 b=u@b:22 c=u@c:22"}},
		{"on the way to the way", "Host web\nProxyJump b\nHost b\nProxyJump a\nHost *\nUser u", "", map[string]string{"jump": "a=u@a:22 b=u@b:22"}},
		{"a way of our own", "Host web\nProxyJump b\nHost *\nUser u", "jump: bastion", map[string]string{"jump": "bastion=b@192.0.2.9:22"}},
		{"no way", "ProxyJump none\nUser u", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAsked(t, tt.ssh+"\n")
			h, err := a.host(t, tt.yaml)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.show(h); !maps.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSSHConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name, ssh, message, hint string
	}{
		{"no user", "Host web\n", `host "web" has no user: none is said here, and `, "`User NAME` under `Host web`"},
		{"no user on the way", "Host web\nUser u\nProxyJump b\n", `host "b" has no user`, "`Host b`"},
		{"a circle", "User u\nProxyJump b\n", `:2: ProxyJump for "b": the hosts lead in a circle: web -> b -> b`, "`ProxyJump none`"},
		{"a circle of two", "User u\nHost web\nProxyJump b\nHost b\nProxyJump web\n", "web -> b -> web", "`ProxyJump none`"},
		{"a long way", "User u\nProxyJump a,b,c,d,e,f,g,h,i\n", "more than 8 hosts", ""},
		{"a bad line", "User u\nPort x\n", `ssh_config:2: Port: "x" is not a port`, "ssh -G -F"},
		{"no cipher", "User u\nCiphers aes256-cbc\n", `:2: Ciphers for "web": "aes256-cbc" leaves no algorithm`, "aes128-gcm@openssh.com"},
		{"no way to log in", "User u\nPreferredAuthentications hostbased\n", "leaves no way to log in", "keyboard-interactive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAsked(t, tt.ssh)
			_, err := a.host(t, "")
			if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), tt.message) || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("got %v with hint %q", err, fault.HintOf(err))
			}
		})
	}
	a := newAsked(t, "")
	if err := os.Remove(filepath.Join(a.dir, "ssh_config")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.host(t, "user: u"); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "ssh_config") {
		t.Errorf("absent: %v", err)
	}
}

// TestSSHConfigKnownHosts: where a host's keys are looked up.
func TestSSHConfigKnownHosts(t *testing.T) {
	for _, tt := range []struct {
		name, ssh, yaml string
		want            []string // where the key is known from, of u, g, x, y, z
	}{
		{"usual", "User u", "", []string{"u", "g"}},
		{"the user's", "User u\nUserKnownHostsFile DIR/x y", "", []string{"x", "y", "g"}},
		{"the system's", "User u\nGlobalKnownHostsFile DIR/x", "", []string{"u", "x"}},
		{"none", "User u\nUserKnownHostsFile none\nGlobalKnownHostsFile none", "", nil},
		{"absent", "User u\nUserKnownHostsFile DIR/absent", "", []string{"g"}},
		{"said here", "User u\nUserKnownHostsFile DIR/x", "known_hosts: z", []string{"z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAsked(t, tt.ssh+"\n")
			var names []string
			var all []keys.PrivateKey
			for _, name := range []string{"u", "g", "x", "y", "z"} {
				k, err := keys.Generate("ed25519", 0)
				if err != nil {
					t.Fatal(err)
				}
				public, err := k.Public()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(a.dir, name), []byte(keys.KnownHostsLine("web", 22, public)+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				names, all = append(names, name), append(all, *k)
			}
			a.KnownHosts, a.GlobalKnownHosts = []string{filepath.Join(a.dir, "u")}, []string{filepath.Join(a.dir, "g")}
			h, err := a.host(t, tt.yaml)
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				public, err := all[i].Public()
				if err != nil {
					t.Fatal(err)
				}
				if known := h.HostKeys.Check("web", 22, public) == nil; known != slices.Contains(tt.want, name) {
					t.Errorf("the key in %s is known: %v", name, known)
				}
			}
		})
	}
}

// TestSSHConfigSecrets: hosts on the way get the passphrase for keys of ours,
// and never the password of another server.
func TestSSHConfigSecrets(t *testing.T) {
	a := newAsked(t, "User u\nHost web\nProxyJump b\nConnectTimeout 3\n")
	h, err := a.host(t, "password: env:X, passphrase: env:Y, connect_timeout: 9s")
	if err != nil {
		t.Fatal(err)
	}
	if h.Password == nil || h.Passphrase == nil || h.Jump.Password != nil || h.Jump.Passphrase == nil || h.Jump.ConnectTimeout != 9*time.Second {
		t.Errorf("%+v", h.Jump)
	}
}
