package transfer

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// maxLinks bounds a chain of links, as systems do.
const maxLinks = 40

// followLink goes on with what a link in a tree leads to.
func (f *finder) followLink(ctx context.Context, at *branch, item Item, c candidate) (bool, error) {
	child := at.inside(item.Entry)
	text, err := f.readLink(ctx, child.dir)
	if err != nil {
		return false, f.problem(ctx, child.dir, err)
	}
	real, e, why, err := f.resolve(ctx, at, text)
	if err != nil {
		return false, f.problem(ctx, child.dir, err)
	}
	e.Name = item.Entry.Name
	item.Entry, c.entry = e, e
	switch {
	case why != "":
	case e.Mode.IsRegular():
		return f.file(ctx, at, item, c)
	case e.Mode.IsDir():
		child.self, child.real, child.links = e, real, true
		if why = f.shut(c); why == "" && child.circles() {
			why = WhyLinkLoop
		}
		if why == "" {
			return true, f.walk(ctx, child)
		}
	default:
		why = WhyLinkToSpecial
	}
	f.skip(item, why)
	return false, nil
}

// copyLink takes a link as what it is.
func (f *finder) copyLink(ctx context.Context, at *branch, item Item, c candidate) error {
	text, err := f.readLink(ctx, join(at.dir, item.Entry.Name))
	if err != nil {
		return f.problem(ctx, item.Source, err)
	}
	if len(f.include) > 0 && !f.includes(c.sub) {
		f.skip(item, WhyNotIncluded)
		return nil
	}
	why := WhyLinkOut
	if !f.absolute(text) {
		if _, _, why, err = f.resolve(ctx, at, text); err != nil {
			return f.problem(ctx, item.Source, err)
		}
	}
	if why != "" {
		f.skip(item, why)
		return nil
	}
	item.Link, item.Entry.Size = text, 0
	return f.take(item)
}

// absolute reports a link's text that does not start in the link's folder.
func (f *finder) absolute(text string) bool {
	if strings.HasPrefix(text, "/") {
		return true
	}
	p, err := f.parse(text)
	return f.local && err == nil && p.top != ""
}

// resolve goes where a link's text leads, from the folder that it lies in, one
// name after the other, and never above the folder's base: neither by "..",
// nor by an absolute path, nor by a link on the way. It returns the names below
// the base, and what is there.
func (f *finder) resolve(ctx context.Context, at *branch, text string) ([]string, Entry, Reason, error) {
	names := slices.Clone(at.real)
	var rest []string
	add := func(text string) bool {
		if f.absolute(text) {
			below, inside := strings.CutPrefix(text, strings.TrimSuffix(at.base, "/")+"/")
			if !inside || !f.absolute(at.base) {
				return false
			}
			names, text = nil, below
		}
		rest = append(strings.Split(text, "/"), rest...)
		return true
	}
	if !add(text) {
		return nil, Entry{}, WhyLinkOut, nil
	}
	for links := 1; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(names) == 0 {
				return nil, Entry{}, WhyLinkOut, nil
			}
			names = names[:len(names)-1]
			continue
		}
		path := join(at.base, strings.Join(append(slices.Clip(names), name), "/"))
		e, err := f.lstat(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, Entry{}, WhyLinkToNothing, nil
		}
		if err != nil {
			return nil, Entry{}, "", err
		}
		if e.Mode&fs.ModeSymlink == 0 {
			names = append(names, name)
			continue
		}
		if links++; links > maxLinks {
			return nil, Entry{}, WhyLinkLoop, nil
		}
		if text, err = f.readLink(ctx, path); err != nil {
			return nil, Entry{}, "", err
		}
		if !add(text) {
			return nil, Entry{}, WhyLinkOut, nil
		}
	}
	e, err := f.lstat(ctx, dot(join(at.base, strings.Join(names, "/"))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Entry{}, WhyLinkToNothing, nil
	}
	return names, e, "", err
}
