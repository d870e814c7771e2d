package job

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab"
	"linehaul/store/storetest"
)

// TestAuto: files are summed up where that can be done, and the log says why not
// where it cannot: once of a server, and of each file of a server that could. A file
// that a command cannot name leaves those behind it alone.
func TestAuto(t *testing.T) {
	const refused = "ForceCommand internal-sftp"
	for name, tt := range map[string]struct {
		config string
		files  []string
		want   string // how each file was verified, in their order
		says   string
		times  int
	}{
		"all": {files: []string{"a", "b"}, want: "sha256 by sha256sum,sha256 by sha256sum"},
		"a name of two lines": {
			files: []string{"a\nb", "c", "d\ne"}, want: "size,sha256 by sha256sum,size",
			says: "only the size is compared", times: 2,
		},
		"no commands": {config: refused, files: []string{"a", "b", "c"}, want: "size,size,size", says: "only sizes are compared", times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sshdBench(t, lab.SSHD{Config: tt.config})
			b.Store = storetest.Open(t, t.TempDir())
			there := t.TempDir()
			j := b.job(t)
			j.Get, j.Put, j.Verify, j.FilesInFlight = nil, nil, VerifyAuto, 1
			for i, name := range tt.files {
				at := filepath.Join(b.dir, name)
				if err := os.WriteFile(at, bytes.Repeat([]byte{byte(i)}, autoSize), 0o600); err != nil {
					t.Fatal(err)
				}
				j.Put = append(j.Put, at)
			}
			j.To = template(t, filepath.ToSlash(there)+"/")
			run, err := b.Run(t.Context(), j, Trigger{})
			if err != nil || run.Moved != len(tt.files) {
				t.Fatalf("%d files, %v\n%s", run.Moved, err, b.log)
			}
			var how []string
			stored, err := b.Store.Run(run.ID)
			for _, f := range stored.Files {
				how = append(how, f.Verified)
			}
			if got := strings.Join(how, ","); err != nil || got != tt.want {
				t.Errorf("verified by %s, %v, and not %s\n%s", got, err, tt.want, b.log)
			}
			if got := strings.Count(b.log.String(), "compared"); got != tt.times || strings.Count(b.log.String(), tt.says) < tt.times {
				t.Errorf("%d records, and not %d of %q:\n%s", got, tt.times, tt.says, b.log)
			}
		})
	}
}
