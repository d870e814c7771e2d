package job

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/internal/faulty"
	"linehaul/transfer/remote/remotetest"
)

// TestServerThatFolds: of two files whose names a server takes for the same, one comes
// there, the other fails, and stays where it is although moved files are deleted.
func TestServerThatFolds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the names must be ones that this system holds apart")
	}
	for _, folds := range []bool{false, true} {
		s := &faulty.Server{Root: t.TempDir()}
		s.Set(faulty.Faults{Folds: folds})
		b := newBenchOf(t, remotetest.Options{SFTP: s.Serve})
		from, there := filepath.Join(b.dir, "from"), filepath.Join(s.Root, "in")
		for _, dir := range []string{from, there} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		files := []string{"README", "Readme", "other", "readme"}
		for _, name := range files {
			if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j := b.job(t)
		j.Get, j.Put, j.To, j.After = nil, []string{filepath.ToSlash(from) + "/*"}, template(t, "in/"), after(t, "")
		run, err := b.Run(t.Context(), j, Trigger{})
		if folds && (!fault.Is(err, fault.Partial) || run.Moved != 2 || run.Failed != 2) || !folds && (err != nil || run.Moved != 4) {
			t.Errorf("moved %d, failed %d, %v\n%s", run.Moved, run.Failed, err, b.log)
		}
		if folds && !strings.Contains(b.log.String(), "differ in case") {
			t.Errorf("the log does not say why:\n%s", b.log)
		}
		left, came := allIn(t, from), allIn(t, there)
		if want := []string{"Readme", "readme"}; folds && !slices.Equal(left, want) || !folds && len(left) != 0 {
			t.Errorf("there is still %q", left)
		}
		if want := []string{"README", "other"}; folds && !slices.Equal(came, want) || !folds && !slices.Equal(came, files) {
			t.Errorf("%q came", came)
		}
		for _, name := range came {
			if got, err := os.ReadFile(filepath.Join(there, name)); err != nil || string(got) != name {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
	}
}
