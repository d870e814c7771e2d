package tunneltest

import (
	"slices"
	"time"
)

// deadlines are all times at which something is due.
func (g *Gateway) deadlines() []time.Time {
	var all []time.Time
	for _, s := range g.sas {
		all = append(all, s.until)
		if s.asked != nil {
			all = append(all, s.asked.at)
		}
	}
	for _, c := range g.retired {
		all = append(all, c.until)
	}
	for _, s := range g.past {
		all = append(all, s.until)
	}
	s := g.idle()
	if s == nil {
		return all
	}
	all = append(all, s.rekeyAt)
	for _, c := range g.children {
		if !c.gone && c.replaced == nil {
			all = append(all, c.rekeyAt)
		}
	}
	if g.o.Probe > 0 {
		all = append(all, g.heard.Add(g.o.Probe))
	}
	return all
}

// due does what is due.
func (g *Gateway) due(now time.Time) {
	g.prune(now)
	g.past = slices.DeleteFunc(g.past, func(s *sa) bool { return !now.Before(s.until) })
	for _, s := range slices.Clone(g.sas) {
		if !s.until.IsZero() && !now.Before(s.until) {
			g.remove(s)
			continue
		}
		if a := s.asked; a != nil && !now.Before(a.at) {
			if now.Sub(a.began) >= g.o.Patience { // the client is gone
				g.remove(s)
				continue
			}
			a.wait = min(a.wait*2, longWait)
			a.at = now.Add(a.wait)
			g.stats.Retransmits++
			g.send(a.datagrams)
		}
	}
	s := g.idle()
	if s == nil {
		return
	}
	for _, c := range g.children {
		if !c.rekeyAt.IsZero() && !now.Before(c.rekeyAt) && !c.gone && c.replaced == nil {
			g.rekeyChild(now, s, c, 0)
			return
		}
	}
	switch {
	case !s.rekeyAt.IsZero() && !now.Before(s.rekeyAt):
		g.rekeyIKE(now, s, s.suite.KeyExchange.ID)
	case g.o.Probe > 0 && !now.Before(g.heard.Add(g.o.Probe)):
		g.probe(now, s)
	}
}
