package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/transfer"
)

// TestCompareContent: content is compared for some files at a time, what differs
// comes in the order of the source all the same, and who wants no more of it waits
// for nothing that is under way.
func TestCompareContent(t *testing.T) {
	const files, atOnce = 100, 16
	root, there := t.TempDir(), map[string]string{"/d/": ""}
	mkdir(t, filepath.Join(root, "d"))
	for i := range files {
		name := fmt.Sprintf("%03d", i)
		there["/d/"+name] = "1"
		write(t, filepath.Join(root, "d", name), "x")
	}
	there["/d/longer"], there["/d/new"] = "22", "1"
	write(t, filepath.Join(root, "d", "longer"), "x")
	synctest.Test(t, func(t *testing.T) {
		var running, most, ended atomic.Int32
		same := func(ctx context.Context, i transfer.Item) (bool, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			defer ended.Add(1)
			n := i.Entry.Name
			select {
			case <-time.After(time.Duration(1+len(n)+int(n[2]-'0')) * 100 * time.Millisecond):
			case <-ctx.Done():
				return false, context.Cause(ctx)
			}
			if n == "033" {
				return false, errors.New("it cannot be read")
			}
			return n[1] != '7', nil
		}
		r := newRemote(there)
		for i := range files { // another time alone is not another file
			r.nodes[fmt.Sprintf("/d/%03d", i)].mtime = epoch().Add(time.Duration(i%2) * time.Hour)
		}
		p := transfer.Plan{Recursive: true, Name: byRel, Tree: true, At: at(), Compare: &transfer.Comparison{Same: same}}
		get := func(p transfer.Plan) iter.Seq2[transfer.Item, error] { return p.Get(t.Context(), r, root, "/d") }
		began := time.Now()
		got, want := planned(t, p, get), []string(nil)
		for i := range files {
			switch name := fmt.Sprintf("%03d", i); {
			case i == 33:
				want = append(want, "/d/033 fails")
			case i/10%10 == 7, i%2 == 1: // the latter want their time only
				want = append(want, "/d/"+name+" > d/"+name)
			default:
				want = append(want, "/d/"+name+": up to date")
			}
		}
		want = append(want, "/d/longer > d/longer", "/d/new > d/new")
		for i, line := range got {
			if strings.Contains(line, "it cannot be read") {
				got[i] = "/d/033 fails"
			}
		}
		// The folder itself comes as well, when all that is in it has come.
		got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "/d ") || strings.HasPrefix(line, "/d:") })
		if !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
		// One after the other takes 85 s.
		if took := time.Since(began); took > 10*time.Second || most.Load() < atOnce-1 || most.Load() > atOnce+1 {
			t.Errorf("it took %v, with %d at a time", took, most.Load())
		}
		ended.Store(0)
		began = time.Now()
		for item := range get(p) {
			if item.Source == "/d/001" {
				break
			}
		}
		if took := time.Since(began); took > time.Second || running.Load() > 0 || ended.Load() < 2 || ended.Load() > atOnce+3 {
			t.Errorf("to stop took %v, with %d compared and %d under way", took, ended.Load(), running.Load())
		}
	})
}
