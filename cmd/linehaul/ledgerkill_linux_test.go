//go:build !race

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/internal/lab"
	"linehaul/store"
)

// ledgerKillJob is a job whose target is another folder in each run, or always the
// same.
const ledgerKillJob = `state: %q
hosts:
  far: {address: %q, user: %s, keys: %q, host_keys: %q}
jobs:
  move: {get: 'far:%s/*', to: %q, only_new: ledger, retry: {attempts: 1}}
`

// TestLedgerKilled kills linehaul at random moments of a job with many small
// files, most of them between the renaming of files and the commit that enters them,
// and runs the job until all is there. A file that was under its final name when its
// run died is never moved again: where each run has a folder of its own, each file is
// in one of them only, and where all have the same, each file stays the one that it
// was. No file is lost.
func TestLedgerKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kill -9 between rename and commit needs a real server and some time")
	}
	lab.Need(t, "sshd", "ssh-keygen")
	program(t)
	const files = 1500
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("LINEHAUL_KILLS")); err == nil && n > 0 {
		kills = n
	}
	for name, to := range map[string]string{"a folder for each run": "{run}/", "one folder": ""} {
		t.Run(name, func(t *testing.T) {
			k := newLedgerKill(t, files, to)
			inBetween := 0
			for n := range kills {
				// Some files later than what is there, as many as a run may get to.
				present := k.present(t)
				at := len(present) + 1 + mathrand.IntN(max(1, (files-len(present))/(kills-n)))
				if !k.once(t, at) {
					break
				}
				after := k.present(t)
				for path, id := range present {
					if after[path] != id {
						t.Fatalf("%s was moved again", path)
					}
				}
				known := k.known(t)
				if known > len(after) {
					t.Errorf("kill %d: the ledger has %d files, and %d are there", n, known, len(after))
				}
				if known < len(after) {
					inBetween++
				}
			}
			present := k.present(t)
			if k.once(t, files+1) {
				t.Fatal("it was killed in the end")
			}
			after := k.present(t)
			for path, id := range present {
				if after[path] != id {
					t.Errorf("%s was moved again", path)
				}
			}
			copies := map[string]int{}
			for path := range after {
				copies[filepath.Base(path)]++
			}
			if len(copies) != files || len(after) != files {
				t.Errorf("%d of %d files are there, in %d copies", len(copies), files, len(after))
			}
			if known := k.known(t); known != files {
				t.Errorf("the ledger has %d of %d", known, files)
			}
			if inBetween == 0 {
				t.Error("no kill came between the renaming of a file and its entry: the test shows nothing")
			}
			t.Logf("%d files, %d of %d kills between rename and commit: lost 0, moved twice %d", files, inBetween, kills, len(after)-len(copies))
		})
	}
}

type ledgerKill struct {
	config, target, state string
}

func newLedgerKill(t *testing.T, files int, to string) *ledgerKill {
	t.Helper()
	dir, own := t.TempDir(), t.TempDir()
	key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	s := lab.StartSSHD(t, lab.SSHD{HostKeys: []string{"ed25519"}, AuthorizedKeys: []string{key + ".pub"}})
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%05d.csv", i)), []byte(strings.Repeat("x", i%300)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	k := &ledgerKill{target: filepath.Join(own, "got"), state: filepath.Join(own, "state")}
	k.config = write(t, own, "linehaul.yaml", fmt.Sprintf(ledgerKillJob, k.state, fmt.Sprintf("%s:%d", s.Host, s.Port), s.User, key, s.Fingerprint(), dir, k.target+"/"+to))
	return k
}

// present are the files under their final names, each with what tells it from one
// that took its place.
func (k *ledgerKill) present(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(k.target, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			s := info.Sys().(*syscall.Stat_t)
			all[path] = fmt.Sprint(s.Ino, " ", s.Ctim)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// known is how many files the ledger has as moved.
func (k *ledgerKill) known(t *testing.T) (n int) {
	t.Helper()
	a := &app{now: time.Now}
	s, err := a.record(&config.File{State: k.state})
	if err == nil {
		err = s.Ledger(context.Background(), store.LedgerFilter{}, func(store.Entry) bool { n++; return true })
	}
	a.close()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// once runs the job, and kills it when so many files are there.
func (k *ledgerKill) once(t *testing.T, at int) (killed bool) {
	t.Helper()
	var out lab.Buffer
	cmd := exec.Command(program(t), "-c", k.config, "run", "move")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			return false
		case <-tick.C:
		}
		if len(k.present(t)) >= at {
			cmd.Process.Kill() //nolint:errcheck // Wait tells
			<-ended
			return !cmd.ProcessState.Exited()
		}
	}
}
