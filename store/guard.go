package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"linehaul/fault"
)

// watchEvery is how often it is looked whether a run that is under way is to end.
const watchEvery = time.Second

// LostError says that this process counts as dead for the others, or may. It comes
// wrapped in a fault of kind Interrupted.
type LostError struct{}

func (*LostError) Error() string {
	return fmt.Sprintf("this process did not get through to the database for %s, and others may take its runs", Lease)
}

// guards are the runs of this process that are under way, each with what ends it.
type guards struct {
	mu   sync.Mutex
	ends map[string]context.CancelCauseFunc
	stop context.CancelFunc // ends the watching, which goes on while there are any
	done chan struct{}
}

// Guard returns a context for a run of this process that is recorded as under way.
// It ends, with the cause, when somebody cancels the run, when the run has become
// another process's, and when this process counts as dead. release ends the
// guarding.
func (s *Store) Guard(ctx context.Context, id string) (guarded context.Context, release func()) {
	guarded, end := context.WithCancelCause(ctx)
	g := &s.guards
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ends == nil {
		g.ends = map[string]context.CancelCauseFunc{}
	}
	if len(g.ends) == 0 {
		watching, stop := context.WithCancel(context.Background())
		g.stop, g.done = stop, make(chan struct{})
		go s.watch(watching, g.done)
	}
	g.ends[id] = end
	return guarded, func() {
		g.mu.Lock()
		delete(g.ends, id)
		var done chan struct{}
		if len(g.ends) == 0 && g.stop != nil {
			g.stop()
			done, g.stop = g.done, nil
		}
		g.mu.Unlock()
		if done != nil {
			<-done
		}
		end(nil)
	}
}

// watch looks after the runs that are guarded, until ctx ends.
func (s *Store) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.Lost():
			s.guards.endAll(fault.New(fault.Interrupted, "%w", &LostError{}))
			<-ctx.Done()
			return
		case <-tick.C:
			s.look(ctx)
		}
	}
}

func (g *guards) endAll(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, end := range g.ends {
		end(cause)
	}
}

func (g *guards) end(id string, cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if end := g.ends[id]; end != nil {
		end(cause)
	}
}

// look asks whether any run that is guarded is to end. What the database does not
// answer is asked again.
func (s *Store) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	owner, err := s.ownerFor(ctx, false)
	if err != nil || owner == "" {
		return
	}
	mine := map[string]bool{}
	asked := map[string]string{}
	s.guards.mu.Lock()
	guarded := make([]string, 0, len(s.guards.ends))
	for id := range s.guards.ends {
		guarded = append(guarded, id)
	}
	s.guards.mu.Unlock()
	err = s.db.Each(ctx, "SELECT id, cancel FROM lh_run WHERE state = $1 AND owner = $2", []any{string(Running), owner}, func(scan func(...any) error) error {
		var id, reason string
		err := scan(&id, &reason)
		mine[id], asked[id] = true, reason
		return err
	})
	if err != nil {
		return
	}
	for _, id := range guarded {
		switch {
		case asked[id] != "":
			s.guards.end(id, fault.New(fault.Interrupted, "cancelled: %s", asked[id]))
		case !mine[id]:
			s.guards.end(id, fault.New(fault.Interrupted, "%w", &TakenError{id}))
		}
	}
}
