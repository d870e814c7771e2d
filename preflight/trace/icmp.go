package trace

import (
	"errors"
	"sync"

	"linehaul/preflight/echo"
)

// size is the data of a probe: packets of 60 bytes by ICMP and UDP.
const size = 32

// An icmpProber sends echo requests.
type icmpProber struct {
	s    *echo.Socket
	out  chan answer
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	sent [1 << 16]int // the number of the probe that has a sequence number, plus 1
}

func openICMP(o Options) (prober, error) {
	s, err := echo.Open(echo.Options{To: o.To, From: o.From, Device: o.Device, Timeout: o.Timeout})
	var no *echo.NotAllowedError
	if errors.As(err, &no) {
		return nil, &missingError{what: no.Error()}
	}
	if err != nil {
		return nil, err
	}
	p := &icmpProber{s: s, out: make(chan answer), done: make(chan struct{})}
	p.wg.Go(p.listen)
	return p, nil
}

// listen hands on what the socket hears.
func (p *icmpProber) listen() {
	for e := range p.s.Events() {
		p.mu.Lock()
		id := p.sent[e.Seq] - 1
		p.mu.Unlock()
		a := answer{id: id, from: e.From, rtt: e.RTT, kind: refused, said: e.Said}
		switch {
		case e.Kind == echo.Echoed:
			a.kind = arrived
		case e.Kind == echo.TooBig:
			continue // a router on the way says so of a packet of 60 bytes: nobody does
		case e.Exceeded:
			a.kind, a.said = exceeded, ""
		}
		select {
		case p.out <- a:
		case <-p.done:
		}
	}
}

func (p *icmpProber) send(ttl, id int) error {
	p.mu.Lock()
	p.sent[uint16(id)] = id + 1
	p.mu.Unlock()
	err := p.s.SendTTL(uint16(id), size, ttl)
	var failed *echo.SendError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

func (p *icmpProber) answers() <-chan answer { return p.out }
func (p *icmpProber) way() string            { return p.s.Way() }

func (p *icmpProber) close() {
	close(p.done)
	p.s.Close()
	p.wg.Wait()
}
