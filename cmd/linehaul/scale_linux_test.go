package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// residentBound is what a mirror's process may take in memory at most, in
// bytes, whatever the number of files: docs/SCALE.md states it.
const residentBound = 160 << 20

// TestScaleSync mirrors empty files, in a hundred folders and in one, from OpenSSH
// and to it, again when nothing has changed, and once more when one file in a
// hundred is gone. LINEHAUL_SCALE says how many files (`make scale` takes a
// million), and LINEHAUL_SCALE_DIR where, such as a file system in memory.
func TestScaleSync(t *testing.T) {
	for _, folders := range []int{100, 1} {
		t.Run(fmt.Sprint(folders), func(t *testing.T) { scaleSync(t, folders) })
	}
}

func scaleSync(t *testing.T, folders int) {
	n := 2000
	if s := os.Getenv("LINEHAUL_SCALE"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1000 {
			t.Fatalf("LINEHAUL_SCALE=%q: want a number of at least 1000", s)
		}
	}
	s := newSite(t, lab.SSHD{})
	dir := s.remote
	if base := os.Getenv("LINEHAUL_SCALE_DIR"); base != "" {
		var err error
		if dir, err = os.MkdirTemp(base, "linehaul-scale-"); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
	}
	up := filepath.Join(dir, "up")
	for _, d := range []string{dir, up} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		s.Own(d)
	}
	made := 0
	for i := range folders {
		d := filepath.Join(dir, "source", fmt.Sprintf("d%03d", i))
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := 0; j < n/folders; j++ {
			if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("f%06d", j)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			made++
		}
	}
	conf := fmt.Sprintf(`
state: %[1]s/state
logs: {dir: %[1]s/log, name: "{run}.log"}
hosts:
  there: {address: %[2]s, port: %[3]d, user: %[4]s, keys: %[5]s, host_keys: "%[6]s"}
jobs:
  down: {sync: "there:%[1]s/source", to: %[1]s/down, delete: true, verify: size}
  up: {sync: %[1]s/down, to: "there:%[1]s/up", delete: true, verify: size}
`, dir, s.Host, s.Port, s.User, s.key, s.Fingerprint())
	file := filepath.Join(dir, "linehaul.yaml")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	sync := func(what, job string, want, deleted int) {
		t.Helper()
		cmd := exec.Command(program(t), "-c", file, "-q", "run", job)
		began := time.Now()
		resident, out, err := watched(cmd)
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		took := time.Since(began)
		out, err = exec.Command(program(t), "-c", file, "--json", "history", "-n", "1", job).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{fmt.Sprintf(`"moved": %d,`, want), fmt.Sprintf(`"removed": %d,`, deleted)} {
			if (deleted > 0 || !strings.Contains(field, "removed")) && !strings.Contains(string(out), field) {
				t.Errorf("%s: the record does not say %s", what, field)
			}
		}
		fmt.Printf("    scale: %-26s %9d files %8.1f s %8.0f files/s %8.1f MiB at most, %6.1f s of CPU\n", what, made, took.Seconds(),
			float64(made)/took.Seconds(), float64(resident)/(1<<20), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
		if resident > residentBound {
			t.Errorf("%s: %d bytes were in memory, want at most %d", what, resident, residentBound)
		}
	}
	fmt.Printf("    scale: %d folders\n", folders)
	sync("sync from a server", "down", made, 0)
	sync("again", "down", 0, 0)
	sync("sync to a server", "up", made, 0)
	sync("again", "up", 0, 0)
	gone := 0
	for j := 0; j < n/100; j++ {
		if err := os.Remove(filepath.Join(dir, "source", fmt.Sprintf("d%03d", folders/2), fmt.Sprintf("f%06d", j))); err != nil {
			t.Fatal(err)
		}
		gone++
	}
	sync("one in a hundred is gone", "down", 0, gone)
	sync("the same to a server", "up", 0, gone)
	count := 0
	if err := filepath.WalkDir(up, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			count++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if count != made-gone {
		t.Errorf("the server has %d files, want %d", count, made-gone)
	}
}

// watched runs a program and returns the most that it had in memory, in bytes.
// What the system says of a child that has ended counts its parent's memory at
// the time of the fork, so it is looked at while it lives.
func watched(cmd *exec.Cmd) (resident int64, out []byte, err error) {
	var b lab.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return resident, []byte(b.String()), err
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)) //nolint:errcheck // it may have ended
			for line := range strings.Lines(string(status)) {
				var kib int64
				if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
					resident = kib << 10
				}
			}
		}
	}
}
