package job

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"linehaul/logs"
)

// recentLines is how many lines of a tunnel's log are remembered.
const recentLines = 100

// A memory is a log handler that remembers the last lines, whatever their level,
// and hands on what another one wants.
type memory struct {
	slog.Handler // the other one
	lines        *lines
	write        slog.Handler // makes lines of records
}

// lines are the last of a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.TrimSuffix(string(b), "\n"))
	if len(l.all) > recentLines {
		l.all = slices.Delete(l.all, 0, len(l.all)-recentLines)
	}
	return len(b), nil
}

func (l *lines) recent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func newMemory(other slog.Handler, l *lines) memory {
	return memory{Handler: other, lines: l, write: logs.NewHandler(l, logs.Text, slog.LevelDebug)}
}

// Enabled is always true: all is remembered.
func (memory) Enabled(context.Context, slog.Level) bool { return true }

// Handle remembers a record, and hands it on.
func (m memory) Handle(ctx context.Context, r slog.Record) error {
	if err := m.write.Handle(ctx, r.Clone()); err != nil {
		return err
	}
	if m.Handler.Enabled(ctx, r.Level) {
		return m.Handler.Handle(ctx, r)
	}
	return nil
}

// WithAttrs is that of both.
func (m memory) WithAttrs(attrs []slog.Attr) slog.Handler {
	return memory{m.Handler.WithAttrs(attrs), m.lines, m.write.WithAttrs(attrs)}
}

// WithGroup is that of both.
func (m memory) WithGroup(name string) slog.Handler {
	return memory{m.Handler.WithGroup(name), m.lines, m.write.WithGroup(name)}
}

// Recent are the last lines that the tunnel of a link has logged.
func (l *Links) Recent(link string) []string {
	if l == nil || link == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.recent[link]; of != nil {
		return of.recent()
	}
	return nil
}

// remembering is a logger for the tunnel of a link.
func (l *Links) remembering(link string) *slog.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recent == nil {
		l.recent = map[string]*lines{}
	}
	if l.recent[link] == nil {
		l.recent[link] = &lines{}
	}
	return slog.New(newMemory(l.log.Load().Handler(), l.recent[link])).With(logs.Link, link)
}
