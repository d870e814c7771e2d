package job

import (
	"log/slog"
	"math"
	"sync"
	"time"

	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer"
)

// noteEvery is how often the progress of a run goes into the record.
const noteEvery = 2 * time.Second

// noteProgress notes how far a run is, as long as that changes, and what it has
// moved, until the function that it returns is called.
func (r *Runner) noteProgress(m *transfer.Meter, notes *store.Notes, run store.Run, log *slog.Logger) (stop func()) {
	if r.Store == nil {
		return func() {}
	}
	stopped := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(noteEvery)
		defer tick.Stop()
		last := transfer.Reading{}
		for {
			select {
			case <-tick.C:
			case <-stopped:
				return
			}
			if err := notes.Flush(); err != nil {
				log.Debug("what was moved could not be noted, and is tried again", logs.Error, err.Error())
			}
			now, planned := m.Read()
			if !planned || now == last {
				continue
			}
			last = now
			if err := r.Store.SetProgress(run.ID, run.Job, recorded(now, r.Now())); err != nil {
				log.Debug("the progress could not be noted", logs.Error, err.Error())
			}
		}
	})
	return func() {
		close(stopped)
		work.Wait()
	}
}

func recorded(m transfer.Reading, at time.Time) store.Progress {
	return store.Progress{
		At: at.UTC().Truncate(time.Millisecond), Files: m.Files, OfFiles: m.OfFiles, Failed: m.Failed, Bytes: m.Bytes, OfBytes: m.OfBytes,
		Rate: m.Rate, Left: math.Round(m.Left.Seconds()),
	}
}
