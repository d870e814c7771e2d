package sshconfig_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/keys/sshconfig"
)

const userFile = "/home/jo/.ssh/config"

// inMemory returns options for jo, whose machine has these files only.
func inMemory(files map[string]string) sshconfig.Options {
	return sshconfig.Options{
		Home: "/home/jo", LocalUser: "jo", LocalUID: "1000", LocalHost: "desk.example.net", SystemDir: "/etc/ssh",
		ReadFile: func(name string) ([]byte, error) {
			text, ok := files[filepath.ToSlash(name)]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
		Glob: func(pattern string) ([]string, error) {
			var found []string
			for name := range files {
				if ok, err := path.Match(filepath.ToSlash(pattern), name); err != nil {
					return nil, err
				} else if ok {
					found = append(found, name)
				}
			}
			return found, nil
		},
		Getenv: func(name string) (string, bool) {
			value, ok := map[string]string{"SOCK": "/run/agent", "SSH_AUTH_SOCK": "/run/usual", "EMPTY": ""}[name]
			return value, ok
		},
	}
}

// read reads jo's configuration for the host foo.
func read(t *testing.T, o sshconfig.Options) *sshconfig.Config {
	t.Helper()
	c, err := sshconfig.Read(userFile, sshconfig.Question{Host: "foo"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestFolders(t *testing.T) {
	files := map[string]string{
		userFile:                   "Include more /etc/extra ~/sub/*\n",
		"/home/jo/.ssh/more":       "Port 1\nInclude more2\n",
		"/home/jo/.ssh/more2":      "User more2\n",
		"/etc/extra":               "Include bind\n",
		"/home/jo/.ssh/bind":       "BindAddress 10.0.0.1\n",
		"/etc/ssh/bind":            "BindAddress 10.0.0.2\n",
		"/home/jo/sub/b":           "ServerAliveCountMax 2\n",
		"/home/jo/sub/a":           "ServerAliveCountMax 1\n",
		"/home/jo/sub/.a.swp":      "ServerAliveCountMax 9\n",
		"/etc/ssh/ssh_config":      "Include ssh_config.d/*.conf\nInclude bind\nPort 2\nConnectTimeout 3\n",
		"/etc/ssh/ssh_config.d/10": "Compression yes\n",
	}
	files["/etc/ssh/ssh_config.d/10.conf"] = "HostKeyAlias system\n"
	c := read(t, inMemory(files))
	equal(t, "port", c.Port, 1)
	equal(t, "user", c.User, "more2")
	equal(t, "address", c.BindAddress, "10.0.0.1")
	equal(t, "count", c.ServerAliveCountMax, 1)
	equal(t, "alias without the system's file", c.HostKeyAlias, "")

	o := inMemory(files)
	o.WithSystem = true
	c = read(t, o)
	equal(t, "port", c.Port, 1)
	equal(t, "alias", c.HostKeyAlias, "system")
	equal(t, "timeout", c.ConnectTimeout.Seconds(), 3)
	equal(t, "compression", c.Compression, false)

	c, err := sshconfig.Read("/etc/ssh/ssh_config", sshconfig.Question{Host: "foo"}, o)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "address of the system's file", c.BindAddress, "10.0.0.2")

	files["/etc/ssh/ssh_config"] = "Include ~/x\n"
	if _, err := sshconfig.Read(userFile, sshconfig.Question{Host: "foo"}, o); err == nil {
		t.Error("a system file includes a user's")
	}
	delete(files, "/etc/ssh/ssh_config")
	read(t, o)
}

// TestRedHat has the system files of Fedora and RHEL 9.
func TestRedHat(t *testing.T) {
	o := inMemory(map[string]string{
		userFile:              "Host foo\n  User me\n  MACs hmac-sha2-512\n",
		"/etc/ssh/ssh_config": "Include /etc/ssh/ssh_config.d/*.conf\n",
		"/etc/ssh/ssh_config.d/50-redhat.conf": "# comment\nMatch final all\n\tInclude /etc/crypto-policies/back-ends/openssh.config\n\n" +
			"\tGSSAPIAuthentication yes\n\tForwardX11Trusted yes\n\n\tSendEnv LANG LC_CTYPE LC_NUMERIC\n\tSendEnv XMODIFIERS\n",
		"/etc/crypto-policies/back-ends/openssh.config": "Ciphers aes256-gcm@openssh.com,aes256-ctr\nMACs hmac-sha2-256\n" +
			"GSSAPIKexAlgorithms gss-curve25519-sha256-\nKexAlgorithms curve25519-sha256\nHostKeyAlgorithms ssh-ed25519\n" +
			"PubkeyAcceptedAlgorithms ssh-ed25519\nHostbasedAcceptedAlgorithms ssh-ed25519\nCASignatureAlgorithms ssh-ed25519\nRequiredRSASize 2048\n",
	})
	o.WithSystem = true
	c := read(t, o)
	equal(t, "user", c.User, "me")
	equal(t, "own MACs", c.MACs, "hmac-sha2-512")
	equal(t, "ciphers of the policy", c.Ciphers, "aes256-gcm@openssh.com,aes256-ctr")
	equal(t, "bits of the policy", c.RequiredRSASize, 2048)
	for _, n := range c.NotHonoured {
		if n.Matters {
			t.Errorf("Fedora's defaults give a warning: %+v", n)
		}
	}
	at, ok := c.Origin("Ciphers")
	equal(t, "origin", fmt.Sprint(filepath.ToSlash(at.File), " ", at.Line, " ", ok), "/etc/crypto-policies/back-ends/openssh.config 1 true")
}

func TestNotHonoured(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		want         []string // line, keyword, value, ! if it matters
	}{
		{"nothing", "Port 22\n", nil},
		{"command", "ProxyCommand nc -x user:secret@proxy %h %p\n", []string{"1 ProxyCommand nc … !"}},
		{"command of another host", "Host bar\nProxyCommand nc %h\n", nil},
		{"command that comes second", "ProxyCommand none\nProxyCommand nc\n", nil},
		{"command after a jump", "ProxyJump b\nProxyCommand nc\n", nil},
		{"command after no jump", "ProxyJump none\nproxycommand nc\n", []string{"2 proxycommand nc !"}},
		{"unknown keyword", "Pasword hunter2\nPort 22\n", []string{"1 Pasword  !"}},
		{"unknown keyword of another host", "Host bar\nPasword hunter2\n", nil},
		{"unknown, ignored", "IgnoreUnknown Pass*,Pas?ord\nPasword hunter2\n", nil},
		{"exec", "Match exec \"test -f /x\"\nPort 5\n", []string{"1 Match exec test … !"}},
		{"exec twice in both passes", "Match final\nMatch exec a\nMatch exec b\n", []string{"2 Match exec a !", "3 Match exec b !"}},
		{"exec not reached", "Match host bar exec a\nMatch exec a host bar\nMatch exec a !all\n", nil},
		{"exec negated", "Match !exec a\nPort 5\n", []string{"1 Match !exec a !"}},
		{"exec for all", "Match exec a all\nPort 5\n", []string{"1 Match exec a !"}},
		{"exec in an inclusion for others", "Host bar\nInclude exec\n", nil},
		{"criteria of later versions", "Match tagged x localnetwork 10.0.0.0/8\nPort 5\n", []string{"1 Match tagged x !", "1 Match localnetwork 10.0.0.0/8 !"}},
		{"canonical", "CanonicalizeHostname yes\nCanonicalDomains example.net\n", []string{"1 CanonicalizeHostname yes !", "2 CanonicalDomains example.net"}},
		{"not canonical", "CanonicalizeHostname no\n", nil},
		{"trust", "RevokedHostKeys /x\nVerifyHostKeyDNS no\nKnownHostsCommand /bin/k %H\n", []string{"1 RevokedHostKeys /x !", "3 KnownHostsCommand /bin/k … !"}},
		{"terminal", "ForwardAgent yes\nRequestTTY no\nLocalForward 1 b:2\nLocalForward 2 b:3\n", []string{"1 ForwardAgent yes", "3 LocalForward 1 b:2"}},
		{"environment", "SetEnv TOKEN=secret\nSendEnv LANG\n", []string{"1 SetEnv ", "2 SendEnv "}},
		{"logins", "PubkeyAuthentication yes\nPasswordAuthentication no\n", []string{"2 PasswordAuthentication no"}},
		{"Apple", "UseKeychain yes\nAddKeysToAgent yes\n", []string{"1 UseKeychain yes", "2 AddKeysToAgent yes"}},
		{"of the past", "Protocol 2\n", []string{"1 Protocol 2"}},
		{"no file", "Include none/*\n", []string{"1 Include none/*"}},
		{"no file by a variable", "Include ${X}/config\n", []string{"1 Include ${X}/config !"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := read(t, inMemory(map[string]string{userFile: tt.config, "/home/jo/.ssh/exec": "Match exec a\n"}))
			var got []string
			for _, n := range c.NotHonoured {
				line := fmt.Sprintf("%d %s %s", n.Line, n.Keyword, n.Value)
				if n.Matters {
					line += " !"
				}
				got = append(got, line)
				if n.Why == "" || n.File != userFile {
					t.Errorf("no reason or file: %+v", n)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
			equal(t, "port", c.Port == 5, false)
		})
	}
}

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		got          func(*sshconfig.Config) any
		want         string
	}{
		{"agent", "", func(c *sshconfig.Config) any { return c.IdentityAgent }, ""},
		{"agent none", "IdentityAgent none", func(c *sshconfig.Config) any { return c.IdentityAgent }, "none"},
		{"agent as usual", "IdentityAgent SSH_AUTH_SOCK", func(c *sshconfig.Config) any { return c.IdentityAgent }, "/run/usual"},
		{"agent by variable", "IdentityAgent $SOCK", func(c *sshconfig.Config) any { return c.IdentityAgent }, "/run/agent"},
		{"agent by variable in braces", "IdentityAgent ${SOCK}.1", func(c *sshconfig.Config) any { return c.IdentityAgent }, "/run/agent.1"},
		{"agent by no variable", "IdentityAgent $NONE", func(c *sshconfig.Config) any { return c.IdentityAgent }, "none"},
		{"agent by empty variable", "IdentityAgent $EMPTY", func(c *sshconfig.Config) any { return c.IdentityAgent }, "none"},
		{"agent path", `IdentityAgent "~/Library/Group Containers/t/agent.sock"`, func(c *sshconfig.Config) any { return c.IdentityAgent }, "/home/jo/Library/Group Containers/t/agent.sock"},
		{"tokens in a jump", "ProxyJump %r@gate-%h-%n-%%:7,b\nHostName x\nUser u", func(c *sshconfig.Config) any { return c.ProxyJump }, "[u@gate-x-foo-%:7 b]"},
		{"quoted jump", `ProxyJump "b"`, func(c *sshconfig.Config) any { return c.ProxyJump }, "[b]"},
		{"IPv6 jump", "ProxyJump u@[::1]:7,[::2],ssh://w;p=1@[::3]:8", func(c *sshconfig.Config) any { return c.ProxyJump }, "[u@[::1]:7 [::2] w@[::3]:8]"},
		{"no jump", "ProxyJump none", func(c *sshconfig.Config) any { return c.ProxyJump != nil && len(c.ProxyJump) == 0 }, "true"},
		{"jump not said", "", func(c *sshconfig.Config) any { return c.ProxyJump == nil }, "true"},
		{"keys not said", "", func(c *sshconfig.Config) any { return c.IdentityFiles == nil }, "true"},
		{"no keys", "IdentityFile none", func(c *sshconfig.Config) any { return c.IdentityFiles != nil && len(c.IdentityFiles) == 0 }, "true"},
		{"local host", "IdentityFile /%L/%l/%u/%i/%d", func(c *sshconfig.Config) any { return c.IdentityFiles }, "[/desk/desk.example.net/jo/1000//home/jo]"},
		{"own home by name", "IdentityFile ~jo/k", func(c *sshconfig.Config) any { return c.IdentityFiles }, "[/home/jo/k]"},
		{"jump in the hash", "IdentityFile %j\nProxyJump u@b:7,c", func(c *sshconfig.Config) any { return c.IdentityFiles }, "[u@b:7,c]"},
		{"byte order mark", "\ufeffPort 7", func(c *sshconfig.Config) any { return c.Port }, "7"},
		{"Windows path", `IdentityFile C:\Users\jo\.ssh\id`, func(c *sshconfig.Config) any { return c.IdentityFiles }, `[C:\Users\jo\.ssh\id]`},
		{"strict", "StrictHostKeyChecking true", func(c *sshconfig.Config) any { return c.StrictHostKeyChecking }, "yes"},
		{"not strict", "StrictHostKeyChecking off", func(c *sshconfig.Config) any { return c.StrictHostKeyChecking }, "no"},
		{"algorithms as written", "Ciphers ^aes*-ctr,x", func(c *sshconfig.Config) any { return c.Ciphers }, "^aes*-ctr,x"},
		{"quoted URI with equals", "HostKeyAlias=\"a b\"", func(c *sshconfig.Config) any { return c.HostKeyAlias }, "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := read(t, inMemory(map[string]string{userFile: tt.config + "\n"}))
			equal(t, "value", fmt.Sprint(tt.got(c)), tt.want)
		})
	}
}

func TestOrigin(t *testing.T) {
	o := inMemory(map[string]string{userFile: "User a\nPort 7\nIdentitiesOnly no\nIdentityFile a\nIdentityFile b\nMatch final\nHostName late\n"})
	c, err := sshconfig.Read(userFile, sshconfig.Question{Host: "foo", User: "b"}, o)
	if err != nil {
		t.Fatal(err)
	}
	for keyword, line := range map[string]int{"Port": 2, "IDENTITIESONLY": 3, "identityfile": 4, "User": 0, "HostName": 0, "Compression": 0} {
		at, ok := c.Origin(keyword)
		equal(t, keyword+" is set", ok, line != 0)
		equal(t, keyword, at.Line, line)
	}
	equal(t, "user", c.User, "b")
	equal(t, "host", c.HostName, "foo")
}

func TestErrors(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name, config string
		line         int
		says         string
	}{
		{"port", "\n Port 70000\n", 2, `Port: "70000" is not a port`},
		{"extra", "User a secret\n", 1, "words after the value"},
		{"choice", "AddressFamily ipv4\n", 1, `no such choice as "ipv4"`},
		{"jump to an option", "ProxyJump -oProxyCommand=x\n", 1, "is not [user@]host[:port]"},
		{"jump as an option", "ProxyJump -l@b\n", 1, "is not [user@]host[:port]"},
		{"jump that expands badly", "ProxyJump %x\n", 1, "does not expand"},
		{"jump, two words", "ProxyJump a , b\n", 1, "words after the value"},
		{"host name", "Port 1\nHostName %x\n", 2, `no token "%x"`},
		{"host name in Match", "HostName %x\nMatch host y\n", 1, `no token "%x"`},
		{"host name too long", "HostName " + strings.Repeat("%h", 500) + "\n", 1, "too long"},
		{"variable", "\nIdentityFile ${NONE}\n", 2, `no variable "NONE"`},
		{"third key", "IdentityFile a\nIdentityFile b\nIdentityFile %x\n", 3, "IdentityFile"},
		{"other home", "UserKnownHostsFile ~mary/x\n", 1, `home folder of user "mary"`},
		{"value too long", "User " + strings.Repeat("u", 2000) + "\nIdentityFile " + strings.Repeat("%r", 100) + "\n", 2, "longer than 65536 bytes"},
		{"line too long", "Port 1\nUser " + strings.Repeat("u", 64<<10) + "\n", 2, "longer than 65536 bytes"},
		{"file too large", strings.Repeat("# comment\n", 200_000), 1, "larger than 1048576 bytes"},
		{"UTF-16", "\xff\xfeP\x00o\x00r\x00t\x00", 1, "NUL"},
		{"binary", "Port 1\nUser a\x00b\n", 2, "NUL"},
		{"too many files", "Include f*\nInclude f*\nInclude f*\n", 1, "more than 200 files"},
		{"too many bytes", "Include big big big big big big big big big big\n", 1, "larger than 8388608 bytes"},
		{"too many keys", many(101, "IdentityFile k%d\n"), 101, "more than 100"},
		{"too many known_hosts", "UserKnownHostsFile" + many(33, " k%d") + "\n", 1, "more than 32"},
		{"too many notes", many(1500, "Unknown%d x\n"), 1001, "more than 1000"},
		{"wrong in an inclusion", "Port 1\nInclude wrong\n", 3, "Port"},
		{"pattern", "Include [\n", 1, "syntax error in pattern"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{
				userFile: tt.config, "/home/jo/.ssh/wrong": "#\n#\nPort -\n",
				"/home/jo/.ssh/big": strings.Repeat("#\n", 500_000),
			}
			for i := range 90 {
				files[fmt.Sprintf("/home/jo/.ssh/f%02d", i)] = ""
			}
			_, err := sshconfig.Read(userFile, sshconfig.Question{Host: "foo"}, inMemory(files))
			var syntax *sshconfig.SyntaxError
			if !errors.As(err, &syntax) || !fault.Is(err, fault.Config) {
				t.Fatalf("got %v, want a *SyntaxError of kind Config", err)
			}
			equal(t, "line", syntax.Line, tt.line)
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("it says %q, want %q in it", err, tt.says)
			}
			if len(err.Error()) > 3000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestAbsent(t *testing.T) {
	_, err := sshconfig.Read(userFile, sshconfig.Question{Host: "foo"}, inMemory(nil))
	if !errors.Is(err, fs.ErrNotExist) || !fault.Is(err, fault.Config) {
		t.Errorf("no file: %v", err)
	}
	if _, err := sshconfig.Read(userFile, sshconfig.Question{}, inMemory(map[string]string{userFile: ""})); !fault.Is(err, fault.Config) {
		t.Errorf("no host: %v", err)
	}
	// A file that goes away between the two passes is no error.
	files := map[string]string{userFile: "Match final\nPort 7\nInclude gone\n", "/home/jo/.ssh/gone": "User u\n"}
	o := inMemory(files)
	readFile := o.ReadFile
	o.ReadFile = func(name string) ([]byte, error) {
		data, err := readFile(name)
		delete(files, filepath.ToSlash(name))
		return data, err
	}
	equal(t, "port", read(t, o).Port, 7)
}

// TestFiles reads real files.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "config")
	write(t, main, "Include \""+filepath.ToSlash(dir)+"/d*\"\n")
	write(t, filepath.Join(dir, "d1", "file"), "Port 6\n") // a folder is passed over
	write(t, filepath.Join(dir, "d2"), "Port 7\n")
	o := sshconfig.Options{Home: dir, LocalUser: "jo"}
	c, err := sshconfig.Read(main, sshconfig.Question{Host: "foo"}, o)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "port", c.Port, 7)

	refused := []string{dir, filepath.Join(dir, "absent")}
	if runtime.GOOS != "windows" {
		refused = append(refused, os.DevNull)
		if err := os.Chmod(filepath.Join(dir, "d2"), 0o666); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, filepath.Join(dir, "d2"), main)
	}
	for _, p := range refused {
		if _, err := sshconfig.Read(p, sshconfig.Question{Host: "foo"}, o); !fault.Is(err, fault.Config) {
			t.Errorf("%s: %v", p, err)
		}
	}
}
