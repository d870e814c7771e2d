package winsvc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func platforms() []kardianosPlatform {
	return []kardianosPlatform{
		{
			platform: platform{
				id: "linux-systemd", unit: unitSystemd, path: "/etc/systemd/system/NAME.service",
				startCommand:  []string{"systemctl", "start", "NAME.service"},
				stopCommand:   []string{"systemctl", "stop", "NAME.service"},
				statusCommand: []string{"systemctl", "show", "--property=LoadState,ActiveState,SubState,Result", "NAME.service"},
				state:         systemdState,
				packaged:      true,
			},
			option: "SystemdScript", after: nothing,
		},
		{
			platform: platform{
				id: "linux-openrc", unit: unitOpenRC, path: "/etc/init.d/NAME",
				startCommand:  []string{"rc-service", "NAME", "start"},
				stopCommand:   []string{"rc-service", "NAME", "stop"},
				statusCommand: []string{"rc-service", "NAME", "status"},
				state:         openRCState,
			},
			option: "OpenRCScript", after: nothing,
		},
		{
			platform: platform{
				id: "unix-systemv", unit: unitSysV, path: "/etc/init.d/NAME",
				startCommand:  []string{"service", "NAME", "start"},
				stopCommand:   []string{"service", "NAME", "stop"},
				statusCommand: []string{"service", "NAME", "status"},
				state:         runsAtZero,
			},
			option: "SysvScript", after: removeLinks,
		},
	}
}

// systemdState reads the properties that `systemctl show` prints.
func systemdState(out string, code int) (State, error) {
	properties := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
	}
	active := properties["ActiveState"]
	switch {
	case code != 0 || active == "":
		return Absent, errors.New("systemctl does not answer")
	case properties["LoadState"] == "not-found":
		return Absent, nil
	case active == "active", active == "reloading", active == "refreshing":
		return Running, nil
	case active == "activating": // also after a failure, until the next try
		return Starting, nil
	case active == "deactivating":
		return Stopping, nil
	}
	return Stopped, nil // inactive, failed, maintenance
}

// openRCState reads the code of `rc-service NAME status`, which is one of
// OpenRC's RC_SERVICE bits, or 3 for a service that is stopped.
func openRCState(_ string, code int) (State, error) {
	switch code {
	case 0:
		return Running, nil
	case 4:
		return Stopping, nil
	case 8:
		return Starting, nil
	}
	return Stopped, nil
}

// removeLinks removes the links of the run levels to a script that is gone.
func removeLinks(s *Service) error {
	links, err := filepath.Glob("/etc/rc?.d/[SK][0-9][0-9]" + s.Name)
	if err != nil {
		return err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || filepath.Base(target) != s.Name {
			continue
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
