// Package config reads linehaul's one YAML file: hosts, jobs, logs, state.
//
// The file is read whole, decoded strictly, given its defaults and validated
// before anything starts. Every mistake is reported, not only the first, each
// with its line and column, the line itself, and what was probably meant.
//
// The YAML is version 1.2, read by github.com/goccy/go-yaml into a tree that
// this package decodes itself. Anchors, aliases and merge keys work. Left out,
// and refused, are tags, directives, more than one document, and files over
// 1 MiB. Secrets do not stand in the file: a Secret is a reference to one.
//
// The keys are the struct fields of document.go, which also make the JSON
// Schema. Keys that are planned, such as links and checks, are refused as such.
package config

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"linehaul/bandwidth"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/retention"
	"linehaul/schedule/calendar"
	"linehaul/schedule/cron"
	"linehaul/schedule/depend"
	"linehaul/stamp"
	"linehaul/transfer"
)

// File is a configuration file that was found to be right. Nothing changes it
// after it was decoded, so it may be used concurrently.
type File struct {
	Path string // as it was given
	Dir  string // the absolute folder of the file, from which paths in it start

	State      string // absolute folder
	Logs       Logs
	KnownHosts []string // absolute; empty if the file names none
	SSHConfig  string   // absolute; of the hosts that name none of their own

	Bandwidth *bandwidth.Timetable // of all runs together; nil: no limit

	Store   Store
	Node    Node
	Limits  RunLimits
	History History

	Hosts     map[string]*Host
	Links     map[string]*Link
	Jobs      map[string]*Job
	HostOrder []string // the names in the order of the file
	JobOrder  []string

	Warnings []Problem // what is allowed and probably not meant
}

// Logs says where the logs of runs go and how long they stay.
type Logs struct {
	Dir      string          // absolute folder
	Name     *stamp.Template // relative to Dir, with slashes
	Format   string          // text or json
	Level    slog.Level
	MaxSize  int64         // bytes
	MaxAge   time.Duration // 0: for ever
	Keep     int           // 0: any number
	Compress bool
}

// Host is an SSH server and how to log in to it.
type Host struct {
	Name    string
	Address string // a name or an IP address, without port and brackets
	Port    int
	User    string

	// SSHConfig is the absolute path of an OpenSSH client configuration that
	// gives what the file does not say of this host; empty for none. Address
	// and User may be empty then. Given has the keys that the file says, among
	// those whose defaults would hide it.
	SSHConfig string
	Given     map[string]bool

	Keys           []string // absolute paths
	Certificates   []string // absolute paths
	Agent          bool     // keys of the agent may be used
	IdentitiesOnly bool     // only those that belong to Keys or Certificates, where there are Keys
	Passphrase     Secret
	Password       Secret

	HostKeys     []keys.Pin
	HostKeyTexts []string // as the file has them
	KnownHosts   []string // absolute; those of the file where the host names none

	Legacy   []string // algorithms of the past, each of keys.LegacyNames
	Jump     string   // the host to go through; there is no circle
	Link     string   // the way to it, or to the first it goes through; empty: the system's own
	Protocol string   // auto, sftp or scp

	ConnectTimeout time.Duration // above 0
	StallTimeout   time.Duration // above 0
	Keepalive      time.Duration // 0: none

	Bandwidth *bandwidth.Timetable // of all runs to it together; nil: no limit
	Runs      int                  // how many of them at a time; 0: as the limits of all hosts say
}

// Job is what to transfer, from where to where, and when.
type Job struct {
	Name     string
	Schedule *cron.Schedule // nil: by hand, or when what it depends on has succeeded
	Splay    time.Duration
	NotOn    *calendar.Calendar // nil: it always runs
	CatchUp  string             // none, once or all
	Window   time.Duration      // of catch_up; 0: any time
	Timezone *time.Location     // time.Local where the file names none

	// DependsOn is what must have succeeded, all of it jobs of the file, and there
	// is no circle.
	DependsOn depend.Condition

	RunOn []string // names and labels of nodes; empty: any

	Host string   // the one host of Get, or of To for a put
	Get  []string // remote paths, perhaps with wildcards
	Put  []string // absolute local paths, perhaps with wildcards

	// To is an absolute local path for Get, and a remote path for Put, where
	// an empty one is the login folder. A separator at its end makes it a
	// folder.
	To        *stamp.Template
	ToText    string // as the file has it
	Recursive bool
	Select    transfer.Select // which of the files

	Retry         Retry
	Timeout       time.Duration        // of the whole run, above 0
	Overlap       Overlap              // what becomes of a firing while it still runs
	IfNone        string               // ok, warn or fail
	Verify        string               // size, auto or sha256
	Connections   int                  // that large files are moved over; 0: as many as help
	FilesInFlight int                  // 0: as the protocol allows
	Bandwidth     *bandwidth.Timetable // of one run; nil: no limit
	MaxTransfer   int64                // bytes; 0: any amount
	MaxDuration   time.Duration        // after which a run stops; 0: none
	Preserve      bool                 // files get exactly the permission bits of their sources
	KeepBad       bool                 // copies that are not what their sources are
	NoSpaceCheck  bool
	Checks        Checks
	Log           *stamp.Template // in place of Logs.Name; nil: that one
	Disabled      bool

	Keep  retention.Policy // empty: nothing is ever removed
	After After

	// Sync is not nil where the folder that Get or Put names is mirrored to To.
	Sync *Sync
}

// Retry says how often a run is tried and how long the waits in between are.
type Retry struct {
	Attempts   int // at least 1
	BackoffMin time.Duration
	BackoffMax time.Duration // at least BackoffMin
}

// Load reads a file and decodes it. The error is a *fault.Error of kind
// Config; where the content is at fault its chain holds Errors.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent("no configuration file " + strconv.Quote(path))
	}
	if err != nil {
		return nil, fault.New(fault.Config, "read the configuration: %w", err).
			WithHint("check who may read the file")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fault.New(fault.Config, "read the configuration %q: %w", path, err).
			WithHint("check that it is a file, and that it can be read")
	}
	return Decode(path, data)
}

// Decode decodes a file from memory. The path names it in messages, and its
// folder is where relative paths in it start. The error is that of Load.
func Decode(path string, data []byte) (*File, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fault.New(fault.Config, "find the folder of %q: %w", path, err)
	}
	r := new(reporter)
	src := newSource(path, data, r)
	if r.failed() {
		return nil, r.fault()
	}
	root := parse(src, r)
	if r.failed() {
		return nil, r.fault()
	}
	file := newRules(r, dir).file(decodeDocument(r, root))
	if r.failed() {
		return nil, r.fault()
	}
	file.Path, file.Warnings = path, r.warnings.sorted()
	return file, nil
}

// fault makes the error of a file out of its problems.
func (r *reporter) fault() error {
	return fault.New(fault.Config, "%w", r.problems.sorted()).
		WithHint("`linehaul config check` shows every mistake with its line")
}
