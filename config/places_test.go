package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"linehaul/config"
	"linehaul/fault"
)

func TestDefaultPlaces(t *testing.T) {
	const programData, local = `C:\ProgramData`, `C:\Users\jephe\AppData\Local`
	windows := func(f config.KnownFolder) string {
		return map[config.KnownFolder]string{config.ProgramData: programData, config.LocalAppData: local}[f]
	}
	tests := []struct {
		name         string
		system       config.System
		env          map[string]string
		config       []string
		state, files string
	}{
		{
			name: "Linux as root", system: config.System{GOOS: "linux", Root: true, Home: "/root"},
			config: []string{"linehaul.yaml", "/etc/linehaul/linehaul.yaml"},
			state:  "/var/lib/linehaul", files: "/var/log/linehaul",
		},
		{
			name: "Linux as a service of root", system: config.System{GOOS: "linux", Root: true, Service: true},
			config: []string{"/etc/linehaul/linehaul.yaml"},
			state:  "/var/lib/linehaul", files: "/var/log/linehaul",
		},
		{
			name: "Linux as a service of a user", system: config.System{GOOS: "linux", Service: true, Home: "/nonexistent"},
			config: []string{"/etc/linehaul/linehaul.yaml"},
			state:  "/var/lib/linehaul", files: "/var/log/linehaul",
		},
		{
			name: "systemd unit", system: config.System{GOOS: "linux"},
			env: map[string]string{
				"CONFIGURATION_DIRECTORY": "/etc/backup", "STATE_DIRECTORY": "/var/lib/backup:/var/lib/more", "LOGS_DIRECTORY": "/var/log/backup",
			},
			config: []string{"/etc/backup/linehaul.yaml"}, state: "/var/lib/backup", files: "/var/log/backup",
		},
		{
			name: "FreeBSD as root", system: config.System{GOOS: "freebsd", Root: true},
			config: []string{"linehaul.yaml", "/etc/linehaul/linehaul.yaml"},
			state:  "/var/lib/linehaul", files: "/var/log/linehaul",
		},
		{
			name: "OpenBSD as a user", system: config.System{GOOS: "openbsd", Home: "/home/jephe"},
			config: []string{"linehaul.yaml", "/home/jephe/.config/linehaul/linehaul.yaml"},
			state:  "/home/jephe/.local/state/linehaul", files: "/home/jephe/.local/state/linehaul/log",
		},
		{
			name: "Linux as a user with XDG folders", system: config.System{GOOS: "linux", Home: "/home/jephe"},
			env:    map[string]string{"XDG_CONFIG_HOME": "/x/config/", "XDG_STATE_HOME": "/x/state"},
			config: []string{"linehaul.yaml", "/x/config/linehaul/linehaul.yaml"},
			state:  "/x/state/linehaul", files: "/x/state/linehaul/log",
		},
		{
			name: "relative XDG folders are ignored", system: config.System{GOOS: "linux", Home: "/home/jephe/"},
			env:    map[string]string{"XDG_CONFIG_HOME": "x", "XDG_STATE_HOME": "."},
			config: []string{"linehaul.yaml", "/home/jephe/.config/linehaul/linehaul.yaml"},
			state:  "/home/jephe/.local/state/linehaul", files: "/home/jephe/.local/state/linehaul/log",
		},
		{
			name: "a user without a home", system: config.System{GOOS: "linux"},
			config: []string{"linehaul.yaml"},
		},
		{
			name: "macOS as root", system: config.System{GOOS: "darwin", Root: true, Home: "/var/root"},
			config: []string{"linehaul.yaml", "/Library/Application Support/linehaul/linehaul.yaml"},
			state:  "/Library/Application Support/linehaul/state", files: "/Library/Application Support/linehaul/log",
		},
		{
			name: "macOS as a user", system: config.System{GOOS: "darwin", Home: "/Users/jephe"},
			config: []string{"linehaul.yaml", "/Users/jephe/.config/linehaul/linehaul.yaml"},
			state:  "/Users/jephe/.local/state/linehaul", files: "/Users/jephe/.local/state/linehaul/log",
		},
		{
			name: "Windows service", system: config.System{GOOS: "windows", Service: true},
			env:    map[string]string{"ProgramData": `D:\evil`, "STATE_DIRECTORY": "/x"},
			config: []string{programData + `\linehaul\linehaul.yaml`},
			state:  programData + `\linehaul\state`, files: programData + `\linehaul\log`,
		},
		{
			name: "Windows as administrator", system: config.System{GOOS: "windows", Root: true},
			config: []string{"linehaul.yaml", programData + `\linehaul\linehaul.yaml`},
			state:  programData + `\linehaul\state`, files: programData + `\linehaul\log`,
		},
		{
			name: "Windows as a user", system: config.System{GOOS: "windows"},
			config: []string{"linehaul.yaml", local + `\linehaul\linehaul.yaml`},
			state:  local + `\linehaul\state`, files: local + `\linehaul\log`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.system.Getenv = func(name string) string { return tt.env[name] }
			tt.system.KnownFolder = windows
			p := config.DefaultPlaces(tt.system)
			if !slices.Equal(p.Config, tt.config) || p.State != tt.state || p.Logs != tt.files {
				t.Errorf("got %+v, want %q, %q, %q", p, tt.config, tt.state, tt.files)
			}
		})
	}
}

func TestFind(t *testing.T) {
	unixOnly(t)
	t.Chdir(t.TempDir())
	home := t.TempDir()
	s := config.ThisSystem(func(name string) string { return map[string]string{"HOME": home}[name] })
	s.GOOS, s.Root = "linux", false
	_, err := config.Find(s)
	if !config.IsAbsent(err) || !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), home) || !strings.Contains(fault.HintOf(err), "linehaul config init") {
		t.Errorf("nothing there: %v", err)
	}
	mine := filepath.Join(home, ".config/linehaul/linehaul.yaml")
	if err := os.MkdirAll(filepath.Dir(mine), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{mine, "linehaul.yaml"} { // the later comes first
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := config.Find(s); got != path || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, path)
		}
	}
}
