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
	// maxKnown is how many entries of target folders on a server are kept; of
	// a folder with more of them, each target is asked for by itself.
	maxKnown = 100_000
	// maxFolders is how many of these folders.
	maxFolders = 64
)

// upToDate reports whether a target is what its source would be there.
func upToDate(item Item, there Entry) bool {
	if item.Entry.Mode.IsDir() || there.Mode.IsDir() {
		return item.Entry.Mode.IsDir() && there.Mode.IsDir()
	}
	apart := item.Entry.MTime.Sub(there.MTime).Abs()
	return item.Entry.Mode.IsRegular() && there.Mode.IsRegular() && item.Entry.Size == there.Size && apart <= sameTime
}

// A lookup describes a target. It wraps fs.ErrNotExist if there is none.
type lookup func(ctx context.Context, target string) (Entry, error)

// onlyNew leaves out items whose target is there already, and as it should be.
// A target that cannot be looked at is tried: moving tells what is wrong.
func onlyNew(ctx context.Context, items iter.Seq2[Item, error], look lookup, left leaver) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range items {
			if err == nil {
				there, lookErr := look(ctx, item.Target)
				if lookErr == nil && upToDate(item, there) {
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
func localTargets(root string) lookup {
	return func(_ context.Context, target string) (Entry, error) {
		path := localPath(root, target)
		info, err := os.Lstat(path)
		if err != nil {
			return Entry{}, diskError("look at", path, err)
		}
		return localEntry(info), nil
	}
}

// remoteTargets looks at a server's files folder by folder, as targets mostly
// come.
type remoteTargets struct {
	stat    func(ctx context.Context, path string) (Entry, error)
	list    func(ctx context.Context, dir string) iter.Seq2[Entry, error]
	folders []knownFolder // the one that was used last stands last
	entries int
}

// A knownFolder is one that was listed.
type knownFolder struct {
	dir     string
	large   bool // it has too many entries to keep
	entries map[string]Entry
}

func newRemoteTargets(r Remote) *remoteTargets {
	t := remoteTree(r)
	return &remoteTargets{stat: t.stat, list: t.list}
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
	if known.large {
		return t.stat(ctx, target)
	}
	e, ok := known.entries[name]
	switch {
	case !ok:
		return Entry{}, fs.ErrNotExist
	case e.Mode&fs.ModeSymlink != 0:
		return t.stat(ctx, target)
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
	k := knownFolder{dir: dir, entries: map[string]Entry{}}
	for e, err := range t.list(ctx, dot(dir)) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return k, err
		}
		if len(k.entries) >= maxKnown {
			k.large, k.entries = true, nil
			break
		}
		k.entries[e.Name] = e
	}
	t.folders = append(t.folders, k)
	for t.entries += len(k.entries); len(t.folders) > 1 && (t.entries > maxKnown || len(t.folders) > maxFolders); {
		t.entries -= len(t.folders[0].entries)
		t.folders = slices.Delete(t.folders, 0, 1)
	}
	return k, nil
}
