package receipt_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"linehaul/receipt"
)

// A made store makes the lines of one long list anew each time that it is asked.
type made struct {
	*memory
	lines int64
	root  string // of its targets, on a drive where the system has drives
	peak  uint64 // of the heap in use, in bytes, looked at once in a while
	calls int
}

// line is one as a List makes it.
func (m *made) line(n int64) string {
	path := fmt.Sprintf("photos/2026/%03d/IMG_%07d.jpg", n/1000, n)
	return `{"source":"/srv/` + path + `","target":"` + m.root + path + `","bytes":` + strconv.FormatInt(1000+n, 10) +
		`,"mtime":"2026-11-23T02:30:01.123Z","sha256":"` + strings.Repeat("0123456789abcdef", 4) + `","verified":"sha256 by sha256sum"}`
}

func (m *made) Lines(_ context.Context, _, after int64, limit int) ([]string, error) {
	if m.calls++; m.calls%100 == 0 {
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		m.peak = max(m.peak, now.HeapAlloc)
	}
	var page []string
	for n := after; n < min(m.lines, after+int64(limit)); n++ {
		page = append(page, m.line(n))
	}
	return page, nil
}

// TestLongList: the list of a run of 200,000 files, none of which is there any more,
// is verified, and its files are looked for, without holding it in memory: 16 bytes
// of each path, up to a number of them, and the findings that a report has room for.
func TestLongList(t *testing.T) {
	lines := int64(200_000)
	if raced {
		lines = 20_000 // the detector takes ten times as long
	}
	m := &made{memory: &memory{}, lines: lines, root: filepath.VolumeName(t.TempDir()) + "/nowhere/"}
	sum := sha256.New()
	for n := range lines {
		sum.Write([]byte(m.line(n) + "\n"))
	}
	h := get(0)
	h.Files = receipt.Files{Lines: lines, SHA256: receipt.Hash(sum.Sum(nil))}
	s, err := receipt.Seal(h, receipt.Place{})
	if err != nil {
		t.Fatal(err)
	}
	m.heads = []receipt.Stored{{Seq: 1, Text: s.Text}}
	m.named = []receipt.Named{{Place: s.Place, Run: h.Run}}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)

	all := 0
	r, err := receipt.Verify(context.Background(), m, m, receipt.Options{Files: true, Found: func(receipt.Finding) { all++ }})
	if err != nil {
		t.Fatal(err)
	}
	if r.ByKind[receipt.FileMissing] != lines || all != int(lines) || r.Problems != lines || r.Files.Wrong != lines || r.Files.Lines != lines {
		t.Errorf("%d findings; %s", all, r.Summary())
	}
	if len(r.Findings) != 1000 || r.More != lines-1000 {
		t.Errorf("the report holds %d findings, and counts %d more", len(r.Findings), r.More)
	}
	// The list has 50 MB, and what was found in it no less. Each path has 48 bytes in
	// a map that may be half empty.
	const most = 24 << 20
	if m.peak == 0 || m.peak > before.HeapAlloc+most {
		t.Errorf("the heap grew from %d to %d KiB, and may by %d", before.HeapAlloc>>10, m.peak>>10, most>>10)
	}
	t.Logf("the heap grew from %d to %d KiB", before.HeapAlloc>>10, m.peak>>10)
}

// TestLongChain: a chain of many receipts is walked in flat memory too.
func TestLongChain(t *testing.T) {
	m := &memory{}
	for i := range 5000 {
		m.add(t, get(i))
	}
	if r := verify(t, m, true, receipt.Options{Files: true}); !r.OK || r.Receipts != 5000 || r.End.Seq != 5000 || r.Notes != 0 {
		t.Error(r)
	}
	// A damaged one that is far from all others, twice.
	m.heads[1234].Text = strings.Replace(m.heads[1234].Text, "hk1", "hk2", 1)
	m.heads[4321].Text = ""
	r := verify(t, m, false, receipt.Options{Files: true})
	want(t, r, "receipt-changed 1235", "receipt-unreadable 4322", "files-unchecked 4322", "files-unchecked 1235")
}
