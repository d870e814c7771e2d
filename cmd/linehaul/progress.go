package main

import (
	"fmt"
	"io"
	"path"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"linehaul/job"
	"linehaul/store"
	"linehaul/transfer"
)

// withProgress runs a job with a bar where a person looks on, and never into
// a pipe or a log.
func (a *app) withProgress(do func(*job.Runner) (store.Run, error), r *job.Runner) (store.Run, error) {
	if a.quiet || a.json || a.verbose || !isTerminal(a.stderr) || a.env("TERM") == "dumb" {
		return do(r)
	}
	b := newBar(a.stderr)
	defer b.end()
	shown := *r
	shown.Progress = b
	return do(&shown)
}

// bar is one progress bar for all files of a run: bytes, rate, remaining time,
// and the file that is under way.
type bar struct {
	progress *mpb.Progress

	mu      sync.Mutex
	shown   *mpb.Bar // nil before the plan is known
	files   int
	begun   int
	current string
	moved   int64
}

var _ transfer.Progress = (*bar)(nil)

const nameWidth = 30

func newBar(w io.Writer) *bar {
	return &bar{progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))}
}

// Begin starts the bar; a second attempt starts it anew.
func (b *bar) Begin(files int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		b.shown.Abort(true)
	}
	b.files, b.begun, b.moved = files, 0, 0
	b.shown = b.progress.AddBar(bytes,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.label() }, decor.WC{W: nameWidth, C: decor.DindentRight})),
		mpb.AppendDecorators(
			decor.CountersKibiByte("% .1f / % .1f"),
			decor.Any(func(decor.Statistics) string { return "  " }),
			decor.AverageSpeed(decor.SizeB1024(0), "% .1f"),
			decor.Any(func(decor.Statistics) string { return "  " }),
			decor.AverageETA(decor.ET_STYLE_GO),
		),
	)
}

// label is the file under way, and which of how many it is.
func (b *bar) label() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := []rune(b.current)
	if len(name) > nameWidth-12 {
		name = append(name[:nameWidth-13], '…')
	}
	return fmt.Sprintf("%d/%d %s ", b.begun, b.files, string(name))
}

// File shows the next file's name.
func (b *bar) File(item transfer.Item) transfer.FileProgress {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun++
	b.current = printable(path.Base(item.Source))
	return &fileBar{bar: b}
}

// fileBar adds one file's bytes to the bar.
type fileBar struct {
	bar *bar

	mu    sync.Mutex
	moved int64
}

// Moved moves the bar by what was moved since the last call; backwards where
// the file is begun again.
func (f *fileBar) Moved(total int64) {
	f.mu.Lock()
	delta := total - f.moved
	f.moved = total
	f.mu.Unlock()
	f.bar.add(delta)
}

// Done takes a failed file's bytes off the bar.
func (f *fileBar) Done(err error) {
	if err != nil {
		f.Moved(0)
	}
}

func (b *bar) add(delta int64) {
	b.mu.Lock()
	b.moved += delta
	moved, shown := b.moved, b.shown
	b.mu.Unlock()
	if shown != nil {
		shown.SetCurrent(moved)
	}
}

// end takes the bar away: what it showed is printed as text then.
func (b *bar) end() {
	b.mu.Lock()
	shown := b.shown
	b.mu.Unlock()
	if shown != nil {
		shown.Abort(true)
	}
	b.progress.Wait()
}
