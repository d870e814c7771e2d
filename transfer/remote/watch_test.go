package remote

import (
	"testing"
	"time"
)

// TestWatch tells steps of a minute and more as a table: what happens, and what
// the watch makes of it with a limit of a minute.
func TestWatch(t *testing.T) {
	type step struct {
		wait time.Duration
		do   func(*watch)
		want verdict
	}
	begin, end := (*watch).begin, (*watch).end
	bytes := func(n int) func(*watch) { return func(w *watch) { w.received(n) } }
	// A keepalive is asked and answered with a small packet.
	keepalive := func(w *watch) { w.asks(); w.received(44); w.answered() }
	ask := (*watch).asks
	nothing := func(*watch) {}
	slow := func(w *watch) { w.slow++ }
	const s = time.Second
	for name, steps := range map[string][]step{
		"nothing is asked":                 {{time.Hour, nothing, alive}},
		"silent":                           {{0, begin, alive}, {59 * s, nothing, alive}, {2 * s, nothing, silent}},
		"answered in time":                 {{0, begin, alive}, {50 * s, end, alive}, {time.Hour, nothing, alive}, {0, begin, alive}, {59 * s, nothing, alive}},
		"one of two answered":              {{0, begin, alive}, {0, begin, alive}, {50 * s, end, alive}, {50 * s, nothing, alive}, {11 * s, nothing, silent}},
		"a large answer on a slow line":    {{0, begin, alive}, {30 * s, bytes(1000), alive}, {30 * s, bytes(1000), alive}, {50 * s, bytes(1000), alive}, {59 * s, nothing, alive}},
		"keepalives alone are no progress": {{0, begin, alive}, {15 * s, keepalive, alive}, {15 * s, keepalive, alive}, {15 * s, keepalive, alive}, {14 * s, keepalive, alive}, {2 * s, nothing, idle}},
		"nor are the server's own": {{0, begin, alive},
			{30 * s, func(w *watch) { w.received(60); w.wasAsked() }, alive}, {29 * s, func(w *watch) { w.received(60); w.wasAsked() }, alive}, {2 * s, nothing, idle}},
		"keepalives and a slow answer": {{0, begin, alive}, {30 * s, keepalive, alive}, {25 * s, bytes(600), alive}, {55 * s, keepalive, alive}, {6 * s, nothing, idle}},
		"idle, and gone":               {{time.Hour, ask, alive}, {59 * s, nothing, alive}, {2 * s, nothing, unanswered}},
		"idle, and answering late":     {{time.Hour, ask, alive}, {50 * s, bytes(10), alive}, {50 * s, (*watch).answered, alive}, {time.Hour, nothing, alive}},
		"busy with a keepalive behind": {{0, begin, alive}, {0, ask, alive}, {40 * s, bytes(5000), alive}, {40 * s, bytes(5000), alive}},
		"a slow disk":                  {{0, begin, alive}, {0, slow, alive}, {300 * s, keepalive, alive}, {299 * s, keepalive, alive}, {2 * s, nothing, idle}},
		"gone while syncing":           {{0, begin, alive}, {0, slow, alive}, {10 * s, ask, alive}, {61 * s, nothing, unanswered}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			w := newWatch(func() time.Time { return now })
			for i, step := range steps {
				now = now.Add(step.wait)
				step.do(w)
				if got := w.check(time.Minute, time.Minute); got != step.want {
					t.Fatalf("step %d: %v, want %v", i, got, step.want)
				}
			}
		})
	}
}

// TestWatchAnswer: how long a keepalive may stay without an answer is a limit
// of its own, which neither cuts off a server that answers nor waits for the
// larger one.
func TestWatchAnswer(t *testing.T) {
	now := time.Unix(1e9, 0)
	w := newWatch(func() time.Time { return now })
	for i, step := range []struct {
		wait time.Duration
		do   func(*watch)
		want verdict
	}{
		{0, (*watch).begin, alive},
		{9 * time.Second, (*watch).asks, alive},
		{9 * time.Second, func(w *watch) { w.received(44); w.answered() }, alive},
		{30 * time.Second, (*watch).asks, alive},
		{9 * time.Second, func(*watch) {}, alive},
		{2 * time.Second, func(*watch) {}, unanswered},
	} {
		now = now.Add(step.wait)
		step.do(w)
		if got := w.check(time.Minute, 10*time.Second); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestFailedEntry(t *testing.T) {
	for text, want := range map[string]struct {
		name string
		gone bool
	}{
		"scp: /b/x: y: Permission denied":           {"x: y", false},
		"scp: /b/lost+found: Permission denied":     {"lost+found", false},
		"scp: /b/pipe: not a regular file":          {"", true},
		"scp: /b/link: No such file or directory":   {"", true},
		"scp: /b/..: Permission denied":             {"", false},
		"scp: /b/x: Input/output error":             {"", false},
		"scp: /b/x: Too many open files in system ": {"", false},
	} {
		if name, gone := failedEntry(text); name != want.name || gone != want.gone {
			t.Errorf("%q: %q, %v", text, name, gone)
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\x1b[31m  c": "a b [31m c", "\u202eabc\u2028d": "abc d", "\xff\xfe": "", "日本": "日本",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
