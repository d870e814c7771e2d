package transfer

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"linehaul/fault"
)

const (
	// maxFoldersMade is how many folders of a server are known to be there.
	maxFoldersMade = 4096
	// maxStated is how many folders above each other are asked about at once.
	maxStated = 8
	// maxOdd is how many names in one of them are known to be no plain file's.
	maxOdd = 4096
)

// A remoteFolder is one that is known to be there, with what was found in it.
type remoteFolder struct {
	once sync.Once // for the two that follow
	err  error
	made bool // by us, so that there is nothing in it

	look   sync.Once       // for what follows
	listed bool            // all of it was seen
	odd    map[string]bool // what may be no plain file, by its name in lower case

	mu    sync.Mutex
	parts []Entry // temporary files and journals
}

// takes reports whether a name in the folder is known to be free or that of a
// plain file.
func (f *remoteFolder) takes(name string) bool {
	return f.made || f.listed && !f.odd[strings.ToLower(name)]
}

// knows reports whether a remote folder was asked about.
func (p *putter) knows(dir string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.folders[dir] != nil
}

// entry is what is known of a remote folder, and to be found out.
func (p *putter) entry(dir string) *remoteFolder {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.folders[dir]
	if f == nil {
		if len(p.folders) >= maxFoldersMade {
			clear(p.folders) // what is asked for again is looked at again
		}
		f = &remoteFolder{}
		p.folders[dir] = f
	}
	return f
}

// into is folder for one that files are stored in: what it holds is looked at
// once, too, and at the same time.
func (p *putter) into(ctx context.Context, dir string) (*remoteFolder, error) {
	f := p.entry(dir)
	f.look.Do(func() {
		if p.isNew(ctx, dir) {
			return
		}
		var looking sync.WaitGroup
		defer looking.Wait()
		looking.Go(func() { p.look(ctx, f, dir) })
		p.make(ctx, f, dir, nil)
	})
	p.make(ctx, f, dir, nil)
	return f, f.err
}

// folder makes a remote folder with all that lead to it, once.
func (p *putter) folder(ctx context.Context, dir string) error {
	f := p.entry(dir)
	p.make(ctx, f, dir, nil)
	return f.err
}

// isNew reports whether a folder cannot be there, as the one above it was made.
func (p *putter) isNew(ctx context.Context, dir string) bool {
	parent, _ := splitRemote(dir)
	if parent == dir || !p.knows(parent) {
		return false
	}
	above := p.entry(parent)
	p.make(ctx, above, parent, nil)
	return above.err == nil && above.made
}

// make makes a folder unless it is there. What known lacks is asked for.
func (p *putter) make(ctx context.Context, f *remoteFolder, dir string, known map[string]stated) {
	f.once.Do(func() { f.err = p.makeFolder(ctx, f, dir, known) })
}

func (p *putter) makeFolder(ctx context.Context, f *remoteFolder, dir string, known map[string]stated) error {
	if p.isNew(ctx, dir) {
		return p.mkdir(ctx, f, dir)
	}
	now, ok := known[dir]
	if !ok {
		known = p.stat(ctx, dir)
		now = known[dir]
	}
	switch {
	case now.err == nil && !now.entry.Mode.IsDir():
		return fault.New(fault.RemoteFile, "%q is a file on the server, and a folder is needed there", dir).
			WithHint("move the file away, or choose another target")
	case now.err == nil:
		return nil
	case !errors.Is(now.err, fs.ErrNotExist) || dir == "" || dir == "/":
		return sorted(ctx, fault.RemoteFile, dir, now.err)
	}
	parent, _ := splitRemote(dir)
	above := p.entry(parent)
	if p.make(ctx, above, parent, known); above.err != nil {
		return above.err
	}
	return p.mkdir(ctx, f, dir)
}

// stated is what the server says of a path.
type stated struct {
	entry Entry
	err   error
}

// stat asks about a folder and those above it, up to one that is known, all at
// once, as each would be a round trip.
func (p *putter) stat(ctx context.Context, dir string) map[string]stated {
	dirs := []string{dir}
	for len(dirs) < maxStated && dir != "" && dir != "/" {
		if dir, _ = splitRemote(dir); p.knows(dir) {
			break
		}
		dirs = append(dirs, dir)
	}
	answers := make([]stated, len(dirs))
	var asking sync.WaitGroup
	for i, dir := range dirs {
		asking.Go(func() { answers[i].entry, answers[i].err = p.remote.Stat(ctx, dot(dir)) })
	}
	asking.Wait()
	known := map[string]stated{}
	for i, dir := range dirs {
		known[dir] = answers[i]
		if i > 0 && answers[i].err == nil && answers[i].entry.Mode.IsDir() {
			p.entry(dir).once.Do(func() {}) // nobody need ask again
		}
	}
	return known
}

// mkdir makes a folder in one that is there.
func (p *putter) mkdir(ctx context.Context, f *remoteFolder, dir string) error {
	if err := p.room(); err != nil {
		return err
	}
	if err := p.remote.Mkdir(ctx, dir); err != nil {
		return sorted(ctx, fault.RemoteFile, dir, err)
	}
	f.made = true
	return nil
}

// look notes what a folder holds. A folder that may be written to and not be
// read is nothing unusual.
func (p *putter) look(ctx context.Context, f *remoteFolder, dir string) {
	odd := map[string]bool{}
	for e, err := range remoteTree(p.remote).list(ctx, dot(dir)) {
		switch {
		case err != nil:
			p.log.Debug("cannot look for unfinished files", keyTarget, at(p.host, dir), keyError, err)
			return
		case isOurs(e.Name) && !strings.Contains(e.Name, "/"):
			f.parts = append(f.parts, e)
		case !e.Mode.IsRegular() || e.Mode.Perm() == 0: // some servers do not tell
			if len(odd) == maxOdd {
				odd = nil
			}
			if odd != nil {
				odd[strings.ToLower(e.Name)] = true
			}
		}
	}
	f.odd, f.listed = odd, odd != nil
}
