//go:build !linux

package tunnel

import (
	"iter"
	"net"
)

// An offload is what the kernel does for a socket: nothing here.
type offload struct{ plain *net.UDPConn }

// calls are what the system's calls need for a burst: nothing here.
type calls struct{}

func newOffload(conn *net.UDPConn, _ powers) *offload { return &offload{plain: conn} }

// send sends a burst.
func (o *offload) send(b *burst) { sendEach(o.plain, b, 0, len(b.ends)) }

// batches are the datagrams that come, each batch until the next one.
func (o *offload) batches() iter.Seq[[][]byte] { return readEach(o.plain) }
