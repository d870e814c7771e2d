package job

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"linehaul/fault"
	"linehaul/internal/delay"
	"linehaul/internal/lab"
	"linehaul/store/storetest"
	"linehaul/transfer/remote"
)

// cutting is a file on its way by SCP, through a line that is cut once.
type cutting struct {
	*bench
	*Job
	target string
}

// cutContent is more than the window of a session holds, so that there is something to cut.
func cutContent() []byte { return newContent()[:5<<20] }

func newCutting(t *testing.T, put bool, old []byte, from, after int64) *cutting {
	t.Helper()
	s := lab.Folder(t)
	c := &cutting{bench: sshdBench(t, lab.SSHD{}), target: filepath.Join(t.TempDir(), "a file.bin")}
	source := filepath.Join(s, "a file.bin")
	err := os.WriteFile(source, cutContent(), 0o644)
	if old != nil {
		err = errors.Join(err, os.WriteFile(c.target, old, 0o644))
	}
	line, lineErr := delay.Listen(net.JoinHostPort(c.host.Address, strconv.Itoa(c.host.Port)), delay.Options{})
	if err := errors.Join(err, lineErr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	c.Store = storetest.Open(t, t.TempDir()) // it knows which runs are dead, so that what they left goes
	c.host.Address, c.host.Port, c.host.Protocol = "127.0.0.1", line.Port(), remote.SCP
	c.Job = c.job(t, filepath.ToSlash(source))
	if put {
		c.Get, c.Put = nil, []string{source}
	}
	c.To, c.Verify = template(t, filepath.ToSlash(filepath.Dir(c.target))+"/"), VerifySize
	c.Progress = onceAt(from, func() { line.CutAfter(after) })
	return c
}

// is checks what the target has.
func (c *cutting) is(t *testing.T, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(c.target); !bytes.Equal(got, want) || (err != nil) != (want == nil) {
		t.Errorf("the target has %d bytes, %v; want %d", len(got), err, len(want))
	}
}

// TestCutInMidFileSCP: when the line is cut in the middle of a file, or before the server
// has said that it is good, the target stays what it was. The run's next attempt, or another
// run, brings the file to its end and leaves nothing else.
func TestCutInMidFileSCP(t *testing.T) {
	size := int64(len(cutContent()))
	for _, tt := range []struct {
		name        string
		old         []byte // what the target has before; nil where it is absent
		from, after int64  // the cut: so many bytes after so much was moved
		attempts    int
	}{
		{"in the middle, absent", nil, 1 << 20, 100_000, 3},
		{"in the middle, old", []byte("old"), 1 << 20, 100_000, 1},
		{"behind the content, absent", nil, size, 1, 1},
		{"behind the content, old", []byte("old"), size, 1, 3},
	} {
		for _, verb := range []string{"get", "put"} {
			t.Run(verb+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				c := newCutting(t, verb == "put", tt.old, tt.from, tt.after)
				c.Retry.Attempts = tt.attempts
				run, err := c.Run(t.Context(), c.Job, Trigger{})
				if tt.attempts == 1 {
					if err == nil || !fault.Transient(err) {
						t.Errorf("%v\n%s", err, c.log)
					}
					c.is(t, tt.old)
					run, err = c.Run(t.Context(), c.Job, Trigger{})
				} else if len(run.Attempts) != 2 {
					t.Errorf("%d attempts\n%s", len(run.Attempts), c.log)
				}
				if err != nil || run.Moved != 1 {
					t.Errorf("%d files, %v\n%s", run.Moved, err, c.log)
				}
				c.is(t, cutContent())
				if names, err := os.ReadDir(filepath.Dir(c.target)); err != nil || len(names) != 1 {
					t.Errorf("beside the target: %v, %v", names, err)
				}
			})
		}
	}
}
