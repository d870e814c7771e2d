package winsvc

import "regexp"

func platforms() []kardianosPlatform {
	return []kardianosPlatform{{
		platform: platform{
			id: "darwin-launchd", unit: unitLaunchd, path: "/Library/LaunchDaemons/NAME.plist",
			startCommand:  []string{"launchctl", "load", "PATH"},
			stopCommand:   []string{"launchctl", "unload", "PATH"},
			statusCommand: []string{"launchctl", "print", "system/NAME"},
			state:         launchdState,
		},
		option: "LaunchdConfig", after: nothing,
	}}
}

var launchdRuns = regexp.MustCompile(`(?m)^\s*state = running$`)

// launchdState reads what `launchctl print` says. It ends with an error for a
// service that is not loaded, which is what being stopped means here: loaded,
// it runs, or launchd starts it again soon.
func launchdState(out string, code int) (State, error) {
	switch {
	case code != 0:
		return Stopped, nil
	case launchdRuns.MatchString(out):
		return Running, nil
	}
	return Starting, nil
}
