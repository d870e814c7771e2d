package page

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/plot"
	"linehaul/preflight/port"
)

// write returns a page.
func write(t testing.TB, r preflight.Report, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// counts says how many of what a report has to draw.
func counts(p tree, r preflight.Report, o Options) {
	p.t.Helper()
	for i, f := range r.Findings {
		if f.Ping != nil && len(f.Ping.Samples) > 0 {
			plots := p.plot(fmt.Sprintf("ping-%d-time", i))
			answered, lost := 0, 0
			for _, s := range f.Ping.Samples {
				if s.Lost {
					lost++
				} else {
					answered++
				}
			}
			plots.count("g.now circle", answered)
			plots.count("g.lost text", lost)
			plots.count("g.drops line", lost)
			if old := earlierPing(o.Before, f.Check); old != nil {
				plots.count("g.before circle", old.Received)
			}
		}
		for j, t := range f.Trace {
			for k, h := range t.Hops {
				strip := p.plot(fmt.Sprintf("trace-%d-%d-%d", i, j, k))
				strip.count("g.now circle", len(h.RTTsMS))
			}
		}
		for j, m := range f.MTU {
			if len(m.Tries) == 0 {
				continue
			}
			passed := 0
			for _, try := range m.Tries {
				if try.Passed {
					passed++
				}
			}
			plots := p.plot(fmt.Sprintf("mtu-%d-%d", i, j))
			plots.count("g.passed circle", passed)
			plots.count("g.blocked text.cross", len(m.Tries)-passed)
		}
	}
	if r.Transfer != nil {
		for _, id := range []string{"transfer-rate", "transfer-rtt", "transfer-resent"} {
			p.plot(id).count("g.now circle", len(r.Transfer.Rates))
		}
		if o.Before != nil && o.Before.Transfer != nil {
			p.plot("transfer-rate").count("g.before circle", len(o.Before.Transfer.Rates))
		}
	}
	if len(o.History) > 0 {
		p.plot("history-loss").count("g.night", len(o.History))
		p.plot("history-rtt").count("g.lost text", 1)
	}
}

// TestPoints: the plots hold as many points as there were probes.
func TestPoints(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			counts(parse(t, bytes.NewReader(write(t, e.report, e.options))), e.report, e.options)
		})
	}
}

// TestStructure: what each page must have, for people who see it and for those
// who do not.
func TestStructure(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			p := parse(t, bytes.NewReader(write(t, e.report, e.options)))
			p.count("h1", 1)
			p.count("main", 1)
			p.count("style", 1)
			p.count("script", 0)
			if lang := attribute(p.find("html")[0], "lang"); lang != "en" {
				t.Errorf("the language is %q", lang)
			}
			ids := map[string]bool{}
			for _, n := range p.find("*") {
				if id := attribute(n, "id"); id != "" {
					if ids[id] {
						t.Errorf("the id %s is there twice", id)
					}
					ids[id] = true
				}
				for _, a := range n.Attr {
					switch {
					case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
						t.Errorf("<%s %s=…>, which the policy forbids", n.Data, a.Key)
					case slices.Contains([]string{"src", "href", "xlink:href", "srcset", "action", "data", "poster"}, a.Key) && a.Val != "data:,":
						t.Errorf("<%s %s=%q> may load something", n.Data, a.Key, a.Val)
					}
				}
			}
			for _, svg := range p.find("svg") {
				by := strings.Fields(attribute(svg, "aria-labelledby"))
				if attribute(svg, "aria-hidden") != "true" && !hasClass(svg, "stretched") && (len(by) == 0 || attribute(svg, "role") != "img") {
					t.Errorf("a drawing (%s) says neither what it is nor that it is an ornament", attribute(svg, "class"))
				}
				for _, id := range by {
					if !ids[id] {
						t.Errorf("a drawing is called by %s, which is not there", id)
					}
				}
			}
			for _, th := range p.find("th") {
				if attribute(th, "scope") == "" {
					t.Errorf("the head %q has no scope", words(th))
				}
			}
			if n := len(p.find("table.findings tbody tr")); n != len(e.report.Findings) {
				t.Errorf("%d rows for %d findings", n, len(e.report.Findings))
			}
			text := words(p.find("body")[0])
			for _, s := range []string{e.report.Summary, e.report.Next, e.report.Layer, e.report.Target, verdictWord(e.report.Verdict)} {
				if !strings.Contains(text, s) {
					t.Errorf("the page does not say %q", s)
				}
			}
			for _, s := range append(e.report.Compared, e.report.Log...) {
				if !strings.Contains(text, s) {
					t.Errorf("the page does not say %q", s)
				}
			}
			for _, f := range e.report.Findings {
				if !strings.Contains(text, f.Text) || !strings.Contains(text, f.Hint) {
					t.Errorf("the page does not say %q or %q", f.Text, f.Hint)
				}
			}
		})
	}
}

// TestPolicy: the page forbids itself to load anything but its own style, which
// the policy knows by its hash.
func TestPolicy(t *testing.T) {
	p := parse(t, bytes.NewReader(write(t, goodLine(), Options{})))
	for _, m := range p.find("meta") {
		if attribute(m, "http-equiv") != "Content-Security-Policy" {
			continue
		}
		got := attribute(m, "content")
		if got != policy() || !strings.HasPrefix(got, "default-src 'none'; style-src 'sha256-") || strings.Contains(got, "unsafe") {
			t.Errorf("the policy is %q", got)
		}
		if in := words(p.find("style")[0]); in != style {
			t.Error("the style in the page is not the one that the hash is of")
		}
		return
	}
	t.Error("there is no policy")
}

// TestCompared: beside an earlier report, tables have two more columns, and say
// what got worse in words.
func TestCompared(t *testing.T) {
	p := parse(t, bytes.NewReader(write(t, lossyLine(), Options{Before: ptr(goodLine())})))
	text := words(p.find("body")[0])
	for _, s := range []string{"21 Nov 2026", "compared with", "was 0%", "was ok", "Loss that lasts to the host begins at hop 7.", "Paler: on 21 Nov 2026"} {
		if !strings.Contains(text, s) {
			t.Errorf("the page does not say %q", s)
		}
	}
	for _, row := range p.find("table.measured tbody tr") {
		if n := len((tree{t, row}).find("td")); n != 3 && n != 0 {
			t.Errorf("a row with %d values: %s", n, words(row))
		}
	}
	alone := parse(t, bytes.NewReader(write(t, lossyLine(), Options{})))
	if text := words(alone.find("body")[0]); len(alone.find(".before")) > 0 || strings.Contains(text, "Paler") || strings.Contains(text, "compared") {
		t.Error("a page without an earlier report compares")
	}
}

// TestCarried: loss counts from where it lasts to the host.
func TestCarried(t *testing.T) {
	for _, c := range []struct {
		from int
		want int
	}{{0, 0}, {7, 7}, {1, 1}} {
		tr := way(6, c.from, 0.35)
		got := 0
		if first := tr.LossFrom(); first != nil {
			got = first.TTL
		}
		if got != c.want {
			t.Errorf("loss from hop %d: got hop %d; losses %v", c.from, got, carried(tr.Hops))
		}
	}
}

// TestThin: a page of a hundred thousand probes is thinned out, says so, and keeps
// the slowest answer and all that it should; up to the limit nothing is dropped.
func TestThin(t *testing.T) {
	r := goodLine()
	r.Findings[2].Ping = echoes(5, maxPoints, 20, 40, 2, 0.05)
	p := parse(t, bytes.NewReader(write(t, r, Options{})))
	counts(p, r, Options{})
	if strings.Contains(words(p.find("body")[0]), "Thinned out") {
		t.Errorf("%d probes are thinned out", maxPoints)
	}
	long := echoes(6, 100_000, 20, 40, 2, 0.01)
	long.Samples[43_210] = ping.Sample{AtMS: 43_210 * 20, RTTMS: 70}
	r.Findings[2].Ping = long
	page := write(t, r, Options{Before: &r})
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	p = parse(t, bytes.NewReader(page))
	points := len(p.plot("ping-2-time").find("g.now circle")) + len(p.plot("ping-2-time").find("g.lost text"))
	if points > maxPoints+3 || points < maxPoints/2 {
		t.Errorf("%d points are drawn", points)
	}
	if !strings.Contains(words(p.find("body")[0]), "Thinned out: of the 100,000 echoes") {
		t.Error("the page does not say that it is thinned out")
	}
	kept, _ := thin(long.Samples)
	if !slices.ContainsFunc(kept, func(s ping.Sample) bool { return s.RTTMS == 70 }) {
		t.Error("the slowest answer is gone")
	}
	hop := &r.Findings[4].Trace[0].Hops[9]
	hop.Sent, hop.Recv, hop.RTTsMS = 1000, 1000, slices.Repeat([]float64{41}, 1000)
	p = parse(t, bytes.NewReader(write(t, r, Options{})))
	p.plot("trace-4-0-9").count("g.now circle", maxPoints/10)
	if !strings.Contains(words(p.find("body")[0]), "of each hop, the latest 500 answers are drawn") {
		t.Error("the page does not say that a hop is thinned out")
	}
	all := total(&preflight.Transfer{Rates: transfer(1, 0.5).Rates})
	joined, each := join(slices.Repeat(steps(transfer(1, 0.5)), 100))
	moved := 0.0
	for _, s := range joined {
		moved += s.rate * (s.to - s.from) / 1000
	}
	if each != 2 || len(joined) > maxPoints || all.bytes == 0 {
		t.Errorf("%d steps, each of %d", len(joined), each)
	}
}

// TestMuch: lists without end end, and the page says what is missing.
func TestMuch(t *testing.T) {
	r := goodLine()
	r.Findings[3].Ports = slices.Repeat([]port.Result{{Port: 22, Network: "tcp", State: port.Open}}, 3000)
	r.Findings[6].SSH.Banner = strings.Repeat("A", 1<<20)
	page := write(t, r, Options{History: slices.Repeat(nights(), 100)})
	text := words(parse(t, bytes.NewReader(page)).find("footer")[0])
	if len(page) > 2<<20 || !strings.Contains(text, "2,744 of 3,000 ports") || !strings.Contains(text, "of 2,700 runs") {
		t.Errorf("%d bytes, and it says %q", len(page), text)
	}
}

// TestZone: times are in the zone that was asked for, or as they came.
func TestZone(t *testing.T) {
	for want, o := range map[string]Options{"2026-11-21 02:30:00 +08:00": {}, "2026-11-20 18:30:00 +00:00": {Zone: time.UTC}} {
		if text := words(parse(t, bytes.NewReader(write(t, goodLine(), o))).find("header")[0]); !strings.Contains(text, want) {
			t.Errorf("the head does not say %q: %s", want, text)
		}
	}
}

// TestCallersReport: what was passed in is as it was.
func TestCallersReport(t *testing.T) {
	r, before := lossyLine(), goodLine()
	r.Findings[0].Text = "a\nb"
	before.Findings[0].Name.Name = "c\td"
	o := Options{Before: &before, History: []plot.Night{{RunID: "\x1b", Time: time.Unix(9, 0)}, {Time: time.Unix(1, 0)}}}
	write(t, r, o)
	if r.Findings[0].Text != "a\nb" || before.Findings[0].Name.Name != "c\td" || o.History[0].RunID != "\x1b" {
		t.Error("the caller's report has changed")
	}
}

// TestNumbersThatAreNone: whatever the numbers are, every coordinate is one.
func TestNumbersThatAreNone(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e308, math.SmallestNonzeroFloat64} {
		r := withTransfer()
		o := Options{Before: ptr(goodTransfer()), History: nights()}
		fill(reflect.ValueOf(&r).Elem(), func(x reflect.Value) {
			if x.Kind() == reflect.Float64 {
				x.SetFloat(v)
			}
		})
		fill(reflect.ValueOf(&o.History).Elem(), func(x reflect.Value) {
			if x.Kind() == reflect.Float64 {
				x.SetFloat(v)
			}
		})
		p := parse(t, bytes.NewReader(write(t, r, o)))
		for _, n := range p.find("svg") {
			for d := range n.Descendants() {
				for _, a := range d.Attr {
					if slices.Contains([]string{"cx", "cy", "r", "x", "y", "x1", "x2", "y1", "y2", "width", "height"}, a.Key) {
						f, err := strconv.ParseFloat(strings.TrimSuffix(a.Val, "%"), 64)
						if err != nil || math.Abs(f) > 1e5 || (a.Key == "width" || a.Key == "height") && f < 0 {
							t.Fatalf("%g everywhere: <%s %s=%q>", v, d.Data, a.Key, a.Val)
						}
					}
					if a.Key == "d" && regexp.MustCompile(`NaN|Inf|e`).MatchString(a.Val) {
						t.Fatalf("%g everywhere: d=%.80q", v, a.Val)
					}
				}
			}
		}
	}
}

// TestContrast: text can be read, and what is drawn can be told from the paper,
// in light, in dark and in print (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	palettes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(style, -1)
	if len(palettes) != 3 {
		t.Fatalf("%d palettes, want 3", len(palettes))
	}
	for i, m := range palettes {
		colours := map[string]string{}
		for _, c := range regexp.MustCompile(`--([a-z]+): (#[0-9a-f]+)`).FindAllStringSubmatch(m[1], -1) {
			colours[c[1]] = c[2]
		}
		for name, least := range map[string]float64{"ink": 7, "soft": 4.5, "ok": 4.5, "warn": 4.5, "fail": 4.5, "lost": 4.5, "now": 4.5, "before": 2.4, "axis": 2.1} {
			if got := contrast(t, colours[name], colours["paper"]); got < least {
				t.Errorf("palette %d: %s has a contrast of %.1f, want %.1f", i, name, got, least)
			}
		}
		if got := contrast(t, colours["now"], colours["before"]); got < 1.5 {
			t.Errorf("palette %d: now and before have a contrast of %.1f", i, got)
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light := func(s string) float64 {
		if len(s) == 4 {
			s = "#" + strings.Repeat(s[1:2], 2) + strings.Repeat(s[2:3], 2) + strings.Repeat(s[3:], 2)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(s[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			v := float64(n) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// A badWriter fails after some bytes.
type badWriter struct{ room int }

func (w *badWriter) Write(b []byte) (int, error) {
	if w.room -= len(b); w.room < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

// TestDiskFull: what could not be written is an error, in each form.
func TestDiskFull(t *testing.T) {
	for name, write := range map[string]func(io.Writer, preflight.Report, Options) error{"html": HTML, "markdown": Markdown, "json": JSON} {
		for _, room := range []int{0, 5000} {
			if err := write(&badWriter{room}, withTransfer(), Options{History: nights()}); err == nil {
				t.Errorf("%s: no error with room for %d bytes", name, room)
			}
		}
	}
}
