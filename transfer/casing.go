package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// looksThrough is how many names of a folder are looked at for one with a letter.
const looksThrough = 64

// SystemAt is the system of the volume on which a folder of this machine is or will be,
// as far as names go: a memory stick or a share has others than the rest of a Unix.
// Nothing is written.
func SystemAt(dir string) System {
	s := ThisSystem()
	if s != Unix {
		return s
	}
	dir = filepath.Clean(dir)
	at, err := os.Open(dir)
	for errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		at, err = os.Open(dir)
	}
	if err != nil {
		return s
	}
	defer at.Close()
	names, presumed := volumeNames(at)
	switch folds, known := foldsIn(at); {
	case names != Unix:
		return names
	case known && folds, !known && presumed:
		return MacOS // which folds, and allows all names
	}
	return Unix
}

// foldsIn reports whether names in a folder that differ in case only are the same, as
// far as one of them tells.
func foldsIn(at *os.File) (folds, known bool) {
	for range looksThrough {
		names, err := at.Readdirnames(1)
		if err != nil {
			break // at the end, mostly
		}
		if swapped := swapCase(names[0]); swapped != names[0] {
			return sameFile(filepath.Join(at.Name(), names[0]), filepath.Join(at.Name(), swapped))
		}
	}
	parent, name := filepath.Split(at.Name())
	if swapped := swapCase(name); swapped != name && sameVolume(at, parent) {
		return sameFile(at.Name(), filepath.Join(parent, swapped))
	}
	return false, false
}

func sameVolume(f *os.File, dir string) bool {
	other, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer other.Close()
	return roomIn(f).volume == roomIn(other).volume
}

func sameFile(a, b string) (same, known bool) {
	x, err := os.Lstat(a)
	if err != nil {
		return false, false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y), err == nil || errors.Is(err, os.ErrNotExist)
}

// swapCase is a name with small letters for capital ones, and the other way round, of
// those that all systems agree on.
func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r ^ 0x20
		}
		return r
	}, name)
}

// A Realpather tells a path from the server's root.
type Realpather interface {
	Realpath(ctx context.Context, path string) (string, error)
}

// Folds reports whether a server takes names in or above a folder that differ in case
// only for the same: the name of one of them in other letters leads to the same. It is
// false where the server does not tell.
func Folds(ctx context.Context, r Remote, dir string) bool {
	if whole, ok := r.(Realpather); ok && !strings.HasPrefix(dir, "/") {
		home, err := whole.Realpath(ctx, ".")
		if err != nil {
			return false
		}
		dir = join(home, dir)
	}
	for range maxStated {
		parent, name := splitRemote(dir)
		if name == "" || name == "." {
			return false
		}
		if swapped := swapCase(name); swapped != name {
			if e, err := r.Stat(ctx, dir); err == nil {
				other, err := r.Stat(ctx, join(parent, swapped))
				return err == nil && e.Mode == other.Mode && e.Size == other.Size && e.MTime.Equal(other.MTime)
			}
		}
		dir = parent
	}
	return false
}

// mostUndecided is for how many names it is left open whether a system folds.
const mostUndecided = 10_000

// An undecided claimer does not know whether the system folds, and asks when there are
// two names that are the same if it does, or as many as it would have to remember.
type undecided struct {
	sure    claimer // as on one that does not
	folding claimer // as on one that does; nil: it does not
	folds   func(dir string) bool
	n       int
}

func (u *undecided) claim(item Item) error {
	if u.folding == nil {
		return u.sure.claim(item)
	}
	err := u.folding.claim(item)
	if u.sure == nil {
		return err
	}
	clash := (*clashError)(nil)
	u.n++
	if asClash(err, &clash) && clash.spelling || u.n > mostUndecided {
		dir, _ := splitRemote(strings.TrimRight(item.Target, "/"))
		if u.folds(dir) {
			u.sure = nil
			return err
		}
		u.folding = nil
	}
	return u.sure.claim(item)
}
