package job

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/delay"
	"linehaul/internal/lab"
)

// moveAway puts the server behind a long line, until the test ends.
func (b *bench) moveAway(t *testing.T, trip time.Duration) *delay.Line {
	t.Helper()
	line, err := delay.Listen(net.JoinHostPort(b.host.Address, strconv.Itoa(b.host.Port)), delay.Options{RTT: trip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	b.host.Address, b.host.Port = "127.0.0.1", line.Port()
	return line
}

// TestTreeFarAway: a folder of files none of which is large goes over a long line on
// several sessions, and on one where the server allows no more. Where commands have to
// be run, they find a session, too.
func TestTreeFarAway(t *testing.T) {
	const files, size = 36, 1 << 20
	for _, tt := range []struct {
		most   int
		verify Verify
	}{{1, VerifySize}, {10, VerifySize}, {10, VerifySHA256}, {4, VerifySHA256}} {
		most := tt.most
		t.Run(fmt.Sprint(most, " ", tt.verify), func(t *testing.T) {
			t.Parallel()
			b := sshdBench(t, lab.SSHD{Config: "MaxSessions " + strconv.Itoa(most)})
			b.moveAway(t, 60*time.Millisecond)
			from, there, back := filepath.Join(b.dir, "tree"), t.TempDir(), t.TempDir()
			random := rand.NewChaCha8([32]byte{1})
			for i := range files {
				at := filepath.Join(from, fmt.Sprint(i%3), fmt.Sprint("a file ", i))
				data := make([]byte, size+i)
				random.Read(data) //nolint:errcheck // it never fails
				if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, data, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			move := func(j *Job, to string) {
				j.Recursive, j.Verify, j.To = true, tt.verify, template(t, filepath.ToSlash(to)+"/")
				if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Moved != files {
					t.Fatalf("%d files, %v\n%s", run.Moved, err, b.log)
				}
				if err := alike(from, filepath.Join(to, "tree")); err != nil {
					t.Error(err)
				}
				more := strings.Count(b.log.String(), "more of the same")
				if several := more >= min(most, 4)-1 && most > 1; several != (most > 1) {
					t.Errorf("%d sessions more:\n%s", more, b.log)
				}
				*b.log = lab.Buffer{}
			}
			j := b.job(t)
			j.Get, j.Put = nil, []string{from}
			move(j, there)
			move(b.job(t, filepath.ToSlash(there)+"/tree"), back)
		})
	}
}

// TestManyElsewhere: many files go to other servers, with commands beside them, and come
// back, without a session or connection that breaks: of ProFTPD, all broke where they
// went over several sessions.
func TestManyElsewhere(t *testing.T) {
	for name, start := range otherServers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
			b := serverBench(t, start(t, lab.Other{AuthorizedKeys: []string{key + ".pub"}}), key)
			from, back := filepath.Join(b.dir, "tree"), t.TempDir()
			for i := range 1100 {
				at := filepath.Join(from, fmt.Sprint(i%7), fmt.Sprint("f", i))
				data := bytes.Repeat([]byte{byte(i)}, i)
				if i%100 == 0 {
					data = bytes.Repeat([]byte{byte(i)}, 1<<20+i) // which is summed up
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, data, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			there := fmt.Sprintf("linehaul-test-%d", time.Now().UnixNano())
			move := func(j *Job, to string) {
				j.Recursive, j.Verify, j.To = true, VerifyAuto, template(t, to+"/")
				if run, err := b.Run(t.Context(), j, Trigger{}); err != nil || run.Moved != 1100 || len(run.Attempts) != 1 || strings.Contains(b.log.String(), "broke") {
					t.Fatalf("%d files, %d attempts, %v\n%s", run.Moved, len(run.Attempts), err, b.log)
				}
			}
			j := b.job(t)
			j.Get, j.Put = nil, []string{from}
			move(j, there)
			move(b.job(t, there+"/tree"), filepath.ToSlash(back))
			if err := alike(from, filepath.Join(back, "tree")); err != nil {
				t.Error(err)
			}
		})
	}
}

// alike holds a folder against another one.
func alike(want, got string) error {
	return filepath.WalkDir(want, func(at string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(want, at)
		a, errA := os.ReadFile(at)
		b, errB := os.ReadFile(filepath.Join(got, rel))
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("%s has other content", rel)
		}
		return nil
	})
}

// TestUnanswered: a server far away that says that it begins SFTP and does not is
// connected to once more, and moves the file in another way. That is no attempt.
func TestUnanswered(t *testing.T) {
	b := sshdBench(t, lab.SSHD{NoSFTP: true, Config: "Subsystem sftp /bin/false"})
	b.moveAway(t, 40*time.Millisecond)
	from, to := filepath.Join(b.dir, "a file"), t.TempDir()
	if err := os.WriteFile(from, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := b.job(t)
	j.Get, j.Put, j.To = nil, []string{from}, template(t, filepath.ToSlash(to)+"/")
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Moved != 1 || len(run.Attempts) != 1 || run.Reconnects != 0 {
		t.Fatalf("%+v, %v\n%s", run, err, b.log)
	}
	if got, err := os.ReadFile(filepath.Join(to, "a file")); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	if n := strings.Count(b.log.String(), "connecting again to find another way"); n != 1 {
		t.Errorf("it connected again %d times:\n%s", n, b.log)
	}
}
