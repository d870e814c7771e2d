package depend

import "slices"

// A Graph is which job depends on which. Nothing changes it, so that it may be used
// concurrently.
type Graph struct {
	jobs  []string
	needs [][]int // by job, what it depends on, in the order of its entries
}

// NewGraph makes a graph of jobs, in the order in which they are to be named, and
// of what each depends on. Names that are none of the jobs are left out.
func NewGraph(jobs []string, deps func(job string) []Dep) *Graph {
	g := &Graph{jobs: slices.Clone(jobs), needs: make([][]int, len(jobs))}
	index := make(map[string]int, len(jobs))
	for i, job := range jobs {
		index[job] = i
	}
	for i, job := range jobs {
		for _, d := range deps(job) {
			if n, ok := index[d.Job]; ok && !slices.Contains(g.needs[i], n) {
				g.needs[i] = append(g.needs[i], n)
			}
		}
	}
	return g
}

// Cycles are ways on which jobs depend on themselves: each begins and ends with the
// same job, the first in the order of jobs, and is as short as one through that
// job can be. Each job that is part of any cycle is in one of them, as long as
// there are no more than most.
func (g *Graph) Cycles(most int) [][]string {
	seen := make([]bool, len(g.jobs))
	part := g.components()
	var all [][]string
	for i := range g.jobs {
		if seen[i] || len(all) >= most {
			continue
		}
		way := g.around(i, part)
		for _, n := range way {
			seen[n] = true
		}
		if way != nil {
			all = append(all, g.names(rotate(way)))
		}
	}
	return all
}

// rotate makes a way around begin with its least job, and ends it with that.
func rotate(way []int) []int {
	at := slices.Index(way, slices.Min(way))
	return append(slices.Concat(way[at:], way[:at]), way[at])
}

// around is the shortest way from a job back to it, without the end, within its
// component.
func (g *Graph) around(start int, part []int) []int {
	from := map[int]int{}
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, n := range g.needs[at] {
			if n == start {
				way := []int{at}
				for ; at != start; way = append(way, at) {
					at = from[at]
				}
				slices.Reverse(way)
				return way
			}
			if _, was := from[n]; !was && part[n] == part[start] {
				from[n] = at
				queue = append(queue, n)
			}
		}
	}
	return nil
}

// components numbers the jobs so that two have the same number if each depends on
// the other (Tarjan's algorithm, with a stack of its own: a chain of jobs may be as
// long as the config), from 1.
func (g *Graph) components() []int {
	n := len(g.jobs)
	part, found, low := make([]int, n), make([]int, n), make([]int, n)
	next, parts := 1, 0
	var open []int // found, and in no component yet
	type place struct{ job, edge int }
	for root := range n {
		if found[root] != 0 {
			continue
		}
		path := []place{{job: root}}
		for len(path) > 0 {
			top := &path[len(path)-1]
			i := top.job
			if top.edge == 0 {
				found[i], low[i] = next, next
				next++
				open = append(open, i)
			}
			if top.edge < len(g.needs[i]) {
				to := g.needs[i][top.edge]
				top.edge++
				switch {
				case found[to] == 0:
					path = append(path, place{job: to})
				case part[to] == 0:
					low[i] = min(low[i], found[to])
				}
				continue
			}
			if low[i] == found[i] {
				parts++
				for done := false; !done; {
					last := open[len(open)-1]
					open = open[:len(open)-1]
					part[last], done = parts, last == i
				}
			}
			if path = path[:len(path)-1]; len(path) > 0 {
				above := path[len(path)-1].job
				low[above] = min(low[above], low[i])
			}
		}
	}
	return part
}

func (g *Graph) names(of []int) []string {
	var all []string
	for _, i := range of {
		all = append(all, g.jobs[i])
	}
	return all
}
