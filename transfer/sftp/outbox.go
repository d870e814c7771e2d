package sftp

import (
	"io"
	"runtime"
	"sync"
)

// maxJoined is up to how many bytes requests are written in one piece: what a
// packet of SSH holds. That saves both sides packets and system calls.
const maxJoined = 32 << 10

// An outbox writes what several callers send: what comes while something is
// being written goes out in one piece behind it.
type outbox struct {
	w io.WriteCloser

	writing sync.Mutex // held by who writes

	mu   sync.Mutex
	next *batch // takes more until its turn to be written has come
}

// A batch is what goes out together. Who began it writes it, and the others
// wait for that.
type batch struct {
	packets [][]byte
	size    int // of all, in bytes
	done    chan struct{}
	err     error // set before done is closed
}

// send writes packets, which stay together and in their order, and returns when
// they are written. They may be used again then.
func (o *outbox) send(packets [][]byte) error {
	size := 0
	for _, p := range packets {
		size += len(p)
	}
	o.mu.Lock()
	b := o.next
	joins := b != nil && b.size+size <= maxJoined
	if !joins {
		b = &batch{done: make(chan struct{})}
		o.next = b
	}
	b.packets, b.size = append(b.packets, packets...), b.size+size
	o.mu.Unlock()
	if joins {
		<-b.done
		return b.err
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	runtime.Gosched() // who is about to send something else, joins
	o.mu.Lock()
	if o.next == b {
		o.next = nil
	}
	o.mu.Unlock()
	b.err = b.write(o.w)
	close(b.done)
	return b.err
}

// close closes what is written to, behind all that was sent.
func (o *outbox) close() error {
	o.writing.Lock()
	defer o.writing.Unlock()
	return o.w.Close()
}

// write writes packets, small ones in one piece.
func (b *batch) write(w io.Writer) error {
	var joined []byte
	for i, p := range b.packets {
		if len(b.packets) > 1 && len(joined)+len(p) <= maxJoined {
			if joined = append(joined, p...); i < len(b.packets)-1 {
				continue
			}
			p = nil
		}
		for _, piece := range [][]byte{joined, p} {
			if len(piece) == 0 {
				continue
			}
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		joined = joined[:0]
	}
	return nil
}
