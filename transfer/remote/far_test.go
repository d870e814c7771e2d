package remote_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// TestFarAway: on a line that is long, with sessions opened ahead and the first
// question asked with the greeting, a server that allows few sessions still has
// room for as many as it allows.
func TestFarAway(t *testing.T) {
	startsOthers(t)
	for _, most := range []int{1, 2, 10} {
		t.Run(strconv.Itoa(most), func(t *testing.T) {
			t.Parallel()
			key, _ := newKey(t)
			s := lab.StartSSHD(t, lab.SSHD{
				AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}, Config: "MaxSessions " + strconv.Itoa(most),
			})
			line, err := delay.Listen(s.Addr, delay.Options{RTT: 80 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { line.Close() })
			h := sshdHost(t, s, key)
			far := hostAt(line.Addr())
			h.Address, h.Port = far.Address, far.Port
			p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, h, remote.Spread{Connections: 1}, testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			c := p.First()
			file := filepath.Join(s.Dir, "some file")
			if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.ToSlash(file)
			files, err := c.FilesAt(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first answer is there already, and the next is asked for anew
				e, err := files.Stat(t.Context(), path)
				if err != nil || e.Size != 7 {
					t.Fatalf("%+v, %v", e, err)
				}
				if err := os.Chmod(file, 0o640); err != nil {
					t.Fatal(err)
				}
			}
			if e, err := files.Stat(t.Context(), path); err != nil || e.Mode.Perm() != 0o640 {
				t.Errorf("an old answer: %+v, %v", e, err)
			}
			trip := files.(interface{ RoundTrip() time.Duration }).RoundTrip()
			if trip < 60*time.Millisecond || trip > 400*time.Millisecond {
				t.Errorf("a round trip of %v, where it is 80ms", trip)
			}
			more, err := crowd(t, p, false, filepath.ToSlash(s.Dir))
			if want := min(most, 9) - 1; len(more) != want {
				t.Errorf("%d sessions more, want %d; then %v", len(more), want, err)
			}
		})
	}
}
