package transfer

import (
	"sync"
	"sync/atomic"
)

// A chunk is one piece of a file on its way.
type chunk struct {
	offset int64
	data   []byte // what is to be moved; a part of buf
	buf    []byte
	done   chan error // holds one: the outcome of the request
}

// A window keeps a number of requests under way at a time, so that the line
// stays full whatever its delay, while a file is read and written strictly in
// order at its local end. Buffers are kept from file to file: a window never
// has more than requests * size bytes. It is not safe for concurrent use.
type window struct {
	requests int // at most under way
	size     int // bytes of one request
	chunks   []*chunk
}

// steps are what is done with each chunk. fill and drain run in the caller's
// goroutine, in the order of the file; request runs concurrently with itself.
type steps struct {
	fill    func(*chunk) error // before the request; may be nil
	request func(*chunk) error
	drain   func(*chunk) error // after the request
	abort   func()             // ends requests that are under way, after a failure
}

// run moves total bytes. When it returns, no request is under way.
func (w *window) run(total int64, s steps) error {
	size := int64(w.size)
	count := total / size
	if total%size > 0 {
		count++
	}
	most := min(int64(w.requests), count)

	// The channel has room for all chunks, so that sending never blocks. The
	// workers end when it is closed.
	work := make(chan *chunk, most)
	var workers sync.WaitGroup
	var failed atomic.Bool
	worker := func() {
		for c := range work {
			if failed.Load() {
				continue
			}
			c.done <- s.request(c)
		}
	}

	var err error
	for issued, drained := int64(0), int64(0); drained < count && err == nil; {
		if issued < count && issued-drained < most {
			c := w.chunk(int(issued % most))
			c.offset = issued * size
			c.data = c.buf[:min(size, total-c.offset)]
			if s.fill != nil {
				if err = s.fill(c); err != nil {
					break
				}
			}
			if issued < most {
				workers.Go(worker)
			}
			work <- c
			issued++
			continue
		}
		c := w.chunks[drained%most]
		if err = <-c.done; err == nil {
			err = s.drain(c)
		}
		drained++
	}
	if err != nil {
		failed.Store(true)
		s.abort()
		w.chunks = nil // some hold an outcome that nobody has taken
	}
	close(work)
	workers.Wait()
	return err
}

// chunk returns the i-th chunk, which is made when it is first wanted: a small
// file needs one.
func (w *window) chunk(i int) *chunk {
	if i == len(w.chunks) {
		w.chunks = append(w.chunks, &chunk{buf: make([]byte, w.size), done: make(chan error, 1)})
	}
	return w.chunks[i]
}
