package job

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"linehaul/internal/faulty"
	"linehaul/transfer/remote/remotetest"
)

// TestLimitsOfTheServer: a server that says how much it takes at a time is asked for that
// much, and for no more.
func TestLimitsOfTheServer(t *testing.T) {
	for _, most := range []int{5_000, 50_000, 1 << 20} {
		var read, written atomic.Int64 // the longest requests
		s := &faulty.Server{Root: t.TempDir()}
		s.Set(faulty.Faults{Most: most, Before: func(r faulty.Request) faulty.Verdict {
			switch n := int64(r.Length); r.Op {
			case "read":
				read.Store(max(n, read.Load()))
			case "write":
				written.Store(max(n, written.Load()))
			}
			return faulty.Verdict{}
		}})
		b := newBenchOf(t, remotetest.Options{SFTP: s.Serve})
		data := bytes.Repeat([]byte("0123456789abcdefg"), 1<<18)
		source := filepath.Join(b.dir, "source")
		if err := os.WriteFile(source, data, 0o600); err != nil {
			t.Fatal(err)
		}
		there := b.job(t)
		there.Get, there.Put, there.To = nil, []string{filepath.ToSlash(source)}, template(t, "there")
		back := b.job(t, "there")
		for _, j := range []*Job{there, back} {
			if _, err := b.Run(t.Context(), j, Trigger{}); err != nil {
				t.Fatalf("%d bytes at a time: %v\n%s", most, err, b.log)
			}
		}
		for _, copied := range []string{filepath.Join(s.Root, "there"), filepath.Join(b.dir, "got", "there")} {
			if got, err := os.ReadFile(copied); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", copied, len(got), err)
			}
		}
		want := int64(min(most, 261_120))
		if r, w := read.Load(), written.Load(); r > want || w > want || most < 261_120 && (r < want || w < want) {
			t.Errorf("reads of %d bytes and writes of %d, where %d are allowed", r, w, want)
		}
	}
}
