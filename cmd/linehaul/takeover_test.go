//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/internal/lab"
	"linehaul/store"
	"linehaul/store/db"
)

// takeoverJob is a job of a site.
const takeoverJob = `state: state
logs: {dir: log}
hosts:
  far: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
  move: {get: 'far:%s/*', to: 'got/', %s, retry: {attempts: 1}}
`

// TestServeKilledInTheMiddle: serve is killed when some of a run's files are moved and
// noted, or when the first of their sources are deleted, and started again. There is
// one run with one receipt, which has all files once, also those of the process that
// was killed, and verify finds all as it was.
func TestServeKilledInTheMiddle(t *testing.T) {
	for name, tt := range map[string]struct {
		files int
		size  int
		how   string
		kill  func(*testing.T, *takeoverRun) bool // whether it is time
	}{
		"moving": {60, 20 << 10, "only_new: ledger, bandwidth: 200kB/s", func(t *testing.T, r *takeoverRun) bool { return r.noted(t) > 0 }},
		"deleting": {4000, 10, "after: {source: delete}", func(t *testing.T, r *takeoverRun) bool {
			_, err := os.Stat(filepath.Join(r.remote, "file-00000"))
			return errors.Is(err, fs.ErrNotExist)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTakeoverRun(t, tt.files, tt.size, tt.how)
			served := start(t, "-c", r.file, "serve")
			served.await(t, "config in force")
			if o := linehaul(t, 30*time.Second, "-c", r.file, "run", "--detach", "move"); o.code != 0 {
				t.Fatal(o)
			}
			for deadline := time.Now().Add(60 * time.Second); !tt.kill(t, r); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("nothing happened:\n%s", &served.out)
				}
			}
			served.end(t, syscall.SIGKILL)
			left, there := r.entries(t, r.remote), r.entries(t, r.got)
			if name == "deleting" && (left == 0 || left == tt.files) || name == "moving" && (there == 0 || there == tt.files) {
				t.Fatalf("it was killed too early or too late: %d files at the target, %d sources left", there, left)
			}
			noted := r.noted(t)
			again := start(t, "-c", r.file, "serve")
			again.await(t, "result=ok")
			if code := again.end(t, syscall.SIGTERM); code != 0 {
				t.Errorf("serve ended with %d:\n%s", code, &again.out)
			}
			r.check(t, tt.files)
			if rows := r.noted(t); rows != 0 {
				t.Errorf("%d rows are left of a run that has ended", rows)
			}
			t.Logf("%d of %d files were there, and %d sources left, when it was killed; %d rows of notes", there, tt.files, left, noted)
		})
	}
}

type takeoverRun struct {
	*site
	file, dir, got string
}

func newTakeoverRun(t *testing.T, files, size int, how string) *takeoverRun {
	t.Helper()
	r := &takeoverRun{site: newSite(t, lab.SSHD{}), dir: t.TempDir()}
	r.got = filepath.Join(r.dir, "got")
	for i := range files {
		r.write(t, fmt.Sprintf("file-%05d", i), []byte(strings.Repeat(fmt.Sprint(i%10), size)))
	}
	r.file = write(t, r.dir, "linehaul.yaml", fmt.Sprintf(takeoverJob, r.Addr, r.User, r.key, r.Fingerprint(), r.remote, how))
	return r
}

// entries is how many files there are in a folder, but for hidden ones.
func (r *takeoverRun) entries(t *testing.T, dir string) (n int) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), ".") {
			n++
		}
	}
	return n
}

// noted is how many rows of notes there are.
func (r *takeoverRun) noted(t *testing.T) (n int) {
	t.Helper()
	a := &app{now: time.Now}
	s, err := a.record(&config.File{State: filepath.Join(r.dir, "state")})
	if err == nil {
		_, err = db.One(t.Context(), s.DB(), "SELECT count(*) FROM lh_run_moved", nil, &n)
	}
	a.close()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// check holds the record, its one receipt and the files against each other.
func (r *takeoverRun) check(t *testing.T, files int) {
	t.Helper()
	var runs []store.Run
	o := linehaul(t, 30*time.Second, "-c", r.file, "history", "--json")
	if err := json.Unmarshal([]byte(o.stdout), &runs); err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v\n%s", len(runs), err, o)
	}
	run := runs[0]
	if run.State != store.OK || run.Take != 2 || run.Moved != files || run.Matched != files || len(run.Files)+run.MoreFiles != files {
		t.Errorf("%s at take %d: %d of %d files moved, %d and %d in its record", run.State, run.Take, run.Moved, run.Matched, len(run.Files), run.MoreFiles)
	}
	o = linehaul(t, 30*time.Second, "-c", r.file, "verify", run.ID, "--list")
	sources, earlier := map[string]bool{}, 0
	for line := range strings.Lines(o.stdout) {
		var f struct {
			Source string
			Take   int
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		if sources[f.Source] = true; f.Take == 1 {
			earlier++
		}
	}
	if n := strings.Count(o.stdout, "\n"); n != files || len(sources) != files || earlier == 0 || earlier == files {
		t.Errorf("the receipt has %d lines for %d of %d files, %d of the process that was killed", n, len(sources), files, earlier)
	}
	if o = linehaul(t, 60*time.Second, "-c", r.file, "verify"); o.code != 0 || !strings.Contains(o.stdout, fmt.Sprintf("files: %d as they were", files)) {
		t.Errorf("verify: %s", o)
	}
	if o = linehaul(t, 60*time.Second, "-c", r.file, "store", "check"); o.code != 0 {
		t.Errorf("store check: %s", o)
	}
}
