package winsvc

import (
	"encoding/xml"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"linehaul/internal/lab"
)

var update = flag.Bool("update", false, "rewrite the golden unit files")

func unitKinds() []string {
	return []string{unitSystemd, unitOpenRC, unitSysV, unitLaunchd, unitFreeBSD, unitOpenBSD}
}

// plainService is what `linehaul service install` makes.
func plainService() *Service {
	return &Service{
		Name: "linehaul", DisplayName: "linehaul", Description: "Moves files on a schedule over links that can be trusted",
		Executable: "/usr/local/bin/linehaul", WorkingDir: "/etc/linehaul",
		Arguments: []string{"serve", "--service", "linehaul", "--config", "/etc/linehaul/linehaul.yaml"},
	}
}

// oddService has in its texts what unit files and shells find special.
func oddService() *Service {
	s := plainService()
	s.Name, s.User = "line_haul_2", "backup"
	s.DisplayName, s.Description = "Line & Haul", `100% of "it" <costs> $5 \`
	s.Executable = "/opt/line-haul_1.0+1/linehaul-of-the-branch"
	s.WorkingDir = "/srv/100% own's"
	s.Arguments = []string{"serve", "--config", `/srv/100% own's/$HOME "a"\b.yaml`, "", "@x", "é; rm -rf /"}
	return s
}

func TestUnitsGolden(t *testing.T) {
	for _, kind := range unitKinds() {
		for name, s := range map[string]*Service{"plain": plainService(), "odd": oddService()} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				got, err := s.render(kind)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join("testdata", kind+"."+name)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
					t.Errorf("%s is not what is rendered: look, then run `make golden`\n%s", path, got)
				}
				// kardianos/service takes two braces for an action.
				if strings.Contains(got, "{{") || strings.Contains(got, "<no value>") {
					t.Errorf("not a finished unit file:\n%s", got)
				}
			})
		}
	}
}

// TestShellScripts has a shell read the scripts, and give back the words.
func TestShellScripts(t *testing.T) {
	lab.Need(t, "sh")
	for _, kind := range []string{unitOpenRC, unitSysV, unitFreeBSD, unitOpenBSD} {
		for _, s := range []*Service{plainService(), oddService()} {
			text, err := s.render(kind)
			if err != nil {
				t.Fatal(err)
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			lab.Run(t, "sh", "-n", script)
		}
	}
	words := append([]string{"a b", "'", "''", `\'`, "*", "~", "$(echo x)", "a\tb"}, oddService().Arguments...)
	out := lab.Run(t, "sh", "-c", `printf '[%s]\n' `+shellWords(words))
	if want := "[" + strings.Join(words, "]\n[") + "]\n"; out != want {
		t.Errorf("a shell read\n%swant\n%s", out, want)
	}
	// Where a script keeps them in a variable, a shell reads them twice.
	out = lab.Run(t, "sh", "-c", "args="+shellWord(shellWords(words))+`; eval "printf '[%s]\n' $args"`)
	if want := "[" + strings.Join(words, "]\n[") + "]\n"; out != want {
		t.Errorf("a shell that read twice read\n%swant\n%s", out, want)
	}
}

// TestSystemdAccepts has systemd's own checker read the units.
func TestSystemdAccepts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is for Linux")
	}
	lab.Need(t, "systemd-analyze")
	for name, s := range map[string]*Service{"plain": plainService(), "odd": oddService()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s.Executable = filepath.Join(dir, "linehaul") // it wants the program to exist
			if err := os.WriteFile(s.Executable, []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			text, err := s.render(unitSystemd)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, s.Name+".service")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), lab.Path("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", file).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// TestLaunchdReads parses the property list and compares the command line.
func TestLaunchdReads(t *testing.T) {
	for _, s := range []*Service{plainService(), oddService()} {
		text, err := s.render(unitLaunchd)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Strings []string `xml:"dict>array>string"`
		}
		d := xml.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&list); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Token(); err != io.EOF && err != nil {
			t.Errorf("after the list: %v", err)
		}
		if want := append([]string{s.Executable}, s.Arguments...); !slices.Equal(list.Strings, want) {
			t.Errorf("the command line is %q, want %q", list.Strings, want)
		}
	}
}

func TestSystemdWords(t *testing.T) {
	tests := []struct{ in, want string }{
		{"/usr/bin/x", "/usr/bin/x"},
		{"", `""`},
		{"a b", `"a b"`},
		{`a"b\c`, `"a\"b\\c"`},
		{"100%", `"100%%"`},
		{"$HOME", `"$$HOME"`},
		{"it's;", `"it's;"`},
	}
	for _, tt := range tests {
		if got := systemdWord(tt.in); got != tt.want {
			t.Errorf("%q became %s, want %s", tt.in, got, tt.want)
		}
	}
}
