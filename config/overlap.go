package config

import (
	"time"

	"linehaul/stamp"
)

// Overlap says what becomes of a firing that comes while its job still runs, on
// this machine or on another one. A run by hand is treated as a firing is.
type Overlap string

// The answers.
const (
	// OverlapSkip leaves the firing out; it is recorded as skipped.
	OverlapSkip Overlap = "skip"
	// OverlapQueue has it wait until the run has ended. One waits at most: what
	// comes meanwhile is recorded as skipped.
	OverlapQueue Overlap = "queue"
	// OverlapCancel stops the run under way, and begins when that has ended.
	OverlapCancel Overlap = "cancel"
	// OverlapAllow has both run. They share no target and take no source away.
	OverlapAllow Overlap = "allow"
)

// overlap refuses runs side by side that would harm each other. A run takes what
// another left unfinished of the same target for its own, on a server also while
// that is still written.
func (r *rules) overlap(j *Job, s *jobEntry) {
	if j.Overlap != OverlapAllow {
		return
	}
	at := s.Overlap.at
	switch {
	case j.Sync != nil:
		r.problem(at, "`overlap: allow` goes with no `sync`: two runs would change the same folder, each by its own view of it").suggest("write `queue`, or `skip`")
	case j.After.Source != SourceKeep:
		r.problem(at, "`overlap: allow` goes with no `after`: two runs would take each other's sources away").suggest("write `queue`, or keep the sources")
	case j.To != nil && !differsByRun(j):
		r.problem(at, "`overlap: allow` needs a target of its own for each run: two would write the same files").suggest("put {run} into `to`, or write `queue`")
	}
}

// differsByRun reports whether no two runs write the same name.
func differsByRun(j *Job) bool {
	v := stamp.Values{
		At: time.Date(2026, 11, 23, 2, 30, 0, 0, j.Timezone), Job: j.Name, Host: j.Host, Name: "a.b", Path: "a.b",
		MTime: time.Date(2026, 11, 22, 2, 30, 0, 0, j.Timezone),
	}
	v.Run = "20261123T023000Z-412k7m3q"
	one, err := j.To.Expand(v)
	if err != nil {
		return false
	}
	v.Run = "20261123T023000Z-51m8pq2r"
	other, err := j.To.Expand(v)
	return err == nil && one != other
}
