package winsvc

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/fault"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) {
	if isHelper() {
		os.Exit(helper())
	}
	os.Exit(leak.Main(m))
}

// fake is a manager that goes through states as time passes.
type fake struct {
	state    State
	steps    []string
	takes    time.Duration // to start and to stop
	after    State         // after which it is in this state
	due      time.Time
	failWith error
}

func (f *fake) name() string { return "fake" }

func (f *fake) install(context.Context, *Service) error {
	f.steps = append(f.steps, "install")
	return f.failWith
}

func (f *fake) uninstall(context.Context, *Service) error {
	f.steps = append(f.steps, "uninstall from "+f.now().String())
	return f.failWith
}

func (f *fake) start(context.Context, *Service) error { return f.step("start", Starting) }
func (f *fake) stop(context.Context, *Service) error  { return f.step("stop", Stopping) }

func (f *fake) step(verb string, state State) error {
	f.steps = append(f.steps, verb)
	f.state, f.due = state, time.Now().Add(f.takes)
	return f.failWith
}

func (f *fake) now() State {
	if !f.due.IsZero() && !time.Now().Before(f.due) {
		f.state, f.due = f.after, time.Time{}
	}
	return f.state
}

func (f *fake) status(context.Context, *Service) (Status, error) {
	return Status{f.now(), "as the fake says"}, nil
}

func TestVerbs(t *testing.T) {
	type verb = func(context.Context, manager, *Service) error
	broken := errors.New("broken")
	tests := []struct {
		name  string
		fake  fake
		do    verb
		steps []string
		kind  fault.Kind // 0 if want is empty
		want  string     // in the error
		took  time.Duration
	}{
		{"install", fake{state: Absent}, install, []string{"install"}, 0, "", 0},
		{"install twice", fake{state: Stopped}, install, nil, fault.Usage, "installed already", 0},
		{"start", fake{state: Stopped, takes: time.Second, after: Running}, start, []string{"start"}, 0, "", time.Second},
		{"start what runs", fake{state: Running}, start, nil, 0, "", 0},
		{"start what starts", fake{state: Starting, due: time.Unix(1, 0), after: Running}, start, nil, 0, "", 0},
		{"start what is not there", fake{state: Absent}, start, nil, fault.Usage, "not installed", 0},
		{"start what ends at once", fake{state: Stopped, takes: time.Second, after: Stopped}, start, []string{"start"},
			fault.Internal, "ended as soon as it was started: as the fake says", settleWait},
		{"start what hangs", fake{state: Stopped, takes: time.Hour}, start, []string{"start"}, fault.Timeout, "it is starting", startWait},
		{"start fails", fake{state: Stopped, failWith: broken}, start, []string{"start"}, fault.Internal, "broken", 0},
		{"stop", fake{state: Running, takes: time.Second, after: Stopped}, stop, []string{"stop"}, 0, "", time.Second},
		{"stop what does not run", fake{state: Stopped}, stop, nil, 0, "", 0},
		{"stop what hangs", fake{state: Running, takes: time.Hour}, stop, []string{"stop"}, fault.Timeout, "it is stopping", stopWait},
		{"uninstall what runs", fake{state: Running, takes: time.Second, after: Stopped}, uninstall, []string{"stop", "uninstall from stopped"}, 0, "", time.Second},
		{"uninstall what is not there", fake{state: Absent}, uninstall, nil, fault.Usage, "not installed", 0},
		{"uninstall what does not stop", fake{state: Running, takes: time.Hour}, uninstall, []string{"stop"}, fault.Timeout, "it is stopping", stopWait},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := tt.do(t.Context(), &tt.fake, hostService())
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("error %v", err)
				case tt.want != "" && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("error %v, want one of kind %v with %q", err, tt.kind, tt.want)
				}
				if !slices.Equal(tt.fake.steps, tt.steps) {
					t.Errorf("steps %q, want %q", tt.fake.steps, tt.steps)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+2*pollEvery {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
			})
		})
	}
}

// TestWaitEndsWithContext: whoever waits can stop to wait.
func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		if err := stop(ctx, &fake{state: Running, takes: time.Hour}, hostService()); !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Service)
		want  string // in the error; empty: none
	}{
		{"good", func(*Service) {}, ""},
		{"no folder", func(s *Service) { s.WorkingDir = "" }, ""},
		{"config by =", func(s *Service) { s.Arguments = []string{"--config=" + s.WorkingDir} }, ""},
		{"no name", func(s *Service) { s.Name = "" }, "name of a service"},
		{"path as a name", func(s *Service) { s.Name = "../x" }, "name of a service"},
		{"no program", func(s *Service) { s.Executable = "" }, "program must be absolute"},
		{"program in PATH", func(s *Service) { s.Executable = "linehaul" }, "program must be absolute"},
		{"relative folder", func(s *Service) { s.WorkingDir = "x" }, "folder must be absolute"},
		{"relative config", func(s *Service) { s.Arguments = []string{"serve", "--config", "linehaul.yaml"} }, "config must be absolute"},
		{"relative config by =", func(s *Service) { s.Arguments = []string{"--config=linehaul.yaml"} }, "config must be absolute"},
		{"line break", func(s *Service) { s.Description = "a\nExecStart=/bin/sh" }, "characters"},
		{"template", func(s *Service) { s.Arguments = []string{"{{Name}}"} }, "characters"},
		{"no UTF-8", func(s *Service) { s.Arguments = []string{"\xff"} }, "characters"},
		{"user", func(s *Service) { s.User = `x"; reboot; "` }, "name of an account"},
		{"odd path of the program", func(s *Service) { s.Executable += `"` }, "cannot start a program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := hostService()
			tt.spoil(s)
			err := install(t.Context(), &fake{}, s)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (!fault.Is(err, fault.Usage) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// hostService is a service whose paths are absolute on this system.
func hostService() *Service {
	s := plainService()
	dir := os.TempDir()
	s.Executable, s.WorkingDir = dir+string(os.PathSeparator)+"linehaul", dir
	s.Arguments = []string{"serve", "--config", dir + string(os.PathSeparator) + "linehaul.yaml"}
	return s
}

func TestSystemHasAName(t *testing.T) {
	if System() == "" {
		t.Error("nothing manages services, and it has no name either")
	}
}
