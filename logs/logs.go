// Package logs writes and reads the log files of runs, with log/slog.
//
// A record is one line, always: line breaks and control characters in a name
// that a server made up are escaped. Text is for people,
//
//	2026-11-23 02:30:01 INFO  fetched name="a b.txt" bytes=123 seconds=0.4
//
// JSON is one object a line for programs, with the same fields. The names of
// the fields are the constants of this package; docs/LOGGING.md describes them.
//
// A File rotates itself by size, compresses what it put aside, and may be
// written by several processes at once. Prune cleans up after logs that are a
// file a run, Follow reads a log as it grows, OpenReader also a compressed one.
//
// Not here: sending records anywhere else, and colours.
package logs

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Format is how a record is written. The zero value is Text.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// NewHandler returns a handler that gives w one Write a record, one at a time.
// A nil level is slog.LevelInfo. Instants are shown in the zone that they
// carry, which is the machine's for records made by a slog.Logger.
//
// Text: values are quoted, and escaped as in Go, only where they are empty or
// hold spaces, quotes, equals signs or characters that do not print; an
// unquoted value is exactly what it looks like, so that a Windows path stays
// readable. A group g with a field a is g.a=. A time.Duration is 1m30.5s.
//
// JSON: "time" is RFC 3339 with milliseconds and offset; a time.Duration is a
// number of seconds; a group is an object.
func NewHandler(w io.Writer, f Format, level slog.Leveler) slog.Handler {
	return newHandler(w, f, level, nil)
}

// newHandler shows instants in loc, or in their own zone if loc is nil.
func newHandler(w io.Writer, f Format, level slog.Leveler, loc *time.Location) slog.Handler {
	if level == nil {
		level = slog.LevelInfo
	}
	if f == JSON {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Value.Kind() {
			case slog.KindTime:
				a.Value = slog.TimeValue(inZone(a.Value.Time(), loc).Truncate(time.Millisecond))
			case slog.KindDuration:
				a.Value = slog.Float64Value(a.Value.Duration().Seconds())
			}
			return a
		}})
	}
	return &textHandler{mu: new(sync.Mutex), w: w, level: level, loc: loc}
}

func inZone(t time.Time, loc *time.Location) time.Time {
	if loc == nil {
		return t
	}
	return t.In(loc)
}

// textHandler writes lines for people. Its fields do not change once it is in
// use, so handlers made from it share only the mutex.
type textHandler struct {
	mu     *sync.Mutex // one Write at a time
	w      io.Writer
	level  slog.Leveler
	loc    *time.Location
	prefix string // the open groups: "a.b."
	fields []byte // what With added, as it will be written
}

var _ slog.Handler = (*textHandler)(nil)

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.fields = append([]byte(nil), h.fields...)
	for _, a := range attrs {
		c.fields = h.appendAttr(c.fields, h.prefix, a)
	}
	return &c
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	if !r.Time.IsZero() {
		b = inZone(r.Time, h.loc).AppendFormat(b, "2006-01-02 15:04:05 ")
	}
	level := r.Level.String()
	b = append(b, level...)
	for range len("ERROR") - len(level) {
		b = append(b, ' ')
	}
	b = append(b, ' ')
	b = appendMessage(b, r.Message)
	b = append(b, h.fields...)
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendAttr(b, h.prefix, a)
		return true
	})
	b = append(b, '\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b)
	return err
}

// appendAttr writes " key=value", or each member of a group in turn.
func (h *textHandler) appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
		return b
	case v.Kind() == slog.KindGroup:
		if a.Key != "" { // one without a name is spread out where it stands
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			b = h.appendAttr(b, prefix, member)
		}
		return b
	}
	b = append(b, ' ')
	b = appendValue(b, prefix+a.Key)
	b = append(b, '=')
	switch v.Kind() {
	case slog.KindTime:
		return inZone(v.Time(), h.loc).AppendFormat(b, "2006-01-02T15:04:05.999Z07:00")
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'f', -1, 64) // 0.4 and 123456789, never 1.2e+08
	default:
		return appendValue(b, v.String())
	}
}

// appendValue writes s, quoted if it could be misread otherwise.
func appendValue(b []byte, s string) []byte {
	plain := s != ""
	for i, r := range s {
		if r == ' ' || r == '"' || r == '=' || !prints(s[i:], r) {
			plain = false
			break
		}
	}
	if plain {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// appendMessage writes s with only those characters escaped that would break
// the line or play with the terminal.
func appendMessage(b []byte, s string) []byte {
	for i, r := range s {
		if prints(s[i:], r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		quoted := strconv.Quote(s[i : i+n])
		b = append(b, quoted[1:len(quoted)-1]...)
	}
	return b
}

// prints reports whether r, the first character of rest, is seen as itself. A
// byte that is no UTF-8 is not.
func prints(rest string, r rune) bool {
	if r == utf8.RuneError {
		_, n := utf8.DecodeRuneInString(rest)
		return n > 1
	}
	return unicode.IsPrint(r)
}
