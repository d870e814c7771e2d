//go:build !windows

package receipt_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"linehaul/receipt"
)

// TestPipe: a named pipe in the place of a file is named, and not waited for; and
// so is a link, even one to the right content.
func TestPipe(t *testing.T) {
	d := newFolder(t)
	pipe, link := d.write("pipe", ""), d.write("link", "content")
	d.must(errors.Join(os.Remove(pipe.Target), syscall.Mkfifo(pipe.Target, 0o600), os.Rename(link.Target, d.path("there")), os.Symlink("there", link.Target)))
	linked := link
	linked.Kind, linked.SHA256, linked.Bytes = receipt.Symlink, "", 0
	m := &memory{}
	m.add(t, get(0), pipe, link)
	r := verify(t, m, true, receipt.Options{Files: true})
	want(t, r, "file-changed 1 pipe", "file-changed 1 link")
	if got := r.Findings[0].Got + ", " + r.Findings[1].Got; got != "a named pipe, a symbolic link" {
		t.Error(got)
	}
	m = &memory{}
	m.add(t, get(0), linked)
	want(t, verify(t, m, true, receipt.Options{Files: true}))
}
