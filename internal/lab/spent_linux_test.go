package lab

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSpent: what a child of a child used is counted too, though the child was
// gone before it and nobody waited.
func TestSpent(t *testing.T) {
	dir := t.TempDir()
	begin, end := filepath.Join(dir, "begin"), filepath.Join(dir, "end")
	for _, fifo := range []string{begin, end} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(dir, "burn")
	writeFile(t, script, "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo >"+end+"\n", 0o600)
	p := Start(t, filepath.Join(dir, "log"), nil, "sh", "-c", "read x <"+begin+"; sh -c 'sh "+script+" &'; read x <"+begin)

	before, known := p.Spent()
	if !known {
		t.Fatal("not known")
	}
	if err := os.WriteFile(begin, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(end); err != nil {
		t.Fatal(err)
	}
	after, known := p.Spent()
	if !known {
		t.Fatal("not known afterwards")
	}
	if used := after - before; used < 50*time.Millisecond {
		t.Errorf("300,000 rounds of a shell's loop took %s", used)
	}
}
