package logs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

// PruneOptions say which logs of runs Prune removes.
type PruneOptions struct {
	// Match reports whether a file is a log that may be removed. The name is
	// relative to the folder, slash-separated, and without ".gz". A file that
	// it does not know is never touched.
	Match func(name string) bool

	MaxAge   time.Duration // since the last write; 0: for ever
	Keep     int           // how many are kept; 0: all
	Compress bool          // those not written for a day become NAME.gz

	Now time.Time
}

// unwritten is how long a log has to rest before Prune compresses it: longer
// than a run in progress is silent.
const unwritten = 24 * time.Hour

// runLog is a log file that Prune found.
type runLog struct {
	name    string // relative to the folder, slash-separated
	written time.Time
	gz      bool
}

// Prune removes and compresses logs below dir, for logs that are a file a run.
// The one written last always stays. Folders that become empty are removed,
// except dir. Links are neither followed nor removed.
//
// It returns the names it removed, relative to dir. A file that fails does not
// keep it from the others; the error, of kind fault.LocalDisk, joins them all.
// A dir that does not exist holds no logs.
func Prune(dir string, o PruneOptions) (removed []string, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "prune logs in %q: %w", dir, err)
	}
	defer root.Close()
	all, errs := findLogs(root, o.Match)
	for i, l := range all {
		rested := o.Now.Sub(l.written)
		tooMany := o.Keep > 0 && i >= o.Keep
		tooOld := o.MaxAge > 0 && rested > o.MaxAge
		switch {
		case i > 0 && (tooMany || tooOld):
			if err := remove(root, l.name); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, l.name)
			removeEmpty(root, path.Dir(l.name))
		case o.Compress && !l.gz && rested > unwritten && !exists(root, l.name+gzSuffix):
			errs = append(errs, compress(root, l.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fault.New(fault.LocalDisk, "prune logs in %q: %w", dir, err)
	}
	return removed, nil
}

// findLogs lists the logs below root, the one written last first.
func findLogs(root *os.Root, match func(string) bool) (all []runLog, errs []error) {
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			return nil
		}
		plain, gz := strings.CutSuffix(name, gzSuffix)
		if !d.Type().IsRegular() || strings.HasSuffix(name, tmpSuffix) || !match(plain) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // gone since
		}
		all = append(all, runLog{name: name, written: info.ModTime(), gz: gz})
		return nil
	})
	slices.SortFunc(all, func(a, b runLog) int {
		if c := b.written.Compare(a.written); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	return all, append(errs, err)
}

// removeEmpty removes a folder and those above it as far as they are empty.
func removeEmpty(root *os.Root, dir string) {
	for dir != "." && root.Remove(dir) == nil {
		dir = path.Dir(dir)
	}
}

func exists(root *os.Root, name string) bool {
	_, err := root.Lstat(name)
	return err == nil
}

// Remove removes logs below a folder, also those that are compressed already and
// what was put aside of them, and the folders that are empty then. Names are
// relative to the folder and slash-separated; one that is not there, or leads out of
// it, is left alone. It returns how many logs it has removed.
func Remove(dir string, names []string) (removed int, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fault.New(fault.LocalDisk, "remove logs in %q: %w", dir, err)
	}
	defer root.Close()
	folders := map[string]map[string]bool{}
	for _, name := range names {
		dir, base := path.Dir(path.Clean(name)), path.Base(name)
		if folders[dir] == nil {
			folders[dir] = map[string]bool{}
		}
		folders[dir][base] = true
	}
	var errs []error
	for dir, bases := range folders {
		n, err := removeOf(root, dir, bases)
		removed += n
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fault.New(fault.LocalDisk, "remove logs in %q: %w", dir, err)
	}
	return removed, nil
}

// removeOf removes the logs of one folder.
func removeOf(root *os.Root, dir string, bases map[string]bool) (removed int, err error) {
	f, err := root.Open(dir)
	if err != nil {
		return 0, nil //nolint:nilerr // it is gone, or leads out
	}
	entries, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		return 0, err
	}
	gone := map[string]bool{}
	var errs []error
	for _, entry := range entries {
		base := logOf(entry.Name(), bases)
		if base == "" || !entry.Type().IsRegular() {
			continue
		}
		if err := remove(root, path.Join(dir, entry.Name())); err != nil {
			errs = append(errs, err)
			continue
		}
		gone[base] = true
	}
	if len(gone) > 0 {
		removeEmpty(root, dir)
	}
	return len(gone), errors.Join(errs...)
}

// logOf is the log that a file is, or is a part of; empty: none of these.
func logOf(name string, bases map[string]bool) string {
	if plain := strings.TrimSuffix(name, gzSuffix); bases[plain] {
		return plain
	}
	for i := range len(name) {
		if name[i] != '.' || !bases[name[:i]] {
			continue
		}
		// In whatever zone it was put aside.
		if _, ok := parseAside(name[:i], name, time.UTC); ok {
			return name[:i]
		}
	}
	return ""
}
