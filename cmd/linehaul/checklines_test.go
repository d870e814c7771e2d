package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
)

// onScreen is what a terminal of so many lines shows, with what has scrolled out
// of it, of text with what checkLines draws by. A line that is too wide takes two.
func onScreen(t *testing.T, text string, width, height int) []string {
	t.Helper()
	var all []string
	top := 0 // of the screen
	for text != "" {
		var up int
		if n, err := fmt.Sscanf(text, "\x1b[%dA\x1b[J", &up); n == 1 && err == nil {
			all = all[:max(len(all)-up, top)]
			text = strings.TrimPrefix(text, fmt.Sprintf("\x1b[%dA\x1b[J", up))
			continue
		}
		end := strings.Index(text, "\n")
		if end < 0 {
			t.Fatalf("a line without an end: %q", text)
		}
		line := []rune(text[:end])
		text = text[end+1:]
		for len(line) > width {
			all, line = append(all, string(line[:width])), line[width:]
		}
		all = append(all, string(line))
		top = max(top, len(all)+1-height) // the cursor is below
	}
	return all
}

// TestCheckLinesLive: what is under way is drawn over until nothing of it is
// left, also where it does not fit.
func TestCheckLinesLive(t *testing.T) {
	for _, tt := range []struct {
		name          string
		width, height int
	}{{"roomy", 120, 50}, {"low", 120, 10}, {"narrow", 30, 50}, {"both", 30, 5}} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			at := time.Unix(0, 0)
			a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(string) string { return "" }, now: func() time.Time { return at }}
			l := a.newCheckLines(checkSubject{name: "hk1"}, preflight.ForPerson())
			l.live, l.size = true, func() (int, int) { return tt.width, tt.height }
			way := &trace.Trace{To: netip.MustParseAddr("192.0.2.10"), Method: trace.TCP, Port: 22}
			for i := range 30 {
				way.Hops = append(way.Hops, trace.Hop{TTL: i + 1, Sent: 1, Recv: 1, Routers: []trace.Router{{
					Addr: netip.MustParseAddr("192.0.2.1"), Name: "a-router-with-a-long-name.example.net",
				}}})
				at = at.Add(time.Second)
				l.trace(0)(way)
				l.echo(ping.Sample{RTTMS: 80})
			}
			drawn := onScreen(t, out.String(), tt.width, tt.height)
			if !slices.ContainsFunc(drawn, func(s string) bool { return strings.Contains(s, "ping   30 of") || strings.Contains(s, "ping   29 of") }) {
				t.Errorf("the echoes are not to be seen:\n%s", strings.Join(drawn, "\n"))
			}
			l.finding(preflight.Finding{Check: preflight.CheckPing, Verdict: preflight.OK, Text: "fine"})
			l.end()
			got := onScreen(t, out.String(), tt.width, tt.height)
			if want := []string{"hk1", "  ok    ping   fine"}; !slices.Equal(got, want) {
				t.Errorf("left on the screen:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
