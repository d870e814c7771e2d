package transfer

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"linehaul/fault"
)

// Place gives each item the target that name returns for it. Two sources for
// one target are refused, with an error of kind fault.Config that names both;
// so is a file where another item needs a folder. With caseInsensitive, names
// that differ only in case are the same, as on Windows and macOS.
//
// A target is a path below the root folder for a get (Get.Files refuses any
// other, by CheckTarget) and a full remote path for a put.
func Place(items []Item, caseInsensitive bool, name func(Item) (string, error)) ([]Item, error) {
	placed := slices.Clone(items)
	p := places{fold: caseInsensitive, by: make(map[string]claim, len(items))}
	for i := range placed {
		item := &placed[i]
		target, err := name(*item)
		if err != nil {
			return nil, err
		}
		if target == "" || strings.ContainsRune(target, 0) {
			return nil, fault.New(fault.Config, "%q cannot go to %q: that is no path", clip(item.Source), clip(target))
		}
		item.Target = target
		if err := p.claim(item); err != nil {
			return nil, err
		}
	}
	return placed, nil
}

// A claim is what an item needs a path for.
type claim struct {
	item   *Item
	folder bool
}

// places holds all claims, by path.
type places struct {
	fold bool
	by   map[string]claim
}

func (p *places) claim(item *Item) error {
	key := path.Clean(filepath.ToSlash(item.Target))
	if p.fold {
		key = foldCase(key)
	}
	c := claim{item: item, folder: item.Entry.Mode.IsDir()}
	for {
		old, taken := p.by[key]
		switch {
		case !taken:
			p.by[key] = c
		case old.folder && c.folder:
			return nil // and so were its parents
		case old.folder || c.folder:
			return fault.New(fault.Config, "%q and %q cannot go to %q and %q: one would be a file, and a folder for the other",
				clip(old.item.Source), clip(item.Source), clip(old.item.Target), clip(item.Target)).WithHint(tellApart)
		default:
			return fault.New(fault.Config, "%q and %q would both go to %q",
				clip(old.item.Source), clip(item.Source), clip(item.Target)).WithHint(tellApart)
		}
		slash := strings.LastIndexByte(key, '/')
		if slash <= 0 {
			return nil
		}
		key, c.folder = key[:slash], true
	}
}

const tellApart = "tell them apart in the target: {path} keeps the folders, {host} names the server"

// foldCase maps names that strings.EqualFold holds equal to one text.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}
