package transfer

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"linehaul/fault"
)

// A branch is a folder that a search has come to. Below it either names are held
// against elements of the source, all that may come next at once, so that no
// file is found twice; or everything is taken.
type branch struct {
	dir    string // its path
	path   string // the part below the source's fixed folders
	depth  int    // below the folder that the search began in
	states []int  // the elements that names in it are held against, or:
	rel    string // of a folder that is taken with all below it: an Item's Rel
	sub    string // and its path below the source's folder
	self   Entry
	linked bool // a link that the source names led here

	base  string   // where links must not lead out of
	real  []string // where the folder really is, below base
	links bool     // a link that was followed led here
	up    *branch  // the one that it was found in

	list *listing // nil: not begun
}

// below is a folder, or something else, in this one.
func (at *branch) below(name string) *branch {
	return &branch{dir: join(at.dir, name), path: join(at.path, name), depth: at.depth + 1, linked: at.linked}
}

// item is what a name in the folder becomes that a source's wildcard matched.
func (f *finder) item(child *branch, e Entry) Item {
	return Item{Source: f.native(child.dir), Path: child.path, Rel: e.Name, Entry: e}
}

// closure adds to elements those that follow a ** that stands for no folder.
func (f *finder) closure(states []int) []int {
	for _, i := range states {
		if f.rest[i].deep && i+1 < len(f.rest) {
			states = append(states, i+1)
		}
	}
	slices.Sort(states)
	return slices.Compact(states)
}

// wild reports whether the folder must be listed to go on.
func (f *finder) wild(states []int) bool {
	return slices.ContainsFunc(states, func(i int) bool { return f.rest[i].wild() })
}

// A hit is what a name is to the elements of a source.
type hit struct {
	last  bool // the last element matches it
	asked bool // in so many words, if it is a temporary name
	next  []int
	// named are those of next that do not come of a **: only they follow
	// links, as the source names that level itself, and no loop can come of it.
	named []int
}

func (f *finder) match(states []int, name string) hit {
	var h hit
	for _, i := range states {
		e := f.rest[i]
		last := i == len(f.rest)-1
		switch {
		case e.deep && e.match(name, f.tree.fold):
			h.next = append(h.next, i)
			h.last = h.last || last
		case e.deep || !e.takes(name, f.tree.fold):
		case last:
			h.last, h.asked = true, h.asked || e.asks(name, f.tree.fold)
		default:
			h.next, h.named = append(h.next, i+1), append(h.named, i+1)
		}
	}
	h.next, h.named = f.closure(h.next), f.closure(h.named)
	return h
}

// takes is match for an element that may hold no wildcard.
func (e element) takes(name string, fold bool) bool {
	switch {
	case e.wild():
		return e.match(name, fold)
	case fold:
		return strings.EqualFold(e.text, name)
	}
	return e.text == name
}

// asks reports whether an element that takes a temporary name has its ending
// in so many words.
func (e element) asks(name string, fold bool) bool {
	end := temporaryEnd(name)
	if end == "" || !e.wild() {
		return true
	}
	return slices.ContainsFunc(e.alts, func(alt string) bool {
		return strings.HasSuffix(strings.ToLower(alt), end) && element{alts: []string{alt}}.match(name, fold)
	})
}

// expand takes what the elements match below a folder.
func (f *finder) expand(ctx context.Context, at *branch) error {
	if at.depth > maxDepth {
		return f.tooDeep(ctx, at)
	}
	if !f.wild(at.states) {
		return f.literals(ctx, at, nil)
	}
	// A listing holds every name that can be asked for but this one.
	if err := f.literals(ctx, at, func(name string) bool { return name == ".." }); err != nil {
		return err
	}
	if err := f.await(at); err != nil {
		if at.depth > 0 && errors.Is(err, fs.ErrNotExist) {
			return nil // gone since its parent was listed
		}
		if err := f.problem(ctx, at.dir, err); err != nil {
			return err
		}
		return f.literals(ctx, at, func(name string) bool { return name != ".." })
	}
	below := func(e Entry) *branch {
		if !e.Mode.IsDir() {
			return nil
		}
		return f.inner(at, e, f.match(at.states, e.Name), at.linked)
	}
	return f.each(ctx, at, below, func(e Entry, child *branch) error {
		return f.found(ctx, at, e, child, f.match(at.states, e.Name))
	})
}

// inner is the folder that a folder's entry leads to, with what is asked of
// it. It is nil where the search does not go on. linked: links may have led
// there that the source names.
func (f *finder) inner(at *branch, e Entry, h hit, linked bool) *branch {
	child := at.below(e.Name)
	child.linked = linked
	switch {
	case f.shut(candidate{sub: child.path, entry: e}) != "":
		return nil
	case h.last && f.recursive && !f.lastDeep():
		child.rel, child.sub, child.self = e.Name, child.path, e
		child.base = child.dir
		if f.Symlinks == FollowLinks && !linked {
			child.base, child.real = f.root, strings.Split(child.path, "/")
		}
	case len(h.next) > 0:
		child.states = h.next
	default:
		return nil
	}
	return child
}

// lastDeep reports a ** at the source's end. It takes the files below folders,
// not the folders.
func (f *finder) lastDeep() bool { return f.rest[len(f.rest)-1].deep }

// found goes on with an entry. child is where a folder leads to, nil if the
// search does not go on there.
func (f *finder) found(ctx context.Context, at *branch, e Entry, child *branch, h hit) error {
	if !h.last && len(h.next) == 0 {
		return nil
	}
	switch {
	case e.Mode.IsDir():
		return f.foundFolder(ctx, at, e, child, h)
	case e.Mode&fs.ModeSymlink != 0:
		return f.foundLink(ctx, at, e, h)
	case !h.last:
		return nil
	}
	child = at.below(e.Name)
	c := candidate{sub: child.path, entry: e, asked: h.asked}
	item := f.item(child, e)
	if !e.Mode.IsRegular() {
		why := f.leaves(c)
		if why == "" {
			why = special(e.Mode)
		}
		f.skip(item, why)
		return nil
	}
	_, err := f.file(ctx, at, item, c)
	return err
}

func (f *finder) foundFolder(ctx context.Context, at *branch, e Entry, child *branch, h hit) error {
	if child == nil {
		child = at.below(e.Name)
		why := f.shut(candidate{sub: child.path, entry: e})
		if why == "" {
			why = WhyFolder // it was matched, and that is all
		}
		f.skip(f.item(child, e), why)
		return nil
	}
	if child.states == nil {
		return f.walk(ctx, child)
	}
	if h.last && !f.lastDeep() {
		f.skip(f.item(child, e), WhyFolder)
	}
	return f.expand(ctx, child)
}

// foundLink goes on with what a link leads to.
func (f *finder) foundLink(ctx context.Context, at *branch, e Entry, h hit) error {
	if !h.last && len(h.named) == 0 {
		return nil
	}
	child := at.below(e.Name)
	item := f.item(child, e)
	if h.last {
		if why := f.leaves(candidate{sub: child.path, entry: e}); why != "" {
			f.skip(item, why)
			return nil
		}
		if f.Symlinks == CopyLinks {
			return f.copyLink(ctx, &branch{dir: at.dir, base: at.dir}, item, candidate{sub: child.path, entry: e, asked: h.asked})
		}
	}
	target, err := f.stat(ctx, child.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if h.last {
			f.skip(item, WhyLinkToNothing)
		}
		return nil
	case err != nil:
		return f.problem(ctx, child.dir, err)
	}
	target.Name = e.Name
	if target.Mode.IsDir() {
		if h.last && len(h.named) == 0 {
			f.skip(item, WhyLinkToFolder)
			return nil
		}
		child.states, child.linked = h.named, true
		return f.expand(ctx, child)
	}
	if !h.last {
		return nil
	}
	item.Entry = target
	if !target.Mode.IsRegular() {
		f.skip(item, WhyLinkToSpecial)
		return nil
	}
	_, err = f.file(ctx, at, item, candidate{sub: child.path, entry: target, asked: h.asked})
	return err
}

// literals follows elements that hold no wildcard, where that takes no
// listing. That a name is not there is no error behind a wildcard.
func (f *finder) literals(ctx context.Context, at *branch, only func(name string) bool) error {
	var names []string
	for _, i := range at.states {
		if e := f.rest[i]; !e.wild() && (only == nil || only(e.text)) {
			names = append(names, e.text)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := f.literal(ctx, at, name); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) literal(ctx context.Context, at *branch, name string) error {
	path := join(at.dir, name)
	e, err := f.stat(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return f.problem(ctx, path, err)
	}
	e.Name = name
	var states []int // those that have this name; the others are not asked here
	for _, i := range at.states {
		if !f.rest[i].wild() {
			states = append(states, i)
		}
	}
	h := f.match(states, name)
	var child *branch
	if e.Mode.IsDir() {
		child = f.inner(at, e, h, true)
	}
	return f.found(ctx, at, e, child, h)
}

func (f *finder) tooDeep(ctx context.Context, at *branch) error {
	return f.problem(ctx, at.dir, fault.New(f.kind, "%q is more than %d folders deep", clip(at.dir), maxDepth))
}
