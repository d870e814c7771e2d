package transfer

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/fault"
)

const (
	// maxHeld is how many entries all listings of a search hold in memory
	// together before they are written to disk: about 20 MB of them.
	maxHeld = 100_000
	// minRun is the least number of entries that is worth writing.
	minRun = 4096
	// maxRuns is how many sorted runs are merged at a time, each through a
	// buffer of runBuffer bytes.
	maxRuns   = 64
	runBuffer = 16 << 10
	// spoolPrefix begins the names of private folders and files.
	spoolPrefix = "linehaul-list-"
	// maxKeyed bounds a name that is read back, in bytes: a Surplus puts
	// another spelling before it, which may be some times longer.
	maxKeyed = 8 * maxName
)

// A spool is where the listings of one search go that are too large for
// memory: files in a private folder, which is made when the first of them
// needs it.
type spool struct {
	parent string       // of the private folder; empty: the system's for such
	limit  int          // of entries in memory
	run    int          // the least number worth writing
	held   atomic.Int64 // entries in memory

	once sync.Once
	dir  string
	err  error
}

func newSpool(parent string, limit int) *spool {
	return &spool{parent: parent, limit: limit, run: min(minRun, limit/8+1)}
}

// create makes one file. Where a system lets an open file be removed, it is,
// so that a killed process leaves an empty folder and no more.
func (s *spool) create() (*os.File, error) {
	s.once.Do(func() { s.dir, s.err = os.MkdirTemp(s.parent, spoolPrefix) })
	if s.err != nil {
		return nil, spoolError(s.err)
	}
	f, err := os.CreateTemp(s.dir, "run-")
	if err != nil {
		return nil, spoolError(err)
	}
	os.Remove(f.Name()) //nolint:errcheck // Windows cannot, and close removes it then
	return f, nil
}

// close removes the folder. Nobody uses the spool any more.
func (s *spool) close() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// SweepLists removes the private folders and files of searches that were
// killed, from the folder that was their Find.Temp: those that nothing was made
// in since an instant that no search can have begun before and still go on.
func SweepLists(temp string, since time.Time) error {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return diskError("list", temp, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), spoolPrefix) {
			continue
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(since) {
			err = os.RemoveAll(filepath.Join(temp, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return diskError("remove", filepath.Join(temp, e.Name()), err)
		}
	}
	return nil
}

func spoolError(err error) error {
	return fault.New(fault.LocalDisk, "set a long listing down: %w", err).
		WithHint("a folder with very many entries is sorted in a temporary folder: check its space")
}

// A sorter puts the entries of one folder in the order of their names.
type sorter struct {
	spool *spool
	buf   []Entry
	file  *os.File
	size  int64 // of file
	runs  []extent
}

// An extent is one sorted run in a sorter's file.
type extent struct{ from, to int64 }

func (s *sorter) add(e Entry) error {
	s.buf = append(s.buf, e)
	if s.spool.held.Add(1) > int64(s.spool.limit) && len(s.buf) >= s.spool.run {
		return s.flush()
	}
	return nil
}

func (s *sorter) sort() {
	slices.SortStableFunc(s.buf, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
}

// flush writes what is in memory as one run.
func (s *sorter) flush() error {
	if len(s.runs) == maxRuns {
		if err := s.join(); err != nil {
			return err
		}
	}
	if s.file == nil {
		f, err := s.spool.create()
		if err != nil {
			return err
		}
		s.file = f
	}
	s.sort()
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.size), runBuffer)
	var n int64
	for i := range s.buf {
		b := appendEntry(w.AvailableBuffer(), s.buf[i])
		if _, err := w.Write(b); err != nil {
			return spoolError(err)
		}
		n += int64(len(b))
	}
	if err := w.Flush(); err != nil {
		return spoolError(err)
	}
	s.runs = append(s.runs, extent{s.size, s.size + n})
	s.size += n
	s.spool.held.Add(-int64(len(s.buf)))
	clear(s.buf)
	s.buf = s.buf[:0]
	return nil
}

// join makes one run of all, in a new file.
func (s *sorter) join() error {
	f, err := s.spool.create()
	if err != nil {
		return err
	}
	m, err := newMerger(s.file, s.runs)
	if err != nil {
		f.Close()
		return err
	}
	w := bufio.NewWriterSize(f, runBuffer)
	var n int64
	for {
		e, ok, err := m.next()
		if err == nil && ok {
			b := appendEntry(w.AvailableBuffer(), e)
			_, err = w.Write(b)
			n += int64(len(b))
		}
		if err == nil && !ok {
			err = w.Flush()
		}
		if err != nil {
			f.Close()
			return spoolError(err)
		}
		if !ok {
			break
		}
	}
	s.file.Close()
	s.file, s.size, s.runs = f, n, []extent{{0, n}}
	return nil
}

// done ends adding. The sorter is not used any more; what it returns is to be closed.
func (s *sorter) done() (*ordered, error) {
	if len(s.runs) == 0 {
		s.sort()
		return &ordered{spool: s.spool, mem: s.buf, held: len(s.buf)}, nil
	}
	if len(s.buf) > 0 {
		if err := s.flush(); err != nil {
			s.drop()
			return nil, err
		}
	}
	s.buf = nil
	m, err := newMerger(s.file, s.runs)
	if err != nil {
		s.drop()
		return nil, err
	}
	return &ordered{spool: s.spool, merge: m, file: s.file}, nil
}

// drop gives up what was added.
func (s *sorter) drop() {
	s.spool.held.Add(-int64(len(s.buf)))
	s.buf = nil
	if s.file != nil {
		s.file.Close()
	}
}

// ordered is what a sorter has made: entries in order, each name once.
type ordered struct {
	spool *spool
	mem   []Entry // all of them, or
	merge *merger // what is read from file
	file  *os.File
	at    int
	held  int
	last  string
	begun bool
	// What find was asked for last, and has come to in merge.
	asked string
	found Entry
	ended bool
}

// next returns one entry after the other. Of several with one name, which no
// honest server has, the first counts.
func (s *ordered) next() (Entry, bool, error) {
	for {
		var e Entry
		ok := s.at < len(s.mem)
		switch {
		case s.merge != nil:
			var err error
			if e, ok, err = s.merge.next(); err != nil {
				return Entry{}, false, err
			}
		case ok:
			e = s.mem[s.at]
			s.at++
		}
		if !ok || !s.begun || e.Name != s.last {
			s.last, s.begun = e.Name, true
			return e, ok, nil
		}
	}
}

// has reports whether there is an entry of that name, if that can be told
// without reading on.
func (s *ordered) has(name string) (has, known bool) {
	if s.merge != nil {
		return false, false
	}
	_, has = slices.BinarySearchFunc(s.mem, name, func(e Entry, name string) int { return cmp.Compare(e.Name, name) })
	return has, true
}

// find returns the entry of a name. What lies on disk is read on for it, so that
// only names that come in order are known there; next must not be used then.
func (s *ordered) find(name string) (e Entry, there, known bool, err error) {
	if s.merge == nil {
		i, there := slices.BinarySearchFunc(s.mem, name, func(e Entry, name string) int { return cmp.Compare(e.Name, name) })
		if there {
			e = s.mem[i]
		}
		return e, there, true, nil
	}
	if name < s.asked {
		return Entry{}, false, false, nil
	}
	s.asked = name
	for !s.ended && (!s.begun || s.last < name) {
		var ok bool
		if s.found, ok, err = s.next(); err != nil {
			return Entry{}, false, false, err
		}
		s.ended = !ok
	}
	return s.found, !s.ended && s.last == name, true, nil
}

func (s *ordered) close() {
	s.spool.held.Add(-int64(s.held))
	s.mem, s.held = nil, 0
	if s.file != nil {
		s.file.Close()
	}
}

// appendEntry writes an entry as a sorter's file has it: the name's length and
// bytes, size, mode, and mtime in seconds and nanoseconds.
func appendEntry(b []byte, e Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.Name)))
	b = append(b, e.Name...)
	b = binary.AppendVarint(b, e.Size)
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendVarint(b, e.MTime.Unix())
	return binary.AppendUvarint(b, uint64(e.MTime.Nanosecond()))
}

func readEntry(r *bufio.Reader) (Entry, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return Entry{}, err // io.EOF: the run has ended
	}
	if n > maxKeyed {
		return Entry{}, errDamaged
	}
	name := make([]byte, n)
	if _, err := io.ReadFull(r, name); err != nil {
		return Entry{}, errDamaged
	}
	size, err1 := binary.ReadVarint(r)
	mode, err2 := binary.ReadUvarint(r)
	sec, err3 := binary.ReadVarint(r)
	nsec, err4 := binary.ReadUvarint(r)
	if cmp.Or(err1, err2, err3, err4) != nil {
		return Entry{}, errDamaged
	}
	return Entry{Name: string(name), Size: size, Mode: fs.FileMode(mode), MTime: time.Unix(sec, int64(nsec))}, nil
}

var errDamaged = errors.New("a listing that was set down is damaged")

// A merger reads sorted runs as one.
type merger struct{ heads []head }

type head struct {
	entry Entry
	run   int // the earlier one goes first among equals
	r     *bufio.Reader
}

func newMerger(f io.ReaderAt, runs []extent) (*merger, error) {
	m := &merger{}
	for i, x := range runs {
		h := head{run: i, r: bufio.NewReaderSize(io.NewSectionReader(f, x.from, x.to-x.from), runBuffer)}
		var err error
		if h.entry, err = readEntry(h.r); err != nil {
			return nil, spoolError(err)
		}
		m.heads = append(m.heads, h)
	}
	heap.Init(m)
	return m, nil
}

func (m *merger) next() (Entry, bool, error) {
	if len(m.heads) == 0 {
		return Entry{}, false, nil
	}
	h := &m.heads[0]
	e := h.entry
	var err error
	h.entry, err = readEntry(h.r)
	switch err {
	case nil:
		heap.Fix(m, 0)
	case io.EOF:
		heap.Pop(m)
	default:
		return Entry{}, false, spoolError(err)
	}
	return e, true, nil
}

func (m *merger) Len() int { return len(m.heads) }
func (m *merger) Less(i, j int) bool {
	a, b := &m.heads[i], &m.heads[j]
	return cmp.Or(cmp.Compare(a.entry.Name, b.entry.Name), cmp.Compare(a.run, b.run)) < 0
}
func (m *merger) Swap(i, j int) { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merger) Push(any)      {} // nothing is added after Init
func (m *merger) Pop() any {
	last := len(m.heads) - 1
	m.heads[last] = head{}
	m.heads = m.heads[:last]
	return nil
}
