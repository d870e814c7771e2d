//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"linehaul/internal/faulty"
)

// A durability notes in which order a server writes a temporary file, makes it
// durable and renames it.
type durability struct {
	mu      sync.Mutex
	now     int // counts what is noted, from 1
	written int64
	wrote   int           // when the last write was done
	begun   map[int64]int // when each sync began, by its request
	synced  bool          // by one that began after the last write
	renamed string        // what was to get its name before that was so, or after
}

func (d *durability) of(r faulty.Request) bool {
	d.now++
	return filepath.Ext(r.Path) == ".part"
}

func (d *durability) before(r faulty.Request) (v faulty.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.of(r):
	case r.Op == "fsync@openssh.com":
		d.begun[r.N] = d.now
	case r.Op == "posix-rename@openssh.com" && d.synced:
		d.renamed += "durable"
	case r.Op == "posix-rename@openssh.com":
		d.renamed += "NOT DURABLE"
	}
	return v
}

func (d *durability) after(r faulty.Request) (v faulty.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.of(r):
	case r.Op == "write":
		d.wrote, d.synced = d.now, false
		d.written += int64(r.Length)
		if d.renamed != "" {
			d.renamed += ", and written to"
		}
	case r.Op == "fsync@openssh.com" && d.begun[r.N] > d.wrote:
		d.synced = true
	}
	return v
}

// TestPutIsDurable: where a server can make a file durable, that is what it is
// asked for after the last write, and has said to be done before the file gets
// its name, in one session and in several.
func TestPutIsDurable(t *testing.T) {
	for name, size := range map[string]int64{"no bytes": 0, "small": 1000, "large": 0} {
		for _, how := range []string{inOne, inSeveral, inAnyOrder} {
			t.Run(strings.ReplaceAll(name+"/"+how, " ", "_"), func(t *testing.T) {
				t.Parallel()
				x := newTrial(t, faultRow{size: size, trip: sealTrip}, "put", how)
				if name == "no bytes" {
					x.resize(0)
				}
				d := &durability{begun: map[int64]int{}}
				x.server.Set(faulty.Faults{Before: d.before, After: d.after})
				o := x.run()
				if o.code != 0 || x.left() != "whole" {
					t.Fatalf("%s\n%s", x.left(), o)
				}
				d.mu.Lock()
				defer d.mu.Unlock()
				if d.renamed != "durable" || d.written != int64(len(x.data)) {
					t.Errorf("%q when it got its name, %d of %d bytes written", d.renamed, d.written, len(x.data))
				}
			})
		}
	}
}
