package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/transfer"
)

// badName is under which a bad copy of x is kept.
const badName = ".x." + run + ".bad"

func notSame(context.Context, string, int64, string) (string, error) {
	return "", fault.New(fault.Verify, "not the same")
}

// TestGetKeepsBad: a copy that is not what its source is stays where nothing
// takes it for a good one: not the next run, which neither removes it nor goes
// on with it, and not a put from there.
func TestGetKeepsBad(t *testing.T) {
	for name, content := range map[string]string{"small": "new", "with a journal": long()} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(map[string]string{"/s/x": content})
			checkLeaks(t, r)
			root := t.TempDir()
			write(t, filepath.Join(root, "x"), "old")
			var log lab.Buffer
			g := transfer.Get{Remote: r, Root: root, Run: run, Host: "h", AtOnce: 1, Verify: notSame, KeepBad: true, Log: slog.New(slog.NewTextHandler(&log, nil))}
			list := place(t, found(t, r, "/s/x"), byRel)
			for range 2 { // a second attempt replaces it
				if _, err := g.Files(t.Context(), list); !fault.Is(err, fault.Verify) {
					t.Errorf("got %v", err)
				}
				want(t, root, map[string]string{"x": "old", badName: content})
			}
			if where := "kept=" + filepath.Join(root, badName); !strings.Contains(log.String(), where) {
				t.Errorf("the log does not say %q:\n%s", where, log.String())
			}
			if !transfer.IsPart(badName) {
				t.Error("retention would count it as a copy")
			}
			g.Run, g.Verify = run3, nil
			if _, err := g.Files(t.Context(), list); err != nil {
				t.Error(err)
			}
			if err := transfer.Sweep(t.Context(), root, false, nil); err != nil {
				t.Error(err)
			}
			want(t, root, map[string]string{"x": content, badName: content})
			back := newRemote(map[string]string{"/in/": ""})
			if _, err := put(t, t.Context(), back, "/in/", root+"/*"); err != nil {
				t.Error(err)
			}
			wantServed(t, back, map[string]string{"//": "", "/in/": "", "/in/x": content})
		})
	}
}

// TestPutKeepsBad does the same on a server.
func TestPutKeepsBad(t *testing.T) {
	local := filepath.Join(t.TempDir(), "x")
	write(t, local, "new")
	r := newRemote(map[string]string{"/in/x": "old"})
	checkLeaks(t, r)
	var log lab.Buffer
	p := transfer.Put{Remote: r, Run: run, Host: "h", AtOnce: 1, Verify: notSame, KeepBad: true, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 2 {
		if _, err := p.Files(t.Context(), place(t, mustLocal(t, local), into("/in/"))); !fault.Is(err, fault.Verify) {
			t.Errorf("got %v", err)
		}
		wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/x": "old", "/in/" + badName: "new"})
	}
	if !strings.Contains(log.String(), "kept=h:/in/"+badName) {
		t.Errorf("the log does not say where it is:\n%s", log.String())
	}
	p.Verify, p.Run, p.Dead = nil, run3, []string{run}
	if _, err := p.Files(t.Context(), place(t, mustLocal(t, local), into("/in/"))); err != nil {
		t.Error(err)
	}
	wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/x": "new", "/in/" + badName: "new"})
}

// TestKeepsOnlyBad: any other failure leaves nothing.
func TestKeepsOnlyBad(t *testing.T) {
	r := newRemote(map[string]string{"/s/x": big()})
	checkLeaks(t, r)
	r.before = failAt(3, fault.New(fault.RemoteFile, "a bad sector"))
	root := t.TempDir()
	g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, KeepBad: true}
	if _, err := g.Files(t.Context(), place(t, found(t, r, "/s/x"), byRel)); !fault.Is(err, fault.RemoteFile) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

// A roomyRemote says how much room it has.
type roomyRemote struct {
	*memRemote
	room func(dir string) (transfer.Room, error)
}

func (r *roomyRemote) Room(ctx context.Context, path string) (transfer.Room, error) {
	if _, err := r.Stat(ctx, path); err != nil {
		return transfer.Room{}, err
	}
	return r.room(path)
}

// TestPutNoRoom: a put that cannot fit is refused before anything is sent, and
// one that may fit is not.
func TestPutNoRoom(t *testing.T) {
	local := t.TempDir()
	write(t, filepath.Join(local, "a"), strings.Repeat("a", 600))
	write(t, filepath.Join(local, "b"), strings.Repeat("b", 500))
	at := func(free uint64) func(string) (transfer.Room, error) {
		return func(string) (transfer.Room, error) { return transfer.Room{Volume: 1, Free: free, Known: true}, nil }
	}
	for _, tt := range []struct {
		name string
		room func(string) (transfer.Room, error)
		part int // bytes of an unfinished a
		skip bool
		fits bool
	}{
		{name: "exactly", room: at(1100), fits: true},
		{name: "a byte short", room: at(1099)},
		{name: "full", room: at(0)},
		{name: "not checked", room: at(0), skip: true, fits: true},
		{name: "an answer that is none", room: func(string) (transfer.Room, error) { return transfer.Room{Free: 1}, nil }, fits: true},
		{name: "a refusal", room: func(p string) (transfer.Room, error) {
			return transfer.Room{}, fault.New(fault.RemoteFile, "operation unsupported")
		}, fits: true},
		{name: "a server that cannot tell", room: func(p string) (transfer.Room, error) {
			return transfer.Room{}, errors.ErrUnsupported
		}, fits: true},
		{name: "a part is there already", room: at(700), part: 400, fits: true},
		{name: "a part that is not enough", room: at(700), part: 399},
		{name: "two volumes", room: func(p string) (transfer.Room, error) {
			return transfer.Room{Volume: uint64(len(p)), Free: 600, Known: true}, nil
		}, fits: true},
	} {
		for _, streams := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, streams %t", tt.name, streams), func(t *testing.T) {
				r := &roomyRemote{newRemote(map[string]string{"/in/": ""}), tt.room}
				if tt.name == "two volumes" {
					r.put("/in/none", dir())
				}
				if tt.part > 0 {
					r.put("/in/none/yet/"+transfer.PartName("a", run2), file(strings.Repeat("a", tt.part)))
					r.put("/in/none/yet/"+transfer.PartName("c", run2), file(strings.Repeat("c", 10_000)))
				}
				items := place(t, mustLocal(t, local+"/*"), func(i transfer.Item) (string, error) {
					if tt.name == "two volumes" && i.Rel == "b" {
						return "/in/b", nil
					}
					return "/in/none/yet/" + i.Rel, nil
				})
				p := transfer.Put{Remote: r, Run: run, AtOnce: 1, SkipSpaceCheck: tt.skip}
				before := len(r.log)
				var err error
				if streams {
					err = p.Stream(t.Context(), items, noMore, func(transfer.Result) {})
				} else {
					_, err = p.Files(t.Context(), items)
				}
				switch {
				case tt.fits && err != nil:
					t.Errorf("it is refused: %v", err)
				case !tt.fits && (!fault.Is(err, fault.RemoteFile) || fault.ExitCode(err) != 7 || !strings.Contains(err.Error(), "not enough room in \"/in") || fault.Transient(err)):
					t.Errorf("got %v", err)
				case !tt.fits && len(r.log) > before:
					t.Errorf("something was done: %q", r.log[before:])
				}
			})
		}
	}
}
