package receipt_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linehaul/receipt"
)

// A memory is a Store and what runs say, as lists that a test may spoil.
type memory struct {
	begin   receipt.Place
	heads   []receipt.Stored
	lists   map[int64][]string
	named   []receipt.Named
	unnamed []string
}

var (
	_ receipt.Store = (*memory)(nil)
	_ receipt.Runs  = (*memory)(nil)
)

func (m *memory) Begin(context.Context) (receipt.Place, error) { return m.begin, nil }

func (m *memory) Heads(_ context.Context, after int64, limit int) ([]receipt.Stored, error) {
	i := slices.IndexFunc(m.heads, func(s receipt.Stored) bool { return s.Seq > after })
	if i < 0 {
		return nil, nil
	}
	return m.heads[i:min(len(m.heads), i+limit)], nil
}

func (m *memory) Lines(_ context.Context, seq, after int64, limit int) ([]string, error) {
	all := m.lists[seq]
	from := min(len(all), int(after))
	return all[from:min(len(all), from+limit)], nil
}

func (m *memory) Named(_ context.Context, after int64, limit int) ([]receipt.Named, error) {
	i := slices.IndexFunc(m.named, func(n receipt.Named) bool { return n.Seq > after })
	if i < 0 {
		return nil, nil
	}
	return m.named[i:min(len(m.named), i+limit)], nil
}

func (m *memory) Unnamed(_ context.Context, after string, limit int) ([]string, error) {
	i := slices.IndexFunc(m.unnamed, func(id string) bool { return id > after })
	if i < 0 {
		return nil, nil
	}
	return m.unnamed[i:min(len(m.unnamed), i+limit)], nil
}

// end is the last receipt.
func (m *memory) end() receipt.Place {
	if len(m.heads) == 0 {
		return m.begin
	}
	last := m.heads[len(m.heads)-1]
	return receipt.Place{Seq: last.Seq, Hash: receipt.HashOf(last.Text)}
}

// add puts a receipt of these files at the end.
func (m *memory) add(t testing.TB, h receipt.Head, files ...receipt.File) receipt.Sealed {
	t.Helper()
	var l receipt.List
	var lines []string
	for _, f := range files {
		text, err := l.Add(f)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, text)
	}
	h.Files = l.Files()
	s, err := receipt.Seal(h, m.end())
	if err != nil {
		t.Fatal(err)
	}
	m.heads = append(m.heads, receipt.Stored{Seq: s.Seq, Text: s.Text})
	if m.lists == nil {
		m.lists = map[int64][]string{}
	}
	m.lists[s.Seq] = lines
	m.named = append(m.named, receipt.Named{Place: s.Place, Run: h.Run})
	return s
}

// renumber stores the receipts under numbers without gaps, in the order in which
// they are.
func (m *memory) renumber(seqs []int64) {
	lists := map[int64][]string{}
	for i := range m.heads {
		at := m.begin.Seq + int64(i) + 1
		lists[at] = m.lists[seqs[i]]
		m.heads[i].Seq = at
	}
	m.lists = lists
}

func (m *memory) clone() *memory {
	c := *m
	c.heads, c.named, c.unnamed = slices.Clone(m.heads), slices.Clone(m.named), slices.Clone(m.unnamed)
	c.lists = map[int64][]string{}
	for k, l := range m.lists {
		c.lists[k] = slices.Clone(l)
	}
	return &c
}

func start() time.Time { return time.Date(2026, 11, 23, 2, 30, 1, 123_000_000, time.UTC) }

func runID(i int) string {
	return start().Add(time.Duration(i)*time.Hour).Format("20060102T150405Z") + "-123x7k2q"
}

func hashOf(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

// someText is short, and sometimes of letters that JSON escapes or that are none.
func someText(r *rand.Rand) string {
	all := []string{"", "a", "hk1", "a b", "Grüße", "日本", `"quoted"`, `C:\x`, "line\nbreak", "\u2028", "\xff\xfe", "<&>", "\x00", "\x7f", "e\u0301", "🚚"}
	s := all[r.IntN(len(all))]
	if r.IntN(3) == 0 {
		s += all[r.IntN(len(all))]
	}
	return s
}

func someTime(r *rand.Rand) time.Time {
	if r.IntN(4) == 0 {
		return time.Time{}
	}
	return start().Add(time.Duration(r.Int64N(int64(1000 * time.Hour)))).In(time.FixedZone("", r.IntN(24)*1800))
}

func someHead(r *rand.Rand, i int) receipt.Head {
	h := receipt.Head{
		Run: runID(i), Job: "job" + someText(r), Trigger: someText(r), Nominal: someTime(r), Started: someTime(r), Ended: someTime(r),
		Node: someText(r), Program: "1.0", Way: []string{receipt.Get, receipt.Put}[r.IntN(2)], Host: someText(r), Address: someText(r),
		State: "ok", Code: r.IntN(131), Layer: someText(r), Error: someText(r), Attempts: r.IntN(5), Moved: r.IntN(100), Bytes: r.Int64(),
	}
	if r.IntN(2) == 0 {
		h.HostKey = &receipt.HostKey{Type: "ssh-ed25519", Fingerprint: "SHA256:" + someText(r)}
	}
	if r.IntN(2) == 0 {
		h.Link = &receipt.Link{Name: someText(r), SPIs: []string{"c0ffee01/0badf00d", someText(r)}}
	}
	if r.IntN(2) == 0 {
		h.Checks = &receipt.Checks{Verdict: "warn", Layer: someText(r), Summary: someText(r)}
	}
	return h
}

func someFile(r *rand.Rand) receipt.File {
	f := receipt.File{
		Source: "/var/" + someText(r), Target: "/backup/" + someText(r), Bytes: r.Int64N(1 << 40), MTime: someTime(r),
		Verified: someText(r), Error: someText(r), AfterTo: someText(r), Cut: r.IntN(9) == 0,
	}
	if r.IntN(2) == 0 {
		f.SHA256 = hashOf(f.Target)
	}
	if r.IntN(5) == 0 {
		f.Kind = []string{receipt.Folder, receipt.Symlink}[r.IntN(2)]
	}
	return f
}

// someChain has n receipts, after begin of them were removed.
func someChain(t testing.TB, r *rand.Rand, begin, n int) *memory {
	m := &memory{}
	for i := range begin + n {
		var files []receipt.File
		for range r.IntN(4) {
			files = append(files, someFile(r))
		}
		m.add(t, someHead(r, i), files...)
	}
	if begin > 0 {
		last := m.heads[begin-1]
		m.begin = receipt.Place{Seq: last.Seq, Hash: receipt.HashOf(last.Text)}
		m.heads = m.heads[begin:]
	}
	return m
}

// verify verifies a chain, with what runs say or without.
func verify(t testing.TB, m *memory, anchored bool, o receipt.Options) *receipt.Report {
	t.Helper()
	var runs receipt.Runs
	if anchored {
		runs = m
	}
	r, err := receipt.Verify(context.Background(), m, runs, o)
	if err != nil {
		t.Fatal(err)
	}
	if (r.Problems == 0) != r.OK || r.OK != (r.Err() == nil) {
		t.Fatalf("%d problems, ok %v, %v", r.Problems, r.OK, r.Err())
	}
	return r
}
