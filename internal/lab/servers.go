package lab

import (
	_ "embed" // the asyncssh server
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Other says what to start of the servers that are not OpenSSH's.
type Other struct {
	// AuthorizedKeys are the public key lines, or files that hold them, that
	// may log in.
	AuthorizedKeys []string
	// NoSFTP leaves only SCP (dropbear).
	NoSFTP bool
}

// StartDropbear starts the server that small devices have, with the tester as
// its user.
func StartDropbear(t testing.TB, o Other) *Server {
	t.Helper()
	Need(t, "dropbear", "dropbearkey")
	s := newServer(t, []string{"ed25519", "ecdsa", "rsa"})
	s.asTester()
	ssh := filepath.Join(s.Home, ".ssh")
	if err := os.Mkdir(ssh, 0o700); err != nil {
		t.Fatal(err)
	}
	authorized := filepath.Join(ssh, "authorized_keys")
	writeFile(t, authorized, publicLines(t, o.AuthorizedKeys), 0o600)
	s.Own(ssh, authorized)
	args := []string{"-F", "-E", "-p", s.Addr, "-P", filepath.Join(s.Dir, "dropbear.pid")}
	for _, kind := range s.keys {
		file := s.HostKeyFile(kind)
		Run(t, "dropbearkey", "-t", kind, "-f", file)
		for line := range strings.Lines(Run(t, "dropbearkey", "-y", "-f", file)) {
			if strings.HasPrefix(line, "ssh-") || strings.HasPrefix(line, "ecdsa-") {
				writeFile(t, file+".pub", line, 0o644)
			}
		}
		args = append(args, "-r", file)
	}
	s.startForTester("dropbear", o.NoSFTP, Path("dropbear"), args...)
	return s
}

// StartProftpd starts ProFTPD with mod_sftp: SFTP and SCP for a virtual user.
func StartProftpd(t testing.TB, o Other) *Server {
	t.Helper()
	Need(t, "proftpd", "ssh-keygen", "openssl")
	NeedRoot(t)
	s := newServer(t, []string{"rsa", "ecdsa"})
	s.asTester()
	for _, kind := range s.keys {
		Keygen(t, s.HostKeyFile(kind), kind, "-m", "PEM")
	}
	var keys strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(publicLines(t, o.AuthorizedKeys)), "\n") {
		one := filepath.Join(s.Dir, fmt.Sprintf("key%d.pub", i))
		writeFile(t, one, line+"\n", 0o644)
		keys.WriteString(Run(t, "ssh-keygen", "-e", "-m", "RFC4716", "-f", one))
	}
	writeFile(t, filepath.Join(s.Dir, "keys"), keys.String(), 0o644)
	hash := strings.TrimSpace(Run(t, "openssl", "passwd", "-6", Password))
	writeFile(t, filepath.Join(s.Dir, "passwd"), fmt.Sprintf("tester:%s:%d:%d::%s:/bin/sh\n", hash, testerUID, testerUID, s.Home), 0o600)
	writeFile(t, filepath.Join(s.Dir, "group"), fmt.Sprintf("tester:x:%d:\n", testerUID), 0o600)
	config := filepath.Join(s.Dir, "proftpd.conf")
	writeFile(t, config, strings.NewReplacer("%D", s.Dir, "%P", fmt.Sprint(s.Port)).Replace(`ModulePath /usr/lib/proftpd
LoadModule mod_sftp.c
ServerName linehaul
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port %P
UseIPv6 off
UseReverseDNS off
User nobody
Group nogroup
PidFile %D/proftpd.pid
ScoreboardFile %D/scoreboard
DelayEngine off
WtmpLog off
RequireValidShell off
AuthOrder mod_auth_file.c
AuthUserFile %D/passwd
AuthGroupFile %D/group
AllowOverwrite on
AllowStoreRestart on
AllowRetrieveRestart on
MaxInstances 200
TimesGMT on
SFTPEngine on
SFTPLog %D/sftp.log
SFTPHostKey %D/hk_rsa
SFTPHostKey %D/hk_ecdsa
SFTPAuthorizedUserKeys file:%D/keys
SFTPAuthMethods publickey password
SFTPMaxChannels 64
`), 0o600)
	s.Process = Start(t, s.logFile("proftpd"), nil, "proftpd", "-n", "-q", "-c", config)
	waitPort(t, s.Port, s.Process)
	return s
}

//go:embed asyncssh_server.py
var asyncsshServer string

// StartAsyncSSH starts a server on the Python library asyncssh, which answers
// in ways of its own. Its user is the one that runs the test.
func StartAsyncSSH(t testing.TB, o Other) *Server {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, where the library is
	if _, err := os.Stat("/usr/lib/python3/dist-packages/asyncssh"); err != nil {
		Missing(t, "asyncssh is not installed (Debian's python3-asyncssh)")
	}
	Need(t, python, "ssh-keygen")
	s := newServer(t, []string{"ed25519", "ecdsa", "rsa"})
	s.User, s.Home = "tester", filepath.Join(s.Dir, "home")
	if err := os.Mkdir(s.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range s.keys {
		Keygen(t, s.HostKeyFile(kind), kind)
	}
	writeFile(t, filepath.Join(s.Dir, "authorized_keys"), publicLines(t, o.AuthorizedKeys), 0o644)
	script := filepath.Join(s.Dir, "server.py")
	writeFile(t, script, asyncsshServer, 0o644)
	s.Process = Start(t, s.logFile("asyncssh"), nil, python, "-W", "ignore", script, fmt.Sprint(s.Port), s.Dir, s.Home, s.User, Password)
	waitPort(t, s.Port, s.Process)
	return s
}
