package transfer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"linehaul/fault"
)

// diskError sorts a failure of the local disk, and says what helps. did is
// what was tried, such as "write".
func diskError(did, path string, err error) error {
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return err
	}
	e := fault.New(fault.LocalDisk, "%s %q: %w", did, path, bare(err))
	switch {
	case isFull(err):
		return e.WithHint("make room on that disk, or choose a target on another one; nothing is left there of the unfinished file")
	case isReadOnly(err):
		return e.WithHint("the file system is mounted read-only: often the answer to a disk error, so look at the system's log")
	case isBusy(err):
		return e.WithHint("another program holds the file open, or it is marked read-only: close that program, or clear the mark")
	case isTooLong(err):
		return e.WithHint("choose a target with a shorter name or fewer folders")
	case errors.Is(err, fs.ErrPermission):
		return e.WithHint("let the user that linehaul runs as do this there, or choose another folder")
	case errors.Is(err, syscall.ENOTDIR):
		return e.WithHint("a part of the path is a file, and must be a folder")
	case errors.Is(err, fs.ErrNotExist):
		return e.WithHint("check the path on this machine")
	}
	if _, system := bare(err).(syscall.Errno); !system { //nolint:errorlint // the innermost error is wanted
		// What os.Root refuses by itself is a way out of it.
		return e.WithHint("no part of the path may be a symbolic link that is absolute or leads out of the target folder")
	}
	return e
}

// bare takes the operation and the path off an error of package os: the
// message has them already.
func bare(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// checkSpace fails if the disk is known to have less room than the files need.
// Where a target exists already, its room becomes free only when it has been
// replaced, so it does not count.
func checkSpace(root *os.Root, items []Item) error {
	type volume struct {
		at         string
		free, need uint64
		folders    []string
	}
	names := map[string][]string{}
	volumes := map[uint64]*volume{}
	folders := map[string]*volume{} // nil where nothing is known
	for _, item := range items {
		size := uint64(addSize(0, item.Entry))
		if size == 0 {
			continue
		}
		dir := filepath.Dir(item.Target)
		v, known := folders[dir]
		if !known {
			if at, id, free, ok := spaceAt(root, dir); ok {
				v = cmp.Or(volumes[id], &volume{at: at, free: free})
				volumes[id] = v
				v.folders = append(v.folders, dir)
			}
			folders[dir] = v
		}
		if v != nil {
			names[dir] = append(names[dir], filepath.Base(item.Target))
			v.need += min(size, ^uint64(0)-v.need)
		}
	}
	short := make([]*volume, 0, len(volumes))
	for _, v := range volumes {
		if v.need <= v.free {
			continue
		}
		// What is there already of a file takes up its room, and is not needed
		// a second time.
		for _, dir := range v.folders {
			v.need -= min(v.need, partsOf(localParts(root, dir), names[dir]))
		}
		if v.need > v.free {
			short = append(short, v)
		}
	}
	if len(short) == 0 {
		return nil
	}
	v := slices.MinFunc(short, func(a, b *volume) int { return cmp.Compare(a.at, b.at) })
	return fault.New(fault.LocalDisk, "not enough room in %q: %s needed, %s free", v.at, BytesText(v.need), BytesText(v.free)).
		WithHint("make room on that disk, or choose a target on another one; nothing was fetched. Where it compresses, `space_check: false` or --no-space-check leaves this out")
}

// localParts lists the temporary files in a folder below root.
func localParts(root *os.Root, dir string) []Entry {
	f, err := root.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	var parts []Entry
	for {
		infos, err := f.Readdir(listBatch)
		for _, info := range infos {
			if _, _, ok := parsePart(info.Name()); ok && info.Mode().IsRegular() {
				parts = append(parts, localEntry(info))
			}
		}
		if err != nil {
			return parts // what cannot be listed counts as not there
		}
	}
}

// spaceAt asks at a folder, or at the nearest one above it that exists.
func spaceAt(root *os.Root, dir string) (at string, id, free uint64, ok bool) {
	f, err := root.Open(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != "." {
		dir = filepath.Dir(dir)
		f, err = root.Open(dir)
	}
	if err != nil {
		return "", 0, 0, false
	}
	defer f.Close()
	room := roomIn(f)
	return localPath(root.Name(), dir), room.volume, room.free, room.ok
}

// BytesText writes a size for people.
func BytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}
