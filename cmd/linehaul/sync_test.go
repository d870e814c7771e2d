//go:build unix

package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// mirrored is a tree to be mirrored: paths with their content, folders with a
// slash at the end, links with "-> " and their text. All has a time of its own.
func mirrored() map[string]string {
	tree := map[string]string{
		"a.txt": "A", "sp ace in name.txt": "B", "naïve é.txt": "C", "日本/ü.txt": "D", "-dash": "E", "it's \"quoted\" $HOME": "F",
		"*star?[x].txt": "G", "tab\tin.txt": "H", "deep/er/and/deeper/x": "I", "empty file": "", "empty folder/": "", "big": strings.Repeat("0123456789", 300_000),
		"links/file": "J", "links/to file": "-> file", "links/up": "-> ../a.txt", "links/folder": "-> ../deep",
		"was a folder": "K", "was a file/x": "L", "was a link": "M", ".hidden/.x": "N",
	}
	for i := range 60 {
		tree[fmt.Sprintf("many/%d/f%02d", i%7, i)] = strings.Repeat("x", i)
	}
	return tree
}

// before is what its mirror holds before.
func before() map[string]string {
	return map[string]string{
		"a.txt": "older", "gone": "1", "gone folder/x/y": "2", "gone folder/z/": "", "gone link": "-> a.txt", "gone folder/out": "-> /etc",
		"was a folder/x/y": "3", "was a folder/z": "4", "was a file": "5", "was a link": "-> a.txt", "links/to file": "-> up", "日本/weg é": "6",
		"many/3/f03": "xxx", "many/3/extra": "7",
	}
}

func plant(t *testing.T, dir string, tree map[string]string, day int) {
	t.Helper()
	paths := slices.Sorted(maps.Keys(tree))
	for _, p := range paths {
		full := filepath.Join(dir, p)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		text, link := strings.CutPrefix(tree[p], "-> ")
		switch {
		case err != nil:
		case strings.HasSuffix(p, "/"):
			err = os.MkdirAll(full, 0o755)
		case link:
			err = os.Symlink(text, full)
		default:
			err = os.WriteFile(full, []byte(tree[p]), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Modes and times last, from the bottom up.
	var all []string
	if err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error { all = append(all, p); return err }); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	for i, p := range all {
		info, err := os.Lstat(p)
		if err == nil && info.Mode()&fs.ModeSymlink == 0 {
			modes := []fs.FileMode{0o644, 0o664, 0o755, 0o444}
			if info.IsDir() {
				modes = []fs.FileMode{0o755, 0o775}
			}
			when := time.Date(2025, 1, 1+day+len(p)%300, 1, 2, i%60, 0, time.UTC)
			if err = os.Chmod(p, modes[len(p)%len(modes)]); err == nil {
				err = os.Chtimes(p, when, when)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot describes all that is below a folder, and the folder.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		text := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			text, err = os.Readlink(p)
			all[rel] = "link to " + text
			return err
		case info.Mode().IsRegular():
			data, readErr := os.ReadFile(p)
			text, err = fmt.Sprintf("%x", sha256.Sum256(data)), readErr
		}
		all[rel] = fmt.Sprintf("%v %s %s", info.Mode(), info.ModTime().UTC().Format(time.DateTime), text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func sameTrees(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if got[p] != want[p] {
			t.Errorf("%s: %q is %q, want %q", what, p, got[p], want[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if want[p] == "" {
			t.Errorf("%s: there is %q, %s", what, p, got[p])
		}
	}
}

// TestSyncAsRsync mirrors trees to and from OpenSSH. What comes out is what
// rsync -a --delete makes of the same: types, content, modes, times and links.
// Then a second sync moves nothing, and a third one what has changed.
func TestSyncAsRsync(t *testing.T) {
	lab.Need(t, "rsync")
	s := newSite(t, lab.SSHD{})
	for _, up := range []bool{false, true} {
		name := "down"
		if up {
			name = "up"
		}
		t.Run(name, func(t *testing.T) {
			here, there := t.TempDir(), filepath.Join(s.remote, name)
			if err := os.Mkdir(there, 0o755); err != nil {
				t.Fatal(err)
			}
			source, target := there, filepath.Join(here, "target")
			from, to := s.at(source), target
			if up {
				source, target = filepath.Join(here, "source"), filepath.Join(there, "target")
				from, to = source+"/", s.at(target)
			}
			plant(t, source, mirrored(), 0)
			plant(t, target, before(), 7)
			theirs := filepath.Join(here, "theirs")
			lab.Run(t, "rsync", "-a", target+"/", theirs)
			lab.Run(t, "rsync", "-a", "--delete", source+"/", theirs)
			if up {
				own(t, s, there)
			}
			sync := func(files int, more ...string) {
				t.Helper()
				args := append([]string{"sync", "--symlinks", "copy", "--delete", "--max-delete", "100%"}, s.flags()...)
				o := linehaul(t, 5*time.Minute, append(append(args, more...), from, to)...)
				if o.code != 0 || files >= 0 && !strings.Contains("\n"+o.stdout, fmt.Sprintf("\n%d files", files)) {
					t.Errorf("want %d files: %s", files, o)
				}
			}
			sync(-1)
			sameTrees(t, "first", snapshot(t, target), snapshot(t, theirs))
			sync(0)
			sync(0, "--compare", "hash")
			sameTrees(t, "again", snapshot(t, target), snapshot(t, theirs))

			changed := filepath.Join(source, "日本/ü.txt")
			if err := os.WriteFile(changed, []byte("changed"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(source, "a.txt"), 0o604); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(source, "many/3/f03")); err != nil {
				t.Fatal(err)
			}
			lab.Run(t, "rsync", "-a", "--delete", source+"/", theirs)
			sync(1)
			sameTrees(t, "changed", snapshot(t, target), snapshot(t, theirs))
		})
	}
}

// own gives a tree to the user of the site.
func own(t *testing.T, s *site, dir string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil && os.Getuid() == 0 {
			s.Own(p)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestSyncKilled kills syncs in the middle. Each file is the old one or the new
// one then, nothing is deleted before all is there, and the next sync that ends
// makes a mirror with nothing left over.
func TestSyncKilled(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	source, target := filepath.Join(s.remote, "source"), filepath.Join(t.TempDir(), "target")
	tree := map[string]string{}
	for i := range 400 {
		tree[fmt.Sprintf("d%02d/f %03d", i%20, i)] = strings.Repeat(fmt.Sprint(i), 2000)
	}
	plant(t, source, tree, 0)
	stale := map[string]string{"stale": "x", "d03/stale": "y"}
	args := append(append([]string{"sync", "-q", "--delete"}, s.flags()...), s.at(source), target)
	program(t)
	began := time.Now()
	if o := linehaul(t, 5*time.Minute, args...); o.code != 0 {
		t.Fatalf("the run before the kills: %s", o)
	}
	whole := time.Since(began)
	killed := 0
	for round, fresh := 0, true; round < 12; round++ {
		if fresh {
			if err := os.RemoveAll(target); err != nil {
				t.Fatal(err)
			}
			plant(t, target, stale, 3)
		}
		cmd := exec.Command(program(t), args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(whole/3 + rand.N(whole))
		cmd.Process.Signal(syscall.SIGKILL) // it may have ended already
		cmd.Wait()                          // how it ended does not matter
		have := 0
		for p, text := range tree {
			data, err := os.ReadFile(filepath.Join(target, p))
			switch {
			case err == nil && string(data) == text:
				have++
			case !os.IsNotExist(err):
				t.Fatalf("round %d: %q holds %d bytes, and %v", round, p, len(data), err)
			}
		}
		fresh = have == len(tree)
		if !fresh {
			killed++
			for p := range stale {
				if _, err := os.Stat(filepath.Join(target, p)); err != nil {
					t.Fatalf("round %d: %d of %d files are there, and %q is deleted", round, have, len(tree), p)
				}
			}
		}
	}
	if o := linehaul(t, 5*time.Minute, args...); o.code != 0 {
		t.Fatalf("the run after the kills: %s", o)
	}
	if killed == 0 {
		t.Error("no kill came in the middle: the test shows nothing")
	}
	t.Logf("%d of 12 kills came in the middle", killed)
	sameTrees(t, "in the end", snapshot(t, target), snapshot(t, source))
}
