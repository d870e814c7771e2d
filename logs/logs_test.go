package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
	"unicode/utf8"

	"linehaul/logs"
)

// at is an instant in a zone that no test machine has.
func at() time.Time {
	return time.Date(2026, 11, 23, 2, 30, 1, 123456789, time.FixedZone("", 8*3600))
}

// line returns what a handler writes for one record.
func line(t *testing.T, f logs.Format, level slog.Level, msg string, with func(slog.Handler) slog.Handler, attrs ...slog.Attr) string {
	t.Helper()
	var b bytes.Buffer
	h := logs.NewHandler(&b, f, slog.LevelDebug)
	if with != nil {
		h = with(h)
	}
	r := slog.NewRecord(at(), level, msg, 0)
	r.AddAttrs(attrs...)
	if err := h.Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLines(t *testing.T) {
	grouped := func(h slog.Handler) slog.Handler {
		return h.WithAttrs([]slog.Attr{slog.String("job", "nightly")}).WithGroup("a").
			WithAttrs([]slog.Attr{slog.Int("x", 1)}).WithGroup("b")
	}
	tests := []struct {
		name  string
		level slog.Level
		msg   string
		with  func(slog.Handler) slog.Handler
		attrs []slog.Attr
		text  string
		json  string
	}{
		{name: "plain", msg: "fetched",
			attrs: []slog.Attr{slog.String("name", "a b.txt"), slog.Int("bytes", 123), slog.Float64("seconds", 0.4), slog.String("sha256", "0f")},
			text:  `2026-11-23 02:30:01 INFO  fetched name="a b.txt" bytes=123 seconds=0.4 sha256=0f`,
			json:  `{"time":"2026-11-23T02:30:01.123+08:00","level":"INFO","msg":"fetched","name":"a b.txt","bytes":123,"seconds":0.4,"sha256":"0f"}`},
		{name: "levels", level: slog.LevelError, msg: "run ended",
			text: `2026-11-23 02:30:01 ERROR run ended`,
			json: `{"time":"2026-11-23T02:30:01.123+08:00","level":"ERROR","msg":"run ended"}`},
		{name: "groups", level: slog.LevelWarn, msg: "m", with: grouped,
			attrs: []slog.Attr{slog.Int("c", 2), slog.Group("g", slog.Bool("ok", true)), slog.Group("", slog.Int("in", 3)), slog.Group("empty")},
			text:  `2026-11-23 02:30:01 WARN  m job=nightly a.x=1 a.b.c=2 a.b.g.ok=true a.b.in=3`,
			json:  `{"time":"2026-11-23T02:30:01.123+08:00","level":"WARN","msg":"m","job":"nightly","a":{"x":1,"b":{"c":2,"g":{"ok":true},"in":3}}}`},
		{name: "kinds", level: slog.LevelDebug, msg: "m",
			attrs: []slog.Attr{slog.Duration("wait", 90*time.Second+500*time.Millisecond), slog.Time("mtime", at()),
				slog.Any("error", errors.New("no space")), slog.Any("nil", nil), slog.Float64("rate", 123456789), slog.String("empty", "")},
			text: `2026-11-23 02:30:01 DEBUG m wait=1m30.5s mtime=2026-11-23T02:30:01.123+08:00 error="no space" nil=<nil> rate=123456789 empty=""`,
			json: `{"time":"2026-11-23T02:30:01.123+08:00","level":"DEBUG","msg":"m","wait":90.5,"mtime":"2026-11-23T02:30:01.123+08:00",` +
				`"error":"no space","nil":null,"rate":123456789,"empty":""}`},
		{name: "a path of Windows", msg: `to C:\x`,
			attrs: []slog.Attr{slog.String("target", `D:\backup\a.txt`), slog.String("source", `D:\a b`)},
			text:  `2026-11-23 02:30:01 INFO  to C:\x target=D:\backup\a.txt source="D:\\a b"`,
			json:  `{"time":"2026-11-23T02:30:01.123+08:00","level":"INFO","msg":"to C:\\x","target":"D:\\backup\\a.txt","source":"D:\\a b"}`},
		{name: "hostile", msg: "a\nb\x1b[31m\u202ec\xff",
			attrs: []slog.Attr{slog.String("name", "x\r\n2026-11-23 02:30:01 INFO  fetched"), slog.String("a=b c", `"`), slog.String("u", "é漢"), slog.String("sep", "\u2028")},
			text:  `2026-11-23 02:30:01 INFO  a\nb\x1b[31m\u202ec\xff name="x\r\n2026-11-23 02:30:01 INFO  fetched" "a=b c"="\"" u=é漢 sep="\u2028"`,
			json: `{"time":"2026-11-23T02:30:01.123+08:00","level":"INFO","msg":"a\nb\u001b[31m` + "\u202e" + `c\ufffd",` +
				`"name":"x\r\n2026-11-23 02:30:01 INFO  fetched","a=b c":"\"","u":"é漢","sep":"\u2028"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for f, want := range map[logs.Format]string{logs.Text: tt.text, logs.JSON: tt.json} {
				if got := line(t, f, tt.level, tt.msg, tt.with, tt.attrs...); got != want+"\n" {
					t.Errorf("%s:\n got %swant %s", f, got, want)
				}
			}
		})
	}
}

func TestLevel(t *testing.T) {
	var b bytes.Buffer
	var level slog.LevelVar
	log := slog.New(logs.NewHandler(&b, logs.Text, &level))
	log.Debug("one")
	level.Set(slog.LevelDebug)
	log.Debug("two")
	slog.New(logs.NewHandler(&b, logs.Text, nil)).Debug("three")
	if strings.Contains(b.String(), "one") || !strings.Contains(b.String(), "two") || strings.Contains(b.String(), "three") {
		t.Errorf("the level was not kept:\n%s", b.String())
	}
}

// TestHandlerRules holds both handlers against the standard library's own
// list of what a handler must do.
func TestHandlerRules(t *testing.T) {
	for f, parse := range map[logs.Format]func(*testing.T, string) map[string]any{logs.JSON: parseJSON, logs.Text: parseText} {
		t.Run(string(f), func(t *testing.T) {
			var b *bytes.Buffer
			slogtest.Run(t, func(*testing.T) slog.Handler {
				b = new(bytes.Buffer)
				return logs.NewHandler(b, f, nil)
			}, func(t *testing.T) map[string]any { return parse(t, b.String()) })
		})
	}
}

func parseJSON(t *testing.T, s string) map[string]any {
	m := map[string]any{}
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	return m
}

// parseText reads a line whose message is one word.
func parseText(t *testing.T, s string) map[string]any {
	m := map[string]any{}
	words := strings.Fields(s)
	if _, err := time.Parse("2006-01-02", words[0]); err == nil {
		m[slog.TimeKey] = words[0] + " " + words[1]
		words = words[2:]
	}
	m[slog.LevelKey], m[slog.MessageKey] = words[0], words[1]
	for _, field := range words[2:] {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			t.Fatalf("%q is no field, in %q", field, s)
		}
		in := m
		path := strings.Split(key, ".")
		for _, group := range path[:len(path)-1] {
			if in[group] == nil {
				in[group] = map[string]any{}
			}
			in = in[group].(map[string]any)
		}
		in[path[len(path)-1]] = value
	}
	return m
}

// FuzzOneRecordOneLine: whatever a server or a user calls things, a record is
// one line, and a JSON one gives the same values back.
func FuzzOneRecordOneLine(f *testing.F) {
	f.Add("fetched", "name", "a b.txt", int64(123))
	f.Add("two\nlines\r\n", "na me", "x\n2026-11-23 02:30:01 INFO fetched", int64(-1))
	f.Add("", "", "", int64(0))
	f.Add("\x1b]0;title\x07", "a=b", "\u2028\u2029\u0085\v\f", int64(1))
	f.Add("bad \xff utf8 \xc3", "group.key", `C:\dir\"quoted"`, int64(1)<<62)
	f.Fuzz(func(t *testing.T, msg, key, value string, n int64) {
		with := func(h slog.Handler) slog.Handler {
			return h.WithAttrs([]slog.Attr{slog.String(key, value)}).WithGroup(value)
		}
		attrs := []slog.Attr{slog.String("v", value), slog.Int64(key, n), slog.Any("error", errors.New(msg))}
		text := line(t, logs.Text, slog.LevelInfo, msg, with, attrs...)
		object := line(t, logs.JSON, slog.LevelInfo, msg, with, attrs...)
		// U+0085 stands unescaped in JSON, where nothing takes it for a line break.
		oneLine(t, text, "\n\r\u0085\u2028\u2029")
		oneLine(t, object, "\n\r\u2028\u2029")
		got := map[string]any{}
		if err := json.Unmarshal([]byte(object), &got); err != nil {
			t.Fatalf("%v in %s", err, object)
		}
		// A field of the same name would be the one that is read.
		if utf8.ValidString(msg) && key != "msg" && value != "msg" && got["msg"] != msg {
			t.Fatalf("message %q came back as %q", msg, got["msg"])
		}
		checkQuoting(t, value)
	})
}

func oneLine(t *testing.T, s, breaks string) {
	t.Helper()
	if i := strings.IndexAny(s, breaks); i != len(s)-1 {
		t.Fatalf("a line break at %d of %d in %q", i, len(s), s)
	}
}

// checkQuoting: a value in text is either itself or unquotes to itself.
func checkQuoting(t *testing.T, value string) {
	t.Helper()
	_, field, ok := strings.Cut(line(t, logs.Text, slog.LevelInfo, "m", nil, slog.String("k", value)), " m k=")
	if !ok {
		t.Fatal("no field in the line")
	}
	field = strings.TrimSuffix(field, "\n")
	if strings.HasPrefix(field, `"`) {
		got, err := strconv.Unquote(field)
		if err != nil || got != value {
			t.Fatalf("%q was written as %s, which reads back as %q, %v", value, field, got, err)
		}
	} else if field != value || strings.ContainsAny(field, " =\"") {
		t.Fatalf("%q was written as %q", value, field)
	}
}

func BenchmarkText(b *testing.B) {
	log := slog.New(logs.NewHandler(discard{}, logs.Text, nil)).With("job", "nightly-db")
	b.ReportAllocs()
	for b.Loop() {
		log.Info("fetched", "name", "a b.txt", "bytes", 123, "seconds", 0.4)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
