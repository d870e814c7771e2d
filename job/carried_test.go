package job

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"linehaul/preflight/tcpinfo"
	"linehaul/tunnel"
)

// carried is a connection over SAs that change while it is there.
type carried struct {
	net.Conn
	pairs *[]tunnel.SAPair
}

func (c carried) Carried() []tunnel.SAPair { return *c.pairs }

type dialFunc func() net.Conn

func (f dialFunc) DialContext(context.Context, string, string) (net.Conn, error) { return f(), nil }

// TestTally: a run counts what its own connections move, those that were closed
// and those that are there still, and names each pair of SAs once.
func TestTally(t *testing.T) {
	var total tally
	pairs := []tunnel.SAPair{{In: 1, Out: 2}}
	var peers []net.Conn
	d := total.dialer(dialFunc(func() net.Conn {
		a, b := net.Pipe()
		peers = append(peers, b)
		return carried{a, &pairs}
	}))
	for i := range 3 {
		c, err := d.DialContext(t.Context(), "tcp", "h:22")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.ReadFull(peers[i], make([]byte, 10))
			peers[i].Write(make([]byte, 1000))
		}()
		c.Write(make([]byte, 10))
		io.ReadFull(c, make([]byte, 1000))
		<-done
		if i == 0 {
			c.Close()
			c.Close()
		}
		pairs = append(pairs, tunnel.SAPair{In: uint32(i) + 10, Out: 0xabcdef, From: time.Unix(1, 0)})
	}
	r := total.record("hongkong")
	want := []string{"00000001/00000002", "0000000a/00abcdef", "0000000b/00abcdef", "0000000c/00abcdef"}
	if r.Name != "hongkong" || r.Sent != 30 || r.Received != 3000 || !slices.Equal(r.SPIs, want) {
		t.Errorf("%+v", r)
	}
}

// TestTallyTells: a connection that is counted still tells the figures of its
// own.
func TestTallyTells(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := new(tally).dialer(&net.Dialer{})
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if runtime.GOOS == "openbsd" {
		return // which tells nobody
	}
	if _, ok := c.(tcpinfo.Teller); !ok {
		t.Error("the connection tells nothing")
	}
	if s, err := tcpinfo.Read(c); err != nil || s.MSS == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
