package job

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/store"
	"linehaul/store/storetest"
)

// wrongSums is a server whose sha256sum says the same of every file.
func wrongSums(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	for name, script := range map[string]string{
		"wrap":      "export PATH=\"" + dir + ":$PATH\"\nexec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"",
		"sha256sum": "printf '%064d  -\\n' 0",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
	}
	b := sshdBench(t, lab.SSHD{NoSFTP: true, Config: "ForceCommand " + filepath.Join(dir, "wrap")})
	b.Store = storetest.Open(t, t.TempDir())
	return b
}

// TestOtherSum: a copy whose SHA-256 is not that of its source, in each attempt, is no
// copy: the run fails with 11, the source stays although it is to go, the old target
// does, and nothing else is left but what keep_bad keeps.
func TestOtherSum(t *testing.T) {
	b := wrongSums(t)
	for _, put := range []bool{false, true} {
		for _, keep := range []bool{false, true} {
			for verify, size := range map[Verify]int{VerifySHA256: 1000, VerifyAuto: 5 << 20} {
				t.Run(fmt.Sprintf("put %t, keep_bad %t, %s", put, keep, verify), func(t *testing.T) {
					dir := t.TempDir()
					content := strings.Repeat("new\n", size/4)
					makeTree(t, dir, "from/x.bin="+content, "to/x.bin=old")
					source, to := filepath.Join(dir, "from", "x.bin"), template(t, filepath.ToSlash(dir)+"/to/")
					j := b.job(t, filepath.ToSlash(source))
					if put {
						j.Get, j.Put = nil, []string{source}
					}
					j.To, j.Verify, j.KeepBad, j.After = to, verify, keep, after(t, "")
					run, err := b.Run(t.Context(), j, Trigger{})
					if fault.ExitCode(err) != 11 || !fault.Is(err, fault.Verify) || run.State != store.Failed || run.Code != 11 || run.Moved != 0 || len(run.Attempts) != j.Retry.Attempts {
						t.Errorf("%d, %v, %q with %d, %d moved in %d attempts\n%s", fault.ExitCode(err), err, run.State, run.Code, run.Moved, len(run.Attempts), b.log)
					}
					if said := strings.Repeat("0", 64) + " by sha256sum"; err == nil || !strings.Contains(err.Error(), said) {
						t.Errorf("%v does not say %q", err, said)
					}
					want := "from/, from/x.bin=NEW, to/, to/x.bin=old"
					if keep {
						want = "from/, from/x.bin=NEW, to/, to/.x.bin." + run.ID + ".bad=NEW, to/x.bin=old"
					}
					if got := strings.ReplaceAll(strings.Join(treeOf(t, dir), ", "), content, "NEW"); got != want {
						t.Errorf("there is %.300q, want %q", got, want)
					}
				})
			}
		}
	}
}
