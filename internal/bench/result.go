package bench

import (
	"fmt"
	"slices"
	"time"
)

// memoryGoal is the most that linehaul should hold, in every case.
const memoryGoal = 128 << 20

// A Transfer is what one client did once.
type Transfer struct {
	Round     int
	Wall      time.Duration
	ClientCPU time.Duration
	ServerCPU time.Duration // 0 where it cannot be known
	RSS       int64         // peak, bytes
	TimedOut  bool          // ended at the limit, which is then its wall time
	Err       error         // it failed, or brought something else
}

// String is the transfer in a line of the log.
func (x Transfer) String() string {
	switch {
	case x.Err != nil:
		return "FAILED: " + x.Err.Error()
	case x.TimedOut:
		return fmt.Sprintf("ended after %s", x.Wall)
	}
	return fmt.Sprintf("%.2f s, client %.2f s CPU and %d MiB, server %.2f s CPU",
		x.Wall.Seconds(), x.ClientCPU.Seconds(), x.RSS>>20, x.ServerCPU.Seconds())
}

// A Row is all that one client did in a case.
type Row struct {
	Client   string
	Linehaul bool
	Old      bool // a peer that was told to speak the old protocol
	Runs     []Transfer
}

// enough reports whether the client is left out of further rounds: it failed,
// or took so long that the others should not have to wait for it again.
func (r Row) enough(once time.Duration) bool {
	return slices.ContainsFunc(r.Runs, func(x Transfer) bool { return x.Err != nil || x.TimedOut || x.Wall > once })
}

// failed reports whether there is nothing to compare.
func (r Row) failed() bool {
	return len(r.Runs) == 0 || slices.ContainsFunc(r.Runs, func(x Transfer) bool { return x.Err != nil })
}

// timedOut reports whether the median is the limit, not a measurement.
func (r Row) timedOut() bool {
	return slices.ContainsFunc(r.Runs, func(x Transfer) bool { return x.TimedOut && x.Wall <= r.median(wall) })
}

func wall(x Transfer) time.Duration      { return x.Wall }
func clientCPU(x Transfer) time.Duration { return x.ClientCPU }
func serverCPU(x Transfer) time.Duration { return x.ServerCPU }

// median is that of one value over the runs.
func (r Row) median(value func(Transfer) time.Duration) time.Duration {
	var all []float64
	for _, x := range r.Runs {
		all = append(all, float64(value(x)))
	}
	return time.Duration(median(all))
}

// best is the shortest run, the one that the machine disturbed least, and
// worst the longest.
func (r Row) best() time.Duration {
	return slices.MinFunc(r.Runs, func(a, b Transfer) int { return int(a.Wall - b.Wall) }).Wall
}

func (r Row) worst() time.Duration {
	return slices.MaxFunc(r.Runs, func(a, b Transfer) int { return int(a.Wall - b.Wall) }).Wall
}

// rss is the highest peak of all runs.
func (r Row) rss() int64 {
	return slices.MaxFunc(r.Runs, func(a, b Transfer) int { return int(a.RSS - b.RSS) }).RSS
}

// took is the median in words: nothing of a client that did not run.
func (r Row) took() string {
	switch {
	case len(r.Runs) == 0:
		return ""
	case r.failed():
		return "failed"
	case r.timedOut():
		return fmt.Sprintf(">%g", r.median(wall).Seconds())
	}
	return fmt.Sprintf("%.2f", r.median(wall).Seconds())
}

// speed is how many times as fast as other this row is: the median of the
// ratios within each round that both ran.
func (r Row) speed(other Row) float64 {
	var ratios []float64
	for _, x := range r.Runs {
		for _, y := range other.Runs {
			if x.Round == y.Round && x.Wall > 0 {
				ratios = append(ratios, float64(y.Wall)/float64(x.Wall))
			}
		}
	}
	return median(ratios)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// A Result is a case with what all clients did.
type Result struct {
	Case Case
	Rows []Row
}

// fastest is the best peer by median of those that speak what they choose, or with
// old of all. There is none if all failed or no peer was asked for.
func (r Result) fastest(old bool) (Row, bool) {
	var best Row
	for _, row := range r.Rows {
		if row.Linehaul || row.Old && !old || row.failed() || row.timedOut() {
			continue
		}
		if best.Runs == nil || row.median(wall) < best.median(wall) {
			best = row
		}
	}
	return best, best.Runs != nil
}

// row is that of a client, which is empty if it did not run.
func (r Result) row(client string) Row {
	for _, row := range r.Rows {
		if row.Client == client {
			return row
		}
	}
	return Row{Client: client}
}

// rate is what the case moves in a time, in its own unit.
func (r Result) rate(d time.Duration) (perSecond float64, unit string) {
	if r.Case.Files > 1 {
		return float64(r.Case.Files) / d.Seconds(), "files/s"
	}
	return float64(r.Case.Size) / (1 << 20) / d.Seconds(), "MiB/s"
}

// A Verdict is how one build of linehaul did in a case.
type Verdict struct {
	Case     string
	Client   string
	Failed   bool    // nothing to compare
	Peer     string  // the fastest that speaks what it chooses; empty if there is none
	Speed    float64 // times that peer's, the median over rounds
	Best     float64 // the same of the best runs
	Old      string  // the fastest of all, if it was told to speak the old protocol
	OldSpeed float64 // times that one's
	AtMost   bool    // linehaul was ended at the limit, so it is less
	Goal     float64
	RSS      int64
	Reached  bool
}

// Verdicts has one for each build of linehaul.
func (r Result) Verdicts() []Verdict {
	var all []Verdict
	for _, row := range r.Rows {
		if !row.Linehaul {
			continue
		}
		v := Verdict{Case: r.Case.Name, Client: row.Client, Goal: r.Case.Goal, Failed: row.failed()}
		if fastest, some := r.fastest(true); some && !v.Failed && fastest.Old {
			v.Old, v.OldSpeed = fastest.Client, row.speed(fastest)
		}
		if best, some := r.fastest(false); some && !v.Failed {
			v.Peer, v.AtMost, v.RSS = best.Client, row.timedOut(), row.rss()
			v.Speed, v.Best = row.speed(best), float64(best.best())/float64(row.best())
			v.Reached = v.Speed >= v.Goal && !v.AtMost && v.RSS <= memoryGoal
		}
		all = append(all, v)
	}
	return all
}

// String is the verdict in a line.
func (v Verdict) String() string {
	switch {
	case v.Failed:
		return fmt.Sprintf("%s: %s failed", v.Case, v.Client)
	case v.Peer == "" && v.Old != "":
		return fmt.Sprintf("%s: %s is %.2f times %s, and no peer spoke SFTP", v.Case, v.Client, v.OldSpeed, v.Old)
	case v.Peer == "":
		return fmt.Sprintf("%s: no peer to compare %s with", v.Case, v.Client)
	}
	old := ""
	if v.Old != "" {
		old = fmt.Sprintf("; with the old protocol %.2f times (%s)", v.OldSpeed, v.Old)
	}
	return fmt.Sprintf("%s: %s is %s times the fastest peer (%s), best against best %.2f; goal %g, peak %d MiB: %s%s",
		v.Case, v.Client, v.speed(), v.Peer, v.Best, v.Goal, v.RSS>>20, v.word(), old)
}

func (v Verdict) speed() string {
	if v.AtMost {
		return fmt.Sprintf("<%.2f", v.Speed)
	}
	return fmt.Sprintf("%.2f", v.Speed)
}

// times is the speed of a table: nothing where there is nothing to compare with.
func (v Verdict) times() string {
	if v.Peer == "" {
		return ""
	}
	return v.speed()
}

func (v Verdict) oldTimes() string {
	switch {
	case v.Old == "":
		return v.times()
	case v.AtMost:
		return fmt.Sprintf("<%.2f", v.OldSpeed)
	}
	return fmt.Sprintf("%.2f", v.OldSpeed)
}

func (v Verdict) word() string {
	switch {
	case v.Reached:
		return "reached"
	case v.Speed >= v.Goal && !v.AtMost:
		return "missed by its memory"
	}
	return "missed"
}
