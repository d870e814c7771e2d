// Package storetest opens stores for tests.
package storetest

import (
	"crypto/rand"
	"testing"
	"time"

	"linehaul/store"
)

// Open opens the store in a state folder, and closes it when the test ends.
func Open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Place{Dir: dir, Node: "here", Version: "test", Now: time.Now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
