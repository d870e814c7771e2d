//go:build unix

package winsvc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
)

// shellManager is a manager whose commands are lines of shell.
func shellManager(t *testing.T, start, stop, status string) (*unixManager, *Service) {
	t.Helper()
	lab.Need(t, "sh")
	dir := t.TempDir()
	m := &unixManager{platform{
		id: "shell", unit: unitSysV, path: filepath.Join(dir, "NAME.unit"),
		startCommand:  []string{"sh", "-c", start, "PATH"},
		stopCommand:   []string{"sh", "-c", stop, "PATH"},
		statusCommand: []string{"sh", "-c", status, "PATH"},
		state:         runsAtZero,
	}}
	m.addUnit = func(s *Service, text string) error { return os.WriteFile(m.file(s), []byte(text), 0o600) }
	m.removeUnit = func(s *Service) error { return os.Remove(m.file(s)) }
	return m, hostService()
}

func TestUnixManager(t *testing.T) {
	lab.NeedRoot(t)
	m, s := shellManager(t, `touch "$0.runs"`, `rm "$0.runs"`, `echo "the  file"; ls "$0.runs"`)
	state := func(want State, text string) {
		t.Helper()
		got, err := m.status(t.Context(), s)
		if err != nil || got.State != want || !strings.Contains(got.Text, text) {
			t.Errorf("status %v %q, %v, want %v %q", got, got.Text, err, want, text)
		}
	}
	state(Absent, "there is no "+m.file(s))
	if err := install(t.Context(), m, s); err != nil {
		t.Fatal(err)
	}
	want, err := s.render(unitSysV)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(m.file(s)); err != nil || string(got) != want {
		t.Errorf("the unit is %q, %v", got, err)
	}
	state(Stopped, "the file")
	if err := start(t.Context(), m, s); err != nil {
		t.Fatal(err)
	}
	state(Running, "linehaul.unit.runs")
	if err := uninstall(t.Context(), m, s); err != nil {
		t.Fatal(err)
	}
	state(Absent, "")
}

func TestInstallRollsBack(t *testing.T) {
	lab.NeedRoot(t)
	m, s := shellManager(t, "", "", "false")
	broken := errors.New("enable ended with 1")
	m.addUnit = func(s *Service, text string) error {
		return errors.Join(os.WriteFile(m.file(s), []byte(text), 0o600), broken)
	}
	m.removeUnit = func(*Service) error { return broken }
	err := install(t.Context(), m, s)
	if !errors.Is(err, broken) || !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(m.file(s)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unit was left: %v", err)
	}
	m.addUnit = func(*Service, string) error { return os.WriteFile("/nonexistent/x", nil, 0o600) }
	if err := install(t.Context(), m, s); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a file that cannot be written: %v", err)
	}
}

func TestUnixManagerErrors(t *testing.T) {
	lab.NeedRoot(t)
	m, s := shellManager(t, `echo "Job failed."; echo "See log." >&2; exit 5`, "exec sleep 60", "exit 3")
	if err := os.WriteFile(m.file(s), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := m.start(t.Context(), s)
	if want := `start service "linehaul": sh ended with 5: Job failed. See log.`; !fault.Is(err, fault.Internal) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.stop(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
	m.statusCommand = []string{"/nonexistent/program"}
	if _, err := m.status(t.Context(), s); !fault.Is(err, fault.Internal) {
		t.Errorf("a command that is missing: %v", err)
	}
	// A unit of a package is not ours to remove.
	m.packaged = true
	if err := os.Remove(m.file(s)); err != nil {
		t.Fatal(err)
	}
	if err := m.uninstall(t.Context(), s); !fault.Is(err, fault.Usage) || !strings.Contains(fault.HintOf(err), "package") {
		t.Errorf("a unit that is not there: %v", err)
	}
}

func TestOnlyRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may do it all")
	}
	m, s := shellManager(t, "", "", "true")
	for verb, do := range map[string]func(context.Context, *Service) error{"install": m.install, "uninstall": m.uninstall, "start": m.start, "stop": m.stop} {
		if err := do(t.Context(), s); !fault.Is(err, fault.Usage) || !strings.Contains(err.Error(), "only root") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	m := unsupported("linux-upstart")
	_, err := m.status(t.Context(), hostService())
	if !fault.Is(err, fault.Usage) || !strings.Contains(err.Error(), "linux-upstart") {
		t.Errorf("got %v", err)
	}
	if unsupported("").name() != "none" {
		t.Error("no name for nothing")
	}
}
