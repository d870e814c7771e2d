package job

import (
	"os"
	"slices"

	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// spread is over how many connections an attempt spreads large files, and
// whether others are begun beside the first one, before it is known that there
// is a large file. On a long line a login takes as long as moving some 100 MB;
// to the server it is one more in its log.
func (a *attempt) spread() remote.Spread {
	s := remote.Spread{Connections: a.job.Connections}
	s.Ahead = !a.crowded && !a.job.small() && (s.Connections > 1 || a.hopeful())
	s.Large = s.Ahead && a.job.large()
	s.Commands = a.job.sums()
	// Else they may be for nothing, or in the way of commands.
	s.Sessions = s.Large || s.Ahead && a.job.single() && !s.Commands
	return s
}

// single reports whether a job fetches one file.
func (j *Job) single() bool {
	return j.Put == nil && !j.Recursive && len(j.Get) == 1 && !transfer.HasWildcard(j.Get[0])
}

// large reports whether it is known that a file of a job is.
func (j *Job) large() bool {
	return slices.ContainsFunc(j.Put, func(source string) bool {
		e, err := os.Stat(source)
		return err == nil && e.Mode().IsRegular() && e.Size() >= transfer.SharedSize
	})
}

// small reports whether it is known that no file of a job is large.
func (j *Job) small() bool {
	if j.Select.MaxSize > 0 && j.Select.MaxSize < transfer.SharedSize {
		return true
	}
	for _, source := range j.Put {
		if transfer.HasWildcard(source) {
			return false
		}
		e, err := os.Stat(source)
		if err != nil || !e.Mode().IsRegular() || e.Size() >= transfer.SharedSize {
			return false
		}
	}
	return j.Put != nil
}

// hopeful reports whether more connections may help, as far as that can be
// known: where no limit holds them back, and the last run of the job that went
// well and moved something may have moved a large file.
func (a *attempt) hopeful() bool {
	if a.gate != nil && a.gate.Rate() > 0 {
		return false
	}
	large := true
	a.before(func(run store.Run) bool {
		large = run.Bytes >= transfer.SharedSize
		return run.Moved == 0
	})
	return large
}
