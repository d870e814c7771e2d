package tunnelbench

import (
	"errors"
	"net"
	"sync"
	"time"
)

// A Line is what is between a client and the gateway, in both directions alike.
type Line struct {
	RTT   time.Duration // half of it each way
	Rate  int64         // bytes in a second; 0 is all that comes
	Queue int64         // bytes that may wait for it, before more of them are lost
}

// A line takes what comes to a port of this host to the gateway and back. It
// is for one client.
type line struct {
	Line
	inside, outside *net.UDPConn
	work            sync.WaitGroup

	mu     sync.Mutex
	client *net.UDPAddr
}

// lay makes a line, whose address takes the place of the gateway's.
func lay(how Line, gateway string) (*line, error) {
	inside, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("udp4", gateway)
	if err != nil {
		inside.Close()
		return nil, err
	}
	l := &line{Line: how, inside: inside, outside: c.(*net.UDPConn)}
	for _, s := range []*net.UDPConn{l.inside, l.outside} {
		s.SetReadBuffer(16 << 20)
		s.SetWriteBuffer(16 << 20)
	}
	l.way(l.inside, func(b []byte) { l.outside.Write(b) })
	l.way(l.outside, func(b []byte) {
		l.mu.Lock()
		to := l.client
		l.mu.Unlock()
		l.inside.WriteToUDP(b, to)
	})
	return l, nil
}

func (l *line) address() string { return l.inside.LocalAddr().String() }

func (l *line) close() {
	l.inside.Close()
	l.outside.Close()
	l.work.Wait()
}

// A late packet is one on its way.
type late struct {
	at   time.Time
	data []byte
}

// way is one direction: what comes at a socket is sent later.
func (l *line) way(from *net.UDPConn, send func([]byte)) {
	const most = 1 << 16 // packets under way
	under := make(chan late, most)
	l.work.Go(func() {
		defer close(under)
		buf := make([]byte, 1<<16)
		var free time.Time // when the queue is empty
		for {
			n, addr, err := from.ReadFromUDP(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			if from == l.inside {
				l.mu.Lock()
				l.client = addr
				l.mu.Unlock()
			}
			now := time.Now()
			if free.Before(now) {
				free = now
			}
			if l.Rate > 0 {
				if int64(free.Sub(now).Seconds()*float64(l.Rate)) > l.Queue {
					continue
				}
				free = free.Add(time.Duration(float64(n) / float64(l.Rate) * float64(time.Second)))
			}
			select {
			case under <- late{free.Add(l.RTT / 2), append([]byte(nil), buf[:n]...)}:
			default:
			}
		}
	})
	l.work.Go(func() {
		for p := range under {
			time.Sleep(time.Until(p.at))
			send(p.data)
		}
	})
}
