package fault

import "fmt"

// Kind is the layer that failed, as PRODUCT.md's fourth promise lists them.
// Several kinds may share an exit code.
type Kind int

// The kinds, from our own faults outwards to the network, the server, and back
// to the local disk.
const (
	Internal       Kind = iota // a fault of ours, or not classified
	Usage                      // the command line
	Config                     // the configuration file
	Name                       // a host name that does not resolve
	Route                      // no way to the network
	TCP                        // refused, reset, unreachable
	SSH                        // not an SSH server, or no common algorithm
	IKE                        // the tunnel's key exchange
	GatewayLogin               // the gateway refused who we are
	ESP                        // the tunnel is up and carries nothing
	HostKeyUnknown             // nothing is known of the server's key
	HostKeyChanged             // another key is known for the server
	Key                        // a private key that cannot be used
	Login                      // the server refused who we are
	RemoteFile                 // missing, not readable, changed while read
	Stall                      // the peer fell silent
	Timeout                    // a deadline passed
	Partial                    // some files moved, some failed
	LocalDisk                  // full, permission, path
	Verify                     // the copy is not what the source is
	Overlap                    // the job is running already
	Check                      // a required check failed
	NoMatch                    // nothing matched, and the job minds
	Skipped                    // a hook or check asked for it
	Interrupted                // a person or the system stopped us
)

// A row is all that is known of a kind. The exit codes are PRODUCT.md's.
type row struct {
	layer     string
	code      int
	transient bool
	hint      string
}

// table is the one place that gives a kind its exit code and hint. It is a
// function and not a variable so that nothing can change it.
func table(k Kind) row {
	switch k {
	case Internal:
		return row{"internal", 1, false, "this looks like a fault in linehaul: run again with -v and report what it prints"}
	case Usage:
		return row{"usage", 2, false, "see `linehaul help` for the verbs and `linehaul help VERB` for the flags of one"}
	case Config:
		return row{"config", 2, false, "`linehaul config check` shows every error of the file; `linehaul config init` writes a commented example"}
	case Name:
		return row{"name", 3, true, "check the spelling of the address and the name server of this machine, or give the IP address"}
	case Route:
		return row{"route", 3, true, "check that the VPN or network to the host is up on this machine"}
	case TCP:
		return row{"tcp", 3, true, "check that the host is up, that the port is right, and that no firewall stands in between"}
	case SSH:
		return row{"ssh", 3, true, "check that address and port are those of an SSH server, and that it accepts modern algorithms"}
	case IKE:
		return row{"ike", 4, true, "check the gateway's address, and that UDP ports 500 and 4500 reach it"}
	case GatewayLogin:
		return row{"gateway login", 4, false, "check the identities and secrets of the link against the gateway's configuration"}
	case ESP:
		return row{"esp", 4, true, "the tunnel is up and carries nothing: check the networks of the link and the gateway's policy"}
	case HostKeyUnknown:
		return row{"host key", 5, false, "compare the fingerprint with the server's administrator, then add it to `host_keys` or to known_hosts"}
	case HostKeyChanged:
		return row{"host key", 5, false, "the server was set up anew, or somebody stands in between: ask its administrator before you change what is known"}
	case Key:
		return row{"key", 6, false, "check the key file with `ssh-keygen -y -f FILE`; an encrypted one needs `passphrase`"}
	case Login:
		return row{"login", 6, false, "check the user name, and that the public half of the key is in the server's authorized_keys"}
	case RemoteFile:
		return row{"remote file", 7, false, "check the path and its permissions on the server with `linehaul ls`"}
	case Stall:
		return row{"stall", 8, true, "the peer fell silent: check the line and the server's load, or raise `stall_timeout`"}
	case Timeout:
		return row{"timeout", 8, true, "the time allowed ran out: raise `timeout` or find out why it is slow"}
	case Partial:
		return row{"partly done", 9, true, "the log names each file that failed and why"}
	case LocalDisk:
		return row{"local disk", 10, false, "check free space, permissions and the path on this machine"}
	case Verify:
		return row{"verification", 11, true, "the copy was thrown away; check the disks and memory on both sides"}
	case Overlap:
		return row{"overlap", 12, false, "wait for the other run to end, or give the job more time between firings"}
	case Check:
		return row{"check", 13, true, "`linehaul check` shows each check with what it measured"}
	case NoMatch:
		return row{"no match", 14, false, "check the pattern with `linehaul ls`; `if_none: ok` accepts that nothing is there"}
	case Skipped:
		return row{"skipped", 75, false, "a hook or check asked for this run to be skipped: nothing is wrong"}
	case Interrupted:
		return row{"interrupted", 130, false, "run it again: finished files are kept, unfinished ones were removed"}
	}
	panic(fmt.Sprintf("fault: no such kind: %d", int(k)))
}

// String returns the word for the layer, as it stands before a message.
func (k Kind) String() string { return table(k).layer }

// ExitCode returns the code that a process failing with this kind ends with.
func (k Kind) ExitCode() int { return table(k).code }

// Transient reports whether trying again can help with this kind.
func (k Kind) Transient() bool { return table(k).transient }

// Hint returns the next step for this kind: never empty.
func (k Kind) Hint() string { return table(k).hint }

// Kinds returns every kind in order, for documentation and tests.
func Kinds() []Kind {
	all := make([]Kind, Interrupted+1)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}
