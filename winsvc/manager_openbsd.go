package winsvc

import (
	"context"
	"fmt"
	"os"
)

// system is OpenBSD's rc, which kardianos/service does not know.
func system() manager {
	m := &unixManager{platform{
		id: "openbsd-rc", unit: unitOpenBSD, path: "/etc/rc.d/NAME",
		// Forced, they work too where rc.conf.local says not to start it.
		startCommand:  []string{"rcctl", "-f", "start", "NAME"},
		stopCommand:   []string{"rcctl", "-f", "stop", "NAME"},
		statusCommand: []string{"rcctl", "check", "NAME"},
		state:         runsAtZero,
	}}
	m.addUnit = func(s *Service, text string) error {
		if err := os.WriteFile(m.file(s), []byte(text), 0o555); err != nil {
			return err
		}
		return rcctl("enable", s)
	}
	m.removeUnit = func(s *Service) error {
		if err := rcctl("disable", s); err != nil {
			return err
		}
		return os.Remove(m.file(s))
	}
	return m
}

// rcctl runs one step that only edits a file: nothing to wait for.
func rcctl(verb string, s *Service) error {
	out, code, err := run(context.Background(), []string{"rcctl", verb, s.Name})
	if err == nil && code != 0 {
		err = fmt.Errorf("rcctl %s ended with %d: %s", verb, code, oneLine(out))
	}
	return err
}
