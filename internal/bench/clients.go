package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"linehaul/internal/lab"
)

// A login is how all clients get in.
type login struct {
	user, host  string
	key, ppk    string // the same key, for OpenSSH and for PuTTY
	knownHosts  string
	fingerprint string
}

// A job is one transfer for a client: source, a file or a folder, is to appear
// in the folder target under its own name.
type job struct {
	login
	port           int
	put, tree      bool
	source, target string
	home           string // the client's, new and empty
}

// remote is a path on the server as scp writes it.
func (j job) remote(path string) string { return j.user + "@" + j.host + ":" + path }

// arrived is where the source's copy appears.
func (j job) arrived() string { return filepath.Join(j.target, filepath.Base(j.source)) }

// ends are both ends as scp writes them.
func (j job) ends() []string {
	if j.put {
		return []string{j.source, j.remote(j.target)}
	}
	return []string{j.remote(j.source), j.target}
}

// recursive is the flag of most clients for a tree.
func (j job) recursive() []string {
	if j.tree {
		return []string{"-r"}
	}
	return nil
}

// script writes a file for the client to read.
func (j job) script(text string) (string, error) {
	path := filepath.Join(j.home, "script")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// A client is a program that moves files.
type client struct {
	name     string
	programs []string // what it needs, its own program first
	linehaul bool
	old      bool // told to speak the protocol that was there before SFTP
	// command returns the arguments, the program first, and what to put into
	// the environment.
	command func(job) (argv, env []string, err error)
	// ask is the argument that makes the program say its version.
	ask []string
}

// cipher is what OpenSSH's clients are told to use, and PuTTY's in its own
// words; linehaul and rclone choose it by themselves.
const cipher = "aes128-gcm@openssh.com"

// linehaul is a build of ours.
func linehaul(name, path string) client {
	return client{
		name: name, programs: []string{path}, linehaul: true, ask: []string{"version"},
		command: func(j job) ([]string, []string, error) {
			verb := "get"
			if j.put {
				verb = "put"
			}
			argv := []string{path, verb, "-q", "-i", j.key, "--known-hosts", j.knownHosts, "-P", strconv.Itoa(j.port)}
			argv = append(argv, j.recursive()...)
			ends := j.ends()
			return append(argv, ends[0], ends[1]+"/"), nil, nil
		},
	}
}

// peers are the programs to compare with.
func peers() []client {
	return []client{
		{name: "sftp", programs: []string{"sftp", "ssh"}, command: sftp},
		{name: "scp", programs: []string{"scp", "ssh"}, command: scp()},
		{name: "scp -O", old: true, programs: []string{"scp", "ssh"}, command: scp("-O")},
		{name: "pscp -sftp", programs: []string{"pscp", "puttygen"}, command: pscp("-sftp"), ask: []string{"-V"}},
		{name: "pscp -scp", old: true, programs: []string{"pscp", "puttygen"}, command: pscp("-scp"), ask: []string{"-V"}},
		{name: "lftp", programs: []string{"lftp", "ssh"}, command: lftp, ask: []string{"--version"}},
		{name: "rclone", programs: []string{"rclone"}, command: rclone, ask: []string{"version"}},
	}
}

// PeerNames are the names that Options.Peers knows.
func PeerNames() []string {
	var names []string
	for _, p := range peers() {
		names = append(names, p.name)
	}
	return names
}

// sshOptions make OpenSSH's clients use what was given and nothing else.
func (j job) sshOptions() []string {
	var all []string
	for _, o := range []string{
		"BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=" + j.knownHosts, "GlobalKnownHostsFile=/dev/null",
		"IdentitiesOnly=yes", "IdentityAgent=none", "IdentityFile=" + j.key, "Ciphers=" + cipher, "LogLevel=ERROR",
	} {
		all = append(all, "-o", o)
	}
	return append(all, "-F", "none")
}

func sftp(j job) ([]string, []string, error) {
	verb := "get"
	if j.put {
		verb = "put"
	}
	batch, err := j.script(strings.Join(append(append([]string{verb}, j.recursive()...), j.source, j.target), " ") + "\n")
	argv := append([]string{lab.Path("sftp"), "-q", "-b", batch, "-P", strconv.Itoa(j.port)}, j.sshOptions()...)
	return append(argv, j.user+"@"+j.host), nil, err
}

// scp is OpenSSH's scp, which speaks SFTP since 9.0 unless told -O.
func scp(flags ...string) func(job) ([]string, []string, error) {
	return func(j job) ([]string, []string, error) {
		argv := append([]string{lab.Path("scp"), "-q", "-P", strconv.Itoa(j.port)}, flags...)
		argv = append(append(argv, j.sshOptions()...), j.recursive()...)
		return append(argv, j.ends()...), nil, nil
	}
}

// pscp is PuTTY's. It takes its cipher from a saved session, of which the one
// with this name needs no asking for.
func pscp(protocol string) func(job) ([]string, []string, error) {
	return func(j job) ([]string, []string, error) {
		sessions := filepath.Join(j.home, ".putty", "sessions")
		if err := os.MkdirAll(sessions, 0o700); err != nil {
			return nil, nil, err
		}
		err := os.WriteFile(filepath.Join(sessions, "Default%20Settings"), []byte("Cipher=aesgcm,aes,chacha20,WARN\n"), 0o600)
		argv := []string{lab.Path("pscp"), "-batch", "-q", protocol, "-i", j.ppk, "-hostkey", j.fingerprint, "-P", strconv.Itoa(j.port)}
		return append(append(argv, j.recursive()...), j.ends()...), nil, err
	}
}

// lftp moves a file in 4 parts where it can, which is when getting, and a tree
// with 8 connections.
func lftp(j job) ([]string, []string, error) {
	var transfer string
	switch {
	case j.tree && j.put:
		transfer = fmt.Sprintf("mirror -R -P 8 %s %s", j.source, j.arrived())
	case j.tree:
		transfer = fmt.Sprintf("mirror -P 8 %s %s", j.source, j.arrived())
	case j.put:
		transfer = fmt.Sprintf("put -O %s %s", j.target, j.source)
	default:
		transfer = fmt.Sprintf("pget -n 4 -O %s %s", j.target, j.source)
	}
	script, err := j.script(fmt.Sprintf(`set cmd:fail-exit yes
set net:max-retries 1
set sftp:auto-confirm no
set sftp:connect-program "%s"
set xfer:log no
open -p %d -u %s,none sftp://%s
%s
exit
`, strings.Join(append([]string{lab.Path("ssh"), "-a", "-x"}, j.sshOptions()...), " "), j.port, j.user, j.host, transfer))
	return []string{lab.Path("lftp"), "-f", script}, nil, err
}

// rclone is told not to run md5sum on the server, as nobody else hashes what
// has arrived.
func rclone(j job) ([]string, []string, error) {
	ends := []string{"peer:" + j.source, j.arrived()}
	if j.put {
		ends = []string{j.source, "peer:" + j.arrived()}
	}
	verb := "copyto"
	if j.tree {
		verb = "copy"
	}
	env := []string{
		"RCLONE_CONFIG=" + filepath.Join(j.home, "rclone.conf"), "RCLONE_CONFIG_PEER_TYPE=sftp",
		"RCLONE_CONFIG_PEER_HOST=" + j.host, "RCLONE_CONFIG_PEER_PORT=" + strconv.Itoa(j.port), "RCLONE_CONFIG_PEER_USER=" + j.user,
		"RCLONE_CONFIG_PEER_KEY_FILE=" + j.key, "RCLONE_CONFIG_PEER_KNOWN_HOSTS_FILE=" + j.knownHosts,
		"RCLONE_CONFIG_PEER_DISABLE_HASHCHECK=true", "RCLONE_CONFIG_PEER_SHELL_TYPE=unix",
	}
	return append([]string{lab.Path("rclone"), verb, "--quiet", "--transfers", "8"}, ends...), env, nil
}

// version is the program's name and version, as it says itself.
func (c client) version(ctx context.Context) string {
	program, ask := c.programs[0], c.ask
	if ask == nil { // OpenSSH's clients have none of their own
		program, ask = "ssh", []string{"-V"}
	}
	out, err := exec.CommandContext(ctx, lab.Path(program), ask...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	name := filepath.Base(program)
	if c.linehaul {
		return c.name + strings.TrimPrefix(line, "linehaul")
	}
	if ask[0] == "-V" && program == "ssh" {
		line, _, _ = strings.Cut(line, ",")
		return line
	}
	number := regexp.MustCompile(`v?\d+\.\d[^ |]*`).FindString(line)
	return name + " " + number
}
