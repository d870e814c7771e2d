// Package winsvc runs linehaul as a service: of Windows' service control
// manager, and of systemd, OpenRC, System V init, launchd, and the rc systems
// of FreeBSD and OpenBSD.
//
// A Service is what is installed, started and stopped. A Program is what runs,
// the same on a terminal and in a service: Run tells the service manager when
// it is ready, passes on that it shall stop, and does not let it stop for
// ever. Run serves Windows only because its caller says so by a name, never by
// guessing who started the process.
//
// On Linux, macOS and FreeBSD, github.com/kardianos/service finds out what
// manages services and installs the unit files of this package; on Windows and
// OpenBSD this package does that itself. The files are below units/. They use
// absolute paths, and neither a home folder nor the current one.
//
// Not here: services of a single user, and what Upstart, procd and s6 want.
package winsvc

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"linehaul/fault"
)

// Service describes a service of the system. Its methods are meant for one
// goroutine at a time. Those that change something need the rights of an
// administrator; without them, the error is of kind fault.Usage.
type Service struct {
	Name        string   // letters, digits and "_": what rc scripts may be called
	DisplayName string   // for people
	Description string   // one line
	Executable  string   // absolute; on Unix without spaces and quotes, which break systemd and rc
	Arguments   []string // a path that follows --config must be absolute
	// User is the account; empty: root, or LocalSystem. On Windows one that
	// needs no password, such as `NT SERVICE\linehaul`.
	User       string
	WorkingDir string // absolute, or empty; Windows and FreeBSD start elsewhere
}

// State is how a service is.
type State int

// The states.
const (
	Absent State = iota // not installed
	Stopped
	Starting
	Running
	Stopping
)

// String returns the state in one word.
func (s State) String() string {
	switch s {
	case Absent:
		return "absent"
	case Stopped:
		return "stopped"
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Stopping:
		return "stopping"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Status is a service's state, and what the system said about it in one line.
type Status struct {
	State State
	Text  string
}

// String returns the state in one word.
func (s Status) String() string { return s.State.String() }

const (
	// killAfter is how long the service manager waits for a service to stop
	// before it kills it: longer than StopTimeout, so that the service has the
	// time to say why.
	killAfter = 90 * time.Second
	// startWait and stopWait bound the wait for a service that was told to
	// start or stop.
	startWait = 60 * time.Second
	stopWait  = killAfter + 10*time.Second
	// settleWait is how long a service that was started may still look
	// stopped: some managers say yes first and start it then.
	settleWait = 2 * time.Second
	pollEvery  = 100 * time.Millisecond
)

// manager is a system's way to keep services. Its methods do one step each,
// and leave waiting to the caller.
type manager interface {
	// name says what manages services, such as "linux-systemd".
	name() string
	// install makes the system know s. It leaves nothing behind on failure.
	install(ctx context.Context, s *Service) error
	// uninstall takes away what install made, of a service that is stopped.
	uninstall(ctx context.Context, s *Service) error
	start(ctx context.Context, s *Service) error
	stop(ctx context.Context, s *Service) error
	status(ctx context.Context, s *Service) (Status, error)
}

// System says what manages services here, such as "linux-systemd" or
// "windows-service".
func System() string { return system().name() }

// Install makes the system know the service and start it with the machine. It
// does not start it now. A service that is installed already is an error of
// kind fault.Usage, and a failure leaves nothing behind.
func (s *Service) Install(ctx context.Context) error { return install(ctx, system(), s) }

// Uninstall stops the service, waits until it has ended, and removes it. One
// that is not installed is an error of kind fault.Usage.
func (s *Service) Uninstall(ctx context.Context) error { return uninstall(ctx, system(), s) }

// Start starts the service and waits until it runs. One that runs already is
// no error.
func (s *Service) Start(ctx context.Context) error { return start(ctx, system(), s) }

// Stop stops the service and waits until it has ended. One that does not run
// is no error.
func (s *Service) Stop(ctx context.Context) error { return stop(ctx, system(), s) }

// Restart stops the service if it runs, and starts it.
func (s *Service) Restart(ctx context.Context) error {
	m := system()
	if err := stop(ctx, m, s); err != nil {
		return err
	}
	return start(ctx, m, s)
}

// Status says how the service is. It needs no rights.
func (s *Service) Status(ctx context.Context) (Status, error) {
	if err := s.checkName(); err != nil {
		return Status{}, err
	}
	return system().status(ctx, s)
}

func install(ctx context.Context, m manager, s *Service) error {
	if err := s.check(); err != nil {
		return err
	}
	status, err := m.status(ctx, s)
	if err != nil {
		return err
	}
	if status.State != Absent {
		return fault.New(fault.Usage, "service %q is installed already", s.Name).
			WithHint("`linehaul service uninstall` removes it")
	}
	return m.install(ctx, s)
}

func uninstall(ctx context.Context, m manager, s *Service) error {
	if err := stop(ctx, m, s); err != nil {
		return err
	}
	return m.uninstall(ctx, s)
}

func start(ctx context.Context, m manager, s *Service) error {
	status, err := present(ctx, m, s)
	if err != nil || status.State == Running {
		return err
	}
	if status.State != Starting {
		if err := m.start(ctx, s); err != nil {
			return err
		}
	}
	began := time.Now()
	return await(ctx, startWait, func() (bool, error) {
		status, err = m.status(ctx, s)
		switch {
		case err != nil:
			return false, err
		case status.State == Running:
			return true, nil
		case status.State <= Stopped && time.Since(began) >= settleWait:
			return false, fault.New(fault.Internal, "service %q ended as soon as it was started: %s", s.Name, status.Text).
				WithHint("its own log, or the system's, says why")
		}
		return false, nil
	}, func() error {
		return fault.New(fault.Timeout, "service %q did not start within %s: it is %s", s.Name, startWait, status)
	})
}

func stop(ctx context.Context, m manager, s *Service) error {
	status, err := present(ctx, m, s)
	if err != nil || status.State == Stopped {
		return err
	}
	if status.State != Stopping {
		if err := m.stop(ctx, s); err != nil {
			return err
		}
	}
	return await(ctx, stopWait, func() (bool, error) {
		status, err = m.status(ctx, s)
		return status.State <= Stopped, err
	}, func() error {
		return fault.New(fault.Timeout, "service %q did not stop within %s: it is %s", s.Name, stopWait, status)
	})
}

// present returns the status of a service that must be installed.
func present(ctx context.Context, m manager, s *Service) (Status, error) {
	if err := s.checkName(); err != nil {
		return Status{}, err
	}
	status, err := m.status(ctx, s)
	if err != nil {
		return Status{}, err
	}
	if status.State == Absent {
		return Status{}, fault.New(fault.Usage, "service %q is not installed", s.Name).
			WithHint("`linehaul service install` installs it")
	}
	return status, nil
}

// await polls done until it says yes or fails, ctx ends, or time is up.
func await(ctx context.Context, limit time.Duration, done func() (bool, error), late func() error) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return late()
		case <-tick.C:
		}
	}
}

var (
	nameForm       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	userForm       = regexp.MustCompile(userPattern)
	executableForm = regexp.MustCompile(executablePattern)
)

func (s *Service) checkName() error {
	if !nameForm.MatchString(s.Name) {
		return fault.New(fault.Usage, "%q cannot be the name of a service", s.Name).
			WithHint("a name has letters, digits and underscores, and begins with a letter")
	}
	return nil
}

// check refuses a service that cannot be installed, or that would depend on
// the folder that it happens to be started in.
func (s *Service) check() error {
	if err := s.checkName(); err != nil {
		return err
	}
	if !filepath.IsAbs(s.Executable) {
		return fault.New(fault.Usage, "install service %q: the path of the program must be absolute: %q", s.Name, s.Executable)
	}
	if !executableForm.MatchString(s.Executable) {
		return fault.New(fault.Usage, "install service %q: the service manager cannot start a program at %q", s.Name, s.Executable).
			WithHint("move it to a path of plain letters and digits, such as /usr/local/bin/linehaul")
	}
	if s.WorkingDir != "" && !filepath.IsAbs(s.WorkingDir) {
		return fault.New(fault.Usage, "install service %q: the folder must be absolute: %q", s.Name, s.WorkingDir)
	}
	for i, arg := range s.Arguments {
		path, found := strings.CutPrefix(arg, "--config=")
		if i > 0 && s.Arguments[i-1] == "--config" {
			path, found = arg, true
		}
		if found && !filepath.IsAbs(path) {
			return fault.New(fault.Usage, "install service %q: the path of the config must be absolute: %q", s.Name, path)
		}
	}
	texts := append([]string{s.DisplayName, s.Description, s.Executable, s.WorkingDir, s.User}, s.Arguments...)
	for _, text := range texts {
		// Two braces mean something to kardianos/service.
		if strings.ContainsFunc(text, isControl) || strings.Contains(text, "{{") {
			return fault.New(fault.Usage, "install service %q: %q holds characters that a unit file cannot", s.Name, text)
		}
	}
	if s.User != "" && !userForm.MatchString(s.User) {
		return fault.New(fault.Usage, "install service %q: %q cannot be the name of an account", s.Name, s.User)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }
