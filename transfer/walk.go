package transfer

import (
	"context"
	"io/fs"
	"slices"
)

// walk takes a folder with all below it.
func (f *finder) walk(ctx context.Context, at *branch) error {
	if at.depth > maxDepth {
		return f.tooDeep(ctx, at)
	}
	if err := f.await(at); err != nil {
		return f.problem(ctx, at.dir, err)
	}
	empty := true
	below := func(e Entry) *branch {
		if !e.Mode.IsDir() {
			return nil
		}
		child := at.inside(e)
		if f.shut(candidate{sub: child.sub, entry: e, walked: true}) != "" {
			return nil
		}
		return child
	}
	err := f.each(ctx, at, below, func(e Entry, child *branch) error {
		took, err := f.inTree(ctx, at, e, child)
		empty = empty && !took
		return err
	})
	item := Item{Source: f.native(at.dir), Path: at.path, Rel: at.rel, Entry: at.self}
	// "" is where the source is "." or the like. A mirror's own folder is none
	// of what is in it.
	if err == nil && empty && at.rel != "" && !f.limitsFiles() && (!f.folders || at.sub != "") {
		err = f.take(item)
	}
	if err == nil && f.folders {
		item.Closing = true
		err = f.emit(item)
	}
	return err
}

// inside is a folder, or something else, in one that is taken.
func (at *branch) inside(e Entry) *branch {
	child := at.below(e.Name)
	child.rel, child.sub, child.self = join(at.rel, e.Name), join(at.sub, e.Name), e
	child.base, child.links, child.up = at.base, at.links, at
	child.real = append(slices.Clip(at.real), e.Name)
	return child
}

// inTree goes on with one entry of a folder that is taken, and reports whether
// it is something that makes the folder appear at the target. child is the
// folder that it leads to, if it is to be looked into.
func (f *finder) inTree(ctx context.Context, at *branch, e Entry, child *branch) (bool, error) {
	item := Item{Source: f.native(join(at.dir, e.Name)), Path: join(at.path, e.Name), Rel: join(at.rel, e.Name), Entry: e}
	c := candidate{sub: join(at.sub, e.Name), entry: e, walked: true}
	switch {
	case e.Mode.IsRegular():
		return f.file(ctx, at, item, c)
	case e.Mode.IsDir() && child == nil:
		f.skip(item, f.shut(c))
		return false, nil
	case e.Mode.IsDir() && at.links && child.circles():
		f.skip(item, WhyLinkLoop)
		return false, nil
	case e.Mode.IsDir():
		return true, f.walk(ctx, child)
	}
	if why := f.leaves(c); why != "" {
		f.skip(item, why)
		return false, nil
	}
	if e.Mode&fs.ModeSymlink != 0 {
		switch f.Symlinks {
		case FollowLinks:
			return f.followLink(ctx, at, item, c)
		case CopyLinks:
			return true, f.copyLink(ctx, at, item, c)
		case SkipLinks:
		}
	}
	f.skip(item, special(e.Mode))
	return false, nil
}

// circles reports whether the folder is one that it lies in.
func (at *branch) circles() bool {
	for up := at.up; up != nil; up = up.up {
		if slices.Equal(up.real, at.real) {
			return true
		}
	}
	return false
}

// await waits for a folder's listing, which is begun if it was not. An error
// says that the folder could not be listed.
func (f *finder) await(at *branch) error {
	if at.list == nil {
		at.list = f.lister.start(at.dir)
	}
	<-at.list.done
	if at.list.err != nil {
		f.lister.drop(at.list)
	}
	return at.list.err
}

// A pending is an entry that was read and not yet come to.
type pending struct {
	entry Entry
	child *branch
}

// each calls do for the entries of a folder that was listed, in order. below
// is asked before which folder an entry leads to, if it is one that will have
// to be listed; some of these are listed ahead.
func (f *finder) each(ctx context.Context, at *branch, below func(Entry) *branch, do func(Entry, *branch) error) error {
	defer f.lister.drop(at.list)
	for _, bad := range at.list.complaints(at.dir) {
		if err := f.problem(ctx, at.dir, bad); err != nil {
			return err
		}
	}
	var ahead []pending
	folders, begun, atEnd := 0, 0, false // folders in ahead, and those of them that are listed
	for {
		for !atEnd && len(ahead) < lookThrough && folders < max(f.lister.ahead, 1) {
			e, ok, err := at.list.entries.next()
			if err != nil {
				return f.problem(ctx, at.dir, err)
			}
			if atEnd = !ok; atEnd {
				break
			}
			child := below(e)
			if child != nil {
				folders++
			}
			ahead = append(ahead, pending{e, child})
		}
		if len(ahead) == 0 {
			return nil
		}
		if begun < folders {
			begun = f.listAhead(ahead)
		}
		first := ahead[0]
		ahead[0] = pending{}
		ahead = ahead[1:]
		if first.child != nil {
			folders, begun = folders-1, max(begun-1, 0)
		}
		if err := ctx.Err(); err != nil {
			return sorted(ctx, f.kind, at.dir, err)
		}
		if err := do(first.entry, first.child); err != nil {
			return err
		}
	}
}

// listAhead begins the listings of folders, as far as more are wanted. It
// returns how many, from the first on, need none any more.
func (f *finder) listAhead(ahead []pending) int {
	begun := 0
	for _, p := range ahead {
		if p.child == nil {
			continue
		}
		if p.child.list == nil && (p.child.states == nil || f.wild(p.child.states)) {
			if p.child.list = f.lister.startAhead(p.child.dir); p.child.list == nil {
				break
			}
		}
		begun++
	}
	return begun
}
