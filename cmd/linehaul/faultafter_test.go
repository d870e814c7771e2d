//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"linehaul/internal/faulty"
)

// afterFaults are the faults at which it matters that a source stays until its
// copy is whole and durable.
func afterFaults() []string {
	return []string{
		"none", "line cut", "line cut, and each one after it", "one request for content fails", "size said to be 1 MiB less",
		"disk full in mid-file", "disk of the server full in mid-file", "quota of the server, said at the close", "server cannot make the file durable",
		"server is gone between rename and answer", "server is gone between rename and answer, for good",
	}
}

// afterRows are those rows with sources that go: the same must come of them, and
// the source must be there unless the target is whole and the run went well.
func afterRows(rows []faultRow) []faultRow {
	rows = slices.DeleteFunc(rows, func(r faultRow) bool { return !slices.Contains(afterFaults(), r.fault) })
	if len(rows) != len(afterFaults()) {
		panic("a fault is not in the table")
	}
	rows = append(rows, faultRow{fault: "server is gone before the source goes", get: "9, whole", one: true, arm: func(x *trial) {
		x.server.Set(faulty.Faults{Before: func(r faulty.Request) faulty.Verdict {
			if r.Op != "remove" && r.Op != "rename" || filepath.Base(r.Path) != "data.bin" {
				return faulty.Verdict{}
			}
			cutForGood(x)
			return faulty.Verdict{Lose: true}
		}})
	}})
	// Of a file that failed nothing is recorded as moved: no bytes are what this has.
	rows = append(rows, faultRow{fault: "no bytes, and it cannot be opened", get: "7, old", put: "7, old", one: true, arm: func(x *trial) {
		x.resize(0)
		x.server.Set(faulty.Faults{Before: func(r faulty.Request) faulty.Verdict {
			if r.Op != "open" {
				return faulty.Verdict{}
			}
			return faulty.Verdict{Status: faulty.PermissionDenied, Text: "Permission denied"}
		}})
	}})
	var all []faultRow
	for _, row := range rows {
		for _, a := range []struct{ says, key string }{{"deleted", "delete"}, {"moved", "{move: done}"}} {
			after := row
			after.fault += ", source to be " + a.says
			after.more += ", after: {source: " + a.key + "}"
			after.one = row.one || a.says == "moved"
			after.arm = func(x *trial) {
				row.arm(x)
				x.untouched = false
			}
			after.look = func(x *trial) string {
				look := x.left
				if row.look != nil {
					look = func() string { return row.look(x) }
				}
				return withSource(x, look(), a.says == "moved")
			}
			after.get, after.put, after.late = stays(row.get), stays(row.put), stays(row.late)
			all = append(all, after)
		}
	}
	return all
}

// sourceThere is said of a target that is whole beside its source.
const sourceThere = ", source there"

// stays is the outcome where the source goes if the run is a success.
func stays(outcome string) string {
	code, left, _ := strings.Cut(outcome, ", ")
	if code != "0" && strings.HasPrefix(left, "whole") {
		return outcome + sourceThere
	}
	return outcome
}

// withSource adds to what was left what became of the source, unless it is gone
// and the target is whole, or it is there and the target is not.
func withSource(x *trial, left string, toMove bool) string {
	left = strings.Replace(left, "whole, as it was before", "whole", 1) // than the source, which is gone
	same := func(path string) bool {
		got, err := os.ReadFile(path)
		return err == nil && bytes.Equal(got, x.data)
	}
	there := same(x.source)
	moved := same(filepath.Join(filepath.Dir(x.source), "done", filepath.Base(x.source)))
	switch whole := strings.HasPrefix(left, "whole"); {
	case there && moved:
		return left + ", SOURCE TWICE"
	case there && whole:
		return left + sourceThere
	case !there && !whole, !there && moved != toMove:
		return left + ", SOURCE GONE"
	}
	return left
}
