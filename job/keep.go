package job

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/tunnel"
)

// keepWait is how long a link that is kept up waits after it went down: a
// gateway that restarts is back soon, and one that is gone is not to be flooded.
func keepWait() Retry { return Retry{Min: 2 * time.Second, Max: 5 * time.Minute} }

// A keeper keeps one link up until it is told to stop.
type keeper struct {
	stop context.CancelFunc
	done chan struct{}
}

func (k *keeper) end() {
	k.stop()
	<-k.done
}

// Keep says which links there are from now on. A tunnel that is up stays so for
// who uses it, and for those who come if nothing about its link has changed.
func (l *Links) Keep(known map[string]*config.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for old, s := range l.shared {
		if same := known[old.Name]; same != nil && reflect.DeepEqual(old, same) {
			known[old.Name] = old
			continue
		}
		delete(l.shared, old)
		l.retired = append(l.retired, s)
	}
	l.known = maps.Clone(known)
	l.tidy()
	l.reconcile()
}

// tidy closes the retired tunnels that nobody uses any more.
func (l *Links) tidy() {
	var still []*tunnel.Shared
	for _, s := range l.retired {
		if s.Idle() {
			s.Close() //nolint:errcheck // it returns none
		} else {
			still = append(still, s)
		}
	}
	l.retired = still
}

// Serve keeps the links up that want it until ctx ends, through every Keep, and
// writes what becomes of links to a log.
func (l *Links) Serve(ctx context.Context, log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = ctx
	l.log.Store(log)
	l.reconcile()
}

// reconcile starts the keepers that are wanted and ends the others. The caller
// holds mu.
func (l *Links) reconcile() {
	if l.serving == nil {
		return
	}
	for link, k := range l.keepers {
		if l.known[link.Name] != link {
			k.end()
			delete(l.keepers, link)
		}
	}
	for _, link := range l.known {
		if link.KeepUp && l.keepers[link] == nil {
			l.keepers[link] = l.keep(link, l.tunnel(link))
		}
	}
}

func (l *Links) keep(link *config.Link, s *tunnel.Shared) *keeper {
	ctx, stop := context.WithCancel(l.serving)
	k := &keeper{stop, make(chan struct{})}
	log := l.log.Load().With(logs.Link, link.Name)
	go func() {
		defer close(k.done)
		wait := func(failures int) time.Duration { return keepWait().Wait(failures, rand.Float64()) } //nolint:gosec // no secret
		for {
			err := s.Keep(ctx, wait, func(err error, d time.Duration) {
				log.Warn("the link is down", logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error(), logs.Hint, fault.HintOf(err), logs.Wait, d.Seconds())
			})
			if err == nil {
				return
			}
			// No further try helps until somebody mends something, which may be at
			// the gateway's side.
			log.Error("the link cannot come up", logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error(), logs.Hint, fault.HintOf(err))
			if sleep(ctx, keepWait().Max) != nil {
				return
			}
		}
	}()
	return k
}

// Close ends all tunnels, and waits for that.
func (l *Links) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.keepers {
		k.end()
	}
	for _, s := range l.shared {
		l.retired = append(l.retired, s)
	}
	for _, s := range l.retired {
		s.Close() //nolint:errcheck // it returns none
	}
}
