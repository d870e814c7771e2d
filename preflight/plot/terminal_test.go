package plot

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fourWeeks are the runs of a job each night: one is missing, the last ones are
// bad, one of them failed.
func fourWeeks() []Night {
	var all []Night
	for i := range 28 {
		n := Night{
			Time: time.Date(2026, 11, 1+i, 2, 30, 0, 0, time.UTC), Result: "ok", MedianMS: 41 + float64(i%3), P95MS: 47 + 2*float64(i%5),
			ResentShare: 0.001, BytesPerSecond: 8.1e6 + 1e5*float64(i%4), Hops: 10,
		}
		switch {
		case i == 12:
			continue
		case i == 25:
			n = Night{Time: n.Time, Result: "fail", LossShare: 1, ResentShare: -1}
		case i > 22:
			n.Result, n.LossShare, n.MedianMS, n.P95MS, n.ResentShare, n.BytesPerSecond = "warn", 0.05+0.01*float64(i-22), 70, 140, 0.03, 2.4e6
		}
		all = append(all, n)
	}
	return all
}

// eachHour are runs of three weeks, of which only the results are known.
func eachHour() []Night {
	var all []Night
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 21 * 24 {
		n := Night{Time: time.Date(2026, 10, 10, i, rng.IntN(20), 0, 0, time.UTC), Result: "ok", LossShare: -1, ResentShare: -1}
		if rng.IntN(60) == 0 {
			n.Result = "fail"
		}
		all = append(all, n)
	}
	return all
}

func draw(t testing.TB, nights []Night, term Terminal) string {
	t.Helper()
	var b bytes.Buffer
	if err := History(&b, "nightly-db", nights, term); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHistoryGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		nights []Night
		term   Terminal
	}{
		{"wide", fourWeeks(), Terminal{Width: 100}},
		{"narrow", fourWeeks(), Terminal{Width: 40}},
		{"ascii", fourWeeks(), Terminal{Width: 80, ASCII: true}},
		{"hourly", eachHour(), Terminal{Width: 120}},
		{"one", fourWeeks()[:1], Terminal{Width: 80}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, file := draw(t, c.nights, c.term), filepath.Join("testdata", "history-"+c.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not what is drawn now:\n%s", file, got)
			}
		})
	}
}

// TestHistoryFits: no line is wider than the terminal, whatever it is wide, and
// colours change nothing else; without UTF-8 there is none.
func TestHistoryFits(t *testing.T) {
	escapes := regexp.MustCompile("\x1b\\[[0-9]+m")
	for _, nights := range [][]Night{fourWeeks(), eachHour(), fourWeeks()[:1]} {
		for width := 40; width < 240; width += 7 {
			plain := draw(t, nights, Terminal{Width: width})
			for line := range strings.Lines(plain) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Fatalf("at width %d a line has %d characters: %s", width, n, line)
				}
			}
			coloured := draw(t, nights, Terminal{Width: width, Color: true})
			if got := escapes.ReplaceAllString(coloured, ""); got != plain || coloured == plain {
				t.Fatalf("at width %d, colours change more than colours:\n%s\n%s", width, got, plain)
			}
			for _, r := range draw(t, nights, Terminal{Width: width, ASCII: true}) {
				if r >= utf8.RuneSelf {
					t.Fatalf("at width %d: %q without UTF-8", width, r)
				}
			}
		}
	}
}

// TestHistoryShows: each result has its sign, as often as there are runs where
// each run has a column of its own, and no measurement means no bar.
func TestHistoryShows(t *testing.T) {
	out := draw(t, fourWeeks(), Terminal{Width: 100})
	_, results, _ := strings.Cut(out, "result; ")
	_, signs, _ := strings.Cut(results, "\n")
	signs, _, _ = strings.Cut(signs, "\n")
	for sign, want := range map[string]int{"✓": 22, "!": 4, "✕": 1} {
		if got := strings.Count(signs, sign); got != want {
			t.Errorf("%s is there %d times, want %d: %s", sign, got, want, signs)
		}
	}
	if out := draw(t, eachHour(), Terminal{Width: 100}); strings.Contains(out, "RTT") || strings.Contains(out, "speed") {
		t.Errorf("a panel of what nobody measured:\n%s", out)
	}
	if out := draw(t, nil, Terminal{Width: 100}); out != "" {
		t.Errorf("no runs: got %q", out)
	}
}

// TestRaster: a clock change neither doubles a column nor leaves one out.
func TestRaster(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var nights []Night
	for i := range 10 {
		nights = append(nights, Night{Time: time.Date(2026, 10, 20+i, 2, 30, 0, 0, berlin)})
	}
	r, n := newRaster(nights, 60, berlin)
	if r.days != 1 || n != 10 {
		t.Fatalf("got a raster of %d days and %d hours with %d slots", r.days, r.hours, n)
	}
	for i, night := range nights {
		if got := r.index(night.Time); got != i {
			t.Errorf("%v is in slot %d, want %d", night.Time, got, i)
		}
	}
}

// TestHistoryHostile: times of all ages, numbers that are none and names that
// are commands of the terminal draw something, and nothing but lines.
func TestHistoryHostile(t *testing.T) {
	nights := []Night{
		{}, {Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Result: "\x1b[2J"},
		{Time: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), MedianMS: math.Inf(1), P95MS: math.NaN(), LossShare: math.NaN(), ResentShare: math.Inf(-1), BytesPerSecond: -1},
		{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), MedianMS: 1e300, LossShare: 1e300, BytesPerSecond: 1e300},
	}
	for _, subset := range [][]Night{nights, nights[2:], slices.Repeat(nights, 30_000)} {
		var b bytes.Buffer
		if err := History(&b, "x\x1b]0;title\x07\x9b2J\xff", subset, Terminal{Width: 80}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x9b }); i >= 0 {
			t.Errorf("a command of the terminal at %d of %q", i, b.String())
		}
		if n := strings.Count(b.String(), "\n"); n < 4 || n > 60 {
			t.Errorf("%d lines", n)
		}
	}
}

func ExampleSpark() {
	fmt.Println(Spark([]float64{41, 42, Lost, 80, 44}, 20, false))
	// Output: ▅▅×█▅
}
