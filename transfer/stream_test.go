package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// inOrder compares paths folder by folder.
func inOrder(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) }

// A madeUp is a server whose tree is made up as it is asked for: folders
// called d0000 and so on and files called f0000 and so on, in no order.
type madeUp struct {
	transfer.Remote
	levels  int // of folders below the top
	folders int // in each of them
	files   int // in each folder of the lowest level, and in the top one if that is the lowest
	delay   time.Duration

	listed atomic.Int64
	now    atomic.Int32
	atOnce atomic.Int32 // the most listings that were under way
	entry  func()       // called for each entry; may be nil
}

func (m *madeUp) Stat(_ context.Context, p string) (transfer.Entry, error) {
	return transfer.Entry{Name: path.Base(p), Mode: fs.ModeDir | 0o755, MTime: epoch()}, nil
}

func (m *madeUp) ListSeq(ctx context.Context, dir string) iter.Seq2[transfer.Entry, error] {
	return func(yield func(transfer.Entry, error) bool) {
		m.listed.Add(1)
		for now := m.now.Add(1); ; {
			if most := m.atOnce.Load(); now <= most || m.atOnce.CompareAndSwap(most, now) {
				break
			}
		}
		defer m.now.Add(-1)
		if m.delay > 0 {
			select {
			case <-time.After(m.delay):
			case <-ctx.Done():
				yield(transfer.Entry{}, ctx.Err())
				return
			}
		}
		n, form, mode := m.folders, "d%07d", fs.ModeDir|0o755
		if strings.Count(dir, "/d")+1 > m.levels {
			n, form, mode = m.files, "f%07d", fs.FileMode(0o644)
		}
		// A step that has no factor in common with n leads to each number once.
		step := n*2/3 | 1
		for gcd(step, n) != 1 {
			step += 2
		}
		for i, at := 0, 0; i < n; i, at = i+1, (at+step)%n {
			if m.entry != nil {
				m.entry()
			}
			if !yield(transfer.Entry{Name: fmt.Sprintf(form, at), Mode: mode, Size: int64(at), MTime: epoch()}, nil) {
				return
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// TestOrder: what comes, comes in the order of the paths, and is what there
// is, however much of it is sorted on disk and listed ahead.
func TestOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 20 {
		files := map[string]string{}
		for range random.IntN(90) {
			p := "/d"
			for range 1 + random.IntN(4) {
				p += "/" + string([]rune("aA-.é~0")[random.IntN(7)]) + fmt.Sprint(random.IntN(6))
			}
			files[p] = "x"
		}
		for p := range files { // a folder is no file
			for up := path.Dir(p); up != "/"; up = path.Dir(up) {
				delete(files, up)
			}
		}
		if len(files) == 0 {
			continue
		}
		want := make([]string, 0, len(files))
		for p := range files {
			want = append(want, p)
		}
		slices.SortFunc(want, inOrder)
		r := newRemote(files)
		temp := t.TempDir()
		for _, f := range []transfer.Find{
			{Recursive: true}, {Recursive: true, Ahead: -1}, transfer.Holding(transfer.Find{Recursive: true, Temp: temp}, 1+random.IntN(20)),
		} {
			for _, source := range []string{"/d", "/d/{*,.*}", "/d/{*,.*}/{*,.*}", "/d/**"} {
				items, err := transfer.Collect(f.Remote(t.Context(), r, source))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, i := range items {
					got = append(got, i.Source)
				}
				if source == "/d" && !slices.Equal(got, want) {
					t.Fatalf("tree %d: got %q\nwant %q", n, got, want)
				}
				if !slices.IsSortedFunc(got, inOrder) {
					t.Fatalf("tree %d, %s: no order in %q", n, source, got)
				}
			}
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Fatalf("left in the temporary folder: %v, %v", left, err)
		}
	}
}

// TestLongListing: a folder with many more entries than are held in memory,
// with more runs than are merged at a time.
func TestLongListing(t *testing.T) {
	const n = 5003
	for _, held := range []int{1, 50, 1000, n, n + 1} {
		temp := t.TempDir()
		f := transfer.Holding(transfer.Find{Recursive: true, Temp: temp}, held)
		i, most := 0, 0
		for item, err := range f.Remote(t.Context(), &madeUp{files: n}, "/top") {
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("/top/f%07d", i); item.Source != want || item.Entry.Size != int64(i) || !item.Entry.MTime.Equal(epoch()) || item.Entry.Mode != 0o644 {
				t.Fatalf("holding %d: %d is %+v", held, i, item)
			}
			if i++; i == n/2 {
				left, _ := os.ReadDir(temp)
				most = len(left)
			}
		}
		if i != n || (most == 1) != (held < n) {
			t.Errorf("holding %d: %d items, and %d temporary folders in the middle", held, i, most)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("holding %d: left in the temporary folder: %v, %v", held, left, err)
		}
	}
}

// TestStopsInTheMiddle: one who takes no more leaves nothing behind.
func TestStopsInTheMiddle(t *testing.T) {
	checkLeaks(t, nil)
	temp := t.TempDir()
	for stop := range 20 {
		n := 0
		f := transfer.Holding(transfer.Find{Recursive: true, Temp: temp}, 10)
		for _, err := range f.Remote(t.Context(), &madeUp{levels: 2, folders: 5, files: 30}, "/top") {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n > stop*10 {
				break
			}
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

// TestSweepLists: only private folders that are old enough go.
func TestSweepLists(t *testing.T) {
	temp := t.TempDir()
	for name, age := range map[string]time.Duration{"linehaul-list-1": 48 * time.Hour, "linehaul-list-2": time.Hour, "other": 48 * time.Hour} {
		mkdir(t, temp+"/"+name)
		write(t, temp+"/"+name+"/run-1", "x")
		if err := os.Chtimes(temp+"/"+name, at().Add(-age), at().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := transfer.SweepLists(temp, at().Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	want(t, temp, map[string]string{"linehaul-list-2/": "", "linehaul-list-2/run-1": "x", "other/": "", "other/run-1": "x"})
	if err := transfer.SweepLists(temp+"/none", at()); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestNoRoomToSort: the disk's failure is said as what it is.
func TestNoRoomToSort(t *testing.T) {
	f := transfer.Holding(transfer.Find{Recursive: true, Temp: t.TempDir() + "/absent"}, 10)
	items, err := transfer.Collect(f.Remote(t.Context(), &madeUp{files: 100}, "/top"))
	if len(items) != 0 || !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "listing") {
		t.Errorf("%d items, %v", len(items), err)
	}
}

// TestListsAhead: folders are listed ahead, so many at a time, and none where
// that is not wanted.
func TestListsAhead(t *testing.T) {
	for _, tt := range []struct {
		ahead  int
		most   int32
		within time.Duration // of 1 + 10 + 100 listings of a second each
	}{{0, 9, 25 * time.Second}, {4, 5, 40 * time.Second}, {-1, 1, 111 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			m := &madeUp{levels: 2, folders: 10, files: 3, delay: time.Second}
			began, n, last := time.Now(), 0, ""
			for item, err := range (transfer.Find{Recursive: true, Ahead: tt.ahead}).Remote(t.Context(), m, "/top") {
				if err != nil {
					t.Fatal(err)
				}
				if inOrder(last, item.Source) >= 0 {
					t.Fatalf("%s after %s", item.Source, last)
				}
				n, last = n+1, item.Source
			}
			took := time.Since(began)
			if n != 300 || m.listed.Load() != 111 || m.atOnce.Load() > tt.most || took > tt.within {
				t.Errorf("ahead %d: %d files, %d listings, %d at once, in %s; want at most %d at once, within %s",
					tt.ahead, n, m.listed.Load(), m.atOnce.Load(), took, tt.most, tt.within)
			}
		})
	}
}

// brokenLister fails in the middle of a listing.
type brokenLister struct {
	madeUp
	err error
}

func (b *brokenLister) ListSeq(ctx context.Context, dir string) iter.Seq2[transfer.Entry, error] {
	return func(yield func(transfer.Entry, error) bool) {
		for e, err := range b.madeUp.ListSeq(ctx, dir) {
			if strings.HasSuffix(dir, "d0000001") && e.Size == 2 {
				err = b.err
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func TestListingBreaks(t *testing.T) {
	checkLeaks(t, nil)
	one := &brokenLister{madeUp: madeUp{levels: 1, folders: 4, files: 5}, err: fault.New(fault.RemoteFile, "no")}
	items, err := transfer.Collect(transfer.Find{Recursive: true}.Remote(t.Context(), one, "/top"))
	if len(items) != 15 || !fault.Is(err, fault.Partial) {
		t.Errorf("one folder fails: %d items, %v", len(items), err)
	}
	all := &brokenLister{madeUp: madeUp{levels: 1, folders: 4, files: 5}, err: fault.New(fault.Stall, "silence")}
	n, last := 0, error(nil)
	for _, err := range (transfer.Find{Recursive: true}).Remote(t.Context(), all, "/top") {
		if last != nil {
			t.Error("something comes after the end")
		}
		n, last = n+1, err
	}
	if n != 6 || !fault.Is(last, fault.Stall) {
		t.Errorf("the connection fails: %d, %v", n, last)
	}
}

// TestErrorsComeBetween: what cannot be looked at does not keep back the rest.
func TestErrorsComeBetween(t *testing.T) {
	r := newRemote(map[string]string{"/d/a": "1", "/d/b/x": "2", "/d/c": "3"})
	r.denied["/d/b"] = true
	var said []string
	for item, err := range (transfer.Find{Recursive: true}).Remote(t.Context(), r, "/d") {
		switch {
		case errors.Is(err, fs.ErrPermission):
			said = append(said, "denied")
		case err != nil:
			t.Error(err)
		default:
			said = append(said, item.Source)
		}
	}
	if want := []string{"/d/a", "denied", "/d/c"}; !slices.Equal(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
}

func TestOneTree(t *testing.T) {
	for source, want := range map[string]bool{"/d": true, "/d/*": true, "d/{a,b}*": true, "/d/**": false, "/d/*/x": false, "/d/*/*": false, "*": true} {
		if got := transfer.OneTree([]string{source}, false); got != want {
			t.Errorf("%q: %v", source, got)
		}
	}
	if transfer.OneTree([]string{"a", "b"}, true) {
		t.Error("two sources are taken for one tree")
	}
}
