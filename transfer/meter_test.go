package transfer_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/transfer"
)

func item(name string, size int64) transfer.Item {
	return transfer.Item{Source: "/" + name, Entry: transfer.Entry{Name: name, Size: size}}
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := transfer.NewMeter(time.Now)
		if _, planned := m.Read(); planned {
			t.Error("it is planned before there is a plan")
		}
		m.Begin(3, 5000)
		a, b := m.File(item("a", 1000)), m.File(item("b", 2000))
		a.(transfer.ResumedProgress).Resumed(600)
		time.Sleep(time.Second)
		a.Moved(1000)
		a.Done(nil)
		b.Moved(600)
		r, planned := m.Read()
		want := transfer.Reading{Files: 1, OfFiles: 3, Bytes: 1600, OfBytes: 5000, Rate: 1000, Left: 3400 * time.Millisecond, Name: "b"}
		if r != want || !planned {
			t.Errorf("got %+v, want %+v", r, want)
		}
		// The file changes, is begun again, and fails.
		b.Moved(0)
		b.Moved(100)
		b.Done(errors.New("gone"))
		if r, _ := m.Read(); r.Bytes != 1000 || r.Failed != 1 || r.Files != 1 {
			t.Errorf("after a failure: %+v", r)
		}
		// Another attempt takes what is left.
		m.Begin(2, 4000)
		m.File(item("b", 2000)).Moved(500)
		if r, _ := m.Read(); r.OfFiles != 3 || r.OfBytes != 5000 || r.Bytes != 1500 || r.Failed != 0 || r.Files != 1 {
			t.Errorf("in the second attempt: %+v", r)
		}
		// And one whose files are too many to be counted before.
		m.Begin(0, 0)
		m.File(item("c", 2000)).Moved(700)
		if r, planned := m.Read(); r.OfFiles != 0 || r.OfBytes != 0 || r.Bytes != 1700 || r.Files != 1 || r.Left != 0 || !planned {
			t.Errorf("in the third attempt: %+v, %t", r, planned)
		}
	})
}

// TestMeterRate: the rate is that of the last ten seconds.
func TestMeterRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := transfer.NewMeter(time.Now)
		m.Begin(1, 1e9)
		f := m.File(item("a", 1e9))
		total := int64(0)
		move := func(perSecond int64, d time.Duration) {
			for range d / (100 * time.Millisecond) {
				time.Sleep(100 * time.Millisecond)
				total += perSecond / 10
				f.Moved(total)
			}
		}
		for _, rate := range []int64{1e6, 5e6, 1e5, 0} {
			move(rate, 15*time.Second)
			r, _ := m.Read()
			if diff := r.Rate - rate; diff < -rate/20 || diff > rate/20 {
				t.Errorf("%d bytes a second are measured as %d", rate, r.Rate)
			}
			if rate > 0 != (r.Left > 0) {
				t.Errorf("at %d bytes a second %s are left", rate, r.Left)
			}
		}
	})
}

// TestWatched tells everybody, and those who know what was resumed of that.
func TestWatched(t *testing.T) {
	if transfer.Watched(nil, nil) != nil {
		t.Error("nobody watches, and somebody is told")
	}
	m, c := transfer.NewMeter(time.Now), &counter{}
	if transfer.Watched(nil, m) != transfer.Progress(m) {
		t.Error("one is wrapped")
	}
	w := transfer.Watched(m, c)
	w.Begin(1, 100)
	f := w.File(item("a", 100))
	f.(transfer.ResumedProgress).Resumed(40)
	f.Moved(100)
	f.Done(nil)
	if r, _ := m.Read(); r.Bytes != 100 || r.Files != 1 {
		t.Errorf("the meter reads %+v", r)
	}
	if c.files != 1 || c.bytes != 100 || len(c.totals) != 2 || c.totals[0] != 40 || c.totals[1] != 100 || c.done != 1 {
		t.Errorf("the other was told %+v", c)
	}
}

// A counter knows nothing of what was resumed.
type counter struct {
	mu     sync.Mutex
	files  int
	bytes  int64
	totals []int64
	done   int
}

func (c *counter) Begin(files int, bytes int64)             { c.files, c.bytes = files, bytes }
func (c *counter) File(transfer.Item) transfer.FileProgress { return c }

func (c *counter) Moved(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals = append(c.totals, n)
}

func (c *counter) Done(error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
}
