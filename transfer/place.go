package transfer

import (
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"linehaul/fault"
)

const (
	// maxClaims bounds how many targets are held against each other: about
	// 240 MB.
	maxClaims = 4 << 20
	// maxNamed is how many of them are remembered by name, for messages.
	maxNamed = 10_000
)

// Placing gives items their targets. Name must be set.
//
// Two sources for one target are refused, and so is a file where another item
// needs a folder. What that takes in memory depends on the names:
//
//   - With Tree nothing is remembered where all names that differ are
//     different files; and where names can be the same that are spelled
//     differently, as on Windows and macOS, the names of the folders that lead
//     to the item, as hashes.
//   - Otherwise every target, as a hash of 16 bytes, up to four million.
type Placing struct {
	// Name returns an item's target: a path below the root folder for a get, a
	// full remote path for a put. It is shown the names as they will be there.
	Name func(Item) (string, error)
	// Put says that items go to a server.
	Put bool
	// Tree says that items come from one folder (see OneTree), and that Name
	// puts nothing but a folder before their Rel.
	Tree bool
	// Target is the system that the names must suit. Default: this machine's.
	Target System
	// Folds is asked, once, whether a Target that is Unix takes names in a folder that
	// differ in case only for the same, if that matters. Nil stands for no.
	Folds func(dir string) bool
	// Source is the system that the items come from: for a put, this
	// machine's by default. Names that were mapped there get their old
	// spelling back with MapNames.
	Source System
	// Names says what becomes of names that the target cannot hold.
	Names Names
}

// Place gives each item its target. An error that concerns one file comes with
// that item, and is of kind fault.RemoteFile for a get and fault.LocalDisk for
// a put: its name cannot be had on the target's system, or is another one's
// there, which differs in case or normalization only. An error of kind
// fault.Config, that two sources would go to one target or that a name is no
// path, says that the naming is wrong, and is the last thing that comes. Either
// comes before the item that it is about can be moved.
func (p Placing) Place(items iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	if p.Target == "" {
		p.Target = ThisSystem()
	}
	if p.Source == "" && p.Put {
		p.Source = ThisSystem()
	}
	return func(yield func(Item, error) bool) {
		c := p.claimer(p.Target)
		if p.Target == Unix && p.Folds != nil {
			c = &undecided{sure: c, folding: p.claimer(MacOS), folds: p.Folds}
		}
		for item, err := range items {
			if err == nil {
				if item, err = p.one(item); err == nil {
					err = c.claim(item)
				}
				if clash := (*clashError)(nil); asClash(err, &clash) {
					err = clash.sorted(p.kind())
				}
			}
			if !yield(item, err) || fault.Is(err, fault.Config) || fault.Is(err, fault.Usage) {
				return
			}
		}
	}
}

func (p Placing) claimer(system System) claimer {
	if p.Tree {
		return &treeClaims{system: system}
	}
	return &claims{system: system, by: map[pathHash]claim{}, names: map[pathHash]string{}}
}

// Place is Placing for items that are all there, with targets that keep all
// names apart or, with caseInsensitive, are on a system that does not keep
// those apart that differ in case only.
func Place(items []Item, caseInsensitive bool, name func(Item) (string, error)) ([]Item, error) {
	p := Placing{Name: name, Target: Unix}
	if caseInsensitive {
		p.Target = MacOS
	}
	all := func(yield func(Item, error) bool) {
		for _, i := range items {
			if !yield(i, nil) {
				return
			}
		}
	}
	placed := make([]Item, 0, len(items))
	for item, err := range p.Place(all) {
		if err != nil {
			return nil, err
		}
		placed = append(placed, item)
	}
	return placed, nil
}

func (p Placing) kind() fault.Kind {
	if p.Put {
		return fault.LocalDisk
	}
	return fault.RemoteFile
}

// one names one item.
func (p Placing) one(item Item) (Item, error) {
	shown := item
	if p.Names == MapNames {
		var err error
		if shown, err = p.mapped(item); err != nil {
			return item, err
		}
	}
	target, err := p.Name(shown)
	if err != nil {
		return item, fault.Wrap(fault.Config, err)
	}
	if target == "" || strings.ContainsRune(target, 0) {
		return item, fault.New(fault.Config, "%q cannot go to %q: that is no path", clip(item.Source), clip(target))
	}
	item.Target = target
	if p.Target == Windows {
		return item, p.suits(item)
	}
	return item, nil
}

// mapped is an item as naming sees it.
func (p Placing) mapped(item Item) (Item, error) {
	change := func(s string) (string, error) { return s, nil }
	switch {
	case p.Target == Windows && p.Source != Windows:
		change = func(s string) (string, error) {
			if to, ok := MapName(s); ok {
				return to, nil
			}
			return "", fault.New(p.kind(), "the name %q cannot be mapped for Windows: it holds a character that stands for another one", clip(s)).
				WithHint("rename the file at its source")
		}
	case p.Target != Windows && p.Source == Windows:
		change = func(s string) (string, error) { return UnmapName(s), nil }
	}
	each := func(path string) (string, error) {
		elements := strings.Split(path, "/")
		for i, e := range elements {
			if e == "" || e == ".." {
				continue // the source's own words
			}
			var err error
			if elements[i], err = change(e); err != nil {
				return "", err
			}
		}
		return strings.Join(elements, "/"), nil
	}
	var err error
	for _, s := range []*string{&item.Path, &item.Rel, &item.Entry.Name} {
		if *s, err = each(*s); err != nil {
			return item, err
		}
	}
	return item, nil
}

// suits refuses a target that Windows cannot hold. The name at its source is
// at fault if Windows cannot hold that, and otherwise the naming.
func (p Placing) suits(item Item) error {
	target := item.Target
	if !p.Put {
		target = filepath.ToSlash(target)
	}
	for i, e := range strings.Split(target, "/") {
		drive := p.Put && i <= 1 && len(e) == 2 && e[1] == ':'
		if e == "" || e == "." || e == ".." || drive || badName(e, true) == "" {
			continue
		}
		for name := range strings.SplitSeq(path.Join(item.Path, item.Rel), "/") {
			if why := badName(name, true); why != "" && name != "" && name != ".." && p.Names != MapNames {
				return fault.New(p.kind(), "the name %q cannot be used on Windows: %s", clip(name), why).
					WithHint("rename the file at its source, or write `names: map`")
			}
		}
		return fault.New(fault.Config, "%q cannot go to %q: on Windows, %q cannot be used: %s", clip(item.Source), clip(item.Target), clip(e), badName(e, true))
	}
	return nil
}

// A claimer refuses what cannot be beside what was claimed before.
type claimer interface{ claim(Item) error }

// A clashError is a target that is taken.
type clashError struct {
	first, second, target string // first may be empty: it is not known any more
	folder                bool   // one would be a folder for the other
	spelling              bool   // they differ in spelling only
}

func (e *clashError) Error() string { return e.sorted(fault.RemoteFile).Error() }

func asClash(err error, to **clashError) bool {
	e, ok := err.(*clashError) //nolint:errorlint // claimers return nothing else that is of use here
	*to = e
	return ok
}

const tellApart = "tell them apart in the target: {path} keeps the folders, {host} names the server"

// sorted gives it its kind: kind, or Config if the naming is at fault.
func (e *clashError) sorted(kind fault.Kind) *fault.Error {
	first := "an earlier source"
	if e.first != "" {
		first = fmt.Sprintf("%q", clip(e.first))
	}
	switch {
	case e.spelling:
		return fault.New(kind, "%q cannot go to %q: there goes %s, and the system takes names that differ in case or normalization only for the same",
			clip(e.second), clip(e.target), first).WithHint("rename one of them at its source")
	case e.folder:
		return fault.New(fault.Config, "%s and %q cannot both go to %q: one would be a file, and a folder for the other",
			first, clip(e.second), clip(e.target)).WithHint(tellApart)
	}
	return fault.New(fault.Config, "%s and %q would both go to %q", first, clip(e.second), clip(e.target)).WithHint(tellApart)
}

// A claim is what a path is needed for.
type claim struct {
	folder  bool
	spelled uint32 // of the path as it is spelled, to tell same from alike
}

func spelling(s string) uint32 {
	h := hashOf(s)
	return uint32(h[0])<<24 | uint32(h[1])<<16 | uint32(h[2])<<8 | uint32(h[3])
}

// claims holds all targets.
type claims struct {
	system System
	by     map[pathHash]claim
	names  map[pathHash]string // the sources of the first ones
}

func (c *claims) claim(item Item) error {
	at := path.Clean(filepath.ToSlash(item.Target))
	folder := item.Entry.Mode.IsDir()
	// From the top down, so that nothing of a refused item is claimed.
	var ends []int
	for i := 1; i < len(at); i++ {
		if at[i] == '/' {
			ends = append(ends, i)
		}
	}
	for _, end := range append(ends, len(at)) {
		last := end == len(at)
		part := at[:end]
		key, mine := hashOf(c.system.key(part)), claim{folder: !last || folder, spelled: spelling(part)}
		old, taken := c.by[key]
		switch {
		case !taken:
			if len(c.by) >= maxClaims {
				return fault.New(fault.Usage, "more than %d targets cannot be held against each other", maxClaims).
					WithHint("take one folder, and let the target be one, or make several jobs")
			}
			c.by[key] = mine
			if len(c.names) < maxNamed {
				c.names[key] = item.Source
			}
		case old.spelled != mine.spelled:
			return &clashError{first: c.names[key], second: item.Source, target: item.Target, spelling: true}
		case old.folder && mine.folder:
		default:
			return &clashError{first: c.names[key], second: item.Source, target: item.Target, folder: old.folder || mine.folder}
		}
	}
	return nil
}

// treeClaims holds the names in the folders that lead to the last item. Items
// come folder by folder, so no other one is come to again.
type treeClaims struct {
	system System
	levels []level // levels[0] is the root's
}

// A level is one folder, by the name that it has in the one above.
type level struct {
	name  string
	names map[pathHash]claim
}

func (c *treeClaims) claim(item Item) error {
	if !c.system.folds() || item.Closing {
		return nil // names in a folder are different, and so are their targets
	}
	elements := strings.Split(path.Clean(filepath.ToSlash(item.Target)), "/")
	if len(c.levels) == 0 {
		c.levels = []level{{names: map[pathHash]claim{}}}
	}
	same := 0
	for same < len(c.levels)-1 && same < len(elements) && c.levels[same+1].name == elements[same] {
		same++
	}
	c.levels = slices.Delete(c.levels, same+1, len(c.levels))
	for i := same; i < len(elements); i++ {
		last := i == len(elements)-1
		key, mine := hashOf(c.system.key(elements[i])), claim{folder: !last || item.Entry.Mode.IsDir(), spelled: spelling(elements[i])}
		if old, taken := c.levels[i].names[key]; taken {
			return &clashError{
				second: item.Source, target: item.Target,
				spelling: old.spelled != mine.spelled, folder: old.folder != mine.folder,
			}
		}
		c.levels[i].names[key] = mine
		if !last {
			c.levels = append(c.levels, level{elements[i], map[pathHash]claim{}})
		}
	}
	return nil
}
