package ping

import (
	"context"
	"errors"
	"slices"
	"time"

	"linehaul/preflight/echo"
)

// A line sends requests and tells what came of them: an *echo.Socket, or a
// tunnel.
type line interface {
	Send(seq uint16, size int) error
	Events() <-chan echo.Event
}

// A series is one that is under way.
type series struct {
	o     Options
	begun time.Time
	turn  time.Time // of the next request
	made  Series
	self  string // before what was said by nobody else

	sent    []probe
	oldest  int // the first in sent that is not settled, or len(sent)
	open    int // how many are not settled
	highest int // the latest request that was answered, -1 if none was
}

// A probe is a request that was sent.
type probe struct {
	Sample
	at       time.Time
	settled  bool
	answered bool
}

// run sends the series and waits for its end.
func run(ctx context.Context, l line, way, self string, o Options) (*Series, error) {
	s := &series{o: o, self: self, highest: -1, made: Series{To: o.To, Way: way, Size: o.Size}}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.ended() {
		select {
		case e := <-l.Events():
			s.hear(e)
		case <-timer.C:
			// What has come already has come in time.
			for more := true; more; {
				select {
				case e := <-l.Events():
					s.hear(e)
				default:
					more = false
				}
			}
			now := time.Now()
			s.expire(now)
			if s.due(now) {
				s.send(l, now)
			}
			timer.Reset(max(0, time.Until(s.next())))
		case <-ctx.Done():
			if o.Count == Endless {
				return s.result(), nil
			}
			return s.result(), why(ctx, o.To)
		}
	}
	return s.result(), nil
}

// limit is how many are to be sent.
func (s *series) limit() int {
	if s.o.Count == Endless {
		return MaxCount
	}
	return s.o.Count
}

func (s *series) ended() bool { return len(s.sent) == s.limit() && s.open == 0 }

func (s *series) due(now time.Time) bool { return len(s.sent) < s.limit() && !now.Before(s.turn) }

// next is when there is something to do: a request to send, or one to give up.
func (s *series) next() time.Time {
	var next time.Time
	if len(s.sent) < s.limit() {
		next = s.turn
	}
	if s.oldest < len(s.sent) {
		if late := s.sent[s.oldest].at.Add(s.o.Timeout); next.IsZero() || late.Before(next) {
			next = late
		}
	}
	return next
}

// send sends the next request. One that the system does not send is lost: a
// series may well last longer than what is in its way.
func (s *series) send(l line, now time.Time) {
	n := len(s.sent)
	if n == 0 {
		s.begun, s.turn = now, now
	}
	// A machine that slept makes up for nothing.
	if s.turn = s.turn.Add(s.o.Interval); now.Sub(s.turn) > s.o.Interval {
		s.turn = now
	}
	s.sent = append(s.sent, probe{Sample: Sample{AtMS: ms(now.Sub(s.begun)), Seq: n}, at: now})
	s.open++
	if err := l.Send(uint16(n), s.o.Size); err != nil {
		if e := (*echo.SendError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		s.say(s.self + err.Error())
		s.lose(n)
	}
}

// hear takes what came of a request.
func (s *series) hear(e echo.Event) {
	last := len(s.sent) - 1
	n := last - int(uint16(last)-e.Seq) // the latest with this number
	if n < 0 {
		return
	}
	p := &s.sent[n]
	switch {
	case e.Kind != echo.Echoed:
		who := s.self
		if e.From.IsValid() {
			who = e.From.String() + ": "
		}
		s.say(who + e.Said)
		if !p.settled {
			s.lose(n)
		}
	case p.answered:
		s.made.Duplicates++
	case p.settled || e.RTT > s.o.Timeout:
		p.answered = true
		s.made.Late++
		if !p.settled {
			s.lose(n)
		}
	default:
		p.answered = true
		if n < s.highest {
			s.made.Reordered++
		}
		s.highest = max(s.highest, n)
		p.RTTMS = ms(e.RTT)
		s.settle(n)
	}
}

// expire gives up on requests that have waited too long.
func (s *series) expire(now time.Time) {
	for n := s.oldest; n < len(s.sent) && now.Sub(s.sent[n].at) >= s.o.Timeout; n++ {
		if !s.sent[n].settled {
			s.lose(n)
		}
	}
}

func (s *series) lose(n int) {
	s.sent[n].Lost = true
	s.settle(n)
}

func (s *series) settle(n int) {
	s.sent[n].settled = true
	s.open--
	for s.oldest < len(s.sent) && s.sent[s.oldest].settled {
		s.oldest++
	}
	if s.o.Each != nil {
		s.o.Each(s.sent[n].Sample)
	}
}

func (s *series) say(what string) {
	if len(s.made.Said) < maxSaid && !slices.Contains(s.made.Said, what) {
		s.made.Said = append(s.made.Said, what)
	}
}

// result is what is known by now. Of requests that are not settled nothing is.
func (s *series) result() *Series {
	s.made.Samples = make([]Sample, 0, len(s.sent))
	for _, p := range s.sent {
		if p.settled {
			s.made.Samples = append(s.made.Samples, p.Sample)
		}
	}
	s.made.Summarize()
	return &s.made
}
