package winsvc

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"

	"linehaul/fault"
)

// Run runs p until it returns, or for StopTimeout longer than ctx. With a name
// it does so as the service of that name, which only the service control
// manager can start; stop, shutdown and preshutdown end p's context. Being
// stopped is no error. An error becomes the service's own exit code, as
// package fault gives it, so that recovery actions take place.
//
// A program that does not stop in time is left behind, with a *StopLateError;
// the log says where each of its goroutines was. The caller ends the process
// then.
func Run(ctx context.Context, name string, p Program, o Options) error {
	if name == "" {
		return newSupervisor(o, func(report) {}).run(ctx, p, nil)
	}
	h := &handler{ctx: ctx, name: name, program: p, options: o}
	err := svc.Run(name, h)
	switch {
	case errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT):
		return fault.New(fault.Usage, "run as service %q: this process was not started by the service manager: %w", name, err).
			WithHint("start it with `linehaul service start`, or run `linehaul serve` on a terminal")
	case err != nil:
		return fault.New(fault.Internal, "run as service %q: %w", name, err)
	}
	return h.err
}

// Reloading does nothing on Windows, which knows no such state.
func Reloading() error { return nil }

// handler runs the program between svc.Run's channels.
type handler struct {
	ctx     context.Context
	name    string
	program Program
	options Options
	err     error // what the program returned; read after svc.Run
}

var _ svc.Handler = (*handler)(nil)

// Execute is called by svc.Run, in a goroutine of its own.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, statuses chan<- svc.Status) (bool, uint32) {
	log := openEvents(h.name)
	defer log.close()
	controls, ended := make(chan control), make(chan struct{})
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		pump(requests, controls, ended)
	}()
	told := Absent
	s := newSupervisor(h.options, func(r report) {
		statuses <- toStatus(r)
		if r.state == Running && told != Running {
			log.write(event{id: EventStarted, text: "The service runs."})
		}
		told = r.state
	})
	h.err = s.run(h.ctx, h.program, controls)
	close(ended)
	<-pumped
	log.write(endEvent(h.err))
	// svc.Run says that the service has stopped.
	return h.err != nil, uint32(fault.ExitCode(h.err))
}

// pump passes on what the service manager asks for, until ended is closed.
func pump(requests <-chan svc.ChangeRequest, controls chan<- control, ended <-chan struct{}) {
	for {
		var c control
		select {
		case <-ended:
			return
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				c = interrogate
			case svc.Stop:
				c = stopControl
			case svc.Shutdown:
				c = shutdownControl
			case svc.PreShutdown:
				c = preshutdownControl
			default:
				continue // not accepted, so not sent
			}
		}
		select {
		case <-ended:
			return
		case controls <- c:
		}
	}
}

func toStatus(r report) svc.Status {
	status := svc.Status{CheckPoint: r.point, WaitHint: uint32(r.hint / time.Millisecond)}
	switch r.state {
	case Starting:
		status.State = svc.StartPending
	case Running:
		status.State = svc.Running
		status.Accepts = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown
	default:
		status.State = svc.StopPending
	}
	return status
}

// events writes to the event log. It is a help for people who look there, and
// no reason to fail: linehaul's own log has the same.
type events struct{ log *eventlog.Log }

func openEvents(source string) events {
	log, err := eventlog.Open(source)
	if err != nil {
		return events{}
	}
	return events{log}
}

func (e events) write(ev event) {
	switch {
	case e.log == nil:
	case ev.failure:
		e.log.Error(ev.id, ev.text) //nolint:errcheck // see events
	default:
		e.log.Info(ev.id, ev.text) //nolint:errcheck // see events
	}
}

func (e events) close() {
	if e.log != nil {
		e.log.Close() //nolint:errcheck // see events
	}
}
