package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"strings"

	"linehaul/fault"
)

// A Standing is what a mirror finds where an item goes.
type Standing uint8

// The standings.
const (
	// Lacking is nothing, or something that the item may replace.
	Lacking Standing = iota
	// Alike has the item's content, and not its mode or time.
	Alike
	// InTheWay is something that the item may not replace: a folder for a file,
	// anything but a folder for a folder or for one that leads to the item.
	InTheWay
)

// A Comparison says what a mirror moves: what its target does not have, or has
// in another size, with another time (within two seconds: FAT keeps every other
// second), or with other content.
type Comparison struct {
	// Same reports whether a target has the content of its source; both have
	// the same size. Nil: their times tell.
	Same func(ctx context.Context, item Item) (bool, error)
	// Modes says that both sides keep permission bits.
	Modes bool
	// Put says that items go to a server, below Root, which is not looked at
	// itself.
	Put  bool
	Root string
}

// items leaves out what the target has, and gives the others their standing.
func (c *Comparison) items(ctx context.Context, items iter.Seq2[Item, error], there targets, left leaver) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		way := ways{there: there, root: c.Root}
		for item, err := range items {
			if err == nil && !item.Closing {
				var same bool
				same, err = c.judge(ctx, &item, there, &way)
				if err != nil {
					err = sorted(ctx, fault.RemoteFile, item.Target, err)
				}
				if same {
					left.quietly(item, WhyUpToDate)
					continue
				}
			}
			if !yield(item, err) || err != nil && ctx.Err() != nil {
				return
			}
		}
	}
}

// judge gives an item its standing, and reports whether the target is as it
// should be.
func (c *Comparison) judge(ctx context.Context, item *Item, there targets, way *ways) (bool, error) {
	switch to, err := way.to(ctx, item.Target); {
	case err != nil:
		return false, err
	case to == wayBlocked:
		item.Standing = InTheWay
		return false, nil
	case to == wayMissing:
		return false, nil
	}
	e, err := there.look(ctx, item.Target)
	if err != nil {
		return false, harmless(ctx, err)
	}
	switch {
	case item.Entry.Mode.IsDir():
		if !e.Mode.IsDir() {
			item.Standing = InTheWay
		}
		return e.Mode.IsDir(), nil
	case item.Link != "":
		if e.Mode&fs.ModeSymlink == 0 {
			item.Standing = InTheWay
			return false, nil
		}
		text, err := there.readLink(ctx, item.Target)
		return err == nil && text == item.Link, harmless(ctx, err)
	case !e.Mode.IsRegular():
		item.Standing = InTheWay
		return false, nil
	case e.Size != item.Entry.Size:
		return false, nil
	}
	apart := item.Entry.MTime.Sub(e.MTime).Abs() > sameTime
	if c.Same == nil && apart {
		return false, nil
	}
	if c.Same != nil {
		if same, err := c.Same(ctx, *item); err != nil || !same {
			return false, err
		}
	}
	if apart || c.modeDiffers(*item, e) {
		item.Standing = Alike
		return false, nil
	}
	return true, nil
}

// harmless passes over a failure to look at a target: moving tells what is
// wrong. One that ends everything stays.
func harmless(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || ctx.Err() == nil && !stopsAll(sorted(ctx, fault.RemoteFile, "", err)) {
		return nil
	}
	return err
}

// modeDiffers reports whether a target has other permission bits than a
// transfer would give it.
func (c *Comparison) modeDiffers(item Item, there Entry) bool {
	wanted := c.wantedMode(item.Entry)
	return c.Modes && wanted != 0 && there.Mode.Perm() != 0 && there.Mode.Perm() != wanted
}

// wantedMode is what a mirror gives a file or folder; 0 for a side that tells
// none. The owner of a folder keeps all rights to it, or else the next run
// could not change what is in it; and that of a fetched file the right to read.
func (c *Comparison) wantedMode(e Entry) fs.FileMode {
	mode := e.Mode.Perm()
	switch {
	case mode == 0:
	case e.Mode.IsDir():
		mode |= 0o700
	case !c.Put:
		mode |= 0o400
	}
	return mode
}

// A wayState is how the folders are that lead to a target.
type wayState uint8

const (
	wayOpen    wayState = iota // they are folders
	wayMissing                 // one of them is not there
	wayBlocked                 // one of them is something else
)

// ways knows the folders that lead to the last target: targets come folder by
// folder.
type ways struct {
	there targets
	root  string // that all targets lie below, and that is not looked at
	dir   string // below root
	// states are those of dir's elements, up to the first that is no folder.
	states []wayState
}

// to tells how the way from the root to a target is.
func (w *ways) to(ctx context.Context, target string) (wayState, error) {
	target = filepath.ToSlash(target)
	if w.root != "" {
		target = strings.TrimPrefix(strings.TrimPrefix(target, w.root), "/")
	}
	dir := path.Dir(target)
	if dir == "." {
		return wayOpen, nil
	}
	elements := strings.Split(dir, "/")
	if dir != w.dir {
		same := 0
		for before := strings.Split(w.dir, "/"); same < len(before) && same < len(elements) && before[same] == elements[same]; {
			same++
		}
		w.states = w.states[:min(same, len(w.states))]
		w.dir = dir
	}
	for i := len(w.states); i < len(elements); i++ {
		if i > 0 && w.states[i-1] != wayOpen {
			break
		}
		state, err := w.one(ctx, join(w.root, strings.Join(elements[:i+1], "/")))
		if err != nil {
			return wayOpen, err
		}
		w.states = append(w.states, state)
	}
	return w.states[len(w.states)-1], nil
}

func (w *ways) one(ctx context.Context, dir string) (wayState, error) {
	e, err := w.there.look(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wayMissing, nil
	case err != nil:
		return wayOpen, harmless(ctx, err)
	case e.Mode.IsDir():
		return wayOpen, nil
	}
	return wayBlocked, nil
}
