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
	joined  []byte     // what is written in one piece, used again

	mu    sync.Mutex
	next  *batch   // takes more until its turn to be written has come
	spare [][]byte // of a batch that was written, for another one
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
		b = &batch{packets: o.spare, done: make(chan struct{})}
		o.next, o.spare = b, nil
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
	b.err = o.write(b.packets)
	close(b.done)
	clear(b.packets)
	o.mu.Lock()
	o.spare = b.packets[:0]
	o.mu.Unlock()
	return b.err
}

// close closes what is written to, behind all that was sent.
func (o *outbox) close() error {
	o.writing.Lock()
	defer o.writing.Unlock()
	return o.w.Close()
}

// write writes packets, small ones in one piece. writing is held.
func (o *outbox) write(packets [][]byte) error {
	for len(packets) > 0 {
		n, size := 1, len(packets[0])
		for n < len(packets) && size+len(packets[n]) <= maxJoined {
			size += len(packets[n])
			n++
		}
		piece := packets[0]
		if n > 1 {
			o.joined = o.joined[:0]
			for _, p := range packets[:n] {
				o.joined = append(o.joined, p...)
			}
			piece = o.joined
		}
		if _, err := o.w.Write(piece); err != nil {
			return err
		}
		packets = packets[n:]
	}
	return nil
}
