package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"time"
	"unicode/utf8"

	"linehaul/fault"
)

const (
	// maxPath bounds a path, in bytes: the longest of Windows, which has 32767
	// UTF-16 units.
	maxPath = 96 << 10
	// MaxLine bounds a line of a list that is read, in bytes. What List makes is
	// shorter.
	MaxLine = 3 << 20
)

// What a File is, if it is no file.
const (
	Folder  = "folder"
	Symlink = "link"
)

// What became of the source after the transfer.
const (
	SourceDeleted = "deleted"
	SourceMoved   = "moved"
)

// A File is what became of one file of a run. Local paths are absolute, and are
// whatever bytes the system has for them.
type File struct {
	Source   string // empty of what was removed
	Target   string
	Kind     string // empty, Folder or Symlink
	Bytes    int64
	MTime    time.Time
	SHA256   string // hexadecimal; empty: nobody has looked
	Verified string // how it was held against its source
	Error    string // empty: it was moved, or removed
	Gone     string // why the target was removed, as in "mirror" or "retention"; empty: it was not
	After    string // SourceDeleted, SourceMoved or any other word
	AfterTo  string // where the source was moved to
	Cut      bool   // a path was too long to be kept whole
	Take     int    // of a file that an earlier process of the run has moved: in which of its takes
	Node     string // whose disk has the local one; empty: that of the head
}

// line is a File as it is written. A path that is not UTF-8 stands in its _raw
// field, in base64, and once more for people.
type line struct {
	Source     string    `json:"source"`
	SourceRaw  []byte    `json:"source_raw,omitempty"`
	Target     string    `json:"target"`
	TargetRaw  []byte    `json:"target_raw,omitempty"`
	Kind       string    `json:"kind,omitempty"`
	Bytes      int64     `json:"bytes"`
	MTime      time.Time `json:"mtime,omitzero"`
	SHA256     string    `json:"sha256,omitempty"`
	Verified   string    `json:"verified,omitempty"`
	Error      string    `json:"error,omitempty"`
	Gone       string    `json:"gone,omitempty"`
	After      string    `json:"after,omitempty"`
	AfterTo    string    `json:"after_to,omitempty"`
	AfterToRaw []byte    `json:"after_to_raw,omitempty"`
	Cut        bool      `json:"cut,omitempty"`
	Take       int       `json:"take,omitempty"`
	Node       string    `json:"node,omitempty"`
}

// A List makes the lines of a receipt's files and the head's word on them, and
// holds none of them. The zero value is ready; one goroutine uses it at a time.
type List struct {
	sum   hash.Hash
	lines int64
}

// Add is the next line, without its line feed.
func (l *List) Add(f File) (string, error) {
	text, err := encodeFile(f)
	if err != nil {
		return "", fault.New(fault.Internal, "note %q in a receipt: %w", f.Target, err)
	}
	l.add(text)
	return text, nil
}

// add counts a line that was made before.
func (l *List) add(text string) {
	if l.sum == nil {
		l.sum = sha256.New()
	}
	l.sum.Write([]byte(text)) // a hash never fails
	l.sum.Write([]byte{'\n'})
	l.lines++
}

// Files is the head's word on the lines so far.
func (l *List) Files() Files {
	if l.sum == nil {
		return Files{SHA256: sha256.Sum256(nil)}
	}
	return Files{Lines: l.lines, SHA256: Hash(l.sum.Sum(nil))}
}

func encodeFile(f File) (string, error) {
	w := line{
		Kind: cut(f.Kind, maxShort), Bytes: f.Bytes, MTime: plain(f.MTime), SHA256: f.SHA256,
		Verified: cut(f.Verified, maxShort), Error: cut(f.Error, maxText), Gone: cut(f.Gone, maxShort), After: cut(f.After, maxShort), Cut: f.Cut,
		Take: f.Take, Node: cut(f.Node, maxShort),
	}
	w.Source, w.SourceRaw = path(f.Source, &w.Cut)
	w.Target, w.TargetRaw = path(f.Target, &w.Cut)
	w.AfterTo, w.AfterToRaw = path(f.AfterTo, &w.Cut)
	if err := w.check(); err != nil {
		return "", err
	}
	return encode(w)
}

// path is a path as text and, if it is none, as bytes.
func path(p string, short *bool) (text string, raw []byte) {
	if len(p) > maxPath {
		n := maxPath
		for i := 1; i < utf8.UTFMax && !utf8.RuneStart(p[n]); i++ {
			n--
		}
		p, *short = p[:n], true
	}
	if utf8.ValidString(p) {
		return p, nil
	}
	return cut(p, 3*maxPath), []byte(p) // a byte becomes three at most
}

// check refuses what is no line of a list.
func (w line) check() error {
	if w.SHA256 != "" {
		if _, err := ParseHash(w.SHA256); err != nil {
			return fmt.Errorf("its SHA-256 is none: %w", err)
		}
	}
	if w.Bytes < 0 {
		return fmt.Errorf("it has %d bytes", w.Bytes)
	}
	if w.Take < 0 {
		return fmt.Errorf("its take is %d", w.Take)
	}
	return nil
}

// DecodeFile reads a line of a list, which is given without its line feed. It takes
// what List makes and nothing else.
func DecodeFile(text string) (File, error) {
	f, err := readFile(text)
	if err != nil {
		return File{}, err
	}
	if again, err := encodeFile(f); err != nil || again != text {
		return File{}, errors.New("it is not in the form in which receipts are written")
	}
	return f, nil
}

// readFile reads a line that is known to be one, as its list has the right hash.
func readFile(text string) (File, error) {
	if len(text) > MaxLine {
		return File{}, fmt.Errorf("it has more than %d bytes", MaxLine)
	}
	var w line
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return File{}, err
	}
	f := File{
		Kind: w.Kind, Bytes: w.Bytes, MTime: w.MTime, SHA256: w.SHA256, Verified: w.Verified,
		Error: w.Error, Gone: w.Gone, After: w.After, Cut: w.Cut, Take: w.Take, Node: w.Node,
	}
	f.Source = exact(w.Source, w.SourceRaw)
	f.Target = exact(w.Target, w.TargetRaw)
	f.AfterTo = exact(w.AfterTo, w.AfterToRaw)
	return f, nil
}

func exact(text string, raw []byte) string {
	if len(raw) > 0 {
		return string(bytes.Clone(raw))
	}
	return text
}
