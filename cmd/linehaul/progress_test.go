package main

import (
	"bytes"
	"strings"
	"testing"

	"linehaul/transfer"
)

// TestBarWithoutTotal: where there are too many files to be counted before, the
// bar says how many are begun.
func TestBarWithoutTotal(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out)
	b.Begin(0, 0)
	for range 3 {
		f := b.File(transfer.Item{Source: "/srv/a.txt"})
		f.Moved(10)
		f.Done(nil)
	}
	if label := b.label(); strings.Contains(label, "/") || !strings.HasPrefix(label, "3 a.txt") {
		t.Errorf("the label is %q", label)
	}
	b.Begin(5, 100)
	if label := b.label(); !strings.HasPrefix(label, "0/5 ") {
		t.Errorf("with a total, the label is %q", label)
	}
	b.end()
}
