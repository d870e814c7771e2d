package transfer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"linehaul/fault"
)

// The journal of a file that is on its way says what of it is there already,
// so that a transfer that broke goes on where it was. It lies beside the
// temporary file, under the same name with another suffix. Each line is
//
//	8 hexadecimal digits: the CRC-32 (IEEE) of what follows the space
//	a space, and a JSON object of the type entry
//
// and the last line that is whole counts. What a line says is durable before
// the line is written; the line itself need not be.

const (
	// journalSize is the size from which on a file has a journal: below it,
	// beginning again costs little.
	journalSize = 4 << 20
	// A line is written at most every journalSoon while what has come since the
	// last one is up to journalLittle bytes, which are soon on a disk, and every
	// journalEvery on a faster line.
	journalSoon   = 250 * time.Millisecond
	journalLittle = 16 << 20
	journalEvery  = time.Second
	// journalTail is how much is read of the end of a journal, in bytes: a line
	// is shorter.
	journalTail = 128 << 10
	// maxSpans bounds the parts in one line; more are left out, and then moved
	// again.
	maxSpans = 256
	// tailSize is how much of the end of what is there is held against the
	// source before a transfer goes on.
	tailSize = 64 << 10
)

// A journalEntry is one line: the source as it was, and what of it is there.
type journalEntry struct {
	Source string `json:"source"`
	Size   int64  `json:"size"`
	MTime  int64  `json:"mtime"` // nanoseconds since 1970
	Mode   uint32 `json:"mode"`  // permission bits that the target is to have
	Done   ranges `json:"done"`
}

// of reports whether a journal is about the same state of the same source.
func (e journalEntry) of(source string, size int64, mtime time.Time) bool {
	return e.Source == source && e.Size == size && e.MTime == mtime.UnixNano() && e.Done.valid(size)
}

// line writes the entry.
func (e journalEntry) line() []byte {
	if len(e.Done) > maxSpans {
		e.Done = e.Done[:maxSpans]
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers always have a JSON form
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(text), text)
}

// lastEntry returns what the last whole line of a journal says.
func lastEntry(text []byte) (journalEntry, bool) {
	for len(text) > 0 {
		line := bytes.TrimRight(text, "\n")
		start := bytes.LastIndexByte(line, '\n') + 1
		if e, ok := parseEntry(line[start:]); ok {
			return e, true
		}
		text = text[:start]
	}
	return journalEntry{}, false
}

func parseEntry(line []byte) (journalEntry, bool) {
	var e journalEntry
	if len(line) < 10 || line[8] != ' ' || fmt.Sprintf("%08x", crc32.ChecksumIEEE(line[9:])) != string(line[:8]) {
		return e, false
	}
	return e, json.Unmarshal(line[9:], &e) == nil && len(e.Done) <= maxSpans
}

// readJournal returns what the last whole line of a journal of that size says.
func readJournal(r io.ReaderAt, size int64) (journalEntry, error) {
	text := make([]byte, min(max(size, 0), journalTail))
	if err := readFull(r, text, size-int64(len(text))); err != nil {
		return journalEntry{}, fault.Wrap(fault.RemoteFile, err)
	}
	e, ok := lastEntry(text)
	if !ok {
		return e, fault.New(fault.RemoteFile, "its journal has no line that is whole")
	}
	return e, nil
}
