package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

const (
	// sameTime is how far apart the times of a file and its copy may be: FAT
	// keeps every other second.
	sameTime = 2 * time.Second
	// maxFolders is how many target folders of a server are known at a time.
	maxFolders = 64
)

// UpToDate reports whether a target is what its source would be there.
func UpToDate(item Item, there Entry) bool {
	if item.Entry.Mode.IsDir() || there.Mode.IsDir() {
		return item.Entry.Mode.IsDir() && there.Mode.IsDir()
	}
	apart := item.Entry.MTime.Sub(there.MTime).Abs()
	return item.Entry.Mode.IsRegular() && there.Mode.IsRegular() && item.Entry.Size == there.Size && apart <= sameTime
}

// A lookup describes a target. It wraps fs.ErrNotExist if there is none.
type lookup func(ctx context.Context, target string) (Entry, error)

// targets are what is where a plan leads to.
type targets interface {
	look(ctx context.Context, target string) (Entry, error) // a lookup
	readLink(ctx context.Context, target string) (string, error)
	close() error
}

// onlyNew leaves out items whose target is there already, and as it should be.
// A target that cannot be looked at is tried: moving tells what is wrong.
func onlyNew(ctx context.Context, items iter.Seq2[Item, error], look lookup, left leaver) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range items {
			if err == nil {
				there, lookErr := look(ctx, item.Target)
				if lookErr == nil && UpToDate(item, there) {
					left.leave(item, WhyUpToDate)
					continue
				}
				if lookErr != nil && !errors.Is(lookErr, fs.ErrNotExist) {
					if lookErr = sorted(ctx, fault.RemoteFile, item.Target, lookErr); ctx.Err() != nil || stopsAll(lookErr) {
						yield(Item{}, lookErr)
						return
					}
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// localTargets looks below a folder of this machine. It does not follow links:
// nor does what puts files there.
type localTargets struct{ root string }

func (t localTargets) look(_ context.Context, target string) (Entry, error) {
	path := localPath(t.root, target)
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, diskError("look at", path, err)
	}
	return localEntry(info), nil
}

func (t localTargets) readLink(ctx context.Context, target string) (string, error) {
	return localReadLink(ctx, localPath(t.root, target))
}

func (t localTargets) close() error { return nil }

// remoteTargets looks at a server's files folder by folder, as targets mostly
// come. It is used by one goroutine at a time, which closes it.
type remoteTargets struct {
	stat    func(ctx context.Context, path string) (Entry, error)
	list    func(ctx context.Context, dir string) iter.Seq2[Entry, error]
	read    func(ctx context.Context, path string) (string, error) // nil: it cannot
	follow  bool                                                   // a link is described as what it leads to
	spool   *spool
	folders []knownFolder // the one that was used last stands last
}

// A knownFolder is one that was listed.
type knownFolder struct {
	dir     string
	entries *ordered
}

// newRemoteTargets looks through links if follow is set, and at links themselves
// otherwise, where the server can.
func newRemoteTargets(r Remote, temp string, follow bool) *remoteTargets {
	t := remoteTree(r)
	targets := &remoteTargets{stat: t.stat, list: t.list, read: t.readLink, follow: follow, spool: newSpool(temp, maxHeld)}
	if l, ok := r.(LinkStater); ok && !follow {
		targets.stat = l.Lstat
	}
	return targets
}

func (t *remoteTargets) readLink(ctx context.Context, target string) (string, error) {
	if t.read == nil {
		return "", errors.ErrUnsupported
	}
	return t.read(ctx, target)
}

func (t *remoteTargets) close() error {
	for _, k := range t.folders {
		k.entries.close()
	}
	t.folders = nil
	return t.spool.close()
}

func (t *remoteTargets) look(ctx context.Context, target string) (Entry, error) {
	name := base(target)
	dir := strings.TrimSuffix(target, name)
	if len(dir) > 1 {
		dir = strings.TrimSuffix(dir, "/")
	}
	known, err := t.folder(ctx, dir)
	if err != nil {
		return Entry{}, err
	}
	e, there, sure, err := known.entries.find(name)
	switch {
	case err != nil:
		return Entry{}, err
	case !sure, there && t.follow && e.Mode&fs.ModeSymlink != 0:
		return t.stat(ctx, target)
	case !there:
		return Entry{}, fs.ErrNotExist
	}
	return e, nil
}

// folder lists a folder, unless it is known. One that is not there is empty.
func (t *remoteTargets) folder(ctx context.Context, dir string) (knownFolder, error) {
	if i := slices.IndexFunc(t.folders, func(k knownFolder) bool { return k.dir == dir }); i >= 0 {
		k := t.folders[i]
		t.folders = append(slices.Delete(t.folders, i, i+1), k)
		return k, nil
	}
	s := &sorter{spool: t.spool}
	for e, err := range t.list(ctx, dot(dir)) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err == nil {
			err = s.add(e)
		}
		if err != nil {
			s.drop()
			return knownFolder{}, err
		}
	}
	k := knownFolder{dir: dir}
	var err error
	if k.entries, err = s.done(); err != nil {
		return k, err
	}
	t.folders = append(t.folders, k)
	for len(t.folders) > maxFolders {
		t.forget(dir)
	}
	return k, nil
}

// forget gives a folder up: the one that was not used for longest, and none that
// leads to dir, as what comes folder by folder comes back there.
func (t *remoteTargets) forget(dir string) {
	i := slices.IndexFunc(t.folders, func(k knownFolder) bool {
		return k.dir != dir && !strings.HasPrefix(dir, strings.TrimSuffix(k.dir, "/")+"/")
	})
	i = max(i, 0)
	t.folders[i].entries.close()
	t.folders = slices.Delete(t.folders, i, i+1)
}
