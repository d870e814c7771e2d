package transfer

import (
	"context"
	"sync"
)

// A file that is not large is moved on one session, its home. Where there are many of
// them, they are spread over several sessions: on a long line each carries one window in a
// round trip, and nowhere does a server work on more than one file of a session at a
// time, nor wait for more than one to be durable.

const (
	// homeShare is how many such files there should be for each session on a short
	// line when putting, and homesNear up to how many sessions that gives, before it was seen that
	// they help.
	homeShare = 500
	homesNear = 3
	// homedMost is how much of a file counts for its home: more is not under way at a
	// time.
	homedMost = 2 * maxRequest
	// homedGet and homedPut are what all homes have under way together, but each as
	// much as a channel carries in a round trip; homesGet and homesPut are how many
	// files one has: more than about 1 MiB of small ones that waits costs OpenSSH's
	// server dear when putting, see putWindow.
	homedGet, homedPut = 32 << 20, 16 << 20
	homesGet, homesPut = farAtOnce, 256
	// homesBeside is how many homes there are at most where commands are run for
	// files: OpenSSH allows ten sessions, and as many commands as before have theirs.
	homesBeside = 4
)

// A hope is what is known, or hoped for, of the files that are to come and are not large.
type hope struct {
	known bool  // else as much is hoped for as has come
	files int   // to come
	bytes int64 // in them
	next  int64 // what must have come for the next sessions
}

// coming says what is known of the files that will be moved.
func (l *lanes) coming(k known) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if separate, ok := l.all[0].remote.(Separator); !ok || !separate.Separate() {
		l.small.known = true // and nothing is hoped for
		return
	}
	l.small.known = k.all
	for _, i := range k.items {
		if !i.Entry.Mode.IsDir() && i.Entry.Size < SharedSize {
			l.small.files++
			l.small.bytes = addSize(l.small.bytes, i.Entry)
		}
	}
	if l.small.worth() {
		l.startGrowing()
	}
}

// worth reports whether there are enough of them for several sessions.
func (h *hope) worth() bool { return h.files > homeShare || h.bytes > 2*laneShare }

// homing is what a file counts for its home.
func homing(size int64) (files int, bytes int64) {
	if size >= SharedSize {
		return 0, 0 // it is moved on all of them
	}
	return 1, min(max(size, 0), homedMost)
}

// pick names the home of the next file: the session that has the least under way. It
// waits for room on one. The caller calls done when the file is not under way any more; a
// second call does nothing. Home is nil if no session is left.
func (l *lanes) pick(ctx context.Context, size int64) (home *lane, done func(), err error) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	files, bytes := homing(size)
	for home = l.lightest(); ctx.Err() == nil && home != nil && files > 0 && l.full(home, bytes); home = l.lightest() {
		l.picking++
		l.changed.Wait()
		l.picking--
	}
	if ctx.Err() != nil || home == nil {
		return nil, func() {}, context.Cause(ctx)
	}
	home.homes += files
	home.homed += bytes
	home.requests.Add(1) // it stays open until then
	if h := &l.small; !h.known && files > 0 {
		h.files++
		h.bytes += max(size, 0)
		if come := h.bytes + int64(h.files)*minRequest; h.worth() && come > h.next {
			h.next = 2 * come
			l.startGrowing()
		}
	}
	return home, sync.OnceFunc(func() { l.leaves(home, size) }), nil
}

// lightest is the session with the least under way; nil if none is left. The caller
// holds mu.
func (l *lanes) lightest() (home *lane) {
	for _, a := range l.all {
		if !a.gone && (home == nil || a.homed < home.homed || a.homed == home.homed && a.homes < home.homes) {
			home = a
		}
	}
	return home
}

// full reports whether a session has no room for another file: while others are on
// their way to take it, as soon as it has enough to do. The caller holds mu.
func (l *lanes) full(a *lane, bytes int64) bool {
	files, most := homesGet, int64(homedGet)
	if l.put {
		files, most = homesPut, homedPut
	}
	most = max(most/int64(l.live()), channelWindow)
	if l.starting {
		most = channelWindow
	}
	return a.homes > 0 && (a.homes >= files || a.homed+bytes > most)
}

// leaves notes that a file is not under way any more.
func (l *lanes) leaves(home *lane, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, bytes := homing(size)
	home.homes -= files
	home.homed -= bytes
	home.requests.Done()
	if l.small.known && files > 0 {
		l.small.files--
		l.small.bytes -= max(size, 0)
	}
	if l.picking > 0 {
		l.changed.Broadcast()
	}
}

// whole notes that a file was moved in one go, without pieces.
func (l *lanes) whole(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += size
}

// replace reports whether a file that failed can be moved on another session, as its
// home broke.
func (l *lanes) replace(home *lane, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost(home, err)
}

// onlyHomes reports whether no large file is to be moved. The caller holds mu.
func (l *lanes) onlyHomes() bool { return l.left() == l.small.bytes }
