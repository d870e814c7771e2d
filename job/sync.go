package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// Sync says how a mirror is made.
type Sync struct{ config.Sync }

func (s *Sync) hash() bool { return s.Compare == config.CompareHash }

// source is the one folder that a mirror is of, and whether it is here.
func (j *Job) source() (source string, local bool) {
	if j.Put != nil {
		return j.Put[0], true
	}
	return j.Get[0], false
}

// checkSource refuses a mirror of what is no folder.
func (j *Job) checkSource(ctx context.Context, r transfer.Remote) error {
	if j.Sync == nil {
		return nil
	}
	source, local := j.source()
	path, _, err := transfer.Folder(source, local)
	if err != nil {
		return err
	}
	kind, dir := fault.RemoteFile, false
	if local {
		kind = fault.LocalDisk
		info, statErr := os.Stat(path)
		dir, err = statErr == nil && info.IsDir(), statErr
	} else {
		e, statErr := r.Stat(ctx, dotted(path))
		dir, err = statErr == nil && e.Mode.IsDir(), statErr
	}
	switch e := (*fault.Error)(nil); {
	case err != nil && errors.As(err, &e):
		return err
	case err != nil:
		return fault.New(kind, "look at the folder %q: %w", path, err)
	case !dir:
		return fault.New(kind, "%q is not a folder, and only a folder can be mirrored", path).WithHint("`get` and `put` move single files")
	}
	return nil
}

// dotted names the current folder where a path is empty.
func dotted(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// mirrored is the place of an item below the mirror's folder: what Rel is
// without the source's own name.
func (j *Job) mirrored() (func(transfer.Item) string, error) {
	source, local := j.source()
	_, name, err := transfer.Folder(source, local)
	return func(i transfer.Item) string {
		if name == "" {
			return i.Rel
		}
		_, rel, _ := strings.Cut(i.Rel, "/")
		return rel
	}, err
}

// comparison is what of the target counts as being there; nil if the job is no
// mirror.
func (j *Job) comparison(dest destination, info remote.Info) *transfer.Comparison {
	if j.Sync == nil {
		return nil
	}
	unix := transfer.ThisSystem() != transfer.Windows && system(info) != transfer.Windows
	// By SCP a server is not asked for modes, and sets none of what is there.
	return &transfer.Comparison{Put: j.Put != nil, Root: dest.dir, Modes: unix && (j.Put == nil || info.Protocol != remote.SCP)}
}

// system is what a server is taken for, as far as names go.
func system(info remote.Info) transfer.System {
	if strings.Contains(info.ServerVersion, "for_Windows") {
		return transfer.Windows
	}
	return transfer.Unix
}

// comparer reports whether a target has the content of its source: the server says
// its SHA-256, this machine finds its own. Calls may run concurrently.
func (p *pass) comparer() func(ctx context.Context, i transfer.Item) (bool, error) {
	server := p.verifier(VerifySHA256) // it remembers that a server cannot
	return func(ctx context.Context, i transfer.Item) (bool, error) { return p.same(ctx, i, server) }
}

func (p *pass) same(ctx context.Context, i transfer.Item, server *verifier) (bool, error) {
	if i.Entry.Size == 0 {
		return true, nil
	}
	here, there := p.dest.full(i.Target), i.Source
	if p.job.Put != nil {
		here, there = i.Source, i.Target
	}
	ctx, stop := context.WithCancel(ctx)
	var sum string
	var sumErr error
	var own sync.WaitGroup
	defer own.Wait()
	defer stop()
	own.Go(func() { sum, sumErr = fileSum(ctx, here) })
	said, _, err := server.ask(ctx, there, i.Entry.Size)
	switch {
	case errors.Is(err, remote.ErrNoSum):
		return false, fault.New(fault.Verify, "the SHA-256 of %q cannot be compared: %w", there, err).
			WithHint("give the server one of sha256sum, shasum, sha256 or openssl, and a shell; or set `compare: size-time`")
	case err != nil:
		return false, err
	}
	own.Wait()
	return sum == said, sumErr
}

// fileSum is the SHA-256 of a local file. It ends soon after ctx does.
func fileSum(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		h := sha256.New()
		buf := make([]byte, 256<<10)
		for err == nil && ctx.Err() == nil {
			var n int
			n, err = f.Read(buf)
			h.Write(buf[:n])
		}
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return hex.EncodeToString(h.Sum(nil)), nil
		}
	}
	return "", fault.New(fault.LocalDisk, "sum up %q: %w", path, err)
}

// mirror does what follows the transfer of a mirror that ended with err: what
// the source does not have is deleted, what was in the way of something is
// replaced, and modes and times are set.
func (p *pass) mirror(ctx context.Context, err error) error {
	if err != nil && !fault.Is(err, fault.Partial) && !ofOneFile(err) || ctx.Err() != nil {
		return err
	}
	switch {
	case !p.job.Sync.Delete:
	case err != nil:
		p.log.Warn("nothing is deleted at the target, as not everything was moved")
	default:
		err = p.deleteExtra(ctx)
	}
	if p.blocked.Len() > 0 {
		err = p.replace(ctx, err)
	}
	if err != nil && !fault.Is(err, fault.Partial) && !ofOneFile(err) {
		return err
	}
	plan := p.job.comparison(p.dest, p.conn.Info())
	files, attrErr := p.move.Attributes(ctx, *plan, p.alike.Items())
	if files > 0 {
		p.log.Info("set modes and times of files that have the right content", logs.Files, files)
	}
	if attrErr == nil {
		_, attrErr = p.move.Attributes(ctx, *plan, p.closing.Items())
	}
	if err == nil {
		err = attrErr
	}
	return err
}

// replace moves what something was in the way of, now that it is deleted.
// Without delete, or if that failed with err, it fails.
func (p *pass) replace(ctx context.Context, err error) error {
	var failed, n int
	var first error
	fail := func(res transfer.Result) {
		p.results.add(res, p.count)
		p.count++
		if n++; res.Err == nil {
			return
		}
		if failed++; first == nil {
			first = res.Err
		}
	}
	if err != nil || !p.job.Sync.Delete {
		for item, itemErr := range p.blocked.Items() {
			if itemErr != nil {
				return itemErr
			}
			wrong := p.job.inTheWay(p.dest, item)
			p.log.Warn("failed", logs.Name, item.Entry.Name, logs.Source, item.Source, logs.Target, p.dest.full(item.Target), logs.Error, wrong.Error())
			fail(transfer.Result{Item: item, Err: wrong})
		}
	} else {
		links := transfer.NewPile(p.temp)
		defer links.Close() //nolint:errcheck // it goes with the process at the latest
		moved := p.move.Stream(ctx, nil, func(yield func(transfer.Item, error) bool) {
			for item, itemErr := range p.blocked.Items() {
				if itemErr == nil && item.Link != "" {
					if itemErr = links.Add(item); itemErr == nil {
						continue
					}
				}
				if !yield(item, itemErr) || itemErr != nil {
					return
				}
			}
		}, fail)
		if moved != nil && !fault.Is(moved, fault.Partial) && !ofOneFile(moved) {
			return moved
		}
		if linkErr := p.makeLinks(ctx, links, nil); linkErr != nil {
			return linkErr
		}
	}
	switch {
	case err != nil || failed == 0:
		return err
	case p.run.Moved == 0 && failed == n:
		return first
	}
	return fault.New(fault.Partial, "%d files could not be moved, first: %w", failed, first).AsPermanent().WithHint("%s", fault.HintOf(first))
}

// inTheWay is the failure of an item whose target is something else.
func (j *Job) inTheWay(dest destination, i transfer.Item) error {
	kind := fault.LocalDisk
	if j.Put != nil {
		kind = fault.RemoteFile
	}
	err := fault.New(kind, "%q cannot be replaced: what is there, or on the way there, is of another type", dest.full(i.Target))
	if j.Sync.Delete {
		return err
	}
	return err.WithHint("`delete: true` (--delete) replaces a file by a folder, or a folder by a file; or move it away")
}

// surplus finds what the target has and the source does not.
func (j *Job) surplus(ctx context.Context, files transfer.WritableRemote, dest destination, info remote.Info, s transfer.Surplus) (transfer.Left, error) {
	source, _ := j.source()
	s.Select, s.Excluded = j.Select, j.Sync.DeleteExcluded
	if info.Protocol == remote.SCP {
		s.Ahead = -1
	}
	if j.Put != nil {
		s.Source, s.Target = transfer.ThisSystem(), system(info)
		if s.Target == transfer.Unix && transfer.Folds(ctx, files, dest.dir) {
			s.Target = transfer.MacOS // which folds, and allows all names
		}
		return s.Put(ctx, files, source, dest.dir)
	}
	s.Source, s.Target = system(info), transfer.SystemAt(dest.root)
	return s.Get(ctx, files, source, dest.root)
}

// tooMuch refuses to delete more than the job allows; nil if it does.
func (j *Job) tooMuch(left transfer.Left) error {
	n := left.Extra.Len()
	if j.Sync.MaxDelete.Allows(n, left.Seen) {
		return nil
	}
	return fault.New(fault.Partial, "nothing was deleted: %d of %d files and folders at the target are not at the source, and max_delete is %s",
		n, left.Seen, j.Sync.MaxDelete).AsPermanent().
		WithHint("look at them with a dry run (-n); if they should go, raise `max_delete` (--max-delete)")
}

// target is the tree that a mirror deletes in; nil where it is not there.
func (j *Job) target(files transfer.WritableRemote, dest destination) (*tree, error) {
	if j.Put == nil {
		return localTree(dest.root)
	}
	dir := dest.dir
	if dir != "" && !strings.HasSuffix(dir, "/") {
		dir += "/"
	}
	return remoteTree(files, j.Host.Name, dir)
}

// deleteExtra deletes from the target what the source does not have.
func (p *pass) deleteExtra(ctx context.Context) error {
	left, err := p.job.surplus(ctx, p.files, p.dest, p.conn.Info(), transfer.Surplus{Temp: p.temp, Log: p.log})
	if err != nil {
		return notDeleted(err)
	}
	defer left.Extra.Close() //nolint:errcheck // it goes with the process at the latest
	if left.Extra.Len() == 0 {
		return nil
	}
	if err := p.job.tooMuch(left); err != nil {
		return err
	}
	t, err := p.job.target(p.files, p.dest)
	if t == nil {
		return notDeleted(err)
	}
	defer t.close()
	d := deletion{pass: p, tree: t, of: left.Extra.Len()}
	return d.all(ctx, left.Extra)
}

// notDeleted is the error of a run whose files were moved, and whose target
// could not be looked through.
func notDeleted(err error) error {
	if err == nil || fault.Transient(err) {
		return err
	}
	return fault.New(fault.Partial, "everything was moved, and nothing was deleted: %w", err).AsPermanent().
		WithHint("nothing is deleted until both sides can be looked through as a whole")
}

// deletersAtOnce is how many files are deleted at a time.
const deletersAtOnce = 16

// A deletion deletes what is extra: what is in a folder before the folder.
type deletion struct {
	*pass
	tree *tree
	of   int

	mu     sync.Mutex
	failed int
	first  error
	ended  error // what ended all of it
}

func (d *deletion) all(ctx context.Context, extra *transfer.Pile) error {
	var work sync.WaitGroup
	slots := make(chan struct{}, deletersAtOnce)
	for item, err := range extra.Items() {
		if item.Entry.Mode.IsDir() {
			work.Wait() // for what is in it
		}
		d.mu.Lock()
		if err != nil && d.ended == nil {
			d.ended = err
		}
		if ctx.Err() != nil && d.ended == nil {
			d.ended = context.Cause(ctx)
		}
		ended := d.ended != nil
		d.mu.Unlock()
		if ended {
			break
		}
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			d.one(ctx, item)
		})
	}
	work.Wait()
	switch {
	case d.ended != nil:
		return d.ended
	case d.failed == 0:
		return nil
	}
	return fault.New(fault.Partial, "everything was moved, and %d of %d files and folders could not be deleted at the target, first: %w", d.failed, d.of, d.first).
		AsPermanent().WithHint("the log names each that stayed and why")
}

func (d *deletion) one(ctx context.Context, item transfer.Item) {
	remove, kind := d.tree.remove, ""
	switch {
	case item.Entry.Mode.IsDir():
		remove, kind = d.tree.removeFolder, kindFolder
	case !item.Entry.Mode.IsRegular():
		kind = kindLink
	}
	err := remove(ctx, item.Target)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.log.Info("deleted", logs.Name, item.Entry.Name, logs.Target, d.tree.show(item.Target))
		f := store.File{Target: d.tree.full(item.Target), Kind: kind, MTime: item.Entry.MTime}
		if kind == "" {
			f.Bytes = item.Entry.Size
		}
		d.results.deleted(f, d.count)
		d.count++
		return
	case !ofOneFile(err) && d.ended == nil:
		d.ended = err
	}
	d.failed++
	if d.first == nil {
		d.first = err
	}
	d.log.Warn("it could not be deleted", logs.Target, d.tree.show(item.Target), logs.Error, err.Error())
}
