package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"strings"
	"sync"

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
	// the same size. Calls run concurrently. Nil: their times tell.
	Same func(ctx context.Context, item Item) (bool, error)
	// Modes says that both sides keep permission bits.
	Modes bool
	// Put says that items go to a server, below Root, which is not looked at
	// itself.
	Put  bool
	Root string
}

// sumsAtOnce is how many items are judged ahead of the one that is wanted next: to
// compare content takes some round trips, or the time in which a disk is read.
const sumsAtOnce = 16

// A judgement is an item that is being judged.
type judgement struct {
	item Item
	same bool // it is as it should be
	err  error
	made chan struct{} // closed when content was compared; nil where it was not
}

func (j *judgement) fail(ctx context.Context, err error) {
	if err != nil {
		j.err = sorted(ctx, fault.RemoteFile, j.item.Target, err)
	}
}

// items leaves out what the target has, and gives the others their standing.
func (c *Comparison) items(ctx context.Context, items iter.Seq2[Item, error], there targets, left leaver) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		comparing, stop := context.WithCancel(ctx)
		var work sync.WaitGroup
		defer work.Wait()
		defer stop()
		tell := func(j *judgement) bool {
			if j.made != nil {
				<-j.made
			}
			if j.same {
				left.quietly(j.item, WhyUpToDate)
				return true
			}
			return yield(j.item, j.err) && (j.err == nil || ctx.Err() == nil)
		}
		way := ways{there: there, root: c.Root}
		var ahead []*judgement // in their order
		for item, err := range items {
			if err != nil || item.Closing {
				ahead = append(ahead, &judgement{item: item, err: err})
			} else {
				ahead = append(ahead, c.judge(comparing, item, there, &way, &work))
			}
			for len(ahead) > 0 && (ahead[0].made == nil || len(ahead) > sumsAtOnce) {
				if !tell(ahead[0]) {
					return
				}
				ahead = ahead[1:]
			}
		}
		for _, j := range ahead {
			if !tell(j) {
				return
			}
		}
	}
}

// judge gives an item its standing, and says whether the target is as it should
// be. Content is compared as a part of work.
func (c *Comparison) judge(ctx context.Context, item Item, there targets, way *ways, work *sync.WaitGroup) *judgement {
	j := &judgement{item: item}
	e, found, err := c.look(ctx, &j.item, there, way)
	if err != nil || !found {
		j.fail(ctx, err)
		return j
	}
	switch {
	case item.Entry.Mode.IsDir():
		j.same = true
		return j
	case item.Link != "":
		text, err := there.readLink(ctx, item.Target)
		j.same = err == nil && text == item.Link
		j.fail(ctx, harmless(ctx, err))
		return j
	}
	apart := item.Entry.MTime.Sub(e.MTime).Abs() > sameTime
	alike := func() {
		if j.same = !apart && !c.modeDiffers(item, e); !j.same {
			j.item.Standing = Alike
		}
	}
	switch {
	case c.Same != nil:
		j.made = make(chan struct{})
		work.Go(func() {
			defer close(j.made)
			same, err := c.Same(ctx, item)
			if j.fail(ctx, err); same && err == nil {
				alike()
			}
		})
	case !apart:
		alike()
	}
	return j
}

// look finds what is where an item goes, if that may be the same: it is of the
// item's type and size. It gives the item its standing if something is in the way.
func (c *Comparison) look(ctx context.Context, item *Item, there targets, way *ways) (Entry, bool, error) {
	switch to, err := way.to(ctx, item.Target); {
	case err != nil:
		return Entry{}, false, err
	case to == wayBlocked:
		item.Standing = InTheWay
		return Entry{}, false, nil
	case to == wayMissing:
		return Entry{}, false, nil
	}
	e, err := there.look(ctx, item.Target)
	if err != nil {
		return Entry{}, false, harmless(ctx, err)
	}
	fits := e.Mode.IsRegular()
	switch {
	case item.Entry.Mode.IsDir():
		fits = e.Mode.IsDir()
	case item.Link != "":
		fits = e.Mode&fs.ModeSymlink != 0
	}
	if !fits {
		item.Standing = InTheWay
	}
	return e, fits && (item.Entry.Mode.IsDir() || item.Link != "" || e.Size == item.Entry.Size), nil
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
