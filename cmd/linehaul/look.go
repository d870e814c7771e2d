package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys/guard"
	"linehaul/logs"
	"linehaul/tunnel"
	"linehaul/tunnel/bulletin"
	"linehaul/tunnel/keylog"
)

// lookFlags say what is to be seen of the tunnels that a verb brings up.
type lookFlags struct{ capture, keylog string }

func (o *lookFlags) add(f *pflag.FlagSet) {
	f.StringVar(&o.capture, "capture", "", "write the packets of tunnels, inside and outside, to a new `FILE` that Wireshark reads (pcapng)")
	f.StringVar(&o.keylog, "keylog", "", "add the keys of tunnels to tables in `DIR` by which Wireshark decrypts IKEv2 and ESP")
}

// look begins what the flags ask for. It ends when the tunnels have.
func (a *app) look(o lookFlags) error {
	if o.capture != "" {
		f, err := guard.Create(o.capture)
		switch {
		case errors.Is(err, fs.ErrExist):
			return fault.New(fault.Usage, "--capture: %q is there already", o.capture).WithHint("name a new file: what was captured before is not written over")
		case err != nil:
			return fault.New(fault.LocalDisk, "--capture: %w", err)
		}
		w, err := tunnel.NewCapture(f, "linehaul "+versionText())
		if err != nil {
			f.Close()
			return fault.New(fault.LocalDisk, "write %q: %w", o.capture, err)
		}
		a.seen.Capture = w
		a.note("warning: %s exposes all that goes through the tunnel to whoever has it", o.capture)
		a.ends = append(a.ends, func() {
			if err := errors.Join(w.Err(), f.Close()); err != nil {
				a.note("warning: the capture ended before its time: %v", err)
			}
		})
	}
	if o.keylog != "" {
		l, err := keylog.Open(o.keylog)
		if err != nil {
			return err
		}
		a.seen.Keys = l
		a.note("warning: with the keys in %s, whoever records the line reads all that goes through the tunnel", o.keylog)
		a.ends = append(a.ends, func() {
			if err := l.Close(); err != nil {
				a.note("warning: the keys are not all there: %v", err)
			}
		})
	}
	a.ways().Look(a.seen)
	return nil
}

// tunnelsDir is where processes say what their tunnels are doing.
func tunnelsDir(f *config.File) string { return filepath.Join(f.State, "tunnels") }

// sayEvery is how often a process says what has moved through its tunnels.
const sayEvery = time.Second

// A sayer says what the tunnels of this process are doing, for `tunnel status`
// in another one: each second, and when something happens to one.
type sayer struct {
	board *bulletin.Board
	poke  chan struct{}
	stop  context.CancelFunc
	work  sync.WaitGroup
}

// say begins to do so, once.
func (a *app) say(f *config.File) {
	if a.sayer != nil || a.verb == "" || len(f.Links) == 0 {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &sayer{board: bulletin.New(tunnelsDir(f), a.verb, a.now()), poke: make(chan struct{}, 1), stop: stop}
	a.sayer = s
	event := a.seen.Event
	a.seen.Event = func(link *config.Link, e tunnel.Event, status tunnel.Status) {
		select {
		case s.poke <- struct{}{}:
		default:
		}
		if event != nil {
			event(link, e, status)
		}
	}
	a.ways().Look(a.seen)
	s.work.Go(func() { a.saying(ctx, s) })
	a.ends = append(a.ends, func() {
		s.stop()
		s.work.Wait()
		s.board.Close()
	})
}

func (a *app) saying(ctx context.Context, s *sayer) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	said := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.poke:
		}
		all := a.ways().Status()
		if !said && len(all) == 0 {
			continue
		}
		said = true
		if err := s.board.Post(a.now(), all); err != nil {
			// What runs does not need it.
			a.logger().Warn("what the tunnels are doing cannot be told", logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error())
		}
	}
}

// watch adds who is told of what happens to tunnels, before any comes up.
func (a *app) watch(connecting func(*config.Link), event func(*config.Link, tunnel.Event, tunnel.Status)) {
	a.seen.Connecting, a.seen.Event = connecting, event
	a.ways().Look(a.seen)
}
