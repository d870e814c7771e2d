package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"linehaul/fault"
)

// listChunk is how many entries of a local folder are read at a time.
const listChunk = 1024

// localTree is this machine's.
func localTree() tree {
	return tree{
		kind: fault.LocalDisk, parse: parseLocal, stat: localStat, list: localList, lstat: localLstat, readLink: localReadLink,
		native: filepath.FromSlash, fold: runtime.GOOS == "windows", local: true,
	}
}

func localStat(_ context.Context, path string) (Entry, error) {
	path = filepath.FromSlash(path)
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, diskError("look at", path, err)
	}
	return localEntry(info), nil
}

func localLstat(_ context.Context, path string) (Entry, error) {
	path = filepath.FromSlash(path)
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, diskError("look at", path, err)
	}
	return localEntry(info), nil
}

func localReadLink(_ context.Context, path string) (string, error) {
	path = filepath.FromSlash(path)
	text, err := os.Readlink(path)
	if err != nil {
		return "", diskError("read the link", path, err)
	}
	return filepath.ToSlash(text), nil
}

// localList yields a folder's entries as the system lists them.
func localList(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	dir = filepath.FromSlash(dir)
	return readDir(ctx, dir, func() (*os.File, error) { return os.Open(dir) })
}

// readDir yields the entries of a folder that open opens; dir is its path for
// messages.
func readDir(ctx context.Context, dir string, open func() (*os.File, error)) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f, err := open()
		if err != nil {
			yield(Entry{}, diskError("list", dir, err))
			return
		}
		defer f.Close()
		for ctx.Err() == nil {
			found, err := f.ReadDir(listChunk)
			for _, e := range found {
				info, infoErr := e.Info()
				if errors.Is(infoErr, fs.ErrNotExist) {
					continue // gone since
				}
				if infoErr != nil {
					yield(Entry{}, diskError("look at", filepath.Join(dir, e.Name()), infoErr))
					return
				}
				if !yield(localEntry(info), nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Entry{}, diskError("list", dir, err))
				return
			}
		}
		yield(Entry{}, ctx.Err())
	}
}

func localEntry(info fs.FileInfo) Entry {
	return Entry{Name: info.Name(), Size: info.Size(), Mode: info.Mode(), MTime: info.ModTime().Truncate(time.Second)}
}
