// Package sshconfig reads the client configuration of OpenSSH, ssh_config(5)
// as of OpenSSH 9.2, for one host: what `ssh -G -F FILE HOST` would say.
//
// The first value of a keyword counts, and IdentityFile and CertificateFile
// add up. Host takes patterns with wildcards and negation. Match takes all,
// host, originalhost, user and localuser, and final, which asks for a second
// pass over everything with the name that HostName gave; canonical is true in
// that pass, too. Include, quotes, tokens such as %h and variables such as
// ${HOME} work as they do there.
//
// What a file asks for and does not get stands in Config.NotHonoured: commands
// that would have to run (ProxyCommand, Match exec), host names that would
// have to be looked up (CanonicalizeHostname), keywords that nobody here
// knows. A block under a Match whose outcome cannot be told is left out.
//
// Differences from ssh: an unknown keyword is noted where ssh refuses the
// file; a byte order mark is skipped; ProxyJump may be quoted, and takes no
// second word; names of algorithms are handed on without being looked up.
package sshconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/internal/pattern"
)

// Options says where the files are and who asks. What is left empty is not
// guessed, but for the functions: Local fills all of it from this machine.
type Options struct {
	Home      string // the user's home folder: ~ and %d
	LocalUser string // %u, Match localuser, and the remote user where none is given
	LocalUID  string // %i
	LocalHost string // this machine's name with its domain: %l, and %L up to the first dot

	// SystemDir is /etc/ssh, or what it is here. In a file that lies in it, and
	// in what that includes, Include is relative to it and not to ~/.ssh.
	SystemDir string
	// WithSystem adds SystemDir/ssh_config after the file, where it exists, as
	// ssh does when it is started without -F.
	WithSystem bool

	// ReadFile returns a whole file. The default takes regular files that not
	// everybody can write, and reads no more than is needed to refuse a file
	// that is too large.
	ReadFile func(path string) ([]byte, error)
	// Glob returns the files that a pattern matches. Default: filepath.Glob.
	Glob func(pattern string) ([]string, error)
	// Getenv looks up ${NAME}. Default: os.LookupEnv.
	Getenv func(name string) (string, bool)
}

// Question is what the configuration is asked about: what would stand on the
// command line of ssh. What is given here outweighs the file.
type Question struct {
	Host string // as typed: a name or an address, not user@host
	User string // empty if not given
	Port int    // 0 if not given

	// HostName outweighs the file's, as ssh -o HostName=… does. It is taken as
	// it is. Host alone is held against the patterns of Host all the same.
	HostName string
}

// Config is what the configuration says of one host. A zero value means that
// it does not say. A list that is empty and not nil means that it says none.
type Config struct {
	HostName string // where to connect; the question's host if nothing else is said
	User     string
	Port     int

	// The paths in these lists have ~, tokens and variables expanded, and are
	// relative where the file has them so.
	IdentityFiles, CertificateFiles []string
	UserKnownHostsFiles             []string
	GlobalKnownHostsFiles           []string // as written: ssh expands nothing here

	IdentitiesOnly bool
	IdentityAgent  string // a path, or "none"

	// ProxyJump lists the hosts on the way, nearest first. Each is to be looked
	// up in the same configuration; what stands here outweighs it.
	ProxyJump []Hop

	StrictHostKeyChecking string // yes, no, ask, accept-new
	HostKeyAlias          string

	ConnectTimeout      time.Duration // 0 also if it says 0: no limit
	ServerAliveInterval time.Duration // 0 also if it says 0: never
	ServerAliveCountMax int

	// Lists as written: separated by commas, perhaps with + (add to the
	// defaults), - (take patterns out of them) or ^ (put before them) at the
	// front.
	Ciphers, MACs, KexAlgorithms                string
	HostKeyAlgorithms, PubkeyAcceptedAlgorithms string
	CASignatureAlgorithms                       string
	PreferredAuthentications                    string
	RequiredRSASize                             int // bits of a key, of servers and of ours

	AddressFamily string // any, inet, inet6
	BindAddress   string
	Compression   bool

	// NotHonoured lists what applies to the host and has no effect here, in
	// the order of the files.
	NotHonoured []Note

	// origin has what is given, by the keyword; no place if not by a file.
	origin map[string]Place
}

// A Place is a line of a file; lines count from 1.
type Place struct {
	File string
	Line int
}

// A Hop is one host of ProxyJump.
type Hop struct {
	User string // empty if not given
	Host string
	Port int // 0 if not given
}

// A Note says what the configuration asks for and does not get. Value is
// empty, or a command's name alone, where a secret might stand.
type Note struct {
	File    string
	Line    int
	Keyword string // as written; for a criterion, "Match exec"
	Value   string
	Why     string
	// Matters is set where the connection is another one than ssh would make:
	// its way, its login, or what is trusted. Otherwise the keyword means
	// nothing to a transfer of files.
	Matters bool
}

// Origin says where a keyword got its value, the first one for lists. It
// reports false if the configuration does not set it.
func (c *Config) Origin(keyword string) (Place, bool) {
	at, ok := c.origin[strings.ToLower(keyword)]
	return at, ok && at != Place{}
}

// A SyntaxError says what is wrong with a line. It stands in the chain of a
// *fault.Error of kind Config.
type SyntaxError struct {
	File string
	Line int
	Msg  string
}

// Error returns FILE:LINE: what is wrong.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// The limits. Those on depth, keys and known_hosts files are OpenSSH's.
const (
	maxFile  = 1 << 20  // bytes of one file
	maxTotal = 8 << 20  // bytes of all files in one pass, each as often as it is included
	maxLine  = 64 << 10 // bytes of one line, and of a value with everything expanded
	maxFiles = 200      // files in one pass
	maxDepth = 16       // includes within includes
	maxKeys  = 100      // identities; certificates
	maxHosts = 32       // known_hosts files
	maxName  = 1025     // bytes of a host name (NI_MAXHOST)
	maxNotes = 1000
	maxValue = 200 // bytes of a note's value
)

// Read reads the file at path, with all that it includes, and returns what it
// says of q.Host. Errors are of kind fault.Config, with a *SyntaxError where a
// line is wrong: also one in a block for another host, as in ssh.
func Read(path string, q Question, o Options) (*Config, error) {
	if q.Host == "" || len(q.Host) > maxName {
		return nil, fault.New(fault.Config, "look up a host in %q: its name is empty or too long", path)
	}
	r := newReader(q, o.withDefaults())
	if err := r.all(path); err != nil {
		return nil, fault.New(fault.Config, "read ssh_config for %q: %w", q.Host, err).
			WithHint("compare with what `ssh -G -F %s %s` says", path, q.Host)
	}
	return r.c, nil
}

// all makes one or two passes, and then the values out of what they found.
func (r *reader) all(path string) error {
	if err := r.pass(path); err != nil {
		return err
	}
	host, err := r.hostName()
	if err != nil {
		return err
	}
	r.c.HostName = lowerHost(host)
	r.target = r.c.HostName
	if r.wantFinal {
		r.final = true
		r.give("hostname")
		if err := r.pass(path); err != nil {
			return err
		}
	}
	return r.finish()
}

// lowerHost lowers a host name. An address may hold the name of an interface,
// which minds case.
func lowerHost(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	return pattern.Lower(host)
}

// Local returns options for the account and machine that this process runs on.
func Local() (Options, error) {
	u, err := user.Current()
	if err != nil {
		return Options{}, fault.New(fault.Config, "find out who we are: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return Options{}, fault.New(fault.Config, "find out this machine's name: %w", err)
	}
	dir := "/etc/ssh"
	if runtime.GOOS == "windows" {
		dir = filepath.Join(os.Getenv("ProgramData"), "ssh")
	}
	// Windows puts the domain before the name, which ssh does not count in.
	name := u.Username[strings.LastIndexByte(u.Username, '\\')+1:]
	return Options{Home: u.HomeDir, LocalUser: name, LocalUID: u.Uid, LocalHost: host, SystemDir: dir}.withDefaults(), nil
}

func (o Options) withDefaults() Options {
	if o.ReadFile == nil {
		o.ReadFile = readFile
	}
	if o.Glob == nil {
		o.Glob = filepath.Glob
	}
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	return o
}

// errFolder is what readFile says of a folder, which Include passes over.
var errFolder = errors.New("it is a folder")

// readFile reads a regular file. One that everybody can write is refused:
// whoever writes it says where we connect and whom we trust. Debian's ssh lets
// a group of one member pass, so groups are not judged here.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errFolder}
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a regular file")}
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("everybody may write it: `chmod o-w` mends that")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
