package main

import (
	"encoding/json"
	"io"
	"math"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// linesEvery is how often the progress of a whole run is written.
const linesEvery = 500 * time.Millisecond

// A progressLine is one line of --progress=json; docs/PROGRESS.md describes it.
// What an event does not have is left out.
type progressLine struct {
	Event string    `json:"event"` // plan, begin, progress, done or end
	Time  time.Time `json:"time"`

	Source string `json:"source,omitempty"`
	Target string `json:"target,omitempty"`
	Error  string `json:"error,omitempty"`
	Layer  string `json:"layer,omitempty"`

	Bytes   *int64   `json:"bytes,omitempty"`
	OfBytes *int64   `json:"of_bytes,omitempty"`
	Files   *int     `json:"files,omitempty"`
	OfFiles *int     `json:"of_files,omitempty"`
	Failed  *int     `json:"failed,omitempty"`
	Rate    *int64   `json:"rate,omitempty"`
	Left    *float64 `json:"left,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
}

// progressLines writes them.
type progressLines struct {
	now   func() time.Time
	meter *transfer.Meter

	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	w    *json.Encoder
	last transfer.Reading
}

var _ transfer.Progress = (*progressLines)(nil)

func newProgressLines(w io.Writer, now func() time.Time) *progressLines {
	p := &progressLines{now: now, meter: transfer.NewMeter(now), stop: make(chan struct{}), w: json.NewEncoder(w)}
	p.w.SetEscapeHTML(false)
	p.done.Go(p.tick)
	return p
}

func (p *progressLines) write(l progressLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.Time = p.now().UTC().Truncate(time.Millisecond)
	p.w.Encode(l) //nolint:errcheck // nobody reads it then
}

// tick writes how far all of it is, as long as that changes.
func (p *progressLines) tick() {
	tick := time.NewTicker(linesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.total("progress")
		case <-p.stop:
			return
		}
	}
}

func (p *progressLines) total(event string) {
	r, planned := p.meter.Read()
	same := r
	same.Rate, same.Left = p.last.Rate, p.last.Left
	if !planned || event == "progress" && same == p.last {
		return
	}
	p.last = r
	l := progressLine{Event: event, Bytes: &r.Bytes, OfBytes: &r.OfBytes, Files: &r.Files, OfFiles: &r.OfFiles, Failed: &r.Failed}
	if event == "progress" {
		l.Rate = &r.Rate
		if r.Left > 0 {
			left := math.Round(r.Left.Seconds()*10) / 10
			l.Left = &left
		}
	}
	p.write(l)
}

// end writes the last line. No more than a goroutine of its own, which it waits
// for, has read last by then.
func (p *progressLines) end() {
	close(p.stop)
	p.done.Wait()
	p.total("end")
}

// Begin says what is planned; again for a further attempt.
func (p *progressLines) Begin(files int, bytes int64) {
	p.meter.Begin(files, bytes)
	r, _ := p.meter.Read()
	p.write(progressLine{Event: "plan", OfBytes: &r.OfBytes, OfFiles: &r.OfFiles})
}

// File says that a file is begun.
func (p *progressLines) File(item transfer.Item) transfer.FileProgress {
	p.write(progressLine{Event: "begin", Source: item.Source, Target: item.Target, OfBytes: &item.Entry.Size})
	return &fileLines{p: p, meter: p.meter.File(item), item: item, began: p.now()}
}

type fileLines struct {
	p     *progressLines
	meter transfer.FileProgress
	item  transfer.Item
	began time.Time

	mu    sync.Mutex
	moved int64
}

var _ transfer.ResumedProgress = (*fileLines)(nil)

func (f *fileLines) Moved(total int64) {
	f.set(total)
	f.meter.Moved(total)
}

func (f *fileLines) Resumed(n int64) {
	f.set(n)
	f.meter.(transfer.ResumedProgress).Resumed(n)
}

func (f *fileLines) set(total int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved = total
}

func (f *fileLines) Done(err error) {
	f.meter.Done(err)
	f.mu.Lock()
	bytes := f.moved
	f.mu.Unlock()
	took := math.Round(f.p.now().Sub(f.began).Seconds()*1000) / 1000
	l := progressLine{Event: "done", Source: f.item.Source, Target: f.item.Target, Bytes: &bytes, Seconds: &took}
	if err != nil {
		l.Error, l.Layer = err.Error(), fault.KindOf(err).String()
	}
	f.p.write(l)
}
