package tunnel

import (
	"context"
	"errors"
	"testing"
)

// TestSharedEnding: a tunnel that is about to end is nobody's any more, though
// not all of it has ended.
func TestSharedEnding(t *testing.T) {
	why := errors.New("the gateway is silent")
	ending := &Tunnel{closing: make(chan struct{}), done: make(chan struct{}), err: why}
	asked := errors.New("asked for another one")
	s := NewShared("lab", func(context.Context) (Config, error) { return Config{}, asked })
	s.tunnel = ending
	if _, _, err := s.Use(t.Context()); !errors.Is(err, asked) {
		t.Errorf("got the one that ends: %v", err)
	}
	if status := s.Status(); status.Error != why.Error() {
		t.Errorf("it was down for %q", status.Error)
	}
	close(ending.done)
	if err := s.Close(); err != nil { // which waits for it
		t.Error(err)
	}
	select {
	case <-ending.closing:
	default:
		t.Error("it was not closed")
	}
}
