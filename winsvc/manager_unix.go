//go:build unix

package winsvc

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"linehaul/fault"
)

const (
	userPattern       = `^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`
	executablePattern = `^[A-Za-z0-9/._+-]+$`
)

// platform is what differs between the service managers of Unix systems. In
// paths and commands, NAME and PATH stand for the service's name and file.
type platform struct {
	id   string
	unit string // the kind of file
	path string // where the file goes

	startCommand, stopCommand, statusCommand []string
	// state reads what the status command printed and ended with.
	state func(out string, code int) (State, error)
	// packaged reports whether that command knows services without our file,
	// which a package brought.
	packaged bool

	addUnit    func(s *Service, text string) error // writes the file, and has it started at boot
	removeUnit func(s *Service) error
}

// unixManager is a manager that runs a platform's commands.
type unixManager struct{ platform }

var _ manager = (*unixManager)(nil)

func (m *unixManager) name() string { return m.id }

func (m *unixManager) file(s *Service) string { return strings.ReplaceAll(m.path, "NAME", s.Name) }

func (m *unixManager) status(ctx context.Context, s *Service) (Status, error) {
	_, statErr := os.Lstat(m.file(s))
	if errors.Is(statErr, fs.ErrNotExist) && !m.packaged {
		return Status{Absent, "there is no " + m.file(s)}, nil
	}
	out, code, err := m.run(ctx, s, m.statusCommand)
	if err != nil {
		return Status{}, fault.New(fault.Internal, "ask for service %q: %w", s.Name, err)
	}
	state, err := m.state(out, code)
	if err != nil {
		return Status{}, fault.New(fault.Internal, "ask for service %q: %w: %s", s.Name, err, oneLine(out))
	}
	return Status{state, oneLine(out)}, nil
}

func (m *unixManager) start(ctx context.Context, s *Service) error {
	return m.control(ctx, s, "start", m.startCommand)
}

func (m *unixManager) stop(ctx context.Context, s *Service) error {
	return m.control(ctx, s, "stop", m.stopCommand)
}

func (m *unixManager) install(ctx context.Context, s *Service) error {
	text, err := s.render(m.unit)
	if err != nil {
		return err
	}
	if err := m.ready(ctx, s, "install"); err != nil {
		return err
	}
	if err := m.addUnit(s, text); err != nil {
		// Whatever was done is undone as far as that goes; the file at least.
		m.removeUnit(s)      //nolint:errcheck // the first error is the one to tell
		os.Remove(m.file(s)) //nolint:errcheck // likewise
		return diskOr(err, "install service %q: %w", s.Name, err)
	}
	return nil
}

func (m *unixManager) uninstall(ctx context.Context, s *Service) error {
	if err := m.ready(ctx, s, "uninstall"); err != nil {
		return err
	}
	if _, err := os.Lstat(m.file(s)); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "uninstall service %q: there is no %s", s.Name, m.file(s)).
			WithHint("the service belongs to a package: remove that")
	}
	if err := m.removeUnit(s); err != nil {
		return diskOr(err, "uninstall service %q: %w", s.Name, err)
	}
	return nil
}

// ready refuses what only root may do, and what nobody waits for any more.
func (m *unixManager) ready(ctx context.Context, s *Service, verb string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if os.Geteuid() != 0 {
		return fault.New(fault.Usage, "%s service %q: only root may do that", verb, s.Name).
			WithHint("run it as root, for instance with sudo or doas")
	}
	return nil
}

func (m *unixManager) control(ctx context.Context, s *Service, verb string, command []string) error {
	if err := m.ready(ctx, s, verb); err != nil {
		return err
	}
	out, code, err := m.run(ctx, s, command)
	switch {
	case err != nil:
		return fault.New(fault.Internal, "%s service %q: %w", verb, s.Name, err)
	case code != 0:
		return fault.New(fault.Internal, "%s service %q: %s ended with %d: %s", verb, s.Name, command[0], code, oneLine(out)).
			WithHint("the service's own log, or the system's, says why")
	}
	return nil
}

// run runs a command to its end, and returns what it printed on both streams.
func (m *unixManager) run(ctx context.Context, s *Service, command []string) (out string, code int, err error) {
	args := make([]string, len(command))
	for i, a := range command {
		args[i] = strings.NewReplacer("NAME", s.Name, "PATH", m.file(s)).Replace(a)
	}
	return run(ctx, args)
}

// drain is how long a command's children may keep its output open.
const drain = 5 * time.Second

func run(ctx context.Context, args []string) (out string, code int, err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = drain
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return b.String(), 0, context.Cause(ctx)
	case errors.As(err, &exit):
		return b.String(), exit.ExitCode(), nil
	case errors.Is(err, exec.ErrWaitDelay):
		return b.String(), 0, nil // it ended well, and left a child
	}
	return b.String(), 0, err
}

// diskOr sorts an error: of the local disk if it names a path.
func diskOr(err error, format string, args ...any) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fault.New(fault.LocalDisk, format, args...)
	}
	return fault.New(fault.Internal, format, args...)
}

// maxText bounds what is told of a command's output, in bytes.
const maxText = 300

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// runsAtZero is the rule of rc scripts: they end with 0 if the service runs.
func runsAtZero(_ string, code int) (State, error) {
	if code == 0 {
		return Running, nil
	}
	return Stopped, nil
}

// unsupported stands for a system on which nothing manages services that this
// package knows.
func unsupported(id string) manager {
	if id == "" {
		id = "none"
	}
	return noManager(id)
}

// noManager refuses everything. Its value is the name.
type noManager string

func (m noManager) name() string { return string(m) }

func (m noManager) refuse() error {
	return fault.New(fault.Usage, "linehaul cannot be a service here: the service manager is %q", string(m)).
		WithHint("have your service manager run `linehaul serve --config FILE`, which stops on SIGTERM")
}

func (m noManager) install(context.Context, *Service) error   { return m.refuse() }
func (m noManager) uninstall(context.Context, *Service) error { return m.refuse() }
func (m noManager) start(context.Context, *Service) error     { return m.refuse() }
func (m noManager) stop(context.Context, *Service) error      { return m.refuse() }
func (m noManager) status(context.Context, *Service) (Status, error) {
	return Status{}, m.refuse()
}
