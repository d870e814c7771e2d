package store

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Standing is how a job is.
type Standing struct {
	Paused *Pause // nil: it is not
	// Running and Waiting are its runs that have not ended, the newest first, and no
	// more than MaxUnder of each.
	Running []Run
	Waiting []Run
	Last    *Run // the newest that has ended
}

const (
	// MaxUnder bounds the runs of a Standing that have not ended.
	MaxUnder = 100
	// standingJobs is how many jobs are asked for in one statement: what SQLite takes
	// to find parameters grows with the square of their number.
	standingJobs = 40
)

// Standings returns how jobs are at an instant, each by its name. What it asks does not
// grow with the history, and is a statement for many jobs and not one for each. A
// record that cannot be read is left out.
func (s *Store) Standings(at time.Time, jobs ...string) (map[string]*Standing, error) {
	all := make(map[string]*Standing, len(jobs))
	for _, job := range jobs {
		all[job] = &Standing{}
	}
	if err := s.standingPauses(at, all); err != nil {
		return nil, err
	}
	for _, state := range []State{Running, Waiting} {
		_, err := s.Each(Filter{State: state}, func(r Run) bool {
			if one := all[r.Job]; one != nil {
				list := &one.Running
				if state == Waiting {
					list = &one.Waiting
				}
				if len(*list) < MaxUnder {
					*list = append(*list, r)
				}
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	for some := range slices.Chunk(jobs, standingJobs) {
		if err := s.standingLast(some, all); err != nil {
			return nil, s.readFault(err)
		}
	}
	return all, nil
}

func (s *Store) standingPauses(at time.Time, all map[string]*Standing) error {
	ctx, cancel := opContext(opTime)
	defer cancel()
	texts := map[string]string{}
	err := s.db.Each(ctx, "SELECT job, substr(content, 1, $1) FROM lh_pause", []any{maxNote}, func(scan func(...any) error) error {
		var job, text string
		err := scan(&job, &text)
		texts[job] = text
		return err
	})
	if err != nil {
		return fmt.Errorf("read the pauses of jobs: %w", err)
	}
	for job, text := range texts {
		one := all[job]
		if one == nil {
			continue
		}
		p, err := decodePause(job, text)
		if err != nil {
			return err
		}
		if p.in(at) {
			one.Paused = &p
		}
	}
	return nil
}

// standingLast looks for the newest run of each of some jobs that has ended.
func (s *Store) standingLast(jobs []string, all map[string]*Standing) error {
	newest := make([]string, len(jobs))
	args := []any{string(Running), string(Waiting)}
	for i, job := range jobs {
		args = append(args, job)
		newest[i] = fmt.Sprintf("(SELECT id FROM lh_run WHERE job = $%d AND state NOT IN ($1, $2) ORDER BY id DESC LIMIT 1)", len(args))
	}
	rows, err := s.rows("id IN ("+strings.Join(newest, ", ")+")", args)
	for _, row := range rows {
		one := all[row.job]
		if r, damage := s.read(row); damage == nil {
			one.Last = &r
			continue
		}
		_, err := s.Each(Filter{Job: row.job}, func(r Run) bool { // the one before, then
			if r.State.ended() {
				one.Last = &r
			}
			return one.Last == nil
		})
		if err != nil {
			return err
		}
	}
	return err
}
