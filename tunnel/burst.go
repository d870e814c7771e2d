package tunnel

import (
	"errors"
	"iter"
	"net"
	"os"
	"sync"
	"time"
)

// A burst is datagrams on their way out, one behind the other in one buffer,
// as the kernel takes what it is to cut.
type burst struct {
	buf  []byte
	ends []int // where each of them ends
	calls
}

// burstSize has room for what the TCP/IP sends at once, sealed.
const burstSize = 96 << 10

func newBurst() *burst { return &burst{buf: make([]byte, 0, burstSize)} }

func (b *burst) reset() { b.buf, b.ends = b.buf[:0], b.ends[:0] }

// bytes are the datagrams from i to before j.
func (b *burst) bytes(i, j int) []byte {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.buf[start:b.ends[j-1]]
}

// run is where the datagrams from i on end that can be cut from their sum: all
// of one length, but that the last may be shorter. It is no more than the
// kernel takes at once.
func (b *burst) run(i int) int {
	const mostDatagrams = 64 // UDP_MAX_SEGMENTS of the kernels that have the fewest
	const mostBytes = 65507  // of UDP in IPv4
	size := len(b.bytes(i, i+1))
	for j := i + 1; ; j++ {
		if j == len(b.ends) || j-i == mostDatagrams || len(b.bytes(j, j+1)) > size || len(b.bytes(i, j+1)) > mostBytes {
			return j
		}
		if len(b.bytes(j, j+1)) < size {
			return j + 1
		}
	}
}

// sendEach sends the datagrams from i to before j, each by itself, and returns
// how many the system took. The others are lost, as packets may be.
func sendEach(conn *net.UDPConn, b *burst, i, j int) (sent int) {
	for ; i < j; i++ {
		d := b.bytes(i, i+1)
		_, err := conn.Write(d)
		if err != nil {
			// Often what an ICMP said of an earlier one, and this one has not gone.
			_, err = conn.Write(d)
		}
		if err == nil {
			sent++
		}
	}
	return sent
}

// ahead is how many datagrams are read while others are worked on.
const ahead = 64

// readEach are the datagrams that come, by a call for each. They are read ahead,
// so that under load a batch is many all the same: which saves the TCP/IP more
// than the two goroutines cost.
func readEach(conn *net.UDPConn) iter.Seq[[][]byte] {
	return func(yield func([][]byte) bool) {
		free, full := make(chan []byte, ahead), make(chan []byte, ahead)
		var work sync.WaitGroup
		work.Go(func() {
			defer close(full)
			read(conn, free, full)
		})
		defer func() {
			close(free)
			conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // it ends the reading, if nothing else did
			for range full {                      // what nobody wants any more
			}
			work.Wait()
			conn.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
		}()
		batch := make([][]byte, 0, ahead)
		for d := range full {
			batch = append(batch[:0], d)
			for len(batch) < ahead {
				select {
				case d, ok := <-full:
					if ok {
						batch = append(batch, d)
						continue
					}
				default:
				}
				break
			}
			if !yield(batch) {
				return
			}
			for _, d := range batch {
				free <- d[:maxDatagram:maxDatagram]
			}
		}
	}
}

// read fills buffers with datagrams, as many as are wanted but no more than
// ahead, until free or the socket is closed.
func read(conn *net.UDPConn, free <-chan []byte, full chan<- []byte) {
	for made, open := 0, true; ; {
		var buf []byte
		select {
		case buf, open = <-free:
		default:
			if made == ahead {
				buf, open = <-free
				break
			}
			made++
			buf = make([]byte, maxDatagram)
		}
		if !open || !fill(conn, buf, full) {
			return
		}
	}
}

// fill gives the next datagram on, and reports false if there is none any more.
func fill(conn *net.UDPConn, buf []byte, full chan<- []byte) bool {
	for {
		n, err := conn.Read(buf)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		// What an ICMP says of the path is a hint, and no verdict.
		if err == nil && n > 0 {
			full <- buf[:n]
			return true
		}
	}
}
