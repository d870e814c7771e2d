package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"linehaul/fault"
	"linehaul/job"
	"linehaul/store"
	"linehaul/transfer"
)

// How progress is shown, as --progress has it.
const (
	progressAuto = "auto"
	progressJSON = "json"
	progressNone = "none"
)

// progressFlag is one of those words.
type progressFlag string

func (p *progressFlag) add(c *cobra.Command) {
	*p = progressAuto
	c.Flags().Var(p, "progress", "how progress is shown on standard error: `HOW` is auto (a bar, if that is a terminal),\njson (one object a line) or none")
	words := cobra.FixedCompletions([]string{progressAuto, progressJSON, progressNone}, cobra.ShellCompDirectiveNoFileComp)
	if err := c.RegisterFlagCompletionFunc("progress", words); err != nil {
		panic(err) // the flag is a line above
	}
}

func (p *progressFlag) Set(s string) error {
	switch s {
	case progressAuto, progressJSON, progressNone:
		*p = progressFlag(s)
		return nil
	}
	return fault.New(fault.Usage, "%q: want auto, json or none", s)
}

func (p *progressFlag) String() string { return string(*p) }

// Type is what the help would call it.
func (p *progressFlag) Type() string { return "string" }

// withProgress runs a job with its progress shown: by a bar where a person
// looks on, and never into a pipe or a log; as JSON where that is asked for.
func (a *app) withProgress(how progressFlag, do func(*job.Runner) (store.Run, error), r *job.Runner) (store.Run, error) {
	var shown interface {
		transfer.Progress
		end()
	}
	switch {
	case how == progressJSON:
		shown = newProgressLines(a.stderr, a.now)
	case how == progressNone, a.quiet || a.json || a.verbose || !isTerminal(a.stderr) || a.env("TERM") == "dumb":
		return do(r)
	default:
		shown = newBar(a.stderr, a.now)
	}
	defer shown.end()
	with := *r
	with.Progress = shown
	return do(&with)
}

// bar is one progress bar for all files of a run: bytes, rate, remaining time,
// and the file that is under way.
type bar struct {
	progress *mpb.Progress
	meter    *transfer.Meter

	mu    sync.Mutex
	shown *mpb.Bar // nil before the plan is known
}

var _ transfer.Progress = (*bar)(nil)

const nameWidth = 30

func newBar(w io.Writer, now func() time.Time) *bar {
	return &bar{progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), meter: transfer.NewMeter(now)}
}

// Begin starts the bar; a second attempt starts it anew.
func (b *bar) Begin(files int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		b.shown.Abort(true)
	}
	b.meter.Begin(files, bytes)
	r, _ := b.meter.Read()
	options := []mpb.BarOption{
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.label() }, decor.WC{W: nameWidth, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.counts() + b.speed() })),
	}
	if r.OfFiles == 0 {
		b.shown = b.progress.AddSpinner(0, options...)
	} else {
		b.shown = b.progress.AddBar(r.OfBytes, options...)
	}
	b.shown.SetCurrent(r.Bytes)
}

// counts are the bytes that are there, and of how many.
func (b *bar) counts() string {
	r, _ := b.meter.Read()
	if r.OfFiles == 0 {
		return bytesText(r.Bytes)
	}
	return bytesText(r.Bytes) + " / " + bytesText(r.OfBytes)
}

// label is the file under way, and how many of how many are done.
func (b *bar) label() string {
	r, _ := b.meter.Read()
	name := []rune(printable(r.Name))
	if len(name) > nameWidth-12 {
		name = append(name[:nameWidth-13], '…')
	}
	if r.OfFiles == 0 { // there are too many to have been counted
		return fmt.Sprintf("%d %s ", r.Files, string(name))
	}
	return fmt.Sprintf("%d/%d %s ", r.Files, r.OfFiles, string(name))
}

// speed is the rate of late, and how long the rest takes at that rate.
func (b *bar) speed() string {
	r, _ := b.meter.Read()
	if r.Rate == 0 {
		return ""
	}
	text := "  " + bytesText(r.Rate) + "/s"
	if r.Left > 0 {
		text += "  " + r.Left.Round(time.Second).String()
	}
	return text
}

// File shows the next file's name.
func (b *bar) File(item transfer.Item) transfer.FileProgress {
	return &fileBar{bar: b, meter: b.meter.File(item)}
}

// fileBar moves the bar by one file's bytes; backwards where the file is begun
// again, or fails.
type fileBar struct {
	bar   *bar
	meter transfer.FileProgress
}

var _ transfer.ResumedProgress = (*fileBar)(nil)

func (f *fileBar) Moved(total int64) {
	f.meter.Moved(total)
	f.bar.move()
}

func (f *fileBar) Resumed(n int64) {
	f.meter.(transfer.ResumedProgress).Resumed(n)
	f.bar.move()
}

func (f *fileBar) Done(err error) {
	f.meter.Done(err)
	f.bar.move()
}

func (b *bar) move() {
	r, _ := b.meter.Read()
	b.mu.Lock()
	shown := b.shown
	b.mu.Unlock()
	if shown != nil {
		shown.SetCurrent(r.Bytes)
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
