package transfer

import (
	"runtime"
	"sync"
)

// A group makes one run of something expensive serve all who ask for it at
// about the same time: who asks while it runs shares the next run. The zero
// value is ready to use.
type group struct {
	mu   sync.Mutex
	next *shared

	running sync.Mutex
}

// shared is one run that several wait for.
type shared struct {
	done chan struct{} // closed when err is set
	err  error
}

// do runs f, or waits for a run of it that begins after do was called.
func (g *group) do(f func() error) error {
	g.mu.Lock()
	run := g.next
	first := run == nil
	if first {
		run = &shared{done: make(chan struct{})}
		g.next = run
	}
	g.mu.Unlock()
	if !first {
		<-run.done
		return run.err
	}
	g.running.Lock()
	defer g.running.Unlock()
	runtime.Gosched() // who is about to ask, joins
	g.mu.Lock()
	g.next = nil
	g.mu.Unlock()
	run.err = f()
	close(run.done)
	return run.err
}
