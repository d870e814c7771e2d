package transfer

import (
	"slices"
	"sync"
	"time"
)

const (
	// rateOver is the time over which a rate is measured: long enough that it
	// can be read, short enough that it follows the line.
	rateOver = 10 * time.Second
	// rateEvery is how often a sample is taken for it.
	rateEvery = 500 * time.Millisecond
)

// A Reading is how far a transfer is.
type Reading struct {
	Files, OfFiles int   // moved, of how many that are planned; 0: nobody knows
	Failed         int   // files that failed
	Bytes, OfBytes int64 // there, of how many that are planned; with what was resumed
	Rate           int64 // bytes a second that came of late; 0: not known
	Left           time.Duration
	Name           string // of the file begun last
}

// A Meter adds up the progress of a transfer. It is told by all attempts of a
// run: what an earlier one has moved still counts.
type Meter struct {
	now func() time.Time

	mu      sync.Mutex
	planned bool
	r       Reading
	before  Reading // what earlier attempts have finished
	under   int64   // bytes of files that are under way
	came    int64   // bytes that were moved since the beginning, in whatever file
	samples []meterSample
}

// A meterSample is what had come at an instant.
type meterSample struct {
	at   time.Time
	came int64
}

// NewMeter returns a meter that reads its clock from now.
func NewMeter(now func() time.Time) *Meter { return &Meter{now: now} }

var (
	_ Progress        = (*Meter)(nil)
	_ ResumedProgress = (*meterFile)(nil)
)

// Begin adds a plan to what is done already. Without files, nobody knows how many
// there will be.
func (m *Meter) Begin(files int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = Reading{Files: m.r.Files, Bytes: m.r.Bytes}
	m.r.OfFiles, m.r.OfBytes, m.r.Failed, m.under = 0, 0, 0, 0
	if files > 0 {
		m.r.OfFiles, m.r.OfBytes = m.before.Files+files, m.before.Bytes+bytes
	}
	m.planned = true
	m.sample(m.now())
}

// File counts a file.
func (m *Meter) File(item Item) FileProgress {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.r.Name = item.Entry.Name
	return &meterFile{m: m}
}

// Read returns how far it is, and false before there is a plan.
func (m *Meter) Read() (Reading, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.sample(now)
	r := m.r
	r.Bytes += m.under
	first := m.samples[0]
	if passed := now.Sub(first.at); passed > 0 {
		r.Rate = int64(float64(max(0, m.came-first.came)) / passed.Seconds())
	}
	if left := r.OfBytes - r.Bytes; left > 0 && r.Rate > 0 {
		const longest = 1e6 * time.Hour
		r.Left = time.Duration(min(float64(left)/float64(r.Rate)*float64(time.Second), float64(longest)))
	}
	return r, m.planned
}

// sample notes what has come, and forgets what is too old to count. The caller
// holds mu.
func (m *Meter) sample(now time.Time) {
	if n := len(m.samples); n > 0 && now.Sub(m.samples[n-1].at) < rateEvery {
		return
	}
	m.samples = append(m.samples, meterSample{now, m.came})
	old := 0
	for old < len(m.samples)-1 && now.Sub(m.samples[old].at) > rateOver {
		old++
	}
	m.samples = slices.Delete(m.samples, 0, old)
}

// A meterFile counts one file.
type meterFile struct {
	m     *Meter
	total int64 // guarded by m.mu
}

// Moved counts what came since the last call. A file that is begun again takes
// back what it had.
func (f *meterFile) Moved(total int64) { f.moved(total, true) }

// Resumed counts what was there before as there, and not as come.
func (f *meterFile) Resumed(n int64) { f.moved(n, false) }

func (f *meterFile) moved(total int64, came bool) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	delta := total - f.total
	f.total = total
	f.m.under += delta
	if came && delta > 0 {
		f.m.came += delta
	}
	f.m.sample(f.m.now())
}

// Done takes a file over into what is finished, or its bytes back.
func (f *meterFile) Done(err error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.under -= f.total
	if err != nil {
		f.m.r.Failed++
	} else {
		f.m.r.Files++
		f.m.r.Bytes += f.total
	}
	f.total = 0
}

// Watched tells several of a transfer's progress. Those that are nil are left
// out; it is nil if all are.
func Watched(by ...Progress) Progress {
	by = slices.DeleteFunc(by, func(p Progress) bool { return p == nil })
	switch len(by) {
	case 0:
		return nil
	case 1:
		return by[0]
	}
	return watchers(by)
}

type watchers []Progress

func (w watchers) Begin(files int, bytes int64) {
	for _, p := range w {
		p.Begin(files, bytes)
	}
}

func (w watchers) File(item Item) FileProgress {
	var all fileWatchers
	for _, p := range w {
		if f := p.File(item); f != nil {
			all = append(all, f)
		}
	}
	return all
}

type fileWatchers []FileProgress

func (w fileWatchers) Moved(total int64) {
	for _, f := range w {
		f.Moved(total)
	}
}

func (w fileWatchers) Resumed(n int64) {
	for _, f := range w {
		resumed(f, n)
	}
}

func (w fileWatchers) Done(err error) {
	for _, f := range w {
		f.Done(err)
	}
}

// resumed says that a part of a file was there already.
func resumed(f FileProgress, n int64) {
	if r, ok := f.(ResumedProgress); ok {
		r.Resumed(n)
	} else {
		f.Moved(n)
	}
}
