package depend

import (
	"container/heap"
	"slices"
)

// A Graph is which job depends on which. Nothing changes it, so that it may be used
// concurrently.
type Graph struct {
	jobs  []string
	index map[string]int
	needs [][]int // by job, what it depends on, in the order of its entries
	feeds [][]int // by job, what depends on it, in the order of jobs
}

// NewGraph makes a graph of jobs, in the order in which they are to be named, and
// of what each depends on. Names that are none of the jobs are left out.
func NewGraph(jobs []string, deps func(job string) []Dep) *Graph {
	g := &Graph{jobs: slices.Clone(jobs), index: make(map[string]int, len(jobs)), needs: make([][]int, len(jobs)), feeds: make([][]int, len(jobs))}
	for i, job := range jobs {
		g.index[job] = i
	}
	for i, job := range jobs {
		for _, d := range deps(job) {
			n, ok := g.index[d.Job]
			if !ok || slices.Contains(g.needs[i], n) {
				continue
			}
			g.needs[i] = append(g.needs[i], n)
			g.feeds[n] = append(g.feeds[n], i)
		}
	}
	return g
}

// Waiters are the jobs that depend on one directly: those to look at when it has
// ended.
func (g *Graph) Waiters(job string) []string {
	i, ok := g.index[job]
	if !ok {
		return nil
	}
	return g.names(g.feeds[i])
}

// Downstream are all jobs that depend on one, by others or directly, in the order
// in which they can run.
func (g *Graph) Downstream(job string) []string {
	start, ok := g.index[job]
	if !ok {
		return nil
	}
	reached := make([]bool, len(g.jobs))
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		for _, n := range g.feeds[queue[0]] {
			if !reached[n] {
				reached[n] = true
				queue = append(queue, n)
			}
		}
	}
	order, _ := g.sort()
	return g.names(slices.DeleteFunc(order, func(i int) bool { return !reached[i] }))
}

// Order is all jobs, each behind what it depends on and otherwise in their own
// order. Those that depend on themselves, or on one that does, are left out.
func (g *Graph) Order() []string {
	order, _ := g.sort()
	return g.names(order)
}

// sort also says for each job whether it has no place in the order.
func (g *Graph) sort() (order []int, left []bool) {
	open := make([]int, len(g.jobs)) // on how many that have no place yet it depends
	left = make([]bool, len(g.jobs))
	free := new(least)
	for i, needs := range g.needs {
		left[i] = true
		if open[i] = len(needs); open[i] == 0 {
			heap.Push(free, i)
		}
	}
	for free.Len() > 0 {
		i, _ := heap.Pop(free).(int)
		left[i] = false
		order = append(order, i)
		for _, n := range g.feeds[i] {
			if open[n]--; open[n] == 0 {
				heap.Push(free, n)
			}
		}
	}
	return order, left
}

// least is a heap of numbers.
type least []int

func (l least) Len() int           { return len(l) }
func (l least) Less(i, j int) bool { return l[i] < l[j] }
func (l least) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

func (l *least) Push(x any) {
	i, _ := x.(int)
	*l = append(*l, i)
}

func (l *least) Pop() any {
	last := len(*l) - 1
	i := (*l)[last]
	*l = (*l)[:last]
	return i
}

var _ heap.Interface = (*least)(nil)

// Cycles are ways on which jobs depend on themselves: each begins and ends with the
// same job, the first in the order of jobs, and is as short as one through that
// job can be. Each job that is part of any cycle is in one of them, as long as
// there are no more than most.
func (g *Graph) Cycles(most int) [][]string {
	_, left := g.sort()
	seen := make([]bool, len(g.jobs))
	part := g.components(left)
	var all [][]string
	for i := range g.jobs {
		if !left[i] || seen[i] || len(all) >= most {
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
// long as the config). Jobs that are not in are 0.
func (g *Graph) components(in []bool) []int {
	n := len(g.jobs)
	part, found, low := make([]int, n), make([]int, n), make([]int, n)
	next, parts := 1, 0
	var open []int // found, and in no component yet
	type place struct{ job, edge int }
	for root := range n {
		if !in[root] || found[root] != 0 {
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
				case !in[to]:
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
