// Package store keeps the record of runs, as one JSON file a run, and the
// locks that keep a job from running twice at once:
//
//	DIR/runs/2026/11/20261123T023001Z-123x7k2q_nightly-db.json
//	DIR/runs/2026/11/20261123T023001Z-123x7k2q_nightly-db.files.jsonl
//	DIR/runs/2026/11/20261123T023001Z-123x7k2q_nightly-db+line.json
//	DIR/running/20261123T023001Z-123x7k2q_nightly-db    (empty)
//	DIR/progress/20261123T023001Z-123x7k2q_nightly-db.json
//	DIR/locks/nightly-db.lock
//
// The second holds the files of a run that are too many for its record, and is
// written as they end: one JSON object a line. The third is an attachment, as
// many as are asked for: what was measured while the run went on.
//
// The id begins with the time, so the newest page is found without reading
// more than it shows; the job stands in the name, so its runs are found
// without reading those of others. What stands in running/ is not known to
// have ended: Recover looks at these only.
//
// A record is replaced in one step, and is durable when Put returns. Several
// processes may use one folder. Not here: removing old records (with one, all
// goes that begins with its id), and queries beyond job, state and time; a
// database can take this package's place behind the same methods.
package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

// Store is the record of runs in one folder. Its methods are safe for
// concurrent use. Errors are of kind fault.LocalDisk where nothing else is
// said.
type Store struct {
	dir string
}

// The folders below a Store's own.
const (
	runsDir    = "runs"
	runningDir = "running"
	locksDir   = "locks"
	// progressDir has how far runs are that are under way.
	progressDir = "progress"
)

// maxRecord bounds what is read of one record, in bytes: enough for a million
// files in one run.
const maxRecord = 512 << 20

// Open opens the store in dir, and makes the folder, for owner and group,
// where it is absent.
func Open(dir string) (*Store, error) {
	for _, sub := range []string{runsDir, runningDir, locksDir, progressDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			return nil, fault.New(fault.LocalDisk, "open the record of runs in %q: %w", dir, err)
		}
	}
	return &Store{dir: dir}, nil
}

// NotFoundError says that there is no run of that id. It comes wrapped in a
// fault of kind Usage.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("no run %q", e.ID) }

// AmbiguousError says that an id was cut too short. It comes wrapped in a
// fault of kind Usage.
type AmbiguousError struct {
	ID  string
	IDs []string // some of those that begin so
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("several runs begin with %q: %s", e.ID, strings.Join(e.IDs, ", "))
}

// record is a record's place: what its path says.
type record struct {
	id, job string
}

func (r record) base() string { return r.id + "_" + r.job }

// folder is the month, of a record whose id is known to be good.
func (r record) folder() string { return path.Join(runsDir, r.id[:4], r.id[4:6]) }

func (r record) path() string { return path.Join(r.folder(), r.base()+".json") }

func (r record) temp() string { return r.path() + ".tmp" }

// more holds the files that are too many for the record.
func (r record) more() string { return path.Join(r.folder(), r.base()+moreSuffix) }

func (r record) marker() string { return path.Join(runningDir, r.base()) }

// parseBase reads ID_JOB.
func parseBase(base string) (record, bool) {
	id, job, ok := strings.Cut(base, "_")
	if _, good := parseID(id); !ok || !good || checkJob(job) != nil {
		return record{}, false
	}
	return record{id, job}, true
}

// root opens the folder for one operation. Through an os.Root, files can be
// replaced on Windows too while another process reads them.
func (s *Store) root() (*os.Root, error) { return os.OpenRoot(s.dir) }

// Put writes the record of a run, in place of an earlier one of its id. When
// it returns, the record is on the disk; killed at any instant, it leaves the
// old record or the new one.
func (s *Store) Put(r Run) error {
	if err := r.check(); err != nil {
		return fault.New(fault.Internal, "record run: %w", err)
	}
	r.Progress = nil // it has a place of its own
	data, err := encode(r)
	if err != nil {
		return fault.New(fault.Internal, "record run %s: %w", r.ID, err)
	}
	if err := s.put(record{r.ID, r.Job}, data, r.State == Running); err != nil {
		return fault.New(fault.LocalDisk, "record run %s in %q: %w", r.ID, s.dir, err)
	}
	return nil
}

// put writes the marker, then the record, then takes the marker away unless
// the run goes on. So a record that says "running", and a temporary file that
// a crash leaves, always have a marker by which Recover finds them.
func (s *Store) put(rec record, data []byte, running bool) error {
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := mark(root, rec); err != nil {
		return err
	}
	err = replace(root, rec, data)
	if errors.Is(err, fs.ErrNotExist) {
		// Recover, or an administrator, cleaned up in the middle.
		err = replace(root, rec, data)
	}
	if err != nil || running {
		return err
	}
	return errors.Join(removeAny(root, rec.progress()), removeAny(root, rec.marker()))
}

func mark(root *os.Root, rec record) error {
	f, err := root.OpenFile(rec.marker(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncDir(root, runningDir)
}

func replace(root *os.Root, rec record, data []byte) error {
	if err := makeFolder(root, rec.folder()); err != nil {
		return err
	}
	if err := writeSynced(root, rec.temp(), data); err != nil {
		return errors.Join(err, removeAny(root, rec.temp()))
	}
	if err := root.Rename(rec.temp(), rec.path()); err != nil {
		return err
	}
	return syncDir(root, rec.folder())
}

// makeFolder makes a month's folder and makes its names durable.
func makeFolder(root *os.Root, folder string) error {
	if _, err := root.Stat(folder); err == nil {
		return nil
	}
	if err := root.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for dir := path.Dir(folder); dir != "."; dir = path.Dir(dir) {
		if err := syncDir(root, dir); err != nil {
			return err
		}
	}
	return nil
}

func writeSynced(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// removeAny removes a file, which may be gone already.
func removeAny(root *os.Root, name string) error {
	if err := root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func read(root *os.Root, rec record) (Run, error) {
	f, err := root.Open(rec.path())
	if err != nil {
		return Run{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return Run{}, err
	}
	r, err := decode(data)
	switch {
	case err != nil:
		return Run{}, fmt.Errorf("damaged record %q: %w", rec.path(), err)
	case r.ID != rec.id || r.Job != rec.job:
		return Run{}, fmt.Errorf("damaged record %q: it is of run %s of job %q", rec.path(), r.ID, r.Job)
	}
	if r.State == Running {
		r.Progress = readProgress(root, rec)
	}
	if r.MoreFiles > 0 {
		r.more = filepath.Join(root.Name(), filepath.FromSlash(rec.more()))
	}
	return r, nil
}

// Filter says which runs are wanted. The zero value wants all.
type Filter struct {
	Job   string
	State State
	Since time.Time // those that started then or later
	Limit int       // so many at most; 0: all
}

// Runs returns runs, the newest first, and reads no more records than it must.
// A record that cannot be read is left out and described in warnings.
func (s *Store) Runs(f Filter) (runs []Run, warnings []error, err error) {
	warnings, err = s.Each(f, func(r Run) bool {
		runs = append(runs, r)
		return true
	})
	return runs, warnings, err
}

// Each calls yield with what Runs would return, one run at a time, until it
// returns false.
func (s *Store) Each(f Filter, yield func(Run) bool) (warnings []error, err error) {
	root, err := s.root()
	if err != nil {
		return nil, s.readFault(err)
	}
	defer root.Close()
	seen := 0
	for rec, err := range walk(root, "") {
		if err != nil {
			return warnings, s.readFault(err)
		}
		if f.Job != "" && rec.job != f.Job {
			continue
		}
		// An id has milliseconds only.
		if t, ok := parseID(rec.id); ok && t.Before(f.Since.Truncate(time.Millisecond)) {
			break
		}
		r, err := read(root, rec)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // removed meanwhile
		case err != nil:
			warnings = append(warnings, err)
			continue
		case f.State != "" && r.State != f.State:
			continue
		}
		seen++
		if !yield(r) || seen == f.Limit {
			break
		}
	}
	return warnings, nil
}

// Last returns the newest run of a job, and whether there is any.
func (s *Store) Last(job string) (Run, bool, error) {
	runs, _, err := s.Runs(Filter{Job: job, Limit: 1})
	if len(runs) == 0 {
		return Run{}, false, err
	}
	return runs[0], true, nil
}

// maxAmbiguous is how many ids an AmbiguousError names.
const maxAmbiguous = 5

// Run returns the run of that id, which may be cut short as long as it is the
// only one that begins so. A *NotFoundError or *AmbiguousError is in the chain
// of the error otherwise.
func (s *Store) Run(id string) (Run, error) {
	root, err := s.root()
	if err != nil {
		return Run{}, s.readFault(err)
	}
	defer root.Close()
	var found []record
	if id != "" {
		for rec, err := range walk(root, id) {
			if err != nil {
				return Run{}, s.readFault(err)
			}
			if found = append(found, rec); len(found) == maxAmbiguous {
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return Run{}, fault.New(fault.Usage, "%w", &NotFoundError{id}).WithHint("`linehaul history` lists what ran")
	case 1:
		r, err := read(root, found[0])
		if err != nil {
			return Run{}, s.readFault(err)
		}
		return r, nil
	}
	ambiguous := &AmbiguousError{ID: id}
	for _, rec := range found {
		ambiguous.IDs = append(ambiguous.IDs, rec.id)
	}
	return Run{}, fault.New(fault.Usage, "%w", ambiguous).WithHint("give more of the id")
}

func (s *Store) readFault(err error) error {
	return fault.New(fault.LocalDisk, "read the record of runs in %q: %w", s.dir, err)
}

// walk yields the records whose id begins with prefix, the newest first. It
// reads one month's folder at a time, and no record.
func walk(root *os.Root, prefix string) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		years, err := list(root, runsDir)
		if err != nil {
			yield(record{}, err)
			return
		}
		for _, year := range years {
			if len(year) != 4 || !agree(year, prefix) {
				continue
			}
			months, err := list(root, path.Join(runsDir, year))
			if err != nil {
				yield(record{}, err)
				return
			}
			for _, month := range months {
				if len(month) != 2 || !agree(year+month, prefix) {
					continue
				}
				if !walkMonth(root, year+month, prefix, yield) {
					return
				}
			}
		}
	}
}

func walkMonth(root *os.Root, month, prefix string, yield func(record, error) bool) bool {
	names, err := list(root, path.Join(runsDir, month[:4], month[4:]))
	if err != nil {
		yield(record{}, err)
		return false
	}
	for _, name := range names {
		base, isRecord := strings.CutSuffix(name, ".json")
		rec, ok := parseBase(base)
		// A record in the wrong folder would not be found by its own path.
		if !isRecord || !ok || !strings.HasPrefix(rec.id, month) || !strings.HasPrefix(rec.id, prefix) {
			continue
		}
		if !yield(rec, nil) {
			return false
		}
	}
	return true
}

// agree reports whether ids that begin with folder may begin with prefix.
func agree(folder, prefix string) bool {
	n := min(len(folder), len(prefix))
	return folder[:n] == prefix[:n]
}

// list returns the names in a folder, the greatest first. A folder that is not
// there holds none.
func list(root *os.Root, dir string) ([]string, error) {
	f, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	return names, err
}
