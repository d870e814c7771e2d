package winsvc

import (
	"testing"
	"time"

	"golang.org/x/sys/windows/svc"

	"linehaul/fault"
)

func TestToStatus(t *testing.T) {
	all := svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown
	tests := []struct {
		in   report
		want svc.Status
	}{
		{report{Starting, 2, 10 * time.Second}, svc.Status{State: svc.StartPending, CheckPoint: 2, WaitHint: 10000}},
		{report{state: Running}, svc.Status{State: svc.Running, Accepts: all}},
		{report{Stopping, 1, time.Second}, svc.Status{State: svc.StopPending, CheckPoint: 1, WaitHint: 1000}},
	}
	for _, tt := range tests {
		if got := toStatus(tt.in); got != tt.want {
			t.Errorf("%+v became %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func TestFromStatus(t *testing.T) {
	tests := []struct {
		in   svc.Status
		want Status
	}{
		{svc.Status{State: svc.StartPending, CheckPoint: 3}, Status{Starting, "check point 3"}},
		{svc.Status{State: svc.Running, ProcessId: 42}, Status{Running, "process 42"}},
		{svc.Status{State: svc.StopPending, CheckPoint: 1}, Status{Stopping, "check point 1"}},
		{svc.Status{State: svc.Stopped, Win32ExitCode: 5}, Status{Stopped, "exit code 5"}},
		{svc.Status{State: svc.Stopped, Win32ExitCode: 1066, ServiceSpecificExitCode: 2}, Status{Stopped, "exit code 2"}},
	}
	for _, tt := range tests {
		if got := fromStatus(tt.in); got != tt.want {
			t.Errorf("%+v became %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func TestPump(t *testing.T) {
	requests, controls, ended := make(chan svc.ChangeRequest), make(chan control), make(chan struct{})
	done := make(chan struct{})
	go func() { pump(requests, controls, ended); close(done) }()
	for cmd, want := range map[svc.Cmd]control{
		svc.Interrogate: interrogate, svc.Stop: stopControl, svc.Shutdown: shutdownControl, svc.PreShutdown: preshutdownControl,
	} {
		requests <- svc.ChangeRequest{Cmd: svc.Pause} // not accepted, so left out
		requests <- svc.ChangeRequest{Cmd: cmd}
		if got := <-controls; got != want {
			t.Errorf("%v became %v, want %v", cmd, got, want)
		}
	}
	requests <- svc.ChangeRequest{Cmd: svc.Stop} // nobody takes it
	close(ended)
	<-done
}

// TestNotAService: a process that the service manager did not start says so.
func TestNotAService(t *testing.T) {
	err := Run(t.Context(), "linehaul", nil, Options{})
	if !fault.Is(err, fault.Usage) {
		t.Errorf("got %v", err)
	}
}
