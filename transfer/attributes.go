package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"linehaul/fault"
)

// An AttrSetter is a Remote that can set the mode and time of what is there.
type AttrSetter interface {
	// SetAttrs sets mode, unless it is 0, and mtime of a file or folder.
	SetAttrs(ctx context.Context, path string, a Attrs) error
}

// settersAtOnce is how many files and folders of a server are looked at, and
// given their attributes, at a time.
const settersAtOnce = 32

// Attributes gives the mode and time of the sources to what is at the targets
// of items, as far as it has others and the file system takes them: a failure
// is told to the log, and is no error unless it ends everything. What is not
// there, or of another type, is left alone. It returns how many were set.
func (g *Get) Attributes(ctx context.Context, c Comparison, items iter.Seq2[Item, error]) (int, error) {
	root, err := os.OpenRoot(filepath.Clean(g.Root))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, diskError("open folder", g.Root, err)
	}
	defer root.Close()
	s := setter{
		c: c, log: orDiscard(g.Log), show: func(i Item) string { return localPath(g.Root, i.Target) },
		look: func(_ context.Context, target string) (Entry, error) {
			info, err := root.Lstat(filepath.FromSlash(target))
			if err != nil {
				return Entry{}, err
			}
			return localEntry(info), nil
		},
		set: func(_ context.Context, target string, a Attrs) error {
			name := filepath.FromSlash(target)
			var err error
			if a.Mode != 0 && keepsModes {
				err = root.Chmod(name, a.Mode)
			}
			return errors.Join(err, root.Chtimes(name, time.Time{}, a.MTime))
		},
	}
	return s.all(ctx, items, 1)
}

// Attributes is as Get.Attributes.
func (p *Put) Attributes(ctx context.Context, c Comparison, items iter.Seq2[Item, error]) (int, error) {
	r, ok := p.Remote.(interface {
		AttrSetter
		LinkStater
	})
	if !ok {
		orDiscard(p.Log).Debug("modes and times of folders cannot be set by this protocol")
		return 0, nil
	}
	s := setter{c: c, log: orDiscard(p.Log), show: func(i Item) string { return at(p.Host, i.Target) }, look: r.Lstat, set: r.SetAttrs}
	return s.all(ctx, items, settersAtOnce)
}

// A setter sets the attributes of one call.
type setter struct {
	c    Comparison
	log  *slog.Logger
	show func(Item) string
	look lookup
	set  func(ctx context.Context, target string, a Attrs) error
}

func (s setter) all(ctx context.Context, items iter.Seq2[Item, error], atOnce int) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	var mu sync.Mutex
	n, ended := 0, error(nil)
	slots := make(chan struct{}, atOnce)
	for item, err := range items {
		if err != nil {
			cancel(err)
			work.Wait()
			return n, err
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		work.Go(func() {
			defer func() { <-slots }()
			set, err := s.one(ctx, item)
			mu.Lock()
			defer mu.Unlock()
			if set {
				n++
			}
			if err != nil && ended == nil {
				ended = err
				cancel(err)
			}
		})
	}
	work.Wait()
	if ended == nil && ctx.Err() != nil {
		ended = sorted(ctx, fault.Interrupted, "", context.Cause(ctx))
	}
	return n, ended
}

// one sets the attributes of one target, if they are others.
func (s setter) one(ctx context.Context, item Item) (bool, error) {
	target := dot(item.Target)
	there, err := s.look(ctx, target)
	dir := item.Entry.Mode.IsDir()
	if err == nil && (there.Mode.IsDir() != dir || !dir && !there.Mode.IsRegular()) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	differs := s.c.modeDiffers(item, there)
	a := Attrs{MTime: item.Entry.MTime}
	if differs {
		a.Mode = s.c.wantedMode(item.Entry)
	}
	if err == nil && !differs && there.MTime.Unix() == a.MTime.Unix() {
		return false, nil
	}
	if err == nil {
		err = s.set(ctx, target, a)
	}
	if err == nil {
		s.log.Debug("set mode and time", keyName, item.Entry.Name, keyTarget, s.show(item))
		return true, nil
	}
	if err = sorted(ctx, fault.RemoteFile, item.Target, err); stopsAll(err) && fault.KindOf(err) != fault.LocalDisk {
		return false, err
	}
	s.log.Warn("mode or time cannot be kept", keyName, item.Entry.Name, keyTarget, s.show(item), keyError, err)
	return false, nil
}
