package port

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// firstAgain is when a question is sent again; each time after that takes
	// twice as long.
	firstAgain = 500 * time.Millisecond
	// maxReply is how much of an answer is read, and maxReplies how many are that
	// are not what was asked for.
	maxReply   = 4096
	maxReplies = 64
)

// UDP asks a UDP port by a question, again and again until an answer comes or
// the time is up.
func UDP(ctx context.Context, to netip.AddrPort, o Options) Result {
	o = o.defaults()
	r := Result{Addr: to.Addr(), Port: int(to.Port()), Network: "udp"}
	q := o.Question
	if q == nil {
		q = questionFor(to.Port())
	}
	r.Payload = q.Name
	limited, cancel := context.WithTimeoutCause(ctx, o.Timeout, errLate)
	defer cancel()
	c, err := o.Dialer.DialContext(limited, "udp", to.String())
	if err != nil {
		r.judge(ctx, limited, 0, err, nil)
		return r
	}
	defer c.Close()
	listenUDP(c)
	stop := context.AfterFunc(limited, func() {
		_ = c.SetDeadline(time.Unix(1, 0)) // it ends the wait
	})
	defer stop()
	r.ask(ctx, limited, c, q)
	return r
}

// ask sends the question and waits for what comes of it.
func (r *Result) ask(ctx, limited context.Context, c net.Conn, q *Question) {
	began := time.Now()
	for wait := firstAgain; ; wait *= 2 {
		_, err := c.Write(q.Bytes)
		if err == nil {
			err = r.hear(limited, c, q, began, wait)
		}
		switch {
		case r.State == Open && (!r.Mismatch || !isTimeout(err) || limited.Err() != nil):
			return
		case limited.Err() != nil && isTimeout(err):
			r.judge(ctx, limited, 0, context.Cause(limited), saidTo(c))
			return
		case !isTimeout(err):
			r.judge(ctx, limited, time.Since(began), err, saidTo(c))
			return
		}
	}
}

// errEnough ends the wait for something better than what came.
var errEnough = errors.New("enough answers of another kind")

// hear reads answers until the right one has come, or for a while.
func (r *Result) hear(limited context.Context, c net.Conn, q *Question, began time.Time, wait time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if limited.Err() != nil { // its deadline may just have been moved
		return os.ErrDeadlineExceeded
	}
	buf := make([]byte, maxReply)
	for range maxReplies {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		text, right := q.Read(buf[:n])
		if right || r.State != Open {
			r.State, r.Answer, r.Mismatch = Open, text, !right
			r.ConnectMS = milliseconds(time.Since(began))
		}
		if right {
			return nil
		}
	}
	return errEnough
}
