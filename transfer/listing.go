package transfer

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/fault"
)

const (
	// aheadByDefault is how many folders are listed before they are come to.
	aheadByDefault = 8
	// lookThrough is how far a folder's entries are looked through for folders
	// to list ahead.
	lookThrough = 256
	// maxBadNames is how many names of one folder are complained of singly.
	maxBadNames = 16
)

// A tree is a file system to find files in, by slash paths.
type tree struct {
	kind     fault.Kind // of its file-level errors
	parse    func(source string) (pattern, error)
	stat     func(ctx context.Context, path string) (Entry, error) // through links
	list     func(ctx context.Context, dir string) iter.Seq2[Entry, error]
	lstat    func(ctx context.Context, path string) (Entry, error)  // nil: it cannot
	readLink func(ctx context.Context, path string) (string, error) // nil: it cannot; with slashes
	native   func(path string) string                               // an Item's Source
	fold     bool                                                   // case does not count
	local    bool                                                   // it is this machine's own
	clock    func(ctx context.Context) (time.Time, error)           // that stamps the files; nil: it does not tell
}

// A lister lists folders in goroutines of its own, some of them ahead. Its
// owner calls close, which waits for them.
type lister struct {
	list    func(ctx context.Context, dir string) iter.Seq2[Entry, error]
	keyed   func(name string) string // what stands for a name in order; nil: itself
	spool   *spool
	ahead   int
	ctx     context.Context // ends with the search
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	running atomic.Int32

	mu   sync.Mutex
	open map[*listing]bool
}

func newLister(ctx context.Context, t tree, f Find) *lister {
	l := &lister{list: t.list, spool: newSpool(f.Temp, cmp.Or(f.held, maxHeld)), ahead: f.Ahead, open: map[*listing]bool{}}
	if l.ahead == 0 {
		l.ahead = aheadByDefault
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l
}

func (l *lister) close() error {
	l.cancel()
	l.wg.Wait()
	for x := range l.open {
		l.drop(x)
	}
	return l.spool.close()
}

// drop gives up the entries of a listing. One that is still under way is left to
// close.
func (l *lister) drop(x *listing) {
	select {
	case <-x.done:
	default:
		return
	}
	if x.entries != nil {
		x.entries.close()
		x.entries = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, x)
}

// A listing is one folder's, under way or done. After done is closed, nobody
// but the search touches it.
type listing struct {
	done    chan struct{}
	entries *ordered
	err     error   // it could not be listed
	bad     []error // names in it that cannot be part of a path
	more    int     // so many besides
}

// start begins a listing that is needed now.
func (l *lister) start(dir string) *listing {
	x := &listing{done: make(chan struct{})}
	l.mu.Lock()
	l.open[x] = true
	l.mu.Unlock()
	l.running.Add(1)
	l.wg.Go(func() {
		defer close(x.done)
		defer l.running.Add(-1)
		x.read(l, dir)
	})
	return x
}

// startAhead begins one that will be needed, unless enough are under way.
func (l *lister) startAhead(dir string) *listing {
	if int(l.running.Load()) >= l.ahead {
		return nil
	}
	return l.start(dir)
}

func (x *listing) read(l *lister, dir string) {
	s := &sorter{spool: l.spool}
	for e, err := range l.list(l.ctx, dot(dir)) {
		if err == nil {
			err = l.ctx.Err()
		}
		if err == nil {
			if why := badName(e.Name, false); why != "" {
				x.complain(dir, e.Name, why)
				continue
			}
			if l.keyed != nil {
				e.Name = l.keyed(e.Name)
			}
			err = s.add(e)
		}
		if err != nil {
			s.drop()
			x.err = err
			return
		}
	}
	x.entries, x.err = s.done()
}

func (x *listing) complain(dir, name, why string) {
	if len(x.bad) == maxBadNames {
		x.more++
		return
	}
	x.bad = append(x.bad, fault.New(fault.RemoteFile, "in %q: the name %q cannot be used: %s", clip(dir), clip(name), why).
		WithHint("rename the file on the server; a server that sends such names unasked may be hostile"))
}

// complaints are what is wrong with names, each an error of its own.
func (x *listing) complaints(dir string) []error {
	if x.more > 0 {
		return append(x.bad, fault.New(fault.RemoteFile, "in %q: %d more names cannot be used", clip(dir), x.more))
	}
	return x.bad
}

// asSeq makes a piecewise listing of one that comes at once.
func asSeq(list func(ctx context.Context, dir string) ([]Entry, error)) func(context.Context, string) iter.Seq2[Entry, error] {
	return func(ctx context.Context, dir string) iter.Seq2[Entry, error] {
		return func(yield func(Entry, error) bool) {
			entries, err := list(ctx, dir)
			for i := range entries {
				if err == nil && !yield(entries[i], nil) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, err)
			}
		}
	}
}

// remoteTree is a server's.
func remoteTree(r Remote) tree {
	t := tree{kind: fault.RemoteFile, parse: parseRemote, stat: r.Stat, list: asSeq(r.List), native: func(p string) string { return p }}
	if l, ok := r.(Lister); ok {
		t.list = l.ListSeq
	}
	if l, ok := r.(LinkReader); ok {
		t.lstat, t.readLink = l.Lstat, l.ReadLink
	}
	if c, ok := r.(Clock); ok {
		t.clock = c.Clock
	}
	return t
}

// needsLinks is the error of a way with links that a server does not have.
func (t tree) needsLinks(way Links) error {
	if way == FollowLinks || way == CopyLinks {
		if t.lstat == nil || t.readLink == nil {
			return fault.New(fault.Config, "symbolic links cannot be told from files by this protocol, and `symlinks: %s` needs that", way).
				WithHint("use SFTP, or `symlinks: skip`: by SCP a server follows links by itself")
		}
	}
	return nil
}

// errStop ends a search that nobody takes more files of.
var errStop = errors.New("nobody takes more files")
