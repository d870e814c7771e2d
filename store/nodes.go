package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

// A Node is a process that uses the store: one that serves, or runs a job by hand.
type Node struct {
	ID      string    `json:"id"` // made anew at each start
	Name    string    `json:"name"`
	Labels  []string  `json:"labels,omitempty"`
	PID     int       `json:"pid"`
	Serves  bool      `json:"serves"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Running int       `json:"running"` // runs under way
	// Jobs are those that it serves, with what tells whether two nodes mean the same.
	Jobs map[string]string `json:"-"`
}

// Serve notes that this process serves jobs, each with what tells whether another
// one means the same by it.
func (s *Store) Serve(jobs map[string]string) error {
	ctx, cancel := opContext(opTime)
	defer cancel()
	text, err := json.Marshal(jobs)
	if err != nil {
		return fault.New(fault.Internal, "note what is served: %w", err)
	}
	owner, err := s.ownerFor(ctx, true)
	if err == nil {
		_, err = s.db.Exec(ctx, "UPDATE lh_node SET serves = 1, config = $2 WHERE id = $1", owner, string(text))
	}
	if err != nil {
		return fmt.Errorf("note what is served: %w", err)
	}
	return nil
}

// Self is the id that Nodes has of this process; empty: it is none of them.
func (s *Store) Self() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == nil {
		return ""
	}
	return s.owner.id
}

// Nodes returns the processes that live, those that serve first.
func (s *Store) Nodes() ([]Node, error) {
	ctx, cancel := opContext(opTime)
	defer cancel()
	var all []Node
	err := s.db.Each(ctx, `SELECT id, name, labels, pid, serves, version, config, started,
		(SELECT count(*) FROM lh_run WHERE lh_run.state = 'running' AND lh_run.owner = lh_node.id)
		FROM lh_node ORDER BY serves DESC, name, id`, nil, func(scan func(...any) error) error {
		var n Node
		var labels, jobs string
		var started int64
		var serves int
		err := scan(&n.ID, &n.Name, &labels, &n.PID, &serves, &n.Version, &jobs, &started, &n.Running)
		n.Labels, n.Serves, n.Started = strings.Fields(labels), serves != 0, time.UnixMilli(started)
		if jobs != "" && json.Unmarshal([]byte(jobs), &n.Jobs) != nil {
			n.Jobs = nil // another version's way to say it
		}
		all = append(all, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read which processes there are: %w", err)
	}
	living := []Node{}
	for _, n := range all {
		alive, err := s.alive(ctx, s.db, n.ID)
		if err != nil {
			return nil, fmt.Errorf("look whether process %d lives: %w", n.PID, err)
		}
		if alive {
			living = append(living, n)
		}
	}
	return living, nil
}

// Differences says how what other processes serve differs from what this one does:
// two with one name, and jobs of one name that are not the same.
func (n Node) Differences(others []Node) (all []string) {
	for _, o := range others {
		if o.ID == n.ID || !o.Serves {
			continue
		}
		if strings.EqualFold(o.Name, n.Name) {
			all = append(all, fmt.Sprintf("another process that serves is called %q too (process %d): run_on cannot tell them apart", o.Name, o.PID))
		}
		var differ []string
		for job, mine := range n.Jobs {
			if theirs, has := o.Jobs[job]; has && theirs != mine {
				differ = append(differ, job)
			}
		}
		if len(differ) > 0 {
			slices.Sort(differ)
			all = append(all, fmt.Sprintf("on %s, these jobs are not the same as here: %s", cmp.Or(o.Name, "another machine"), strings.Join(differ, ", ")))
		}
	}
	return all
}
