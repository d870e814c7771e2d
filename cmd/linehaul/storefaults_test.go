//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/postgres"
	"linehaul/store"
	"linehaul/store/db"
)

// recordTrial is a job whose record is in a folder with a fault.
type recordTrial struct {
	*testing.T
	site   *site
	dir    string
	file   string // the config
	state  string
	before []string // what the program is run by, in another place
	inside func(name string) string
}

// do runs the program, where the fault is.
func (x *recordTrial) do(args ...string) outcome {
	x.Helper()
	all := append(append([]string{}, x.before...), append([]string{program(x), "-c", x.file}, args...)...)
	cmd := exec.CommandContext(x.Context(), all[0], all[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		x.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
}

// runs are the states of the runs that are recorded, the newest first.
func (x *recordTrial) runs() string {
	x.Helper()
	o := x.do("history", "--json")
	var all []store.Run
	if err := json.Unmarshal([]byte(o.stdout), &all); err != nil || o.code != 0 {
		x.Fatalf("history: %v: %s", err, o)
	}
	var states []string
	for _, r := range all {
		states = append(states, string(r.State))
	}
	return strings.Join(states, " ")
}

// open opens the record as another program would.
func (x *recordTrial) open() *db.DB {
	x.Helper()
	d, err := db.Open(x.Context(), db.Place{Dir: x.state, Now: time.Now})
	if err != nil {
		x.Fatal(err)
	}
	return d
}

// within puts the state folder into a place of its own, by a command that mounts.
func (x *recordTrial) within(mount string) {
	x.Helper()
	lab.NeedRoot(x)
	lab.Need(x, "unshare", "nsenter", "mount")
	p := lab.Start(x, filepath.Join(x.dir, "mount.log"), nil, "unshare", "-m", "--propagation", "private", "sh", "-c", mount+` && echo ready && exec sleep 600`, "sh", x.state)
	p.Await(x, "ready")
	x.before = []string{"nsenter", "-t", fmt.Sprint(p.Pid()), "-m"}
	x.inside = func(name string) string { return fmt.Sprintf("/proc/%d/root%s/%s", p.Pid(), x.state, name) }
}

// again changes the mount.
func (x *recordTrial) again(options string) {
	x.Helper()
	all := append(append([]string{}, x.before...), "mount", "-o", "remount,"+options, x.state)
	if out, err := exec.Command(all[0], all[1:]...).CombinedOutput(); err != nil {
		x.Fatalf("remount: %v: %s", err, out)
	}
}

// fill leaves no room in the state folder.
func (x *recordTrial) fill() (free func()) {
	x.Helper()
	name := x.inside("ballast")
	f, err := os.Create(name)
	if err != nil {
		x.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	return func() { os.Remove(name) }
}

// TestStoreFaults: what goes wrong with the database ends a run with its code, one line
// and a hint, moves nothing, and loses nothing of what was recorded; once it has passed,
// the job runs and is recorded.
func TestStoreFaults(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	s.write(t, "a.txt", []byte("hello\n"))
	tests := []struct {
		name string
		arm  func(x *recordTrial) (heal func())
		// fault is a run meanwhile.
		code      int
		line, has string
		hint      string
		check     int // what store check ends with meanwhile
	}{
		{"disk full", func(x *recordTrial) func() { return x.fill() }, 10, "local disk: ", "linehaul.db", "full", 0},
		{"locked by another program", func(x *recordTrial) func() {
			d := x.open()
			locked, free := make(chan struct{}), make(chan struct{})
			done := make(chan error, 1)
			go func() {
				done <- d.Tx(x.Context(), func(tx *db.Tx) error {
					_, err := tx.Exec(x.Context(), "DELETE FROM lh_schedule")
					close(locked)
					<-free
					return err
				})
			}()
			<-locked
			return func() {
				close(free)
				if err := <-done; err != nil {
					x.Error(err)
				}
				d.Close()
			}
		}, 10, "local disk: ", "linehaul.db", "another program holds it", 0},
		{"read-only", func(x *recordTrial) func() {
			x.again("ro")
			return func() { x.again("rw") }
		}, 10, "local disk: ", "state", "", 0},
		{"of a newer linehaul", func(x *recordTrial) func() {
			d := x.open()
			defer d.Close()
			if _, err := d.Exec(x.Context(), "INSERT INTO lh_schema (step, at) VALUES ($1, 0)", db.Version()+1); err != nil {
				x.Fatal(err)
			}
			return func() {
				// As a newer one would: linehaul itself does not open it.
				p := db.Place{Dir: x.state, Now: time.Now, AsIs: true}
				d, err := db.Open(x.Context(), p)
				if err != nil {
					x.Fatal(err)
				}
				defer d.Close()
				if step, err := d.Schema(x.Context()); err != nil || step != db.Version()+1 {
					x.Errorf("the schema is %d, %v: it was changed", step, err)
				}
				lowerSchema(x, filepath.Join(x.state, db.FileName))
			}
		}, 2, "config: ", fmt.Sprintf("its schema is %d, and this one knows %d", db.Version()+1, db.Version()), "newer linehaul", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newRecordTrial(t, s)
			if tt.name == "disk full" {
				x.within(`mount -t tmpfs -o size=1m none "$1"`)
			}
			if tt.name == "read-only" {
				x.within(`mount -t tmpfs -o size=16m none "$1"`)
			}
			if o := x.do("run", "a"); o.code != 0 {
				t.Fatalf("before: %s", o)
			}
			got := filepath.Join(x.dir, "got", "a.txt")
			if err := os.Remove(got); err != nil {
				t.Fatal(err)
			}
			heal := tt.arm(x)
			o := x.do("run", "a")
			t.Logf("ended with %d after %s: %s", o.code, o.took.Round(100*time.Millisecond), o.stderr)
			checkFault(t, o, tt.code, tt.line, tt.has)
			if !strings.Contains(o.stderr, tt.hint) {
				t.Errorf("no %q in the hint: %s", tt.hint, o)
			}
			if _, err := os.Stat(got); !os.IsNotExist(err) {
				t.Errorf("something was moved: %v", err)
			}
			if o := x.do("store", "check"); o.code != tt.check {
				t.Errorf("store check meanwhile: %s", o)
			}
			heal()
			if states := x.runs(); states != "ok" {
				t.Errorf("recorded are %q", states)
			}
			if o := x.do("run", "a"); o.code != 0 {
				t.Errorf("after: %s", o)
			}
			if states := x.runs(); states != "ok ok" {
				t.Errorf("recorded are %q in the end", states)
			}
			if o := x.do("store", "check"); o.code != 0 {
				t.Errorf("store check in the end: %s", o)
			}
		})
	}
}

func newRecordTrial(t *testing.T, s *site) *recordTrial {
	t.Helper()
	dir := t.TempDir()
	x := &recordTrial{T: t, site: s, dir: dir, state: filepath.Join(dir, "state")}
	if err := os.Mkdir(x.state, 0o750); err != nil {
		t.Fatal(err)
	}
	x.file = write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
logs: {dir: log}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
  a: {get: "h:%s/a.txt", to: got/}
`, s.Addr, s.User, s.key, s.Fingerprint(), s.remote))
	return x
}

// lowerSchema takes a step of the schema back, as a restored backup would.
func lowerSchema(t testing.TB, file string) {
	t.Helper()
	lab.Need(t, "python3")
	lab.Run(t, "python3", "-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM lh_schema WHERE step = ?', (int(sys.argv[2]),)); c.commit()",
		file, fmt.Sprint(db.Version()+1))
}

// TestStoreDamagedUnderServe: the file of a serve that was killed is damaged. The check
// says so; when serve is started again, the file is set aside and named, and the
// schedule fires.
func TestStoreDamagedUnderServe(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	s.write(t, "a.txt", []byte("hello\n"))
	dir := t.TempDir()
	file := write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
logs: {dir: log}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
  a: {schedule: "@every 1s", get: "h:%s/a.txt", to: "got/{name}.{time}"}
`, s.Addr, s.User, s.key, s.Fingerprint(), s.remote))
	served := start(t, "-c", file, "serve")
	served.await(t, "result=ok")
	// Killed, it leaves both of its files; going on, it would write what it has in
	// memory over the damage.
	served.end(t, syscall.SIGKILL)
	path := filepath.Join(dir, "state", db.FileName)
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(bytes.Repeat([]byte("nonsense"), int(info.Size())/8))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	o := linehaul(t, time.Minute, "-c", file, "store", "check")
	if o.code != 10 || !strings.Contains(o.stderr, "hint: ") {
		t.Errorf("store check: %s", o)
	}
	served = start(t, "-c", file, "serve")
	served.await(t, "it is set aside")
	served.await(t, "result=ok")
	if code := served.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("serve ended with %d:\n%s", code, &served.out)
	}
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) == 0 || !strings.Contains(served.out.String(), aside[0]) {
		t.Errorf("set aside are %q, %v, and it says:\n%s", aside, err, &served.out)
	}
	if o := linehaul(t, time.Minute, "-c", file, "store", "check"); o.code != 0 {
		t.Errorf("the new one: %s", o)
	}
}

// TestStoreRestartedUnderRun: a PostgreSQL that is restarted under a run, and killed
// under another, is waited for: the runs end well and are recorded.
func TestStoreRestartedUnderRun(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	s.write(t, "big.bin", make([]byte, 3<<20))
	server := postgres.Start(t)
	t.Setenv("LINEHAUL_TEST_STORE", server.NewDatabase(t))
	dir := t.TempDir()
	file := write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
store: env:LINEHAUL_TEST_STORE
logs: {dir: log}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
  a: {get: "h:%s/big.bin", to: "got/{run}/", bandwidth: 1MB/s}
`, s.Addr, s.User, s.key, s.Fingerprint(), s.remote))
	for _, how := range []func(){
		func() { server.Restart(t) },
		func() { server.Kill(t); server.Restart(t) },
	} {
		run := start(t, "-c", file, "run", "a", "-v")
		run.await(t, "run starts")
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if parts, _ := filepath.Glob(filepath.Join(dir, "got", "*", ".*.part")); len(parts) > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("nothing is moved:\n%s", &run.out)
			}
		}
		how()
		if err := run.cmd.Wait(); err != nil {
			t.Errorf("the run ended with %v:\n%s", err, &run.out)
		}
	}
	o := linehaul(t, time.Minute, "-c", file, "history", "--json")
	var all []store.Run
	if err := json.Unmarshal([]byte(o.stdout), &all); err != nil || len(all) != 2 {
		t.Fatalf("history: %v: %s", err, o)
	}
	for _, r := range all {
		if r.State != store.OK || r.Bytes != 3<<20 {
			t.Errorf("recorded is %s with %d bytes: %s", r.State, r.Bytes, r.Error)
		}
	}
	if o := linehaul(t, time.Minute, "-c", file, "store", "check"); o.code != 0 || !strings.Contains(o.stdout, "PostgreSQL") {
		t.Errorf("store check: %s", o)
	}
	if o := linehaul(t, time.Minute, "-c", file, "store", "backup", filepath.Join(dir, "copy")); o.code != 2 || !strings.Contains(o.stderr, "pg_dump") {
		t.Errorf("store backup: %s", o)
	}
}
