package job

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/transfer"
)

// maxDone bounds how many files that were moved are remembered for a further
// attempt: about 160 MB.
const maxDone = 4 << 20

// results are what became of the files of a run, through all its attempts. Its
// methods may be called concurrently: while files are planned, others end.
type results struct {
	job   *Job
	list  *store.FileList // used by others between attempts only
	notes *store.Notes    // for whoever ends the run if this process dies; nil: nobody does

	mu  sync.Mutex
	run *store.Run // its numbers of files
	// done has what was moved, for the next attempt: 24 bytes a file. A mirror
	// needs none of that: it looks at its target.
	done  map[[16]byte]uint64
	twice bool // something was moved a second time, as its source had changed
	// before has what earlier processes of the run have moved, and this one has not,
	// and whether it is among what this one is to move.
	before map[[16]byte]bool
	broke  error
	dest   destination
	base   int // the places of earlier attempts end there
	next   int
}

func newResults(j *Job, run *store.Run, list *store.FileList, notes *store.Notes) *results {
	r := &results{job: j, run: run, list: list, notes: notes}
	if j.Sync == nil && (j.Retry.Attempts > 1 || j.Retry.Reconnect) {
		r.done = map[[16]byte]uint64{}
	}
	return r
}

// err is why results could not be kept; nil if they could.
func (r *results) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broke
}

// begin begins an attempt. What failed in an earlier one is tried again, or is
// there no more.
func (r *results) begin(dest destination) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dest, r.base = dest, r.next
	if r.run.Failed > 0 {
		r.failLocked(r.list.Change(func(f *store.File) bool { return f.Error == "" }))
	}
	r.run.Failed = 0
}

func (r *results) failLocked(err error) {
	if r.broke == nil {
		r.broke = err
	}
}

// takeOver enters into the list what earlier processes of the run have moved, before
// its first attempt, and returns how many files that are.
func (r *results) takeOver(s *store.Store) (files int, err error) {
	r.before = map[[16]byte]bool{}
	err = s.EachMoved(*r.run, func(f store.File) error {
		r.before[store.FileKey(f.Source, f.Target)] = false
		r.putLocked(f, r.next)
		return r.broke
	})
	return len(r.before), err
}

// earlier reports whether an earlier process of the run has moved an item, or
// another version of it, and this one has not. With again, this one is to move it.
func (r *results) earlier(i transfer.Item, again bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.before) == 0 {
		return false
	}
	k := store.FileKey(i.Source, r.dest.full(i.Target))
	planned, ok := r.before[k]
	if ok {
		r.before[k] = planned || again
	}
	return ok
}

// found enters a file that an earlier process of the run was about to move, and which
// is whole at its target.
func (r *results) found(i transfer.Item, target, sum string) {
	f := store.File{
		Source: i.Source, Target: target, Bytes: i.Entry.Size, MTime: i.Entry.MTime, SHA256: sum, Take: max(1, r.run.Take-1),
	}
	k := store.FileKey(f.Source, f.Target)
	r.mu.Lock()
	_, known := r.before[k]
	if known = known || r.before == nil; !known {
		r.before[k] = false
		r.putLocked(f, r.next-r.base)
	}
	r.mu.Unlock()
	if !known {
		r.note(f)
	}
}

// hereLocked notes that this process has moved or removed a file.
func (r *results) hereLocked(f store.File) {
	if len(r.before) > 0 {
		delete(r.before, store.FileKey(f.Source, f.Target))
	}
}

// settle drops from the list of earlier processes what this one has moved again. It
// is called after an attempt.
func (r *results) settle() error {
	if r.before == nil {
		return nil
	}
	return r.list.Change(func(f *store.File) bool {
		_, stays := r.before[store.FileKey(f.Source, f.Target)]
		return stays || f.Take == 0
	})
}

// end ends the list, and counts what earlier processes have moved. Nothing is moved
// any more.
func (r *results) end() error {
	err := r.settle()
	if err == nil && r.before != nil {
		err = r.list.Each(func(f store.File) error {
			if f.Take == 0 {
				return nil
			}
			if r.run.Count(f); r.before[store.FileKey(f.Source, f.Target)] {
				r.run.Matched-- // it is counted there already
			}
			return nil
		})
	}
	return cmp.Or(r.list.End(r.run), err)
}

// note notes what was moved or removed, for whoever ends the run if this process dies.
func (r *results) note(f store.File) {
	if r.err() != nil {
		return
	}
	if err := r.notes.Add(f); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failLocked(err)
	}
}

// version tells a file's states from each other.
func version(size int64, mtime int64) uint64 {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(size))
	binary.BigEndian.PutUint64(b[8:], uint64(mtime))
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(sum[:8])
}

// moved reports whether an earlier attempt has moved an item, as it is now.
func (r *results) moved(i transfer.Item) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.done[store.FileKey(i.Source, r.dest.full(i.Target))]
	return ok && v == version(i.Entry.Size, i.Entry.MTime.UnixNano())
}

// file is what became of an item, for the record.
func (r *results) file(res transfer.Result) store.File {
	f := store.File{
		Source: res.Item.Source, Target: r.dest.full(res.Item.Target), Bytes: res.Bytes, MTime: res.Item.Entry.MTime,
		SHA256: res.SHA256, Verified: res.Verified, Resumed: res.Resumed, Seconds: res.Took.Seconds(),
	}
	switch {
	case res.Item.Link != "":
		f.Kind = kindLink
	case res.Item.Entry.Mode.IsDir():
		f.Kind = kindFolder
	}
	if r.job.After.Source == config.SourceMove {
		f.Path = res.Item.Path
	}
	switch {
	case res.Err != nil:
		f.Error = res.Err.Error()
	case f.Kind == "" && res.Item.Entry.Size != res.Bytes:
		f.Listed = &res.Item.Entry.Size
	}
	return f
}

// add notes what became of an item. place is its number in this attempt.
func (r *results) add(res transfer.Result, place int) {
	f := r.file(res)
	r.mu.Lock()
	defer r.mu.Unlock()
	if res.Err != nil {
		r.run.Failed++
	} else {
		r.run.Moved++
		r.run.Bytes += res.Bytes
		r.hereLocked(f)
		r.noteLocked(res.Item)
	}
	r.putLocked(f, place)
}

// deleted notes what a mirror deleted at the target.
func (r *results) deleted(f store.File, place int) {
	f.Deleted, f.Gone = true, store.GoneByMirror
	r.note(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Removed++
	r.hereLocked(f)
	r.putLocked(f, place)
}

// pruned notes what retention removed: old copies, and the folders that became empty
// by it.
func (r *results) pruned(f store.File) {
	f.Deleted, f.Gone = true, store.GoneByRetention
	r.note(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Kind == "" {
		r.run.Removed++
	}
	r.hereLocked(f)
	r.putLocked(f, r.next-r.base)
}

// noteLocked remembers an item that was moved.
func (r *results) noteLocked(i transfer.Item) {
	if r.done == nil {
		return
	}
	k := store.FileKey(i.Source, r.dest.full(i.Target))
	_, again := r.done[k]
	r.twice = r.twice || again
	if !again && len(r.done) >= maxDone {
		r.failLocked(fault.New(fault.Usage, "more than %d files cannot be moved by one run", maxDone).
			WithHint("make several jobs, or one with `sync`"))
		return
	}
	r.done[k] = version(i.Entry.Size, i.Entry.MTime.UnixNano())
}

// putLocked puts a line into the list.
func (r *results) putLocked(f store.File, place int) {
	r.next = max(r.next, r.base+place+1)
	r.failLocked(r.list.Add(f, r.base+place))
}

// What a store.File is, if it is no file.
const (
	kindLink   = "link"
	kindFolder = "folder"
)

// latest reports whether a line is of the last time that its file was moved.
func (r *results) latest(f store.File) bool {
	size := f.Bytes
	if f.Listed != nil {
		size = *f.Listed
	}
	return f.Kind != "" || f.Error != "" || f.Deleted || f.Take > 0 || !r.twice || r.done[store.FileKey(f.Source, f.Target)] == version(size, f.MTime.UnixNano())
}
