package transfer

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"linehaul/fault"
)

const (
	// removeWait is the time that removing a remote temporary file may take
	// when the transfer itself has no time left.
	removeWait = 10 * time.Second
	// deadAfter is the age at which a remote temporary file of another run is
	// taken for a dead one.
	deadAfter = 24 * time.Hour
)

// Put stores files on a server. Remote and Run must be set. It is used for one
// call of Files at a time.
//
// A server has no lock that outlives a connection's trouble, so a temporary
// file that a dead run left is told by its age: it is removed when the same
// target is stored again, if that run began a day before this one by its id,
// and nothing was written to the file for a day before this run began.
// Temporary files of other targets are not looked for.
type Put struct {
	Remote WritableRemote
	// Run is the run's id, such as 20261123T023001Z-123x7k2q: part of the
	// names of temporary files.
	Run string
	// Host is what the log calls the server, before a remote path.
	Host     string
	Log      *slog.Logger // may be nil
	Progress Progress     // may be nil
	Verify   VerifyFunc   // nil: the size only
	// InFlight is how many requests are under way at a time. Default: 64; at
	// most 1024.
	InFlight int
	// Now is the clock for Result.Took. Default: time.Now.
	Now func() time.Time
}

// Files stores items that Place gave a target, one after the other. Results
// and errors are as those of Get.Files.
func (p *Put) Files(ctx context.Context, items []Item) ([]Result, error) {
	if !validRun(p.Run) {
		return none(items, fault.New(fault.Internal, "%q is not the id of a run", p.Run))
	}
	e := engine{
		did: "stored", run: p.Run, log: orDiscard(p.Log), progress: p.Progress,
		now: orNow(p.Now), verify: p.Verify, pump: newPump(p.InFlight),
		paths: func(i Item) (string, string) { return i.Source, at(p.Host, i.Target) },
	}
	one := putter{engine: &e, remote: p.Remote, host: p.Host, folders: map[string][]Entry{}}
	return e.files(ctx, items, one.put)
}

// A putter stores the items of one call.
type putter struct {
	*engine
	remote WritableRemote
	host   string
	// folders are the remote folders that are known to be there, with the
	// temporary files that were found in them.
	folders map[string][]Entry
}

// put stores one item once.
func (p *putter) put(ctx context.Context, item Item, progress FileProgress) (int64, string, error) {
	if item.Entry.Mode.IsDir() {
		return 0, "", p.folder(ctx, strings.TrimRight(item.Target, "/"))
	}
	dir, name := splitRemote(item.Target)
	if name == "" || name == "." || name == ".." {
		return 0, "", fault.New(fault.Config, "%q cannot go to %q: that is no file's name", item.Source, item.Target)
	}
	f, err := os.Open(item.Source)
	if err != nil {
		return 0, "", diskError("open", item.Source, err)
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return 0, "", diskError("look at", item.Source, err)
	}
	if !opened.Mode().IsRegular() {
		return 0, "", fault.New(fault.LocalDisk, "%q is not a file: %s", item.Source, what(opened.Mode()))
	}
	if err := p.folder(ctx, dir); err != nil {
		return 0, "", err
	}
	if err := p.checkFinal(ctx, item.Target); err != nil {
		return 0, "", err
	}

	// While a file is written, a server that takes one session at a time
	// answers nothing else.
	p.removeDead(ctx, dir, name)
	temp := join(dir, partName(name, p.run))
	w, err := p.create(ctx, temp, Attrs{Size: opened.Size(), Mode: putMode(opened.Mode()), MTime: opened.ModTime().Truncate(time.Second)})
	if err != nil {
		return 0, "", sorted(ctx, fault.RemoteFile, temp, err)
	}
	sum, err := p.store(ctx, item, f, opened, temp, w, progress)
	shut(w)
	if err == nil {
		err = p.remote.Replace(ctx, temp, item.Target)
	}
	if err != nil {
		err = sorted(ctx, fault.RemoteFile, item.Target, err)
		p.remove(ctx, temp)
		return 0, "", err
	}
	return opened.Size(), sum, nil
}

// store fills the temporary file and holds both ends against what they are to
// be.
func (p *putter) store(ctx context.Context, item Item, f *os.File, opened fs.FileInfo, temp string, w Writer, progress FileProgress) (string, error) {
	size := opened.Size()
	sum, err := p.pump.push(ctx, w, f, size, progress.Moved)
	if err != nil && !errors.Is(err, errShort) {
		return "", sorted(ctx, fault.RemoteFile, temp, err)
	}
	now, statErr := f.Stat()
	if statErr != nil {
		return "", diskError("look at", item.Source, statErr)
	}
	if err != nil || now.Size() != size || !now.ModTime().Equal(opened.ModTime()) {
		return "", changed(fault.LocalDisk, item.Source, size, now.Size())
	}
	if err := w.Commit(ctx); err != nil {
		return "", sorted(ctx, fault.RemoteFile, temp, err)
	}
	stored, err := p.remote.Stat(ctx, temp)
	if err != nil {
		return "", sorted(ctx, fault.RemoteFile, temp, err)
	}
	if stored.Size != size {
		return "", fault.New(fault.Verify, "%q has %d bytes on the server, and %q has %d", temp, stored.Size, item.Source, size)
	}
	if p.verify != nil {
		if err := p.verify(ctx, temp, size, sum); err != nil {
			return "", sorted(ctx, fault.Verify, temp, err)
		}
	}
	return sum, nil
}

// create makes the temporary file. What stands in its way can only be left
// from an earlier attempt of this same run, whose connection broke before it
// could clean up; servers do not tell that failure from others.
func (p *putter) create(ctx context.Context, temp string, attrs Attrs) (Writer, error) {
	w, err := p.remote.Create(ctx, temp, attrs)
	if err == nil || stopsAll(err) || ctx.Err() != nil || p.remote.Remove(ctx, temp) != nil {
		return w, err
	}
	return p.remote.Create(ctx, temp, attrs)
}

// remove removes a temporary file after a failure, also when ctx has ended, if
// the connection is still good for it.
func (p *putter) remove(ctx context.Context, temp string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWait)
	defer cancel()
	if err := p.remote.Remove(ctx, temp); err != nil {
		p.log.Warn("cannot remove an unfinished file", keyTarget, at(p.host, temp), keyError, err)
	}
}

// checkFinal refuses a target that cannot be replaced by a file, before
// anything is sent.
func (p *putter) checkFinal(ctx context.Context, target string) error {
	e, err := p.remote.Stat(ctx, target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return sorted(ctx, fault.RemoteFile, target, err)
	case e.Mode.IsDir():
		return fault.New(fault.RemoteFile, "%q is a folder on the server", target).
			WithHint("end the target with a slash to put the file into that folder, or choose another name")
	case !e.Mode.IsRegular():
		return fault.New(fault.RemoteFile, "%q is %s on the server, and would be replaced by a file", target, what(e.Mode)).
			WithHint("choose another target")
	}
	return nil
}

// folder makes a remote folder with all that lead to it, and notes which
// temporary files it holds.
func (p *putter) folder(ctx context.Context, dir string) error {
	if _, known := p.folders[dir]; known {
		return nil
	}
	e, err := p.remote.Stat(ctx, dot(dir))
	switch {
	case err == nil && !e.Mode.IsDir():
		return fault.New(fault.RemoteFile, "%q is a file on the server, and a folder is needed there", dir).
			WithHint("move the file away, or choose another target")
	case err == nil:
		p.folders[dir] = p.parts(ctx, dir)
		return nil
	case !errors.Is(err, fs.ErrNotExist) || dir == "" || dir == "/":
		return sorted(ctx, fault.RemoteFile, dir, err)
	}
	parent, _ := splitRemote(dir)
	if err := p.folder(ctx, parent); err != nil {
		return err
	}
	if err := p.remote.Mkdir(ctx, dir); err != nil {
		return sorted(ctx, fault.RemoteFile, dir, err)
	}
	p.folders[dir] = nil
	return nil
}

// parts lists the temporary files of other runs in a folder. A folder that may
// be written to and not be read is nothing unusual.
func (p *putter) parts(ctx context.Context, dir string) []Entry {
	entries, err := p.remote.List(ctx, dot(dir))
	if err != nil {
		p.log.Debug("cannot look for unfinished files", keyTarget, at(p.host, dir), keyError, err)
	}
	var parts []Entry
	for _, e := range entries {
		if _, run, ours := parsePart(e.Name); ours && run != p.run && !strings.Contains(e.Name, "/") {
			parts = append(parts, e)
		}
	}
	return parts
}

// removeDead removes what dead runs left of the same target, as Put's comment
// says.
func (p *putter) removeDead(ctx context.Context, dir, name string) {
	began, _ := runBegan(p.run)
	for _, e := range p.folders[dir] {
		stem, run, _ := parsePart(e.Name)
		then, ok := runBegan(run)
		if stem != partStem(name) || !ok || began.Sub(then) < deadAfter || began.Sub(e.MTime) < deadAfter {
			continue
		}
		dead := join(dir, e.Name)
		if err := p.remote.Remove(ctx, dead); err != nil {
			p.log.Warn("cannot remove an unfinished file", keyTarget, at(p.host, dead), keyError, err)
			continue
		}
		p.log.Info("removed the unfinished file of a run that died", keyTarget, at(p.host, dead))
	}
}

// splitRemote takes the last element off a remote path. The folder is empty
// where the path has none.
func splitRemote(target string) (dir, name string) {
	dir, name = path.Split(target)
	if dir == "" {
		return "", name
	}
	return cmp.Or(strings.TrimRight(dir, "/"), "/"), name
}

// putMode is the mode of a new remote file. Windows knows none.
func putMode(m fs.FileMode) fs.FileMode {
	if !keepsModes {
		return 0o644
	}
	return m.Perm()
}
