package store_test

import (
	"bytes"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/store"
)

func TestRunID(t *testing.T) {
	id, err := store.NewRunID(at().In(time.FixedZone("", 8*3600)), bytes.NewReader([]byte{0, 31, 255, 32, 10}))
	if want := "20261123T023001Z-1230zz0a"; err != nil || id != want {
		t.Fatalf("got %q, %v, want %q", id, err, want)
	}
	if got, err := store.RunTime(id); err != nil || !got.Equal(at().Truncate(time.Millisecond)) || got.Location() != time.UTC {
		t.Errorf("its time is %v, %v", got, err)
	}
	if !filepath.IsLocal(id) || strings.ContainsAny(id, `/\:*?"<>|. `) {
		t.Errorf("%q is not safe in file names", id)
	}
	if _, err := store.NewRunID(at(), strings.NewReader("abc")); err == nil {
		t.Error("too little random was enough")
	}
	if _, err := store.NewRunID(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), rand.Reader); err == nil {
		t.Error("an id with five digits of year would not sort")
	}
}

func TestIDsSortByTime(t *testing.T) {
	steps := []time.Duration{time.Millisecond, 10 * time.Millisecond, time.Second, time.Hour, 24 * time.Hour, 40 * 24 * time.Hour, 400 * 24 * time.Hour}
	var all []string
	now := at()
	for range 50 {
		for _, step := range steps {
			now = now.Add(step)
			id, err := store.NewRunID(now, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, id)
		}
	}
	if !slices.IsSorted(all) {
		t.Error("the ids are not in the order of time")
	}
}

// FuzzRunTime: what RunTime accepts is what NewRunID makes of that instant.
func FuzzRunTime(f *testing.F) {
	for _, s := range []string{"20261123T023001Z-123x7k2q", "20240229T235959Z-99900000", "19700101T000000Z-000zzzzz", "", "../../etc/passwd",
		"20261123T023001Z-123x7k2l", "20260230T023001Z-123x7k2q", "20261123t023001z-123x7k2q", "20261123T023001Z-+23x7k2q"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		at, err := store.RunTime(id)
		if err != nil {
			return
		}
		random := id[len(id)-5:]
		raw := make([]byte, 0, 5)
		for _, c := range []byte(random) {
			raw = append(raw, byte(strings.IndexByte("0123456789abcdefghjkmnpqrstvwxyz", c)))
		}
		if again, err := store.NewRunID(at, bytes.NewReader(raw)); err != nil || again != id {
			t.Fatalf("%q became %q, %v", id, again, err)
		}
	})
}
