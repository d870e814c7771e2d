package tunnel

import (
	"time"

	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikev2"
)

const (
	// watchEvery is how often we look whether our address has changed. A NAT is
	// kept from forgetting at the same pace: well under the 20 seconds of RFC 3948
	// section 4, which is for those whom it costs power.
	watchEvery = 3 * time.Second
	// slept is by how much the wall clock is ahead of ours when this machine has
	// slept.
	slept = 10 * time.Second

	// A cipher with blocks of eight bytes repeats one when it has made about 2^32
	// of them, which tells something of what is in it. Its keys are replaced after
	// 2^25, where that has happened once in 60,000 times.
	smallBlock      = 8
	smallBlockBytes = 256 << 20
)

// watch keeps the way to the gateway open. If our address has changed, we go on
// from the new one; if this machine has slept, we ask whether the gateway still
// knows us.
func (t *Tunnel) watch() []ikev2.Action {
	now := t.now()
	last := t.seen
	t.seen = now
	s := t.link.second.Load()
	if s == nil {
		return nil
	}
	if !t.spoke.Swap(false) {
		d := esp.AppendKeepalive(nil)
		t.tap.outer(s, true, d)
		s.conn.Write(d) //nolint:errcheck // lost, as a packet may be
	}
	if a, err := t.link.source(); err == nil && a != localAddr(s.conn) {
		if err := t.move(); err != nil {
			t.log.Warn("our address has changed, and there is no way to the gateway", "error", err)
			return nil
		}
		t.log.Info("our address has changed", "from", localAddr(s.conn).String(), "to", a.String())
		return t.machine.Moved(now)
	}
	if asleep := now.Round(0).Sub(last.Round(0)) - now.Sub(last); !last.IsZero() && asleep > slept {
		t.log.Info("this machine has slept", "for", asleep.Round(time.Second).String())
		return t.machine.Probe(now)
	}
	return t.wear(now)
}

// wear replaces keys that have carried what they may.
func (t *Tunnel) wear(now time.Time) (actions []ikev2.Action) {
	for spi, out := range t.pairs {
		worn := out.Wear(now)
		if in := t.inbound.Find(spi); in != nil {
			worn = max(worn, in.Wear(now))
		}
		if worn != esp.Fresh {
			actions = append(actions, t.machine.Worn(now, spi, worn == esp.Spent)...)
		}
	}
	return actions
}

// move goes on with another socket.
func (t *Tunnel) move() error {
	s, err := t.link.move()
	if err == nil {
		t.work.Go(func() { t.read(s) })
	}
	return err
}
