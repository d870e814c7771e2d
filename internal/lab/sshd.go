package lab

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Password is the test user's password where a server takes one.
const Password = "sesame-Ahx4ohng"

// SSHD says what OpenSSH server to start.
type SSHD struct {
	// HostKeys are the types of its host keys: ed25519, ecdsa, rsa, dsa.
	// Default: ed25519, ecdsa and rsa.
	HostKeys []string
	// AuthorizedKeys are the public key lines, or files that hold them, that
	// may log in.
	AuthorizedKeys []string
	// NoSFTP leaves the SFTP subsystem out, so that only SCP is left; for a
	// Tester, who has a file system of its own, the sftp-server program too.
	NoSFTP bool
	// Tester makes the login an ordinary user named tester with a password,
	// in a private copy of /etc, so that permissions mean something when the
	// test runs as root. Without it the login is the calling user, by key.
	Tester bool
	// Addr is where it listens, as host:port. Default: a free port on
	// 127.0.0.1.
	Addr string
	// Within is what the server's command line starts with: a command that
	// runs another one in a network of its own, where Addr is.
	Within []string
	// Config is put before the rest of sshd_config, where the first value of
	// a keyword wins. %D stands for the server's folder.
	Config string
}

// A Server is an SSH server that runs beside the test.
type Server struct {
	*Process
	Addr string // host:port
	Host string
	Port int
	User string
	Home string // the login folder
	Dir  string // the server's own files: hk_TYPE, authorized_keys, sshd.log
	t    testing.TB
	keys []string

	within []string // SSHD.Within
}

// testerUID is a user and group id that no machine gives to anybody.
const testerUID = 21001

// StartSSHD starts an OpenSSH server on a loopback port and waits for it.
func StartSSHD(t testing.TB, o SSHD) *Server {
	t.Helper()
	Need(t, "sshd", "ssh-keygen")
	if len(o.HostKeys) == 0 {
		o.HostKeys = []string{"ed25519", "ecdsa", "rsa"}
	}
	s := newServer(t, o.HostKeys)
	if s.within = o.Within; o.Addr != "" {
		s.at(o.Addr)
	}
	s.login(o)

	var conf strings.Builder
	conf.WriteString(strings.ReplaceAll(o.Config, "%D", s.Dir) + "\n")
	for _, kind := range o.HostKeys {
		file := s.HostKeyFile(kind)
		if _, err := os.Stat(file); err != nil {
			Keygen(t, file, kind)
		}
		fmt.Fprintf(&conf, "HostKey %s\n", file)
	}
	fmt.Fprintf(&conf, "ListenAddress %s\nPort %d\n", s.Host, s.Port)
	fmt.Fprintf(&conf, "AuthorizedKeysFile %s\n", filepath.Join(s.Dir, "authorized_keys"))
	fmt.Fprintf(&conf, "PasswordAuthentication %s\n", yesNo(o.Tester))
	conf.WriteString("StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nKbdInteractiveAuthentication no\n" +
		"MaxSessions 200\nUseDNS no\nLogLevel VERBOSE\nPrintMotd no\nPrintLastLog no\n")
	if !strings.Contains(o.Config, "MaxStartups") { // of which the last one wins
		conf.WriteString("MaxStartups 200\n")
	}
	if !o.NoSFTP {
		conf.WriteString("Subsystem sftp internal-sftp\n")
	}
	file := filepath.Join(s.Dir, "sshd_config")
	writeFile(t, file, conf.String(), 0o600)
	if os.Getuid() == 0 {
		// The folder that privilege separation wants; Debian's service makes
		// it, and there may be no service.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.launch(o, file)
	return s
}

// newServer is a server that is not started yet.
func newServer(t testing.TB, hostKeys []string) *Server {
	t.Helper()
	s := &Server{t: t, Host: "127.0.0.1", Port: FreePort(t), Dir: Folder(t), keys: hostKeys}
	s.Addr = fmt.Sprintf("%s:%d", s.Host, s.Port)
	return s
}

// at makes the server listen at an address of the caller's choice.
func (s *Server) at(addr string) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		s.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		s.t.Fatalf("the address %q of a server: %v", addr, err)
	}
	s.Addr, s.Host = addr, host
}

// login prepares the user's home and authorized_keys.
func (s *Server) login(o SSHD) {
	s.t.Helper()
	writeFile(s.t, filepath.Join(s.Dir, "authorized_keys"), publicLines(s.t, o.AuthorizedKeys), 0o644)
	if o.Tester {
		s.asTester()
		return
	}
	u, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	s.User, s.Home = u.Username, u.HomeDir
}

// asTester makes the login an ordinary user with a home of its own.
func (s *Server) asTester() {
	s.t.Helper()
	NeedRoot(s.t)
	Need(s.t, "unshare", "tar", "openssl")
	s.User, s.Home = "tester", filepath.Join(s.Dir, "home")
	if err := os.Mkdir(s.Home, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.Own(s.Home)
}

// publicLines are public keys, given as lines or as files that hold them.
func publicLines(t testing.TB, keys []string) string {
	t.Helper()
	var lines strings.Builder
	for _, k := range keys {
		if !strings.Contains(k, " ") {
			k = readFile(t, k)
		}
		lines.WriteString(k + "\n")
	}
	return lines.String()
}

// launch runs sshd, for the tester in a file system of its own.
func (s *Server) launch(o SSHD, config string) {
	s.t.Helper()
	args := []string{"-D", "-e", "-f", config}
	if o.Tester {
		s.startForTester("sshd", o.NoSFTP, Path("sshd"), args...)
		return
	}
	s.start("sshd", "sshd", args...)
}

// start runs a server's program and waits until it listens, where the test
// may not be able to connect to.
func (s *Server) start(name, program string, args ...string) {
	s.t.Helper()
	if len(s.within) == 0 {
		s.Process = Start(s.t, s.logFile(name), nil, program, args...)
		waitPort(s.t, s.Port, s.Process)
		return
	}
	all := slices.Concat(s.within[1:], []string{Path(program)}, args)
	s.Process = Start(s.t, s.logFile(name), nil, s.within[0], all...)
	s.Await(s.t, "Server listening on "+s.Host) // OpenSSH's words
}

func (s *Server) logFile(name string) string { return filepath.Join(s.Dir, name+".log") }

// startForTester runs a server in a mount namespace whose /etc is a copy with
// the tester in it, and waits until it listens. All of /etc is copied and
// bound, as binding single files is undone when another program renames over
// them. Without SFTP, the sftp-server program is hidden too.
func (s *Server) startForTester(name string, noSFTP bool, program string, args ...string) {
	s.t.Helper()
	hash := strings.TrimSpace(Run(s.t, "openssl", "passwd", "-6", Password))
	script := `set -e
etc=$1/etc; mkdir -p $etc
tar -C /etc --exclude=./shadow* --exclude=./gshadow* --exclude=./ssh --exclude=./ssl/private -cf - . | tar -C $etc -xf -
sed -i '/^tester:/d' $etc/passwd $etc/group
echo "tester:x:$2:$2::$1/home:/bin/sh" >> $etc/passwd
echo "tester:x:$2:" >> $etc/group
(umask 077; printf 'tester:%s:19000:0:99999:7:::\nroot:*:19000:0:99999:7:::\n' "$3" > $etc/shadow)
mount --bind $etc /etc
if [ "$4" = yes ]; then
	for f in /usr/lib/openssh/sftp-server /usr/lib/sftp-server /usr/libexec/sftp-server; do
		if [ -e $f ]; then mount --bind /dev/null $f; fi
	done
fi
shift 4; exec "$@"`
	all := append([]string{"-m", "--propagation", "private", "sh", "-c", script, "sh", s.Dir, fmt.Sprint(testerUID), hash, yesNo(noSFTP), program}, args...)
	s.start(name, "unshare", all...)
}

// HostKeyFile returns the private file of the server's host key of a type.
func (s *Server) HostKeyFile(keyType string) string { return filepath.Join(s.Dir, "hk_"+keyType) }

// Fingerprint returns the SHA256:… fingerprint of the server's host key of a
// type, or of its first one.
func (s *Server) Fingerprint(keyType ...string) string {
	return Fingerprint(s.t, s.HostKeyFile(append(keyType, s.keys...)[0])+".pub")
}

// KnownHosts returns known_hosts lines for the server's keys of these types,
// or of all that it has.
func (s *Server) KnownHosts(keyTypes ...string) string {
	s.t.Helper()
	if len(keyTypes) == 0 {
		keyTypes = s.keys
	}
	name := fmt.Sprintf("[%s]:%d", s.Host, s.Port)
	if s.Port == 22 {
		name = s.Host // sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: a port in the name is another one
	}
	var lines strings.Builder
	for _, kind := range keyTypes {
		key := strings.Fields(readFile(s.t, s.HostKeyFile(kind)+".pub"))
		fmt.Fprintf(&lines, "%s %s %s\n", name, key[0], key[1])
	}
	return lines.String()
}

// Own makes the login user the owner of files, so that it may use them.
func (s *Server) Own(paths ...string) {
	s.t.Helper()
	if s.User != "tester" {
		return
	}
	for _, p := range paths {
		if err := os.Lchown(p, testerUID, testerUID); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Folder makes a folder for the test that an ordinary user can enter also when
// the test runs as root: the parents of t.TempDir() are closed to others.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "linehaul-lab-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // others must enter
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
