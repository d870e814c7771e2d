package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"linehaul/fault"
	"linehaul/store/db"
)

const (
	// MaxFiles is how many files a record holds itself.
	MaxFiles = 1000
	// maxLine bounds a line of the file beside it, in bytes.
	maxLine = 1 << 20
)

// A FileList notes what becomes of a run's files while it goes on: the first
// MaxFiles in memory, for the record, and what is beyond in a file, one JSON
// object a line, which the store takes in at the end. It is used by one goroutine
// at a time.
//
// The zero value is not ready; NewFileList or Store.FileList makes one, and
// whoever makes it calls End or Discard.
type FileList struct {
	first []File
	more  int
	path  string                   // of the file; empty: it has none yet
	make  func() (*os.File, error) // makes it
	f     *os.File
	w     *bufio.Writer
	store *Store // that takes the file in; nil: none does
	run   string // of that store
}

// FileList makes the list of a run of this store.
func (s *Store) FileList(r Run) *FileList {
	return &FileList{store: s, run: r.ID, make: func() (*os.File, error) {
		if err := os.MkdirAll(filepath.Join(s.place.Dir, listsDir), 0o750); err != nil {
			return nil, err
		}
		return os.OpenFile(s.listPath(r.ID), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	}}
}

// NewFileList makes the list of a run that no store keeps; its file lies in that
// folder, or in the system's for temporary ones.
func NewFileList(temp string) *FileList {
	return &FileList{make: func() (*os.File, error) { return os.CreateTemp(temp, "linehaul-list-") }}
}

// Add notes a file. Among the first ones, those with a smaller place come first;
// of the others, those that were added first.
func (l *FileList) Add(f File, place int) error {
	f.place = place
	if l.f == nil && len(l.first) < MaxFiles {
		i := len(l.first)
		for i > 0 && l.first[i-1].place > place {
			i--
		}
		l.first = slices.Insert(l.first, i, f)
		return nil
	}
	if l.f == nil {
		file, err := l.make()
		if err != nil {
			return listError(err)
		}
		l.f, l.path, l.w = file, file.Name(), bufio.NewWriter(file)
	}
	if err := writeLine(l.w, f); err != nil {
		return listError(err)
	}
	l.more++
	return nil
}

// A fileLine is a file in a list. Paths that are not UTF-8 stand beside it, in
// base64.
type fileLine struct {
	File
	SourceRaw []byte `json:"source_raw,omitempty"`
	TargetRaw []byte `json:"target_raw,omitempty"`
	AfterRaw  []byte `json:"after_raw,omitempty"`
}

func (l *fileLine) raw() map[*string]*[]byte {
	return map[*string]*[]byte{&l.Source: &l.SourceRaw, &l.Target: &l.TargetRaw, &l.AfterTarget: &l.AfterRaw}
}

// file is the file with its paths as they are.
func (l *fileLine) file() File {
	if l.SourceRaw != nil || l.TargetRaw != nil || l.AfterRaw != nil {
		for text, raw := range l.raw() {
			if *raw != nil {
				*text = string(*raw)
			}
		}
	}
	return l.File
}

func writeLine(w io.Writer, f File) error {
	l := fileLine{File: f}
	if !utf8.ValidString(f.Source) || !utf8.ValidString(f.Target) || !utf8.ValidString(f.AfterTarget) {
		for text, raw := range l.raw() {
			if !utf8.ValidString(*text) {
				*raw = []byte(*text)
			}
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(l)
}

// First are the first MaxFiles, which belong to the list.
func (l *FileList) First() []File { return l.first }

// More is how many files there are beside those.
func (l *FileList) More() int { return l.more }

// Each calls do for each file, until it fails.
func (l *FileList) Each(do func(File) error) error {
	for _, f := range l.first {
		if err := do(f); err != nil {
			return err
		}
	}
	if l.f == nil {
		return nil
	}
	if err := l.w.Flush(); err != nil {
		return listError(err)
	}
	return eachLine(l.path, do)
}

// eachLine reads the file of a list. A last line that was cut off, as a
// killed process leaves it, ends it.
func eachLine(path string, do func(File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return listError(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		var line fileLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			if !lines.Scan() {
				return nil
			}
			return fault.New(fault.LocalDisk, "damaged list of files %q: %w", path, err)
		}
		if err := do(line.file()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return listError(err)
	}
	return nil
}

// Change calls do for each file, which may change it, and drops those for which
// it returns false.
func (l *FileList) Change(do func(*File) bool) error {
	kept := l.first[:0]
	for i := range l.first {
		if f := l.first[i]; do(&f) {
			kept = append(kept, f)
		}
	}
	clear(l.first[len(kept):])
	l.first = kept
	if l.f == nil {
		return nil
	}
	// The others are written anew, beside the old ones until all are there.
	old, oldPath, next := l.f, l.path, l.path+".tmp"
	if err := l.w.Flush(); err != nil {
		return listError(err)
	}
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return listError(err)
	}
	w, more := bufio.NewWriter(f), 0
	err = eachLine(oldPath, func(file File) error {
		if !do(&file) {
			return nil
		}
		more++
		return writeLine(w, file)
	})
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		// Windows renames no file that is open, and over none.
		err = errors.Join(f.Close(), old.Close(), os.Rename(next, oldPath))
		f = nil
	}
	if err == nil {
		f, err = os.OpenFile(oldPath, os.O_RDWR|os.O_APPEND, 0o640)
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		os.Remove(next) //nolint:errcheck // the error before counts
		return listError(err)
	}
	l.f, l.w, l.more = f, bufio.NewWriter(f), more
	return nil
}

// End makes the list durable, and enters it into a run: of its record, which is
// to be put then, or of one that no store keeps, which is to be forgotten.
func (l *FileList) End(r *Run) error {
	r.Files, r.MoreFiles, r.lies = l.first, l.more, l.path
	if l.f == nil {
		return nil
	}
	path := l.path
	r.more = func(do func(File) error) error { return eachLine(path, do) }
	err := errors.Join(l.w.Flush(), l.f.Sync(), l.f.Close())
	l.f = nil
	if err == nil && l.store != nil {
		err = l.store.takeIn(l.run, path)
		r.more, r.lies = func(do func(File) error) error { return l.store.eachFile(l.run, do) }, ""
	}
	if err != nil {
		return listError(err)
	}
	return nil
}

// partLines and partBytes bound the lines that the database has in one row.
const (
	partLines = 500
	partBytes = 1 << 20
)

// takeIn moves the lines of a file into the database, in place of what is there of
// the run, and removes the file.
func (s *Store) takeIn(run, path string) error {
	ctx, cancel := opContext(keepTime)
	defer cancel()
	if err := putFiles(ctx, s.db, run, func(do func(File) error) error { return eachLine(path, do) }); err != nil {
		return err
	}
	return os.Remove(path)
}

// putFiles puts the files of a run into the database that its record does not have
// itself, in place of what is there.
func putFiles(ctx context.Context, c db.Conn, run string, each func(do func(File) error) error) error {
	if _, err := c.Exec(ctx, "DELETE FROM lh_run_files WHERE run = $1", run); err != nil {
		return err
	}
	var part strings.Builder
	parts, lines := 0, 0
	flush := func() error {
		_, err := c.Exec(ctx, "INSERT INTO lh_run_files (run, part, lines) VALUES ($1, $2, $3) ON CONFLICT (run, part) DO UPDATE SET lines = excluded.lines", run, parts, part.String())
		part.Reset()
		parts, lines = parts+1, 0
		return err
	}
	err := each(func(f File) error {
		if err := writeLine(&part, f); err != nil {
			return err
		}
		if lines++; lines < partLines && part.Len() < partBytes {
			return nil
		}
		return flush()
	})
	if err == nil && lines > 0 {
		err = flush()
	}
	return err
}

// eachFile calls do for each file of a run beside those that its record has.
func (s *Store) eachFile(run string, do func(File) error) error {
	for part := 0; ; part++ {
		var lines string
		ctx, cancel := opContext(opTime)
		found, err := db.One(ctx, s.db, "SELECT lines FROM lh_run_files WHERE run = $1 AND part = $2", []any{run, part}, &lines)
		cancel()
		if err != nil || !found {
			return err
		}
		d := json.NewDecoder(strings.NewReader(lines))
		for d.More() {
			var line fileLine
			if err := d.Decode(&line); err != nil {
				return fault.New(fault.LocalDisk, "damaged list of files of run %s: %w", run, err)
			}
			if err := do(line.file()); err != nil {
				return err
			}
		}
	}
}

// EachFile calls do for each file of a run, until it fails: those that its
// record holds, and those that are kept beside it.
func (r Run) EachFile(do func(File) error) error {
	for _, f := range r.Files {
		if err := do(f); err != nil {
			return err
		}
	}
	if r.MoreFiles == 0 || r.more == nil {
		return nil
	}
	return r.more(do)
}

// Forget removes what lies on disk of a run that no store keeps.
func (r Run) Forget() error {
	if r.lies == "" {
		return nil
	}
	if err := os.Remove(r.lies); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return listError(err)
	}
	return nil
}

func listError(err error) error {
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return err
	}
	return fault.New(fault.LocalDisk, "note what became of files: %w", err)
}

// aroundFiles cuts a record, as encode writes it, into what stands before and
// after its files. No text in it holds a line break.
func aroundFiles(data []byte) (before, after []byte, err error) {
	const start, end = "\n  \"files\": [", "\n  ],"
	i := bytes.Index(data, []byte(start))
	if i < 0 {
		return nil, nil, errors.New("the record has no files")
	}
	i += len(start)
	j := bytes.Index(data[i:], []byte(end))
	if j < 0 {
		return nil, nil, errors.New("the record's files have no end")
	}
	return data[:i], data[i+j+len("\n  "):], nil
}

// WriteJSON writes a run as its record has it, with all its files, and without
// holding them in memory.
func (r Run) WriteJSON(w io.Writer) error {
	if r.MoreFiles == 0 {
		data, err := encode(r)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	head := r
	head.Files, head.MoreFiles = []File{{}}, 0
	data, err := encode(head)
	if err != nil {
		return err
	}
	before, after, err := aroundFiles(data)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	out.Write(before) //nolint:errcheck // Flush says it
	first := true
	err = r.EachFile(func(f File) error {
		if !first {
			out.WriteByte(',') //nolint:errcheck // Flush says it
		}
		first = false
		text, err := json.MarshalIndent(f, "    ", "  ")
		if err == nil {
			_, err = out.WriteString("\n    ")
		}
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	})
	if err != nil {
		return err
	}
	out.WriteString("\n  ") //nolint:errcheck // Flush says it
	out.Write(after)        //nolint:errcheck // Flush says it
	return out.Flush()
}
