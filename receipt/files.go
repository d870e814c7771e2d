package receipt

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// maxPaths is how many local paths are held at a time, some 40 MB. If there may be
// more, the lists are gone through several times, with a part of the paths each.
const maxPaths = 400_000

// A latest is what the newest receipts say of a path.
type latest struct {
	seq, line int64 // of this node; 0: none of it names the path
	gone      bool  // it was removed, or moved on
	other     int64 // the newest receipt of another node that has it written; 0: none
}

// files looks at the local files, the newest receipt first. Of a path, only the
// newest line is held against the disk: what the others say was overtaken.
func (v *verifier) files(ctx context.Context) error {
	if len(v.bad) > maxBad {
		v.found(Finding{Kind: FilesUnchecked, Text: fmt.Sprintf("more than %d receipts cannot be believed", maxBad)})
		return nil
	}
	parts := max(1, (v.lines+v.room-1)/v.room)
	for part := range parts {
		p := &pass{verifier: v, part: uint64(part), parts: uint64(parts), paths: map[pathKey]latest{}}
		if err := p.walk(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A pass goes once through all receipts, with a part of the paths.
type pass struct {
	*verifier
	part, parts uint64
	paths       map[pathKey]latest
}

// mine reports whether a path belongs to this pass.
func (p *pass) mine(k pathKey) bool { return binary.BigEndian.Uint64(k[:])%p.parts == p.part }

func (p *pass) walk(ctx context.Context) error {
	if !p.started {
		return nil
	}
	for i := len(p.pages) - 1; i >= 0; i-- {
		page, err := p.store.Heads(ctx, p.pages[i], pageHeads)
		if err != nil {
			return readError(ctx, "read receipts", err)
		}
		for j := len(page) - 1; j >= 0; j-- {
			s := page[j]
			if s.Seq <= p.report.Begin.Seq || s.Seq > p.last || i+1 < len(p.pages) && s.Seq > p.pages[i+1] {
				continue // removed or written meanwhile
			}
			done, err := p.receipt(ctx, s)
			if err != nil || done {
				return err
			}
		}
	}
	return nil
}

// receipt goes through the files of one, and reports whether that was the last one
// to look at.
func (p *pass) receipt(ctx context.Context, s Stored) (done bool, err error) {
	h, err := Decode(s.Text)
	if err != nil {
		h = Head{Seq: s.Seq, Run: h.Run}
	}
	done = p.o.Run != "" && h.Run == p.o.Run
	if err != nil || p.bad[s.Seq] {
		if p.part == 0 && (p.o.Run == "" || done) {
			p.found(Finding{Kind: FilesUnchecked, Seq: h.Seq, Run: h.Run, Text: "its files were not looked at, as it cannot be believed or read"})
		}
		return done, nil
	}
	if err := p.eachFile(ctx, s.Seq, func(n int64, f File) error {
		p.note(h.with(f), n, f)
		return nil
	}); err != nil {
		return false, err
	}
	if p.o.Run != "" && !done {
		return false, nil
	}
	t := &tally{away: map[string]int64{}}
	if err := p.eachFile(ctx, s.Seq, func(n int64, f File) error { return p.check(ctx, h.with(f), n, f, t) }); err != nil {
		return false, err
	}
	p.notes(h, t)
	return done, nil
}

// eachFile reads a list whose hash was right.
func (p *pass) eachFile(ctx context.Context, seq int64, do func(n int64, f File) error) error {
	return p.eachLine(ctx, seq, func(n int64, text string) error {
		f, err := readFile(text)
		if err != nil {
			return readError(ctx, fmt.Sprintf("read line %d of receipt %d a second time", n, seq), err)
		}
		return do(n, f)
	})
}

// with is the head for one line, which may be of a file on another node.
func (h Head) with(f File) Head {
	h.Node = cmp.Or(f.Node, h.Node)
	return h
}

// here reports whether a receipt's local files are on this node.
func (v *verifier) here(h Head) bool { return v.o.Node == "" || h.Node == "" || h.Node == v.o.Node }

// note remembers what a line says of local paths, unless a newer one has said
// something. Of the lines of one receipt, the last one counts.
func (p *pass) note(h Head, n int64, f File) {
	if f.Error != "" || f.Cut {
		return
	}
	switch {
	case h.Way == Put && (f.After == SourceDeleted || f.After == SourceMoved) && f.Source != "":
		p.remember(h, n, f.Source, true)
	case h.Way == Get && f.Target != "":
		p.remember(h, n, f.Target, f.Gone != "")
	}
}

func (p *pass) remember(h Head, n int64, path string, gone bool) {
	k := keyOf(path, onWindows())
	if !p.mine(k) {
		return
	}
	l := p.paths[k]
	switch {
	case !p.here(h):
		if l.other == 0 && !gone {
			l.other = h.Seq
		}
	case l.seq == 0 || l.seq == h.Seq:
		l.seq, l.line, l.gone = h.Seq, n, gone
	}
	p.paths[k] = l
}

// A tally counts the files of a receipt that are not looked at.
type tally struct {
	remote, deleted, gone, cut, relative int64

	away map[string]int64 // by node
}

// check holds one line against the disk.
func (p *pass) check(ctx context.Context, h Head, n int64, f File, t *tally) error {
	path := f.Target
	if h.Way == Put {
		path = f.Source
		if f.After == SourceMoved {
			path = f.AfterTo
		}
	}
	k := keyOf(path, onWindows())
	if !p.mine(k) {
		return nil
	}
	c := p.report.Files
	c.Lines++
	switch {
	case f.Error != "":
		c.Failed++
		return nil
	case f.Gone != "":
		c.Removed++
		return nil
	case f.Cut:
		t.cut++
	case !p.here(h):
		t.away[h.Node]++
	case h.Way == Put:
		return p.source(ctx, h, n, path, f, t)
	case !filepath.IsAbs(path):
		t.relative++
	default:
		return p.target(ctx, h, n, path, f, p.paths[k])
	}
	return nil
}

// target looks at a file that was pulled.
func (p *pass) target(ctx context.Context, h Head, n int64, path string, f File, newest latest) error {
	c := p.report.Files
	at := func(f *Finding) { f.Seq, f.Run, f.Line, f.Path = h.Seq, h.Run, n, path }
	if newest.seq > h.Seq || newest.line > n {
		superseded := Finding{Kind: FileSuperseded, By: newest.seq, Text: fmt.Sprintf("receipt %d has a newer file there", newest.seq)}
		if newest.gone {
			superseded.Text = fmt.Sprintf("it was removed or moved on, says receipt %d", newest.seq)
		}
		c.Superseded++
		at(&superseded)
		p.found(superseded)
		return nil
	}
	l, err := lookAt(ctx, path, f)
	if err != nil {
		return err
	}
	c.Bytes += l.read
	switch l.Kind {
	case "":
		c.Same++
		if l.unhashed {
			c.Unhashed++
		}
		return nil
	case FileTouched:
		c.Same++
	default:
		c.Wrong++
		if newest.other > h.Seq {
			l.By = newest.other
			l.Text += fmt.Sprintf("; receipt %d of another node has a newer file of this path, which explains it if both nodes share the folder", newest.other)
		}
	}
	at(&l.Finding)
	p.found(l.Finding)
	return nil
}

// source looks at the local source of a file that was sent, if it is still there.
func (p *pass) source(ctx context.Context, h Head, n int64, path string, f File, t *tally) error {
	c := p.report.Files
	switch {
	case f.After == SourceDeleted:
		t.deleted++
		return nil
	case !filepath.IsAbs(path):
		t.remote++
		return nil
	}
	l, err := lookAt(ctx, path, f)
	if err != nil {
		return err
	}
	c.Bytes += l.read
	switch l.Kind {
	case "", FileTouched:
		c.NotHere++
		c.Sources++
	case FileChanged, FileTime:
		c.NotHere++
		p.found(Finding{Kind: SourceChanged, Seq: h.Seq, Run: h.Run, Line: n, Path: path, Want: l.Want, Got: l.Got, Text: "the source of a file that was sent: " + l.Text})
	default:
		t.gone++
	}
	return nil
}

// notes says how many files of a receipt could not be looked at, and why.
func (p *pass) notes(h Head, t *tally) {
	type note struct {
		files int64
		why   string
	}
	all := []note{
		{t.remote, "they are on the server"},
		{t.gone, "they are on the server, and their sources here are gone or cannot be read"},
		{t.deleted, "they are on the server, and their sources here were deleted by the run"},
		{t.cut, "their paths were too long to be kept whole"},
		{t.relative, "their paths do not say which folder they begin in"},
	}
	for _, node := range slices.Sorted(maps.Keys(t.away)) {
		all = append(all, note{t.away[node], fmt.Sprintf("they are on node %q", node)})
	}
	for _, n := range all {
		if n.files > 0 {
			p.report.Files.NotHere += n.files
			p.found(Finding{Kind: NotCheckable, Seq: h.Seq, Run: h.Run, Files: n.files, Text: fmt.Sprintf("%s: %s", count(n.files, "file"), n.why)})
		}
	}
}
