//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// windowsProgram builds linehaul for Windows as it is shipped.
func windowsProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "linehaul.exe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build for Windows: %v\n%s", err, out)
	}
	return path
}

// TestWindowsProgram runs the program for Windows, as it is shipped, in Wine:
// the seeds' case with a PuTTY file on drive C:, against a real OpenSSH.
func TestWindowsProgram(t *testing.T) {
	lab.NeedAsked(t, "LINEHAUL_WINE", "`make wine`")
	lab.NeedWine(t)
	lab.Need(t, "puttygen")
	s := newSite(t, lab.SSHD{})
	wine := lab.StartWine(t)
	exe := windowsProgram(t)
	home := filepath.Join(wine.Drive(), "linehaul")
	if err := os.MkdirAll(filepath.Join(home, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	ppk := filepath.Join(home, "my key.ppk")
	lab.Run(t, "puttygen", s.key, "-O", "private", "-o", ppk)
	if err := os.Chmod(ppk, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) lab.WineRun {
		t.Helper()
		return wine.Run(time.Minute, home, nil, exe, args...)
	}
	ok := func(t *testing.T, args ...string) string {
		t.Helper()
		o := run(args...)
		if o.Code != 0 {
			t.Fatalf("linehaul %s: %s", strings.Join(args, " "), o)
		}
		return o.Stdout + o.Stderr
	}
	login := []string{"-i", `C:\linehaul\my key.ppk`, "-P", fmt.Sprint(s.Port), "--host-key", s.Fingerprint()}

	t.Run("version", func(t *testing.T) {
		if out := ok(t, "version"); !strings.Contains(out, " for windows/amd64\n") {
			t.Errorf("printed %q", out)
		}
	})

	t.Run("config", func(t *testing.T) {
		if out := ok(t, "config", "init"); !strings.Contains(out, "wrote linehaul.yaml") {
			t.Errorf("init printed %q", out)
		}
		if out := ok(t, "config", "check"); !strings.Contains(out, "linehaul.yaml: ok") {
			t.Errorf("check printed %q", out)
		}
		// The machine's own place, for one who is an administrator, as Wine says.
		folder := filepath.Join(wine.Drive(), "ProgramData", "linehaul")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(home, "linehaul.yaml"), filepath.Join(folder, "linehaul.yaml")); err != nil {
			t.Fatal(err)
		}
		if out := ok(t, "config", "check"); !strings.Contains(out, `C:\ProgramData\linehaul\linehaul.yaml: ok`) {
			t.Errorf("check printed %q", out)
		}
	})

	t.Run("keys", func(t *testing.T) {
		var shown []shownKey
		if err := json.Unmarshal([]byte(ok(t, "keys", "show", "--json", "my key.ppk")), &shown); err != nil || len(shown) != 1 {
			t.Fatalf("shown %+v, %v", shown, err)
		}
		if want := lab.Fingerprint(t, s.key+".pub"); shown[0].Fingerprint != want || shown[0].Format != "ppk3" || shown[0].Error != nil {
			t.Errorf("shown %+v, want %s", shown[0], want)
		}
		ok(t, "keys", "generate", `C:\linehaul\new`)
		ok(t, "keys", "convert", "new", `in\new.ppk`, "--to", "ppk3")
		for _, name := range []string{"new", "in/new.ppk"} {
			// Wine keeps the access list as a mode, in which Administrators
			// are the group.
			if info, err := os.Stat(filepath.Join(home, name)); err != nil || info.Mode().Perm()&0o007 != 0 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
	})

	t.Run("get", func(t *testing.T) {
		data := bytes.Repeat([]byte("the file of the day\r\n"), 50_000)
		s.write(t, "jephe.txt", data)
		from := s.at(s.remote + "/jephe.txt")
		ok(t, append([]string{"get", from, `C:\linehaul\in\{name}.{date:%Y%m%d-%H%M}`}, login...)...)
		got, err := filepath.Glob(filepath.Join(home, "in", "jephe.txt.????????-????"))
		if err != nil || len(got) != 1 {
			t.Fatalf("pulled %q, %v", got, err)
		}
		if text, err := os.ReadFile(got[0]); err != nil || !bytes.Equal(text, data) {
			t.Errorf("%d bytes, %v, want %d", len(text), err, len(data))
		}
		// Again, into the place of the first, and deep below what Windows
		// once took as the end of a path.
		long := strings.Repeat(`\`+strings.Repeat("x", 100), 3)
		ok(t, append([]string{"get", from, `C:\linehaul\in\again.txt`}, login...)...)
		ok(t, append([]string{"get", from, `C:\linehaul\in\again.txt`}, login...)...)
		ok(t, append([]string{"get", from, `C:\linehaul\in` + long + `\{name}`}, login...)...)
		for _, name := range []string{"again.txt", strings.ReplaceAll(long, `\`, "/") + "/jephe.txt"} {
			if text, err := os.ReadFile(filepath.Join(home, "in", name)); err != nil || !bytes.Equal(text, data) {
				t.Errorf("%s: %d bytes, %v, want %d", name, len(text), err, len(data))
			}
		}
		if left := temporaries(t, home); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})

	t.Run("refused", func(t *testing.T) {
		s.write(t, "aux.txt", []byte("x"))
		s.write(t, "a:b", []byte("x"))
		tests := []struct {
			name, file, pin string
			code            int
			want            string
		}{
			{"another host key", "jephe.txt", "SHA256:" + strings.Repeat("A", 43), 5, "host key"},
			{"a device", "aux.txt", s.Fingerprint(), 7, "it is a device on Windows"},
			{"a stream", "a:b", s.Fingerprint(), 7, "Windows does not allow one of its characters"},
		}
		for _, tt := range tests {
			o := run("get", "-i", "my key.ppk", "-P", fmt.Sprint(s.Port), "--host-key", tt.pin, s.at(s.remote+"/"+tt.file), `in\`)
			if o.Code != tt.code || !strings.Contains(o.Stderr, tt.want) {
				t.Errorf("%s: want code %d and %q: %s", tt.name, tt.code, tt.want, o)
			}
			if _, err := os.Lstat(filepath.Join(home, "in", tt.file)); err == nil {
				t.Errorf("%s: it was pulled", tt.name)
			}
		}
	})

	// With the config in ProgramData that "config" left there.
	t.Run("service", func(t *testing.T) {
		status := func(want string) {
			t.Helper()
			if out := ok(t, "service", "status"); !strings.Contains(out, want+" (windows-service)") {
				t.Errorf("the status is %q, want %s", out, want)
			}
		}
		status("absent")
		ok(t, "service", "install")
		status("stopped")
		ok(t, "service", "start")
		status("running")
		ok(t, "service", "stop")
		status("stopped")
		ok(t, "service", "uninstall")
		status("absent")
		log, err := os.ReadFile(filepath.Join(wine.Drive(), "ProgramData", "linehaul", "log", "linehaul.log"))
		for _, want := range []string{`config in force file=C:\ProgramData`, "the service manager asked for stop", "linehaul ended"} {
			if err != nil || !strings.Contains(string(log), want) {
				t.Errorf("the log lacks %q, %v:\n%s", want, err, log)
			}
		}
	})

	// Wine makes access lists of modes: this one lets Everyone read.
	t.Run("open key", func(t *testing.T) {
		if err := os.Chmod(ppk, 0o644); err != nil {
			t.Fatal(err)
		}
		o := run(append([]string{"get", s.at(s.remote + "/jephe.txt"), "in/never"}, login...)...)
		if o.Code != 6 || !strings.Contains(o.Stderr, "others may use it: ") || !strings.Contains(o.Stderr, "(S-1-1-0)") ||
			!strings.Contains(o.Stderr, "`icacls \"C:\\linehaul\\my key.ppk\" /inheritance:r /grant:r ") {
			t.Errorf("want a refusal with the command that mends it: %s", o)
		}
	})
}
