package winsvc

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"linehaul/fault"
)

const (
	// userPattern admits DOMAIN\account$, NT SERVICE\name and .\name.
	userPattern       = `^[^"/\[\]:;|=,+*?<>]{1,256}$`
	executablePattern = `^[^"*?<>|]+$`
)

func system() manager { return scm{} }

// scm is the service control manager of Windows.
type scm struct{}

var _ manager = scm{}

func (scm) name() string { return "windows-service" }

const (
	// Recovery: start it again, patiently; a day without failure forgets.
	firstRestart  = 5 * time.Second
	secondRestart = 30 * time.Second
	laterRestart  = 60 * time.Second
	resetPeriod   = 24 * time.Hour
)

// preshutdownInfo is SERVICE_CONFIG_PRESHUTDOWN_INFO, and SERVICE_PRESHUTDOWN_INFO
// what it sets: milliseconds that the system waits at its shutdown.
const preshutdownInfo = 7

type servicePreshutdownInfo struct{ timeout uint32 }

func (m scm) install(_ context.Context, s *Service) (err error) {
	manager, err := mgr.Connect()
	if err != nil {
		return scmFault("install", s, err)
	}
	defer manager.Disconnect() //nolint:errcheck // nothing hangs on it
	service, err := manager.CreateService(s.Name, s.Executable, mgr.Config{
		DisplayName: s.DisplayName, Description: s.Description,
		StartType: mgr.StartAutomatic, ErrorControl: mgr.ErrorNormal,
		ServiceStartName: s.User,
	}, s.Arguments...)
	if err != nil {
		return scmFault("install", s, err)
	}
	defer service.Close() //nolint:errcheck // nothing hangs on it
	defer func() {
		if err != nil {
			service.Delete() //nolint:errcheck // the first error is the one to tell
		}
	}()
	if err := configure(service); err != nil {
		return scmFault("install", s, err)
	}
	if err := addEventSource(s.Name); err != nil {
		return scmFault("install", s, err)
	}
	return nil
}

// configure sets what CreateService cannot. Each step names itself in its
// error; what a system does not know is left out.
func configure(service *mgr.Service) error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"recovery actions", func() error {
			return service.SetRecoveryActions([]mgr.RecoveryAction{
				{Type: mgr.ServiceRestart, Delay: firstRestart},
				{Type: mgr.ServiceRestart, Delay: secondRestart},
				{Type: mgr.ServiceRestart, Delay: laterRestart},
			}, uint32(resetPeriod.Seconds()))
		}},
		{"recovery after an error", func() error { return service.SetRecoveryActionsOnNonCrashFailures(true) }},
		{"delayed start", func() error {
			info := windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: 1}
			return windows.ChangeServiceConfig2(service.Handle, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, (*byte)(unsafe.Pointer(&info)))
		}},
		{"time at shutdown", func() error {
			info := servicePreshutdownInfo{uint32(killAfter.Milliseconds())}
			return windows.ChangeServiceConfig2(service.Handle, preshutdownInfo, (*byte)(unsafe.Pointer(&info)))
		}},
	}
	for _, step := range steps {
		err := step.do()
		if errors.Is(err, windows.ERROR_INVALID_LEVEL) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED) {
			continue
		}
		if err != nil {
			return fmt.Errorf("set its %s: %w", step.name, err)
		}
	}
	return nil
}

const eventSources = `SYSTEM\CurrentControlSet\Services\EventLog\Application\`

// addEventSource makes the event log know the service. It may do so already,
// from an earlier installation.
func addEventSource(name string) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, eventSources+name, registry.QUERY_VALUE)
	if err == nil {
		return key.Close()
	}
	if err := eventlog.InstallAsEventCreate(name, eventlog.Error|eventlog.Warning|eventlog.Info); err != nil {
		return fmt.Errorf("make it a source of the event log: %w", err)
	}
	return nil
}

func (m scm) uninstall(_ context.Context, s *Service) error {
	err := withService(s, windows.DELETE, func(service *mgr.Service) error { return service.Delete() })
	if err != nil {
		return scmFault("uninstall", s, err)
	}
	if err := eventlog.Remove(s.Name); err != nil && !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return scmFault("uninstall", s, fmt.Errorf("remove it from the sources of the event log: %w", err))
	}
	return nil
}

func (m scm) start(_ context.Context, s *Service) error {
	err := withService(s, windows.SERVICE_START, func(service *mgr.Service) error { return service.Start() })
	if errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return nil
	}
	return scmFault("start", s, err)
}

func (m scm) stop(_ context.Context, s *Service) error {
	err := withService(s, windows.SERVICE_STOP, func(service *mgr.Service) error {
		_, err := service.Control(svc.Stop)
		return err
	})
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return nil
	}
	return scmFault("stop", s, err)
}

func (m scm) status(_ context.Context, s *Service) (Status, error) {
	var status svc.Status
	err := withService(s, windows.SERVICE_QUERY_STATUS, func(service *mgr.Service) (err error) {
		status, err = service.Query()
		return err
	})
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return Status{Absent, "the service manager does not know it"}, nil
	case err != nil:
		return Status{}, scmFault("ask for", s, err)
	}
	return fromStatus(status), nil
}

func fromStatus(status svc.Status) Status {
	switch status.State {
	case svc.StartPending, svc.ContinuePending:
		return Status{Starting, fmt.Sprintf("check point %d", status.CheckPoint)}
	case svc.Running, svc.Paused, svc.PausePending:
		return Status{Running, fmt.Sprintf("process %d", status.ProcessId)}
	case svc.StopPending:
		return Status{Stopping, fmt.Sprintf("check point %d", status.CheckPoint)}
	default: // svc.Stopped
		code := status.Win32ExitCode
		if code == uint32(windows.ERROR_SERVICE_SPECIFIC_ERROR) {
			code = status.ServiceSpecificExitCode
		}
		return Status{Stopped, fmt.Sprintf("exit code %d", code)}
	}
}

// withService opens a service with no more rights than it takes.
func withService(s *Service, access uint32, do func(*mgr.Service) error) error {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return err
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // nothing hangs on it
	name, err := windows.UTF16PtrFromString(s.Name)
	if err != nil {
		return err
	}
	handle, err := windows.OpenService(manager, name, access)
	if err != nil {
		return err
	}
	service := &mgr.Service{Name: s.Name, Handle: handle}
	defer service.Close() //nolint:errcheck // nothing hangs on it
	return do(service)
}

// scmFault sorts an error of the service manager; nil stays nil.
func scmFault(verb string, s *Service, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fault.New(fault.Usage, "%s service %q: %w", verb, s.Name, err).
			WithHint("run it as administrator: in a window that was opened with \"Run as administrator\"")
	case errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE):
		return fault.New(fault.Usage, "%s service %q: %w", verb, s.Name, err).
			WithHint("close the windows that show services, such as services.msc, and try again")
	}
	return fault.New(fault.Internal, "%s service %q: %w", verb, s.Name, err).
		WithHint("the event log, and linehaul's own, say more")
}
