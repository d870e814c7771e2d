package job

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/internal/lab"
)

// otherServers start servers other than OpenSSH's.
func otherServers() map[string]func(testing.TB, lab.Other) *lab.Server {
	return map[string]func(testing.TB, lab.Other) *lab.Server{
		"dropbear": lab.StartDropbear, "proftpd": lab.StartProftpd, "asyncssh": lab.StartAsyncSSH,
	}
}

// TestOtherServers takes servers other than OpenSSH's through what they are used for: a
// large file both ways over a line that is cut, one that takes the place of another,
// mirrors that delete, and sources that are deleted when they have come.
func TestOtherServers(t *testing.T) {
	for name, start := range otherServers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := lab.Keygen(t, filepath.Join(t.TempDir(), "id"), "ed25519")
			s := start(t, lab.Other{AuthorizedKeys: []string{key + ".pub"}})
			b := serverBench(t, s, key)
			o := other{bench: b, t: t, home: s.Home, there: fmt.Sprintf("linehaul-test-%d", time.Now().UnixNano())}
			o.large()
			o.mirrors()
			o.takes()
		})
	}
}

// other is one server of these, and the folder on it that is used.
type other struct {
	*bench
	t     *testing.T
	home  string // the login folder
	there string // below it
}

// run runs a job that is to end well, by attempts in so many attempts.
func (o *other) run(j *Job, moved, attempts int) {
	o.t.Helper()
	*o.log = lab.Buffer{}
	run, err := o.Run(o.t.Context(), j, Trigger{})
	if err != nil || run.Moved != moved || run.Failed != 0 || len(run.Attempts) != attempts {
		o.t.Fatalf("%d files, %d attempts, %v\n%s", run.Moved, len(run.Attempts), err, o.log)
	}
}

func (o *other) put(source, to string) *Job {
	j := o.job(o.t)
	j.Get, j.Put, j.To = nil, []string{filepath.ToSlash(source)}, template(o.t, to)
	return j
}

func (o *other) get(source, to string) *Job {
	j := o.job(o.t, source)
	j.To = template(o.t, filepath.ToSlash(to))
	return j
}

// large moves two states of a large file there and back, each time over a line that is cut
// in the middle, and is long enough for several sessions.
func (o *other) large() {
	near := o.host
	defer func() { o.host = near }()
	line := o.moveAway(o.t, 20*time.Millisecond)
	source, back := filepath.Join(o.dir, "a large file"), filepath.Join(o.dir, "came back")
	data := make([]byte, 24<<20)
	for seed := range byte(2) {
		rand.NewChaCha8([32]byte{seed}).Read(data) //nolint:errcheck // it never fails
		if err := os.WriteFile(source, data, 0o600); err != nil {
			o.t.Fatal(err)
		}
		line.CutAfter(10 << 20)
		o.run(o.put(source, o.there+"/a large file"), 1, 2)
		line.CutAfter(10 << 20)
		o.run(o.get(o.there+"/a large file", back), 1, 2)
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
			o.t.Errorf("%d bytes came back, %v", len(got), err)
		}
	}
	if got := allIn(o.t, filepath.Join(o.home, o.there)); len(got) != 1 {
		o.t.Errorf("there is %q", got)
	}
}

func (o *other) mirrors() {
	from, back := filepath.Join(o.dir, "tree"), filepath.Join(o.dir, "back")
	makeTree(o.t, from, "with a space/ünï=1", "with a space/-dash=2", "#hash=3", "quote'd=4", "deep/er/still/x=5", "empty/")
	mirror := func(j *Job) *Job {
		s := config.SyncDefault()
		s.Delete = true
		j.Recursive, j.Sync = true, &Sync{s}
		return j
	}
	for _, step := range []struct {
		change  func() error
		moved   int
		removed int
	}{
		{func() error { return nil }, 5, 0},
		{func() error { return os.RemoveAll(filepath.Join(from, "deep")) }, 0, 4},
		{func() error { return os.WriteFile(filepath.Join(from, "#hash"), []byte("other"), 0o600) }, 1, 0},
	} {
		if err := step.change(); err != nil {
			o.t.Fatal(err)
		}
		for _, j := range []*Job{mirror(o.put(from, o.there+"/tree")), mirror(o.get(o.there+"/tree", back))} {
			j.Sync.MaxDelete = config.Share{Count: 10}
			*o.log = lab.Buffer{}
			run, err := o.Run(o.t.Context(), j, Trigger{})
			if err != nil || run.Removed != step.removed || run.Moved < step.moved {
				o.t.Fatalf("%d files, %d removed, %v\n%s", run.Moved, run.Removed, err, o.log)
			}
		}
		if got, want := allIn(o.t, back), allIn(o.t, from); fmt.Sprint(got) != fmt.Sprint(want) {
			o.t.Errorf("%q came back, and not %q", got, want)
		}
		if err := alike(from, back); err != nil {
			o.t.Error(err)
		}
	}
}

// takes fetches a file that is deleted then, and one that is moved.
func (o *other) takes() {
	for _, move := range []string{"", "../done"} {
		source := filepath.Join(o.dir, "to be taken")
		if err := os.WriteFile(source, []byte("content"), 0o600); err != nil {
			o.t.Fatal(err)
		}
		o.run(o.put(source, o.there+"/in/"), 1, 1)
		j := o.get(o.there+"/in/*", filepath.Join(o.dir, "taken")+"/")
		j.After = after(o.t, move)
		o.run(j, 1, 1)
		if run, err := o.Run(o.t.Context(), j, Trigger{}); !fault.Is(err, fault.NoMatch) {
			o.t.Errorf("the source is still there: %d files, %v", run.Moved, err)
		}
	}
	o.run(o.get(o.there+"/done/to be taken", filepath.Join(o.dir, "taken from there")), 1, 1)
}

// allIn lists what is below a folder.
func allIn(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(at string, e os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, at); err == nil && rel != "." {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
