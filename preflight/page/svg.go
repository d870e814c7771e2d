package page

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"

	"linehaul/preflight/plot"
)

// A drawing is SVG that is being written. Values of attributes and texts are
// escaped; names of elements and attributes are ours.
type drawing struct {
	b strings.Builder
}

// open begins an element; attributes come as name and value in turn.
func (d *drawing) open(name string, attributes ...string) {
	d.tag(name, attributes)
	d.b.WriteString(">")
}

// leaf writes an element with nothing in it.
func (d *drawing) leaf(name string, attributes ...string) {
	d.tag(name, attributes)
	d.b.WriteString("/>")
}

func (d *drawing) tag(name string, attributes []string) {
	d.b.WriteString("<" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		d.b.WriteString(" " + attributes[i] + `="`)
		template.HTMLEscape(&d.b, []byte(attributes[i+1]))
		d.b.WriteString(`"`)
	}
}

func (d *drawing) close(name string) { d.b.WriteString("</" + name + ">") }

// words writes an element with a text in it.
func (d *drawing) words(name, text string, attributes ...string) {
	d.open(name, attributes...)
	template.HTMLEscape(&d.b, []byte(text))
	d.close(name)
}

// html returns what was written: the functions above escape what they are given.
func (d *drawing) html() template.HTML {
	return template.HTML(d.b.String())
}

// px writes a length in pixels.
func px(v float64) string {
	s := strconv.FormatFloat(plot.Finite(v), 'f', 2, 64)
	s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// along writes a place or a width in percent of the drawing's: 0 to 1.
func along(share float64) string { return px(share*100) + "%" }

// A figure is a drawing with two axes: x is along, y is upright, its origin at
// the bottom.
type figure struct {
	drawing
	height float64
	x, y   plot.Scale
}

// begin opens a drawing of a height. Its title and description are for those
// who do not see it; id tells it apart from others in the page.
func (f *figure) begin(id, class, title, description string) {
	f.open("svg", "class", "plot "+class, "role", "img", "height", px(f.height), "aria-labelledby", id+"-t "+id+"-d")
	f.words("title", title, "id", id+"-t")
	f.words("desc", description, "id", id+"-d")
}

func (f *figure) end() template.HTML {
	f.close("svg")
	return f.html()
}

func (f *figure) atX(v float64) string  { return along(f.x.At(v)) }
func (f *figure) atY(v float64) float64 { return f.height * (1 - f.y.At(v)) }

// upright draws the lines and labels of the y axis, and its unit.
func (f *figure) upright(unit string, label func(float64) string) {
	f.open("g", "class", "grid")
	for _, v := range f.y.Ticks {
		f.leaf("line", "x1", "0", "x2", "100%", "y1", px(f.atY(v)), "y2", px(f.atY(v)))
	}
	f.close("g")
	f.open("g", "class", "ticks y")
	for _, v := range f.y.Ticks {
		f.words("text", label(v), "x", "-8", "y", px(f.atY(v)), "dy", ".32em")
	}
	if unit != "" {
		f.words("text", unit, "x", "-8", "y", "-16", "class", "unit")
	}
	f.close("g")
}

// level draws the ticks and labels of the x axis. On a narrow screen every
// second label is left out.
func (f *figure) level(label func(float64) string) {
	f.leaf("line", "class", "axis", "x1", "0", "x2", "100%", "y1", px(f.height), "y2", px(f.height))
	f.open("g", "class", "ticks x")
	for i, v := range f.x.Ticks {
		class := "even"
		if i%2 == 1 {
			class = "odd"
		}
		f.leaf("line", "x1", f.atX(v), "x2", f.atX(v), "y1", px(f.height), "y2", px(f.height+4))
		text := label(v)
		switch at := f.x.At(v); {
		case at > 0.995: // so that nothing stands out of the page
			class += " last"
		case at < 0.005 && len(text) > 3: // nor into the labels of the other axis
			class += " first"
		}
		f.words("text", text, "class", class, "x", f.atX(v), "y", px(f.height+17))
	}
	f.close("g")
}

// across draws a level line at a value, with its label above the right end.
func (f *figure) across(class string, v float64, label string) {
	y := f.atY(v)
	f.leaf("line", "class", class, "x1", "0", "x2", "100%", "y1", px(y), "y2", px(y))
	f.words("text", label, "class", "direct "+class, "x", "100%", "y", px(y-5), "text-anchor", "end")
}

// A place is a point of a line, both from 0 to 1 of the drawing, up from the
// bottom.
type place struct{ x, y float64 }

// The width that the space of a path is given; what is drawn in it is
// stretched to the real one.
const pathWidth = 1000

// path draws lines through places, one for each run of them. A fill, if it is
// not empty, is the class of what lies below.
func (f *figure) path(class, fill string, runs [][]place) {
	var line, area strings.Builder
	for _, run := range runs {
		if len(run) == 0 {
			continue
		}
		for i, p := range run {
			step := "L"
			if i == 0 {
				step = "M"
			}
			fmt.Fprintf(&line, "%s%s %s", step, px(p.x*pathWidth), px((1-p.y)*f.height))
		}
		fmt.Fprintf(&area, "M%s %s", px(run[0].x*pathWidth), px(f.height))
		for _, p := range run {
			fmt.Fprintf(&area, "L%s %s", px(p.x*pathWidth), px((1-p.y)*f.height))
		}
		fmt.Fprintf(&area, "L%s %sZ", px(run[len(run)-1].x*pathWidth), px(f.height))
	}
	f.open("svg", "x", "0", "y", "0", "width", "100%", "height", px(f.height),
		"viewBox", fmt.Sprintf("0 0 %d %s", pathWidth, px(f.height)), "preserveAspectRatio", "none", "class", "stretched")
	if fill != "" {
		f.leaf("path", "class", fill, "d", area.String())
	}
	f.leaf("path", "class", class, "d", line.String(), "vector-effect", "non-scaling-stroke")
	f.close("svg")
}

// radius is that of each of so many points: fewer are larger.
func radius(n int) string {
	return px(math.Round(min(2.6, max(1, 60/math.Sqrt(float64(n)+300)))*10) / 10)
}
