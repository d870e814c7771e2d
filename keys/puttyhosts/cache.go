package puttyhosts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"linehaul/fault"
)

// Our own limits, far above what real caches hold.
const (
	maxCache    = 16 << 20 // bytes of a file, or of the registry's values
	maxNumbers  = 32 << 10 // bytes of one entry: four numbers of maxDigits and more
	maxEntries  = 100_000
	maxProblems = 1000 // a file with more of them is not a cache of PuTTY's
)

// A Cache is what PuTTY knows of servers.
type Cache struct {
	Source   string // the file, or the registry's key
	Entries  []Entry
	Problems []Problem
}

// An Entry is one key that PuTTY takes for a server's own.
type Entry struct {
	Host  string // in the user's spelling; an address without brackets
	Port  int
	Type  string // as on the wire, such as ssh-ed25519
	Blob  []byte // the public key on the wire, RFC 4253 section 6.6
	Place string // FILE:LINE, or the value's name in the registry
}

// A Problem is an entry that was left out.
type Problem struct {
	Place  string // FILE:LINE, or the value's name in the registry
	Reason string
}

// String returns "PLACE: left out: REASON".
func (p Problem) String() string { return p.Place + ": left out: " + p.Reason }

// A collector makes a Cache of entries one by one.
type collector struct {
	cache Cache
	seen  map[string]bool // the names of the entries so far
	size  int
}

func newCollector(source string) *collector {
	return &collector{cache: Cache{Source: source}, seen: map[string]bool{}}
}

// add takes in one entry, whose name is as in the file. An error ends the
// reading: a bad entry is none.
func (c *collector) add(place, name, numbers string) error {
	c.size += len(name) + len(numbers)
	if c.size > maxCache || len(c.seen) >= maxEntries {
		return c.refuse("larger than %d MiB or %d entries", maxCache>>20, maxEntries)
	}
	if c.seen[name] {
		return c.leaveOut(place, "an entry of this name stands before it, and PuTTY looks at the first only")
	}
	c.seen[name] = true
	entry, err := parseEntry(name, numbers)
	if err != nil {
		return c.leaveOut(place, err.Error())
	}
	entry.Place = place
	c.cache.Entries = append(c.cache.Entries, entry)
	return nil
}

// addEscaped takes in a value of the registry.
func (c *collector) addEscaped(name, numbers string) error {
	plain, err := unescape(name)
	if err != nil {
		return c.leaveOut(valuePlace(name), err.Error())
	}
	return c.add(valuePlace(name), plain, numbers)
}

func valuePlace(name string) string { return fmt.Sprintf("value %q", name) }

func (c *collector) leaveOut(place, reason string) error {
	c.cache.Problems = append(c.cache.Problems, Problem{place, reason})
	if len(c.cache.Problems) > maxProblems {
		return c.refuse("more than %d bad entries, the first at %s: %s", maxProblems, c.cache.Problems[0].Place, c.cache.Problems[0].Reason)
	}
	return nil
}

// refuse makes the error for a cache that is none of PuTTY's.
func (c *collector) refuse(format string, args ...any) error {
	return fault.New(fault.Usage, "read PuTTY's host keys in %q: %w", c.cache.Source, fmt.Errorf(format, args...)).
		WithHint("name PuTTY's own file, such as ~/.putty/sshhostkeys")
}

// ReadFile reads a file of PuTTY's for Unix. Its errors are *fault.Error of
// kind Usage for a file that is not one of PuTTY's or not there, which
// fs.ErrNotExist tells apart, else LocalDisk.
func ReadFile(path string) (*Cache, error) {
	c := newCollector(path)
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, c.refuse("%w", bareError(err))
	case err == nil && !info.Mode().IsRegular():
		return nil, c.refuse("not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, c.unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCache+1))
	if err != nil {
		return nil, c.unreadable(err)
	}
	return c.parse(data)
}

// unreadable makes the error for a file or registry that cannot be read.
func (c *collector) unreadable(err error) error {
	return fault.New(fault.LocalDisk, "read PuTTY's host keys in %q: %w", c.cache.Source, bareError(err)).
		WithHint("run this as the user whose PuTTY it is")
}

// Parse reads the text of a file of PuTTY's for Unix; source is its name.
func Parse(source string, data []byte) (*Cache, error) { return newCollector(source).parse(data) }

func (c *collector) parse(data []byte) (*Cache, error) {
	if len(data) > maxCache {
		return nil, c.refuse("larger than %d MiB", maxCache>>20)
	}
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		line := strings.TrimRight(string(raw), "\r\n")
		if line == "" {
			continue
		}
		place := fmt.Sprintf("%s:%d", c.cache.Source, number)
		// A name may hold spaces; the numbers do not.
		space := strings.LastIndexByte(line, ' ')
		var err error
		if space < 0 {
			err = c.leaveOut(place, "not TYPE@PORT:HOST, a space and numbers")
		} else {
			err = c.add(place, line[:space], line[space+1:])
		}
		if err != nil {
			return nil, err
		}
	}
	return &c.cache, nil
}
