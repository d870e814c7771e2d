package config

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"

	"linehaul/fault"
)

// Places is where things live when neither the file nor the command line says
// otherwise. A place that this user and system do not have is empty.
type Places struct {
	Config []string // files to look for, in order; the first that exists is used
	State  string
	Logs   string
}

// System is what the places depend on.
type System struct {
	GOOS    string
	Root    bool // root, or on Windows a process with an administrator's rights
	Service bool // started by the service manager, in a folder that nobody chose

	Getenv      func(string) string
	Home        string // of the user, on Unix; empty if there is none
	KnownFolder func(KnownFolder) string
}

// KnownFolder is a folder that Windows is asked for. Its place in the
// environment is not trusted: any user can set that.
type KnownFolder int

// The folders of Windows that are used.
const (
	ProgramData  KnownFolder = iota // of the machine
	LocalAppData                    // of the user, on this machine only
)

// fileName is the name of the file in every place, the current folder first.
const fileName = "linehaul.yaml"

// DefaultPlaces returns the places for a system: the machine's for root and
// for services, the user's for everybody else.
//
// On Unix the user's follow the XDG Base Directory Specification 0.8. The
// folders that systemd makes for a unit with ConfigurationDirectory=,
// StateDirectory= and LogsDirectory= (systemd.exec(5)) come before all others.
func DefaultPlaces(m System) Places {
	var p Places
	if !m.Service {
		p.Config = append(p.Config, fileName)
	}
	add := func(elem ...string) { p.Config = append(p.Config, m.join(append(elem, fileName)...)) }
	switch {
	case m.GOOS == "windows":
		folder := LocalAppData
		if m.Root || m.Service {
			folder = ProgramData
		}
		if base := m.KnownFolder(folder); base != "" {
			add(base, "linehaul")
			p.State, p.Logs = m.join(base, "linehaul", "state"), m.join(base, "linehaul", "log")
		}
		return p
	case !m.Root && !m.Service:
		if base := m.xdg("XDG_CONFIG_HOME", ".config"); base != "" {
			add(base, "linehaul")
		}
		if base := m.xdg("XDG_STATE_HOME", ".local/state"); base != "" {
			p.State, p.Logs = m.join(base, "linehaul"), m.join(base, "linehaul", "log")
		}
	case m.GOOS == "darwin":
		base := "/Library/Application Support/linehaul"
		add(base)
		p.State, p.Logs = m.join(base, "state"), m.join(base, "log")
	default:
		add("/etc/linehaul")
		p.State, p.Logs = "/var/lib/linehaul", "/var/log/linehaul"
	}
	if dir := m.unit("CONFIGURATION_DIRECTORY"); dir != "" {
		p.Config = []string{m.join(dir, fileName)}
	}
	p.State = cmp.Or(m.unit("STATE_DIRECTORY"), p.State)
	p.Logs = cmp.Or(m.unit("LOGS_DIRECTORY"), p.Logs)
	return p
}

// join joins with the separator of the machine, which need not be this one.
func (m System) join(elem ...string) string {
	if m.GOOS == "windows" {
		return strings.Join(elem, `\`)
	}
	return strings.Join(elem, "/")
}

// xdg returns a base folder of the user. A relative one in the environment is
// ignored, as the specification wants it.
func (m System) xdg(variable, below string) string {
	if dir := m.Getenv(variable); strings.HasPrefix(dir, "/") {
		return strings.TrimRight(dir, "/")
	}
	if !strings.HasPrefix(m.Home, "/") {
		return ""
	}
	return m.join(strings.TrimRight(m.Home, "/"), below)
}

// unit returns a folder that systemd made for the unit, of several the first.
func (m System) unit(variable string) string {
	dir, _, _ := strings.Cut(m.Getenv(variable), ":")
	if !strings.HasPrefix(dir, "/") {
		return ""
	}
	return dir
}

// ThisSystem describes the system and user that the process runs as. Whether
// it runs as a service is for the caller to add.
func ThisSystem(getenv func(string) string) System {
	m := thisSystem()
	m.Getenv, m.Home = getenv, getenv("HOME")
	return m
}

// Find returns the file to use where none is named: the first of the places
// for which there is one. Where there is none, IsAbsent says so of the error.
func Find(m System) (string, error) {
	p := DefaultPlaces(m)
	for _, path := range p.Config {
		// What cannot be looked at is found too: Load says why.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", absent("no configuration file: looked for " + strings.Join(p.Config, " and "))
}

// IsAbsent reports whether an error of Load or Find says that there is no
// configuration file.
func IsAbsent(err error) bool {
	var e absentError
	return errors.As(err, &e)
}

func absent(message string) error {
	return fault.New(fault.Config, "%w", absentError(message)).
		WithHint("`linehaul config init` writes a first one with comments; or name the one to use with --config FILE")
}

type absentError string

func (e absentError) Error() string { return string(e) }
