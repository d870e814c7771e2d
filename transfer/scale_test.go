package transfer_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/transfer"
)

// The bounds that docs/SCALE.md states.
const (
	// flat is what planning may hold, whatever the number of files.
	flat = 32 << 20
	// perHash is what a name that is remembered may take: 25 bytes, and what
	// a growing table leaves free.
	perHash = 72
)

// TestScale plans many files, and holds what is in memory against the bounds.
// LINEHAUL_SCALE says how many; `make scale` takes a million.
func TestScale(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 20_000
	}
	if s := os.Getenv("LINEHAUL_SCALE"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1000 {
			t.Fatalf("LINEHAUL_SCALE=%q: want a number of at least 1000", s)
		}
	}
	perFolder := n / 1000 // of the tree: 10 folders of 100 folders each
	byStamp := func(i transfer.Item) (string, error) { return "2026/" + i.Rel, nil }
	tests := []struct {
		name   string
		remote *madeUp
		source []string
		plan   transfer.Plan
		bound  int
	}{
		{"one folder", &madeUp{files: n}, []string{"/top"}, transfer.Plan{Tree: true, Target: transfer.Unix}, flat},
		{"a tree", &madeUp{levels: 2, folders: 0, files: perFolder}, []string{"/top"}, transfer.Plan{Tree: true, Target: transfer.Unix}, flat},
		{"a tree, by **", &madeUp{levels: 2, files: perFolder}, []string{"/top/**/f*"}, transfer.Plan{Tree: true, Target: transfer.Unix}, flat},
		{"the newest 1000 of a tree", &madeUp{levels: 2, files: perFolder}, []string{"/top"},
			transfer.Plan{Tree: true, Target: transfer.Unix, Select: transfer.Select{Newest: 1000}}, flat},
		{"one folder, to Windows", &madeUp{files: n}, []string{"/top"}, transfer.Plan{Tree: true, Target: transfer.Windows}, flat + n*perHash},
		{"a tree, to Windows", &madeUp{levels: 2, files: perFolder}, []string{"/top"}, transfer.Plan{Tree: true, Target: transfer.Windows}, flat},
		{"a tree, by a template", &madeUp{levels: 2, files: perFolder}, []string{"/top"}, transfer.Plan{Name: byStamp, Target: transfer.Unix}, flat + n*perHash},
		{"sources that overlap", &madeUp{levels: 2, files: perFolder}, []string{"/top", "/top/d0000001"}, transfer.Plan{Tree: true, Target: transfer.Unix}, flat + n*perHash},
	}
	t.Logf("%-28s %9s %9s %10s %10s %9s", "", "files", "folders", "live MiB", "bound MiB", "seconds")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folders := int64(1)
			if tt.remote.levels == 2 {
				tt.remote.folders = 32
				tt.remote.files = n / (32 * 32)
				folders = 1 + 32 + 32*32
			}
			p := tt.plan
			p.Recursive, p.Temp, p.At = true, t.TempDir(), at()
			if p.Name == nil {
				p.Name = byRel
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			before := m.HeapAlloc
			// Looked at while folders are listed, and while items come.
			var mu sync.Mutex
			most := before
			look := func() {
				mu.Lock()
				defer mu.Unlock()
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			looks := atomic.Int64{}
			tt.remote.entry = func() {
				if looks.Add(1)%int64(n/10) == 1 {
					look()
				}
			}
			began, count := time.Now(), 0
			for _, err := range p.Get(t.Context(), tt.remote, t.TempDir(), tt.source...) {
				if err != nil {
					t.Fatal(err)
				}
				if count++; count%(n/10) == 1 {
					look()
				}
			}
			look()
			took := time.Since(began)
			grown := int(most - before)
			fmt.Printf("    scale: %-26s %9d %9d %10.1f %10.1f %9.1f\n", tt.name, count, folders, float64(grown)/(1<<20), float64(tt.bound)/(1<<20), took.Seconds())
			wantCount := tt.remote.files
			if tt.remote.levels == 2 {
				wantCount *= 32 * 32
			}
			if p.Select.Newest > 0 {
				wantCount = p.Select.Newest
			}
			if count != wantCount {
				t.Errorf("%d files came, want %d", count, wantCount)
			}
			if seen := tt.remote.listed.Load(); len(tt.source) == 1 && seen != folders {
				t.Errorf("%d listings of %d folders", seen, folders)
			}
			if grown > tt.bound {
				t.Errorf("%d bytes more are in memory, want at most %d", grown, tt.bound)
			}
		})
	}
}
