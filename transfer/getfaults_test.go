package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// TestGetFaults: whatever goes wrong, the old target stays as it was, and
// nothing else is left.
func TestGetFaults(t *testing.T) {
	torn := fault.New(fault.TCP, "connection reset")
	tests := []struct {
		name  string
		set   func(*memRemote)
		kind  fault.Kind
		text  string
		again bool // the error must be transient
	}{
		{"cannot open", func(r *memRemote) { r.denied["/big"] = true }, fault.RemoteFile, "permission", false},
		{"cut at the first request", func(r *memRemote) { r.before = failAt(1, torn) }, fault.TCP, "reset", true},
		{"cut in the middle", func(r *memRemote) { r.before = failAt(7, torn) }, fault.TCP, "reset", true},
		{"unreadable in the middle", func(r *memRemote) { r.before = failAt(7, errors.New("bad block")) }, fault.RemoteFile, "bad block", false},
		{"more than asked for", func(r *memRemote) { r.tooMuch = true }, fault.RemoteFile, "more came", false},
		{"answers nothing", func(r *memRemote) { r.stuck = true }, fault.RemoteFile, io.ErrNoProgress.Error(), false},
		{"grows all the time", func(r *memRemote) {
			r.before = func(_ int, n map[string]*node) error { n["/big"].data = append(n["/big"].data, 'x'); return nil }
		}, fault.RemoteFile, "changed while it was read", true},
		{"shrinks all the time", func(r *memRemote) {
			r.before = func(i int, n map[string]*node) error {
				n["/big"].data = n["/big"].data[:len(n["/big"].data)-i]
				return nil
			}
		}, fault.RemoteFile, "changed while it was read", true},
		{"replaced all the time", func(r *memRemote) {
			r.before = func(i int, n map[string]*node) error {
				n["/big"] = &node{data: n["/big"].data, mode: 0o644, mtime: epoch().Add(time.Duration(i) * time.Second)}
				return nil
			}
		}, fault.RemoteFile, "other content of the same size", true},
		{"says too much", func(r *memRemote) { r.nodes["/big"].lie = 100 }, fault.RemoteFile, "changed while it was read", true},
		{"removed while read", func(r *memRemote) {
			r.before = func(i int, n map[string]*node) error {
				if i == 5 {
					delete(n, "/big")
				}
				return nil
			}
		}, fault.RemoteFile, "not exist", false},
		{"negative size", func(r *memRemote) { r.nodes["/big"].lie = -1 << 40 }, fault.RemoteFile, "not a file", false},
		{"a folder by now", func(r *memRemote) { r.nodes["/big"] = dir() }, fault.RemoteFile, "a folder", false},
		{"more than any disk", func(r *memRemote) { r.nodes["/big"].lie = 1 << 61 }, fault.RemoteFile, "changed", true},
	}
	for _, tt := range tests {
		for _, sequential := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sequential=%v", tt.name, sequential), func(t *testing.T) {
				r := newRemote(map[string]string{"/big": big()})
				checkLeaks(t, r)
				list := place(t, found(t, r, "/big"), byRel)
				tt.set(r)
				r.sequential = sequential
				r.shorten = 32 << 10 // so that a sequential transfer takes several requests, too
				root := t.TempDir()
				write(t, filepath.Join(root, "big"), "old")
				p := &watcher{}
				results, err := (&transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, Progress: p}).Files(t.Context(), list)
				if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || fault.Transient(err) != tt.again {
					t.Errorf("got %v (%v, transient %v)", err, kind(err), fault.Transient(err))
				}
				if len(results) != 1 || !errors.Is(err, results[0].Err) || results[0].Bytes != 0 || results[0].SHA256 != "" {
					t.Errorf("results %+v", results)
				}
				if p.failed != 1 || p.done != 0 {
					t.Errorf("progress saw %d failed and %d done", p.failed, p.done)
				}
				want(t, root, map[string]string{"big": "old"})
			})
		}
	}
}

func failAt(n int, err error) func(int, map[string]*node) error {
	return func(i int, _ map[string]*node) error {
		if i == n {
			return err
		}
		return nil
	}
}

// TestGetTriesAgain: a file that changes once is fetched as it then is.
func TestGetTriesAgain(t *testing.T) {
	for name, change := range map[string]func(*node){
		"grows":   func(n *node) { n.data = append(n.data, "more"...) },
		"shrinks": func(n *node) { n.data = n.data[:100] },
		"empty":   func(n *node) { n.data = nil },
		"touched": func(n *node) { n.mtime = n.mtime.Add(time.Second) },
	} {
		for _, sequential := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sequential=%v", name, sequential), func(t *testing.T) {
				r := newRemote(map[string]string{"/big": big()})
				checkLeaks(t, r)
				r.shorten, r.sequential = 32<<10, sequential
				n := r.nodes["/big"]
				r.before = func(i int, _ map[string]*node) error {
					if i == 3 {
						change(n)
					}
					return nil
				}
				root := t.TempDir()
				results, err := get(t, t.Context(), r, root, "/big")
				if err != nil || results[0].Bytes != int64(len(n.data)) || results[0].SHA256 != sum(string(n.data)) {
					t.Fatalf("%+v, %v", results, err)
				}
				want(t, root, map[string]string{"big": string(n.data)})
			})
		}
	}
}

// TestGetStops: a request that hangs ends with the context, for its cause.
func TestGetStops(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		r := newRemote(map[string]string{"/big": big(), "/after": "2"})
		checkLeaks(t, r)
		r.sequential, r.hang = sequential, true
		root := t.TempDir()
		list := place(t, found(t, r, "/big", "/after"), byRel)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		r.before = func(i int, _ map[string]*node) error {
			time.AfterFunc(5*time.Millisecond, func() { cancel(fault.New(fault.Stall, "the server is silent")) })
			return nil
		}
		results, err := (&transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}).Files(ctx, list)
		if !fault.Is(err, fault.Stall) || len(results) != 2 || results[0].Err == nil || results[1].Err == nil {
			t.Errorf("got %v, %+v", err, results)
		}
		want(t, root, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRemote(map[string]string{"/a": "1"})
	list := place(t, found(t, r, "/a"), byRel)
	if _, err := (&transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1}).Files(ctx, list); !fault.Is(err, fault.Interrupted) {
		t.Errorf("got %v", err)
	}
	ctx, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errors.New("the service stops"))
	if _, err := (&transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1}).Files(ctx, list); !fault.Is(err, fault.Interrupted) || !strings.Contains(err.Error(), "the service stops") {
		t.Errorf("got %v", err)
	}
}
