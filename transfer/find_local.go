package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func localStat(_ context.Context, path string) (Entry, error) {
	path = filepath.FromSlash(path)
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, diskError("look at", path, err)
	}
	return localEntry(info), nil
}

func localList(_ context.Context, dir string) ([]Entry, error) {
	dir = filepath.FromSlash(dir)
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, diskError("list", dir, err)
	}
	entries := make([]Entry, 0, len(found))
	for _, e := range found {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			return nil, diskError("look at", filepath.Join(dir, e.Name()), err)
		}
		entries = append(entries, localEntry(info))
	}
	return entries, nil
}

func localEntry(info fs.FileInfo) Entry {
	return Entry{Name: info.Name(), Size: info.Size(), Mode: info.Mode(), MTime: info.ModTime().Truncate(time.Second)}
}
