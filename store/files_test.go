package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"

	"linehaul/store"
)

// TestFileList: lists that fit in a record and lists that do not give the same
// files, change alike, and come back from the disk.
func TestFileList(t *testing.T) {
	for _, n := range []int{0, 1, store.MaxFiles, store.MaxFiles + 1, 3 * store.MaxFiles} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s, dir := openStore(t)
			r := fullRun(t)
			r.State = store.OK
			l := s.FileList(r)
			var want []string
			for i := range n {
				if err := l.Add(store.File{Source: fmt.Sprintf("f%d", i), Bytes: int64(i)}, i); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Change(func(f *store.File) bool {
				f.After = "deleted"
				return f.Bytes%3 != 0
			}); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if i%3 != 0 {
					want = append(want, fmt.Sprintf("f%d deleted", i))
				}
			}
			check := func(what string, each func(func(store.File) error) error) {
				t.Helper()
				var got []string
				if err := each(func(f store.File) error { got = append(got, f.Source+" "+f.After); return nil }); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %d files, want %d, and in that order", what, len(got), len(want))
				}
			}
			check("the list", l.Each)
			if err := l.Add(store.File{Source: "last", After: "deleted"}, n); err != nil {
				t.Fatal(err)
			}
			want = append(want, "last deleted")
			if err := l.End(&r); err != nil {
				t.Fatal(err)
			}
			check("the run", r.EachFile)
			put(t, s, r)
			back, err := s.Run(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(back.Files)+back.MoreFiles != len(want) || len(back.Files) > store.MaxFiles {
				t.Errorf("the record has %d files and %d more, want %d", len(back.Files), back.MoreFiles, len(want))
			}
			check("the record", back.EachFile)
			var out bytes.Buffer
			if err := back.WriteJSON(&out); err != nil {
				t.Fatal(err)
			}
			var printed store.Run
			if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
				t.Fatalf("%v in %.300s", err, out.String())
			}
			if len(printed.Files) != len(want) || printed.MoreFiles != 0 || printed.Error != r.Error || printed.PID != r.PID {
				t.Errorf("printed with %d files, want %d", len(printed.Files), len(want))
			}
			if left := leftFiles(t, dir); len(left) > 0 {
				t.Errorf("files %q are left", left)
			}
		})
	}
}

// TestLooseFileList: the list of a run that no store keeps goes when the run is
// forgotten.
func TestLooseFileList(t *testing.T) {
	dir := t.TempDir()
	l := store.NewFileList(dir)
	// The first ones are put in order.
	for i := range store.MaxFiles + 5 {
		if err := l.Add(store.File{Source: fmt.Sprint(i ^ 1)}, i^1); err != nil {
			t.Fatal(err)
		}
	}
	var r store.Run
	if err := l.End(&r); err != nil {
		t.Fatal(err)
	}
	if r.Files[0].Source != "0" || r.Files[999].Source != "999" || r.MoreFiles != 5 {
		t.Errorf("%+v, %+v, %d more", r.Files[0], r.Files[999], r.MoreFiles)
	}
	if err := r.Forget(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestRecoverRemovesLists: what a killed run had noted besides its record goes
// with it, as the record does not say that it is there.
func TestRecoverRemovesLists(t *testing.T) {
	s, dir := openStore(t)
	for _, ended := range []bool{false, true} { // killed before and after the list was taken in
		r := fullRun(t)
		r.State, r.MoreFiles, r.Files, r.Queued = store.Running, 0, nil, false
		dead(t, dir, func(s *store.Store) {
			put(t, s, r)
			l := s.FileList(r)
			for i := range store.MaxFiles + 1 {
				if err := l.Add(store.File{Source: fmt.Sprint(i)}, i); err != nil {
					t.Fatal(err)
				}
			}
			if ended {
				if err := l.End(&store.Run{}); err != nil {
					t.Fatal(err)
				}
				if n := count(t, s, "lh_run_files"); n != 1 {
					t.Fatalf("%d rows of files", n)
				}
			}
		})
		if runs, err := s.Recover(); err != nil || len(runs) != 1 {
			t.Fatalf("%+v, %v", runs, err)
		}
		if left := leftFiles(t, dir); len(left) > 0 {
			t.Errorf("left %q", left)
		}
		if n := count(t, s, "lh_run_files"); n != 0 {
			t.Errorf("%d rows of files are left", n)
		}
		alter(t, s, "DELETE FROM lh_run")
	}
}
