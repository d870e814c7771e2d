package transfer_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// A tollgate counts what passes it, and may close.
type tollgate struct {
	mu     sync.Mutex
	passed int64
	most   int   // that passed at a time
	close  int64 // it lets no more than that pass; 0: any amount
}

func (g *tollgate) wait(_ context.Context, n int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.close > 0 && g.passed+int64(n) > g.close {
		return fault.New(fault.Timeout, "the gate is closed")
	}
	g.passed += int64(n)
	g.most = max(g.most, n)
	return nil
}

// TestLimitSeesAll: every byte passes the limit once, by whatever way a file is
// moved, and in small pieces where little passes.
func TestLimitSeesAll(t *testing.T) {
	content := map[string]string{"/s/empty": "", "/s/small": "small", "/s/big": big(), "/s/long": long()}
	all := int64(0)
	for _, text := range content {
		all += int64(len(text))
	}
	pace := func() int64 { return 1000 }
	for _, sequential := range []bool{false, true} {
		r := newRemote(content)
		checkLeaks(t, r)
		r.sequential = sequential
		root := t.TempDir()
		var gate tollgate
		g := transfer.Get{Remote: r, Root: root, Run: run, Limit: gate.wait, Pace: pace}
		if _, err := g.Files(t.Context(), place(t, found(t, r, "/s/*"), byRel)); err != nil {
			t.Fatal(err)
		}
		if gate.passed != all {
			t.Errorf("get, in order %v: %d bytes passed of %d", sequential, gate.passed, all)
		}
		back := newRemote(map[string]string{"/in/": ""})
		checkLeaks(t, back)
		back.sequential = sequential
		gate = tollgate{}
		p := transfer.Put{Remote: back, Run: run, Limit: gate.wait, Pace: pace}
		if _, err := p.Files(t.Context(), place(t, mustLocal(t, filepath.Join(root, "*")), into("/in/"))); err != nil {
			t.Fatal(err)
		}
		if gate.passed != all || gate.most > 32<<10 {
			t.Errorf("put, in order %v: %d bytes passed of %d, %d at a time", sequential, gate.passed, all, gate.most)
		}
	}
}

// TestLimitAsked: where a server sends what it is asked for, little is asked for
// at a time under a low limit.
func TestLimitAsked(t *testing.T) {
	r := &askedRemote{newRemote(map[string]string{"/s/long": long()})}
	checkLeaks(t, r.memRemote)
	var gate tollgate
	g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, Limit: gate.wait, Pace: func() int64 { return 1000 }}
	if _, err := g.Files(t.Context(), place(t, found(t, r.memRemote, "/s/*"), byRel)); err != nil {
		t.Fatal(err)
	}
	if gate.passed != int64(len(long())) || gate.most > 32<<10 {
		t.Errorf("%d bytes passed, %d at a time", gate.passed, gate.most)
	}
}

// An askedRemote takes large requests.
type askedRemote struct{ *memRemote }

func (askedRemote) RequestSize() (read, write int) { return 255 << 10, 255 << 10 }

// TestLimitFails: what the limit says ends the transfer, and what passed it can
// be gone on with.
func TestLimitFails(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		r := newRemote(map[string]string{"/s/long": long()})
		checkLeaks(t, r)
		r.sequential = sequential
		root := t.TempDir()
		gate := tollgate{close: 3 << 20}
		g := transfer.Get{Remote: r, Root: root, Run: run, Host: "h", Limit: gate.wait}
		results, err := g.Files(t.Context(), place(t, found(t, r, "/s/long"), byRel))
		if !fault.Is(err, fault.Timeout) || !strings.Contains(err.Error(), "the gate is closed") {
			t.Fatalf("got %v", err)
		}
		if !sequential && (results[0].Kept < 1<<20 || results[0].Kept > 3<<20) {
			t.Errorf("%d bytes are kept", results[0].Kept)
		}
		if errors.Is(err, context.Canceled) {
			t.Errorf("it is taken for a stop: %v", err)
		}
	}
}
