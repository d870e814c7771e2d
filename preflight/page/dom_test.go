package page

import (
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A tree is a page as a browser reads it.
type tree struct {
	t    testing.TB
	root *html.Node
}

func parse(t testing.TB, page io.Reader) tree {
	t.Helper()
	root, err := html.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	return tree{t, root}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attribute(n, "class")), class)
}

// words is all text in a node.
func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// find returns the elements that a path of steps leads to, each as "name",
// "name.class" or "name#id", anywhere below the one before; * is any name.
func (p tree) find(path string) []*html.Node {
	nodes := []*html.Node{p.root}
	for _, step := range strings.Fields(path) {
		name, class, _ := strings.Cut(step, ".")
		name, id, _ := strings.Cut(name, "#")
		var below []*html.Node
		seen := map[*html.Node]bool{}
		for _, n := range nodes {
			for d := range n.Descendants() {
				if d.Type == html.ElementNode && (name == "*" || d.Data == name) && (class == "" || hasClass(d, class)) && (id == "" || attribute(d, "id") == id) && !seen[d] {
					seen[d] = true
					below = append(below, d)
				}
			}
		}
		nodes = below
	}
	return nodes
}

func (p tree) count(path string, want int) {
	p.t.Helper()
	if got := len(p.find(path)); got != want {
		p.t.Errorf("%s is there %d times, want %d", path, got, want)
	}
}

// plot returns the drawing that a title belongs to.
func (p tree) plot(id string) tree {
	p.t.Helper()
	for _, svg := range p.find("svg") {
		if by := strings.Fields(attribute(svg, "aria-labelledby")); slices.Contains(by, id) || slices.Contains(by, id+"-t") {
			return tree{p.t, svg}
		}
	}
	p.t.Fatalf("there is no drawing %s", id)
	return tree{}
}
