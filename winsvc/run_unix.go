//go:build unix

package winsvc

import (
	"context"
	"net"
	"os"
)

// Run runs p until it returns, or for StopTimeout longer than ctx. Stopping is
// asked for by the end of ctx, which the caller ties to SIGINT and SIGTERM,
// and is no error. systemd is told about it where $NOTIFY_SOCKET says so; the
// name matters on Windows only.
//
// A program that does not stop in time is left behind, with a *StopLateError;
// the log says where each of its goroutines was. The caller ends the process
// then.
func Run(ctx context.Context, name string, p Program, o Options) error {
	var s *supervisor
	s = newSupervisor(o, func(r report) {
		if err := tellSystemd(r); err != nil {
			s.log.Warn("telling systemd failed", "error", err.Error())
		}
	})
	return s.run(ctx, p, nil)
}

// Reloading tells systemd that the configuration is being read anew. The
// program calls ready when it is in force, or when the old one stays.
func Reloading() error { return notify("RELOADING=1") }

func tellSystemd(r report) error {
	switch {
	case r.state == Running:
		return notify("READY=1")
	case r.state == Stopping && r.point == 1:
		return notify("STOPPING=1")
	}
	return nil
}

// notify sends one message as sd_notify(3) does, if systemd wants any. A name
// that begins with "@" is in Linux' abstract namespace.
func notify(message string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the message is sent or it is not
	_, err = conn.Write([]byte(message))
	return err
}
