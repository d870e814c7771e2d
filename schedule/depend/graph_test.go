package depend_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"linehaul/schedule/depend"
)

// graph is made of lines such as "a: b c", for a job that depends on two.
func graph(lines ...string) (*depend.Graph, []string) {
	var jobs []string
	needs := map[string][]depend.Dep{}
	for _, line := range lines {
		job, deps, _ := strings.Cut(line, ":")
		jobs = append(jobs, job)
		for name := range strings.FieldsSeq(deps) {
			needs[job] = append(needs[job], depend.Dep{Job: name})
		}
	}
	return depend.NewGraph(jobs, func(job string) []depend.Dep { return needs[job] }), jobs
}

func TestGraph(t *testing.T) {
	tests := []struct {
		name   string
		lines  []string
		cycles string
	}{
		{"nothing", nil, ""},
		{"no dependency", []string{"b:", "a:"}, ""},
		{"behind", []string{"a: b", "b:", "c:"}, ""},
		{"a diamond", []string{"top: left right", "left: root", "right: root", "root:"}, ""},
		{"twice the same", []string{"a: b b", "b:"}, ""},
		{"an unknown one", []string{"a: x b", "b:"}, ""},
		{"itself", []string{"a: a", "b:"}, "a -> a"},
		{"two", []string{"b: a", "a: b"}, "b -> a -> b"},
		{"three", []string{"c: a", "a: b", "b: c", "d: a"}, "c -> a -> b -> c"},
		{"the shortest", []string{"a: b", "b: c a", "c: a"}, "a -> b -> a, a -> b -> c -> a"},
		{"two circles, and one between", []string{"a: b", "b: a", "m: a", "x: y m", "y: x"}, "a -> b -> a, x -> y -> x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := graph(tt.lines...)
			var cycles []string
			for _, c := range g.Cycles(100) {
				cycles = append(cycles, strings.Join(c, " -> "))
			}
			if got := strings.Join(cycles, ", "); got != tt.cycles {
				t.Errorf("got %q, want %q", got, tt.cycles)
			}
		})
	}
}

// TestGraphModel holds random graphs against what depends on what by all ways.
func TestGraphModel(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 1))
	circles := 0
	for range 2000 {
		n := 1 + random.IntN(8)
		var lines []string
		edge := make([][]bool, n)
		reach := make([][]bool, n)
		for i := range n {
			edge[i], reach[i] = make([]bool, n), make([]bool, n)
			line := fmt.Sprintf("j%d:", i)
			for range random.IntN(3) {
				to := random.IntN(n)
				edge[i][to], reach[i][to] = true, true
				line += fmt.Sprintf(" j%d", to)
			}
			lines = append(lines, line)
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
				}
			}
		}
		g, jobs := graph(lines...)
		index := func(job string) int { return slices.Index(jobs, job) }
		inCycle := map[string]bool{}
		cycles := g.Cycles(100)
		for _, c := range cycles {
			for i := range len(c) - 1 {
				if inCycle[c[i]] = true; !edge[index(c[i])][index(c[i+1])] {
					t.Fatalf("%v: %v is no way", lines, c)
				}
			}
			if c[0] != c[len(c)-1] || slices.MinFunc(c, func(a, b string) int { return index(a) - index(b) }) != c[0] {
				t.Fatalf("%v: %v does not begin and end with its first job", lines, c)
			}
		}
		for i, job := range jobs {
			if inCycle[job] != reach[i][i] {
				t.Fatalf("%v: %s in a cycle: got %v, want %v of %v", lines, job, inCycle[job], reach[i][i], cycles)
			}
		}
		circles += len(cycles)
	}
	if circles < 500 {
		t.Errorf("%d cycles in all: too few to tell", circles)
	}
}

// TestLongGraphs: chains and circles as long as a config can hold.
func TestLongGraphs(t *testing.T) {
	const n = 20_000
	var chain, circle []string
	for i := range n {
		line := fmt.Sprintf("j%d: j%d", i, i+1)
		chain = append(chain, line)
		circle = append(circle, fmt.Sprintf("j%d: j%d", i, (i+1)%n))
	}
	g, _ := graph(chain...)
	if got := g.Cycles(1); got != nil {
		t.Errorf("%d circles in a chain", len(got))
	}
	g, _ = graph(circle...)
	if got := g.Cycles(5); len(got) != 1 || len(got[0]) != n+1 || got[0][0] != "j0" {
		t.Errorf("%d circles", len(got))
	}
}
