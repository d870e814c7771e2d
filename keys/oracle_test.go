package keys_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/internal/lab"
	"linehaul/keys"
)

// pipeEnv makes the test binary a program that joins its standard streams to
// a TCP address: a ProxyCommand, with which ssh believes in any host and port.
const pipeEnv = "LINEHAUL_TEST_PIPE"

func TestMain(m *testing.M) {
	if addr := os.Getenv(pipeEnv); addr != "" {
		if err := pipe(addr); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func pipe(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	go io.Copy(conn, os.Stdin) //nolint:errcheck // the process ends with the other direction
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// The verdicts on a host key.
const (
	accepted = "accepted"
	unknown  = "unknown"
	changed  = "changed"
	revoked  = "revoked"
)

// TestOracle holds our reading of known_hosts files against that of the real
// ssh, on one server that has a key of each type, with certificates.
func TestOracle(t *testing.T) {
	lab.Need(t, "ssh", "sshd", "ssh-keygen")
	dir := t.TempDir()
	ca := lab.Keygen(t, filepath.Join(dir, "ca"), "ed25519")
	var config strings.Builder
	if version := lab.Run(t, "ssh", "-V"); newer(version, 9, 8) {
		config.WriteString("PerSourcePenalties no\n") // or it soon talks to us no more
	}
	for _, k := range []struct {
		name string
		make []string
		cert []string
	}{
		{"ed25519", []string{"ed25519"}, []string{"-n", "db.example.net", "-V", "20260101:20960101"}},
		{"ecdsa256", []string{"ecdsa", "-b", "256"}, []string{"-n", "elsewhere.example.net", "-V", "20260101:20960101"}},
		{"ecdsa384", []string{"ecdsa", "-b", "384"}, []string{"-n", "*.example.net", "-V", "20260101:20960101"}},
		{"ecdsa521", []string{"ecdsa", "-b", "521"}, []string{"-V", "20260101:20960101"}},
		{"rsa", []string{"rsa", "-b", "2048"}, []string{"-n", "db.example.net", "-V", "20200101:20210101"}},
	} {
		path := lab.Keygen(t, filepath.Join(dir, k.name), k.make[0], k.make[1:]...)
		lab.Run(t, "ssh-keygen", slices.Concat([]string{"-q", "-s", ca, "-h", "-I", k.name}, k.cert, []string{path + ".pub"})...)
		fmt.Fprintf(&config, "HostKey %s\nHostCertificate %s-cert.pub\n", path, path)
	}
	// Of two host keys of a type sshd takes the first, which is ours.
	server := lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"}, Config: config.String()})

	key := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b))[:2], " ")
	}
	words := strings.NewReplacer(
		"{ed}", key("ed25519"), "{rsa}", key("rsa"), "{ec}", key("ecdsa256"), "{ec384}", key("ecdsa384"), "{ca}", key("ca"),
		"{other}", line(t, "other.pub"), "{otherrsa}", line(t, "rsa.pub"),
		"{edcert}", strings.Join(strings.Fields(testdata(t, "ed25519-cert.pub"))[:2], " "),
		"{hash}", hashed("db.example.net"), "{hash2222}", hashed("[db.example.net]:2222"), "{hashDB}", hashed("DB.example.net"),
	)
	const plainEd = "ssh-ed25519"
	for _, tt := range []struct {
		name    string
		lines   string
		host    string // default: db.example.net
		port    int    // default: 22
		offer   string // the only algorithm to ask for; default: what each side chooses
		want    string
		openssh string // if it judges otherwise: we are never more lenient
	}{
		{name: "empty file", lines: "", want: unknown},
		{name: "known by one of several keys, ed25519", lines: "db.example.net {ed}", want: accepted},
		{name: "known by one of several keys, ecdsa", lines: "db.example.net {ec}", want: accepted},
		{name: "known by one of several keys, rsa", lines: "db.example.net {rsa}", want: accepted},
		{name: "two types known", lines: "db.example.net {rsa}\ndb.example.net {ec}", want: accepted},
		{name: "another host", lines: "db2.example.net {ed}", want: unknown},
		{name: "another key", lines: "db.example.net {other}", want: changed},
		{name: "another key of another type", lines: "db.example.net {otherrsa}", want: changed},
		{name: "another key, and the right one", lines: "db.example.net {other}\ndb.example.net {ed}", want: accepted},
		{name: "type known, another offered", lines: "db.example.net {rsa}", offer: plainEd, want: changed},
		{name: "case of the pattern", lines: "DB.Example.NET {ed}", want: accepted},
		{name: "case of the name", lines: "db.example.net {ed}", host: "Db.EXAMPLE.net", want: accepted},
		{name: "list", lines: "a,db.example.net,b {ed}", want: accepted},
		{name: "list with blanks", lines: "a, db.example.net {ed}", want: unknown},
		{name: "empty patterns", lines: ",,db.example.net,, {ed}", want: accepted},
		{name: "star", lines: "* {ed}", want: accepted},
		{name: "star in the middle", lines: "db.*.net {ed}", want: accepted},
		{name: "star for nothing", lines: "db.example.net* {ed}", want: accepted},
		{name: "stars that almost match", lines: "*a*a*a*b {ed}", host: "aaaaaaaaaaaaaaaa", want: unknown},
		{name: "question mark", lines: "d?.example.net {ed}", want: accepted},
		{name: "question mark for nothing", lines: "db?.example.net {ed}", want: unknown},
		{name: "brackets have no meaning", lines: "d[ab].example.net {ed}", want: unknown},
		{name: "negation after", lines: "*.example.net,!db.example.net {ed}", want: unknown},
		{name: "negation before", lines: "!db.example.net,*.example.net {ed}", want: unknown},
		{name: "negation of another", lines: "!db2.example.net,*.example.net {ed}", want: accepted},
		{name: "negation alone", lines: "!db2.example.net {ed}", want: unknown},
		{name: "negation of one line only", lines: "*,!db.* {other}\n* {ed}", want: accepted},
		{name: "hashed", lines: "{hash} {ed}", want: accepted},
		{name: "hashed, another key", lines: "{hash} {other}", want: changed},
		{name: "hashed, case of the name", lines: "{hash} {ed}", host: "DB.example.net", want: accepted},
		{name: "hashed in capitals", lines: "{hashDB} {ed}", host: "DB.example.net", want: unknown},
		{name: "hashed with the port", lines: "{hash2222} {ed}", port: 2222, want: accepted},
		{name: "hashed without the port", lines: "{hash} {ed}", port: 2222, want: accepted},
		{name: "hashed in a list", lines: "{hash},db.example.net {ed}", want: unknown},
		{name: "hashed, damaged", lines: "|1|AAAA|BBBB {other}\n{hash} {ed}", want: accepted},

		{name: "port named", lines: "[db.example.net]:2222 {ed}", port: 2222, want: accepted},
		{name: "another port named", lines: "[db.example.net]:2223 {ed}", port: 2222, want: unknown},
		{name: "standard port named", lines: "[db.example.net]:22 {ed}", want: unknown},
		{name: "brackets without port", lines: "[db.example.net] {ed}", port: 2222, want: unknown},
		{name: "line without port", lines: "db.example.net {ed}", port: 2222, want: accepted},
		{name: "line without port, another key", lines: "db.example.net {other}", port: 2222, want: unknown},
		{name: "both, the one with port differs", lines: "db.example.net {ed}\n[db.example.net]:2222 {other}", offer: plainEd, port: 2222, want: changed},
		{name: "the same with a certificate", lines: "db.example.net {ed}\n[db.example.net]:2222 {other}", port: 2222, offer: "ssh-ed25519-cert-v01@openssh.com", want: changed, openssh: accepted},
		{name: "both, the one without port differs", lines: "db.example.net {other}\n[db.example.net]:2222 {ed}", port: 2222, want: accepted},
		{name: "star with port", lines: "* {ed}", port: 2222, want: accepted},
		{name: "star with port, another key", lines: "* {other}", port: 2222, want: changed},
		{name: "star inside brackets", lines: "[*.example.net]:2222 {ed}", port: 2222, want: accepted},
		{name: "star for the port", lines: "[db.example.net]:* {ed}", port: 2222, want: accepted},
		{name: "stars for both", lines: "[*]:* {ed}", port: 2222, want: accepted},
		{name: "stars for both, standard port", lines: "[*]:* {ed}", want: unknown},
		{name: "negation without port", lines: "*,!db.example.net {ed}", port: 2222, want: accepted},
		{name: "negation with port", lines: "*,![db.example.net]:2222 {ed}", port: 2222, want: accepted},
		{name: "negation of both", lines: "*,!db.example.net,![db.example.net]:2222 {ed}", port: 2222, want: unknown},
		{name: "address", lines: "127.0.0.* {ed}", host: "127.0.0.1", want: accepted},
		{name: "IPv6 address", lines: "::1 {ed}", host: "::1", want: accepted},
		{name: "IPv6 address with port", lines: "[::1]:2222 {ed}", host: "::1", port: 2222, want: accepted},

		{name: "blank lines and comments", lines: "\n# db.example.net {other}\n   # more\n\t\n  db.example.net {ed}", want: accepted},
		{name: "tabs and blanks", lines: "\tdb.example.net \t {ed}\t a comment", want: accepted},
		{name: "CRLF", lines: "db.example.net {ed}\r\n", want: accepted},
		{name: "CRLF and a comment", lines: "# x\r\ndb.example.net {ed} me@there\r\n", want: accepted},
		{name: "no final newline", lines: "a {other}\ndb.example.net {ed}", want: accepted},
		{name: "unknown key type before", lines: "db.example.net ssh-ed448 AAAAC3Nz\ndb.example.net {ed}", want: accepted},
		{name: "only an unknown key type", lines: "db.example.net ssh-ed448 AAAAC3Nz", want: unknown},
		{name: "SSH-1 before", lines: "db.example.net 1024 35 123456789012345678901234567890\ndb.example.net {ed}", want: accepted},
		{name: "bad base64 before", lines: "db.example.net ssh-ed25519 AAA!\ndb.example.net {ed}", want: accepted},
		{name: "key cut off", lines: "db.example.net ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", want: unknown},
		{name: "type does not fit", lines: "db.example.net ssh-rsa {ed}", want: unknown},
		{name: "no key", lines: "db.example.net\ndb.example.net ssh-ed25519\ndb.example.net {ed}", want: accepted},
		{name: "comment for a key", lines: "db.example.net #{ed}", want: unknown},
		{name: "long line before", lines: "db.example.net " + strings.Repeat("x", 70<<10) + "\ndb.example.net {ed}", want: accepted},
		{name: "certificate for a key", lines: "db.example.net {edcert}", want: unknown, openssh: changed},

		{name: "revoked", lines: "@revoked * {ed}\ndb.example.net {ed}", offer: plainEd, want: revoked},
		{name: "revoked after", lines: "db.example.net {ed}\n@revoked db.example.net {ed}", offer: plainEd, want: revoked},
		{name: "revoked and not known", lines: "@revoked * {ed}", offer: plainEd, want: revoked},
		{name: "another key revoked", lines: "@revoked * {other}\ndb.example.net {ed}", want: accepted},
		{name: "revoked elsewhere", lines: "@revoked db2.example.net {ed}\ndb.example.net {ed}", want: accepted},
		{name: "revoked with star, other port", lines: "@revoked * {ed}\n[db.example.net]:2222 {ed}", offer: plainEd, port: 2222, want: revoked},
		{name: "revoked without port, nothing else", lines: "@revoked db.example.net {ed}", offer: plainEd, port: 2222, want: revoked},
		{name: "revoked without port, known with", lines: "@revoked db.example.net {ed}\n[db.example.net]:2222 {ed}", offer: plainEd, port: 2222, want: revoked, openssh: accepted},
		{name: "unknown marker", lines: "@trusted db.example.net {ed}", want: unknown},
		{name: "two markers", lines: "@revoked @revoked * {ed}\ndb.example.net {ed}", want: accepted},

		{name: "authority", lines: "@cert-authority db.example.net {ca}", want: accepted},
		{name: "authority by star", lines: "@cert-authority *.example.net {ca}", want: accepted},
		{name: "authority in a list", lines: "@cert-authority a,*.example.net {ca}", want: accepted},
		{name: "authority, other port", lines: "@cert-authority db.example.net {ca}", port: 2222, want: accepted},
		{name: "authority by star, other port", lines: "@cert-authority * {ca}", port: 2222, want: accepted},
		{name: "authority of other hosts", lines: "@cert-authority *.example.org {ca}", want: unknown},
		{name: "another authority", lines: "@cert-authority * {other}", want: unknown},
		{name: "another authority, key known", lines: "@cert-authority * {other}\ndb.example.net {ed}", want: accepted},
		{name: "authority, another key known", lines: "@cert-authority * {ca}\ndb.example.net {other}", want: accepted},
		{name: "another authority, another key", lines: "@cert-authority * {other}\ndb.example.net {other}", want: changed},
		{name: "authority, plain key shown", lines: "@cert-authority * {ca}", offer: plainEd, want: unknown},
		{name: "authority is no host key", lines: "db.example.net {ca}", want: changed},
		{name: "host key is no authority", lines: "@cert-authority * {ed}", want: unknown},
		{name: "authority revoked", lines: "@revoked * {ca}\n@cert-authority * {ca}", want: revoked},
		{name: "certified key revoked", lines: "@revoked * {ed}\n@cert-authority * {ca}", want: revoked},
		{name: "certificate, only the plain key known", lines: "db.example.net {ed}", offer: "ssh-ed25519-cert-v01@openssh.com", want: accepted},
		{name: "certificate, another plain key known", lines: "db.example.net {other}", offer: "ssh-ed25519-cert-v01@openssh.com", want: changed},
		{name: "certificate of another name", lines: "@cert-authority * {ca}", host: "web.example.net", want: unknown},
		{name: "certificate of another name, key known", lines: "@cert-authority * {ca}\nweb.example.net {ed}", host: "web.example.net", want: accepted},
		{name: "certificate, case of the name", lines: "@cert-authority * {ca}", host: "DB.EXAMPLE.NET", want: accepted},
		{name: "certificate of another name, ecdsa", lines: "@cert-authority * {ca}", offer: "ecdsa-sha2-nistp256-cert-v01@openssh.com", want: unknown},
		{name: "certificate of a pattern", lines: "@cert-authority * {ca}", offer: "ecdsa-sha2-nistp384-cert-v01@openssh.com", want: unknown},
		{name: "certificate of no name", lines: "@cert-authority * {ca}", offer: "ecdsa-sha2-nistp521-cert-v01@openssh.com", want: accepted},
		{name: "certificate expired", lines: "@cert-authority * {ca}", offer: "rsa-sha2-512-cert-v01@openssh.com", want: unknown},
		{name: "certificate expired, key known", lines: "@cert-authority * {ca}\ndb.example.net {rsa}", offer: "rsa-sha2-512-cert-v01@openssh.com", want: accepted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.host == "" {
				tt.host = "db.example.net"
			}
			if tt.port == 0 {
				tt.port = 22
			}
			if tt.openssh == "" {
				tt.openssh = tt.want
			}
			known := file(t, "known_hosts", words.Replace(tt.lines))
			if got := judgeSSH(t, server.Addr, known, tt.host, tt.port, tt.offer); got != tt.openssh {
				t.Errorf("ssh judges %q, the table says %q", got, tt.openssh)
			}
			if got := judgeOurs(t, server.Addr, known, tt.host, tt.port, tt.offer); got != tt.want {
				t.Errorf("we judge %q, want %q", got, tt.want)
			}
		})
	}
}

// newer reports whether what ssh -V prints is of this version or later.
func newer(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "OpenSSH_%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// hashed names a host as ssh-keygen -H does.
func hashed(name string) string {
	salt := make([]byte, sha1.Size)
	rand.Read(salt) //nolint:errcheck // it never fails
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// judgeSSH returns what the real ssh makes of the server's key. It never logs
// in: it is denied where the key is accepted.
func judgeSSH(t *testing.T, addr, known, host string, port int, offer string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile=" + known,
		"-o", "PreferredAuthentications=none", "-o", "UpdateHostKeys=no", "-o", "ProxyCommand=" + self, "-p", strconv.Itoa(port),
	}
	if offer != "" {
		args = append(args, "-o", "HostKeyAlgorithms="+offer)
	}
	cmd := exec.CommandContext(ctx, lab.Path("ssh"), append(args, "nobody@"+host, "true")...)
	cmd.Env = append(os.Environ(), pipeEnv+"="+addr, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("ssh logged in")
	}
	switch {
	case bytes.Contains(out, []byte("Permission denied")):
		return accepted
	case bytes.Contains(out, []byte("REVOKED HOST KEY")), bytes.Contains(out, []byte("marked as revoked")):
		return revoked
	case bytes.Contains(out, []byte("HOST IDENTIFICATION HAS CHANGED")):
		return changed
	case bytes.Contains(out, []byte("host key is known for")):
		return unknown
	}
	return string(out)
}

// judgeOurs returns what we make of the server's key.
func judgeOurs(t *testing.T, addr, known, host string, port int, offer string) string {
	t.Helper()
	h, err := keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: known, Required: true}}})
	if err != nil {
		t.Fatal(err)
	}
	algorithms := h.Algorithms(host, port)
	if offer != "" {
		algorithms = []string{offer}
	}
	verdict := errors.New("the server showed no key")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	config := &ssh.ClientConfig{
		User:              "nobody",
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			verdict = h.Check(host, port, key)
			return errors.New("seen enough")
		},
	}
	if c, _, _, err := ssh.NewClientConn(conn, addr, config); err == nil {
		c.Close()
		t.Fatal("logged in")
	}
	var refused *keys.HostKeyError
	switch {
	case verdict == nil:
		return accepted
	case !errors.As(verdict, &refused):
		return verdict.Error()
	case refused.Reason == keys.Changed:
		return changed
	case refused.Reason == keys.Revoked:
		return revoked
	}
	return unknown
}
