package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
)

const (
	// folderMode and privateMode are before the umask.
	folderMode  fs.FileMode = 0o755
	privateMode fs.FileMode = 0o600
	// lockTries is how often a temporary file is created that another process
	// took for a dead one before it could be locked; before the second time it
	// waits for lockWait, and then twice as long each time.
	lockTries = 8
	lockWait  = time.Millisecond
	// renameTries and renameWait give virus scanners and indexers on Windows
	// time to let go of a target.
	renameTries = 5
	renameWait  = 200 * time.Millisecond
	// listBatch is how many names of a folder are held at a time.
	listBatch = 1024
)

// openRoot opens the folder that everything goes below, and makes it if it is
// absent, durably.
func openRoot(path string) (*os.Root, error) {
	var made []string // parents of what is to be made
	for p := filepath.Clean(path); ; {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parent := filepath.Dir(p)
		if parent == p {
			break
		}
		made, p = append(made, parent), parent
	}
	if err := os.MkdirAll(path, folderMode); err != nil {
		return nil, diskError("make folder", path, err)
	}
	for _, parent := range made {
		f, err := os.Open(parent)
		if err == nil {
			err = syncFolder(f)
			f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, diskError("sync folder", parent, err)
		}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, diskError("open folder", path, err)
	}
	return root, nil
}

// makeFolder makes a folder below root with all that lead to it, durably.
func makeFolder(root *os.Root, dir string) error {
	path := localPath(root.Name(), dir)
	info, err := root.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fault.New(fault.LocalDisk, "%q is a file, and a folder is needed there", path).
			WithHint("move the file away, or choose another target")
	case !errors.Is(err, fs.ErrNotExist):
		return diskError("open folder", path, err)
	}
	parent := filepath.Dir(dir)
	if err := makeFolder(root, parent); err != nil {
		return err
	}
	if err := root.Mkdir(dir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return diskError("make folder", path, err)
	}
	f, err := root.Open(parent)
	if err != nil {
		return diskError("open folder", localPath(root.Name(), parent), err)
	}
	defer f.Close()
	if err := syncFolder(f); err != nil {
		return diskError("sync folder", localPath(root.Name(), parent), err)
	}
	return nil
}

// A folder is the target folder of a file, held open, so that nothing that is
// done to the path above it meanwhile matters.
type folder struct {
	root  *os.Root
	path  string // for messages
	log   *slog.Logger
	disk  disk
	self  *os.File // the folder itself, to be synced; guarded by syncs
	syncs group

	// left are temporary files of dead runs that a transfer may go on with.
	mu   sync.Mutex
	left []string
}

// A disk makes an open file and the names in an open folder durable. The zero
// value stands for this system's.
type disk struct{ syncFile, syncNames func(*os.File) error }

func (d disk) orReal() disk {
	if d.syncFile == nil {
		return disk{(*os.File).Sync, syncFolder}
	}
	return d
}

// openFolder opens a folder below root, and makes it if it is absent. The
// caller closes it.
func openFolder(root *os.Root, dir string, log *slog.Logger, on disk) (*folder, error) {
	if err := makeFolder(root, dir); err != nil {
		return nil, err
	}
	path := localPath(root.Name(), dir)
	sub, err := root.OpenRoot(dir)
	if err != nil {
		return nil, diskError("open folder", path, err)
	}
	return &folder{root: sub, path: path, log: log, disk: on.orReal()}, nil
}

func (d *folder) close() {
	if d.self != nil {
		d.self.Close()
	}
	d.root.Close()
}

func (d *folder) join(name string) string { return filepath.Join(d.path, name) }

// checkFinal refuses a name that a file cannot be renamed to, before anything
// is fetched, and one that it could but must not: a device, for one. A
// symbolic link is replaced, not followed.
func (d *folder) checkFinal(name string) error {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case isHeld(err):
		return nil // whoever has it open may let go of it before it is replaced
	case err != nil:
		return diskError("look at", d.join(name), err)
	case info.IsDir():
		return fault.New(fault.LocalDisk, "%q is a folder", d.join(name)).
			WithHint("end the target with a slash to put the file into that folder, or choose another name")
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0:
		return fault.New(fault.LocalDisk, "%q is %s, and would be replaced by a file", d.join(name), what(info.Mode())).
			WithHint("choose another target")
	}
	return nil
}

// A tempFile is a file on its way to its final name. It is locked as long as
// it is open, which tells other processes that its writer lives.
type tempFile struct {
	dir         *folder
	file        *os.File
	name, final string
	mode        fs.FileMode // that it will have; 0: leave it alone

	journal *os.File // nil: it has none
}

// create makes the temporary file for a target. mode is what the target is to
// have, before the umask; its owner may always read it. Until it is whole,
// nobody else may.
func (d *folder) create(ctx context.Context, final, run string, mode fs.FileMode) (*tempFile, error) {
	t := &tempFile{dir: d, final: final, name: partName(final, run)}
	mode = mode.Perm() | 0o400
	for try := range lockTries {
		if try > 0 {
			select { // the other one is about to remove it
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(lockWait << (try - 1)):
			}
		}
		f, err := d.root.OpenFile(t.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode|privateMode)
		if errors.Is(err, fs.ErrExist) {
			// The name has this run's id: an earlier attempt of it left the file,
			// and could not be gone on with.
			d.remove(t.name)
			d.remove(journalName(t.name))
			continue
		}
		if err != nil {
			return nil, diskError("create", d.join(t.name), err)
		}
		t.file = f
		info, err := f.Stat()
		if !t.lock(info) {
			f.Close()
			continue
		}
		if err == nil && keepsModes {
			// The system has taken the umask off: learn it from that.
			t.mode = info.Mode().Perm() & mode
			t.try("set mode", f.Chmod(privateMode))
		}
		return t, nil
	}
	return nil, fault.New(fault.LocalDisk, "lock %q: another process removes it again and again", d.join(t.name)).AsTransient()
}

// lock locks a new temporary file, which that is of. It is false where another
// process took it for a dead one in the moment before, and has removed it or is about
// to.
func (t *tempFile) lock(made fs.FileInfo) bool {
	held, err := flock.TryLock(t.file)
	if err != nil {
		// A file system without locks: other runs then leave the file alone,
		// as they cannot lock it either.
		t.try("lock", err)
		return true
	}
	return held && t.dir.leadsTo(t.name, made)
}

// leadsTo reports whether a name is still that of an open file, as Stat has
// described it.
func (d *folder) leadsTo(name string, opened fs.FileInfo) bool {
	if opened == nil {
		return false
	}
	named, err := d.root.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

// try notes a failure that does not make the copy a worse one: some file
// systems know no modes or times.
func (t *tempFile) try(did string, err error) {
	if err != nil {
		t.dir.log.Debug("cannot "+did, keyTarget, t.dir.join(t.name), keyError, err)
	}
}

// commit makes the file durable and gives it its final name. It stays locked
// until it has that, so that nobody takes it for a dead one in between.
func (t *tempFile) commit(ctx context.Context, mtime time.Time) error {
	if t.mode != 0 {
		t.try("set mode", t.file.Chmod(t.mode))
	}
	if !mtime.IsZero() {
		t.try("set time", setMTime(t.dir.root, t.name, t.file, mtime))
	}
	if err := t.dir.disk.syncFile(t.file); err != nil {
		return diskError("sync", t.dir.join(t.name), err)
	}
	if err := t.rename(ctx); err != nil {
		return err
	}
	return t.dir.syncs.do(t.dir.sync)
}

// sync makes the names in the folder durable.
func (d *folder) sync() error {
	var err error
	if d.self == nil {
		d.self, err = d.root.Open(".")
	}
	if err == nil {
		err = d.disk.syncNames(d.self)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return diskError("sync folder", d.path, err)
	}
	return nil
}

func (t *tempFile) rename(ctx context.Context) error {
	for try := 1; ; try++ {
		err := t.dir.root.Rename(t.name, t.final)
		switch {
		case err == nil:
			t.dropJournal()
			t.name = ""
			t.file.Close()
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return &againError{fault.New(fault.LocalDisk, "%q was removed by another program before it was finished", t.dir.join(t.name))}
		case !isBusy(err) || try == renameTries:
			return diskError("replace", t.dir.join(t.final), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(renameWait):
		}
	}
}

// keepBad leaves the file under a name that nobody takes for a whole one, and
// returns its path. Like any file that is given its name, it is made durable.
func (t *tempFile) keepBad() (string, error) {
	name := badCopyName(t.name)
	if err := t.dir.disk.syncFile(t.file); err != nil {
		return "", diskError("sync", t.dir.join(t.name), err)
	}
	t.dropJournal()
	if err := t.dir.root.Rename(t.name, name); err != nil {
		return "", diskError("rename to", t.dir.join(name), err)
	}
	t.name = ""
	t.file.Close()
	return t.dir.join(name), t.dir.syncs.do(t.dir.sync)
}

// discard removes the file unless it was committed or kept.
func (t *tempFile) discard() {
	if t.name == "" {
		return
	}
	t.dropJournal()
	if err := t.dir.root.Remove(t.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.dir.log.Warn("cannot remove an unfinished file", keyTarget, t.dir.join(t.name), keyError, err)
	}
	t.file.Close()
	t.name = ""
}

// sweep removes temporary files of runs that are dead, but for those that have
// a journal if resumable is set: these are kept in d.left.
func (d *folder) sweep(resumable bool) error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	var parts, journals []string
	for {
		entries, err := f.ReadDir(listBatch)
		for _, e := range entries {
			switch _, _, part := parsePart(e.Name()); {
			case !e.Type().IsRegular():
			case part:
				parts = append(parts, e.Name())
			case isOurs(e.Name()) && strings.HasSuffix(e.Name(), journalSuffix):
				journals = append(journals, e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, name := range parts {
		if resumable && slices.Contains(journals, journalName(name)) {
			d.left = append(d.left, name)
			continue
		}
		d.removeDead(name)
	}
	for _, name := range journals {
		if !slices.ContainsFunc(parts, func(part string) bool { return journalName(part) == name }) {
			d.remove(name)
		}
	}
	return nil
}

// remove removes what nobody can need any more.
func (d *folder) remove(name string) {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("cannot remove an unfinished file", keyTarget, d.join(name), keyError, err)
	}
}

// removeDead removes a temporary file that nobody holds a lock on, with its
// journal.
func (d *folder) removeDead(name string) {
	f, err := d.openDead(name)
	if err != nil {
		d.log.Warn("cannot remove an unfinished file", keyTarget, d.join(name), keyError, err)
	}
	if f == nil {
		return
	}
	defer f.Close()
	d.remove(name)
	if _, err := d.root.Lstat(journalName(name)); err == nil {
		d.remove(journalName(name))
	}
	d.log.Info("removed the unfinished file of a run that died", keyTarget, d.join(name))
}

// openDead opens and locks a temporary file. It is nil if somebody else holds
// the lock, or if it is gone.
func (d *folder) openDead(name string) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = d.root.Open(name) // it was about to become read-only
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	held, err := flock.TryLock(f)
	if err == nil && held {
		opened, _ := f.Stat()
		held = d.leadsTo(name, opened)
	}
	if err != nil || !held {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Sweep removes the temporary files of dead runs in a folder and all below it.
// Get.Files does so by itself in the folders that it writes to; this is for
// the folders of a run that was killed and whose targets had another name, by
// a date for one. With resumable set, files stay with which a transfer can go
// on. Links are not followed; the folder need not exist. It returns the first
// folder's error that it could not look at.
func Sweep(ctx context.Context, path string, resumable bool, log *slog.Logger) error {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskError("open folder", path, err)
	}
	defer root.Close()
	return sweepBelow(ctx, &folder{root: root, path: path, log: orDiscard(log)}, resumable, 0)
}

func sweepBelow(ctx context.Context, d *folder, resumable bool, depth int) error {
	if err := ctx.Err(); err != nil {
		return sorted(ctx, fault.LocalDisk, d.path, err)
	}
	if depth > maxDepth {
		return nil
	}
	var first error
	if err := d.sweep(resumable); err != nil {
		first = diskError("look through", d.path, err)
	}
	entries, _ := fs.ReadDir(d.root.FS(), ".") // sweep has said what is wrong with the folder
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		sub, err := d.root.OpenRoot(e.Name())
		if err != nil {
			first = cmp.Or(first, diskError("open folder", d.join(e.Name()), err))
			continue
		}
		err = sweepBelow(ctx, &folder{root: sub, path: d.join(e.Name()), log: d.log}, resumable, depth+1)
		sub.Close()
		first = cmp.Or(first, err)
	}
	return first
}
