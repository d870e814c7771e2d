package job

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/bandwidth"
	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// onMoved is told how much of a file was moved, before more is.
type onMoved func(total int64)

func (onMoved) Begin(int, int64)                           {}
func (f onMoved) File(transfer.Item) transfer.FileProgress { return f }
func (f onMoved) Moved(total int64)                        { f(total) }
func (onMoved) Done(error)                                 {}

// onceAt runs f once, when so much of a file was moved.
func onceAt(bytes int64, f func()) onMoved {
	var once sync.Once
	return func(total int64) {
		if total >= bytes {
			once.Do(f)
		}
	}
}

// changing is a file of 8 MiB on its way here by SCP, over an older one.
type changing struct {
	*bench
	source, target, command string // command is a folder, see forced
}

// The contents before and after the change. Both are of the same size.
func oldContent() []byte { return bytes.Repeat([]byte("before, "), 1<<20) }
func newContent() []byte { return bytes.Repeat([]byte("after,, "), 1<<20) }

func newChanging(t *testing.T, start func(testing.TB, string) *lab.Server) *changing {
	t.Helper()
	key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
	s := start(t, key+".pub")
	c := &changing{bench: serverBench(t, s, key), command: s.Dir}
	c.host.Protocol = remote.SCP
	dir := filepath.Join(s.Dir, "the data")
	c.source, c.target = filepath.Join(dir, "it's a file.bin"), filepath.Join(t.TempDir(), "it's a file.bin")
	long := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(c.source, oldContent(), 0o644), os.Chtimes(c.source, long, long),
		os.WriteFile(c.target, []byte("old"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return c
}

// get fetches the file at a limited rate, and runs f when some of it has come.
func (c *changing) get(t *testing.T, f func() error) (attempts int, err error) {
	t.Helper()
	j := c.job(t, filepath.ToSlash(c.source))
	j.To, j.Verify = template(t, filepath.ToSlash(filepath.Dir(c.target))+"/"), VerifySize
	j.Limits.Bandwidth = bandwidth.Always(12e6)
	// What the window of the session holds, 2 MiB, and the pipes and sockets beside it, the
	// server has read by then.
	c.Progress = onceAt(1<<20, func() {
		if err := f(); err != nil {
			t.Error(err)
		}
	})
	run, err := c.Run(t.Context(), j, Trigger{})
	return len(run.Attempts), err
}

// holds checks the target, that nothing lies beside it, and the source, which is absent
// where that is nil.
func (c *changing) holds(t *testing.T, target, source []byte) {
	t.Helper()
	if got, err := os.ReadFile(c.target); err != nil || !bytes.Equal(got, target) {
		n := 0
		for n < min(len(got), len(target)) && got[n] == target[n] {
			n++
		}
		t.Errorf("the target has %d bytes, want %d; they differ from %d on; %v", len(got), len(target), n, err)
	}
	if names, err := os.ReadDir(filepath.Dir(c.target)); err != nil || len(names) != 1 {
		t.Errorf("beside the target: %v, %v", names, err)
	}
	got, err := os.ReadFile(c.source)
	if !bytes.Equal(got, source) || (err != nil) != (source == nil) {
		t.Errorf("the source has %d bytes, %v; want %d", len(got), err, len(source))
	}
}

func openSSH(config string) func(testing.TB, string) *lab.Server {
	return func(t testing.TB, public string) *lab.Server {
		return lab.StartSSHD(t, lab.SSHD{Config: config, AuthorizedKeys: []string{public}, HostKeys: []string{"ed25519"}})
	}
}

func dropbear(t testing.TB, public string) *lab.Server {
	return lab.StartDropbear(t, lab.Other{AuthorizedKeys: []string{public}, NoSFTP: true})
}

// TestChangedInMidReadSCP: a file that does not hold still while it is fetched by SCP is
// fetched again, as by SFTP. It used to be put in place as parts of two.
func TestChangedInMidReadSCP(t *testing.T) {
	changes := []struct {
		name   string
		change func(path string) error
		want   []byte // what the source has then; nil for nothing
	}{
		{"rewritten", rewrite, newContent()},
		{"removed", os.Remove, nil},
		{"cut short", func(p string) error { return os.WriteFile(p, newContent()[:1000], 0o644) }, newContent()[:1000]},
		{"grown", func(p string) error { return os.WriteFile(p, append(oldContent(), "more"...), 0o644) }, append(oldContent(), "more"...)},
		{"replaced", func(p string) error {
			return errors.Join(os.WriteFile(p+".new", newContent(), 0o644), os.Rename(p+".new", p))
		}, newContent()},
	}
	for _, server := range []struct {
		name    string
		start   func(testing.TB, string) *lab.Server
		changes int
	}{
		{"openssh", openSSH(""), len(changes)}, {"openssh, one session", openSSH("MaxSessions 1"), 2}, {"dropbear", dropbear, 2},
	} {
		for _, tt := range changes[:server.changes] {
			t.Run(server.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				c := newChanging(t, server.start)
				attempts, err := c.get(t, func() error { return tt.change(c.source) })
				said := strings.Count(c.log.String(), "while it was read")
				if tt.want == nil {
					if !fault.Is(err, fault.RemoteFile) || !errors.Is(err, os.ErrNotExist) || said != 1 {
						t.Errorf("%d attempts, %v\n%s", attempts, err, c.log)
					}
					c.holds(t, []byte("old"), nil)
					return
				}
				if err != nil || attempts != 1 || said != 1 {
					t.Errorf("%d attempts, %v\n%s", attempts, err, c.log)
				}
				c.holds(t, tt.want, tt.want)
			})
		}
	}
}

// rewrite gives a file other content, without a moment in which it has less.
func rewrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(newContent())
	return errors.Join(err, f.Close())
}

// forced is OpenSSH with a command that notes each that it is asked for, and fails one that
// describes a file for each file fail.* there is.
func forced(t testing.TB, public string) *lab.Server {
	s := openSSH("ForceCommand /bin/sh %D/force")(t, public)
	script := `echo "$SSH_ORIGINAL_COMMAND" >> "$0.log"
case "$SSH_ORIGINAL_COMMAND" in
"scp -f -p -r "*) for f in "${0%/*}"/fail.*; do
	if rm "$f" 2>/dev/null; then echo "cannot fork" >&2; exit 254; fi
done;;
esac
eval "exec $SSH_ORIGINAL_COMMAND"
`
	if err := os.WriteFile(filepath.Join(s.Dir, "force"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// commands counts what the forced command was asked for.
func (c *changing) commands(t *testing.T) (reads, looks int) {
	t.Helper()
	said, err := os.ReadFile(filepath.Join(c.command, "force.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(said, []byte("scp -f -p -- ")), bytes.Count(said, []byte("scp -f -p -r -- "))
}

// TestLookFailsSCP: where the server cannot say in the end what the file is, it is asked
// again, and after that the file is fetched in another attempt.
func TestLookFailsSCP(t *testing.T) {
	for failures, want := range []int{1, 1, 2} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			t.Parallel()
			c := newChanging(t, forced)
			attempts, err := c.get(t, func() error {
				var all error
				for i := range failures {
					all = errors.Join(all, os.WriteFile(fmt.Sprint(filepath.Join(c.command, "fail."), i), nil, 0o644))
				}
				return all
			})
			reads, _ := c.commands(t)
			if err != nil || attempts != want || reads != want || want > 1 && !strings.Contains(c.log.String(), "cannot fork") {
				t.Errorf("%d attempts, %d reads, %v\n%s", attempts, reads, err, c.log)
			}
			c.holds(t, oldContent(), oldContent())
		})
	}
}

// TestSmallFilesSCP: small files take one command each, and only larger ones another.
func TestSmallFilesSCP(t *testing.T) {
	const files, small = 12, 64<<10 - 1
	c := newChanging(t, forced)
	dir := filepath.Join(filepath.Dir(c.source), "many")
	makeFiles(t, dir, "small", files, small)
	fetch := func(name string) (reads, looks int) {
		j := c.job(t, filepath.ToSlash(dir)+"/"+name+"/")
		j.Recursive, j.To, j.Verify = true, template(t, filepath.ToSlash(t.TempDir())+"/"), VerifySize
		r, l := c.commands(t)
		if run, err := c.Run(t.Context(), j, Trigger{}); err != nil || run.Moved != files {
			t.Fatalf("%d files, %v\n%s", run.Moved, err, c.log)
		}
		reads, looks = c.commands(t)
		return reads - r, looks - l
	}
	reads, fixed := fetch("small")
	if reads != files || fixed >= files {
		t.Errorf("%d small files took %d reads and %d looks", files, reads, fixed)
	}
	makeFiles(t, dir, "large", files, small+1)
	if reads, looks := fetch("large"); reads != files || looks != fixed+files {
		t.Errorf("%d files took %d reads and %d looks, %d of these not for files", files, reads, looks, fixed)
	}
}
