package tunnelbench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
)

// role says what a process of this binary is, if it is not the benchmark, and
// order what a client is to do.
const (
	role  = "LINEHAUL_TUNNELBENCH"
	order = "LINEHAUL_TUNNELBENCH_ORDER"

	roleServer = "server" // the host behind the gateway
	roleDirect = "direct" // a client whose packets the system takes into a tunnel
	roleTunnel = "tunnel" // one with linehaul's own

	address = gateway.Lan + ":9009"
)

// An Order is one transfer.
type Order struct {
	Put       bool
	Size      int64
	Proposals [2]string // of IKE and ESP
	Line      Line      // between a roleTunnel and the gateway
}

// Spent is what a client tells of its transfer.
type Spent struct {
	Wall, CPU time.Duration
	RSS       int64
}

// act does what this process was started for, if that was not the benchmark.
func act() (acted bool) {
	var err error
	switch os.Getenv(role) {
	case "":
		return false
	case roleServer:
		err = serve()
	default:
		err = take()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// serve answers clients until it is killed.
func serve() error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if err := answer(c); err != nil {
			fmt.Println(err)
		}
		c.Close()
	}
}

// answer gives as many bytes as it is asked for, or takes them.
func answer(c net.Conn) error {
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint64(head[1:]))
	if head[0] == 0 {
		return give(c, size)
	}
	if err := get(c, size); err != nil {
		return err
	}
	_, err := c.Write([]byte{1})
	return err
}

// block is what is sent, over and over: no multiple of what it is cut into.
func block() []byte {
	b := make([]byte, 1<<20-1)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func give(w io.Writer, size int64) error {
	for b := block(); size > 0; size -= int64(len(b)) {
		if _, err := w.Write(b[:min(size, int64(len(b)))]); err != nil {
			return err
		}
	}
	return nil
}

func get(r io.Reader, size int64) error {
	want, at := block(), 0
	buf := make([]byte, 256<<10)
	for size > 0 {
		n, err := r.Read(buf[:min(size, int64(len(buf)))])
		size -= int64(n)
		for got := buf[:n]; len(got) > 0; {
			k := min(len(got), len(want)-at)
			if !bytes.Equal(got[:k], want[at:at+k]) {
				return errors.New("other bytes than were sent")
			}
			at, got = (at+k)%len(want), got[k:]
		}
		if err != nil && size > 0 {
			return fmt.Errorf("%d bytes before the end: %w", size, err)
		}
	}
	return nil
}

// take is the client: it has its way to the server, and measures one transfer.
func take() error {
	var o Order
	if err := json.Unmarshal([]byte(os.Getenv(order)), &o); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dial := (&net.Dialer{}).DialContext
	if os.Getenv(role) == roleTunnel {
		c, err := config(o)
		if err != nil {
			return err
		}
		if o.Line != (Line{}) {
			l, err := lay(o.Line, gateway.Gate+":4500")
			if err != nil {
				return err
			}
			defer l.close()
			c.Gateway, c.IKE.Port4500 = l.address(), true
		}
		t, err := tunnel.Up(ctx, c)
		if err != nil {
			return err
		}
		defer t.Close() //nolint:errcheck // it returns none
		dial = t.DialContext
	}
	before, began := usage(), time.Now()
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	head := [9]byte{}
	if o.Put {
		head[0] = 1
	}
	binary.BigEndian.PutUint64(head[1:], uint64(o.Size))
	_, err = c.Write(head[:])
	switch {
	case err != nil:
	case o.Put:
		if err = give(c, o.Size); err == nil {
			_, err = io.ReadFull(c, head[:1])
		}
	default:
		err = get(c, o.Size)
	}
	if err != nil {
		return err
	}
	after := usage()
	return json.NewEncoder(os.Stdout).Encode(Spent{Wall: time.Since(began), CPU: after.CPU - before.CPU, RSS: after.RSS})
}

func usage() (s Spent) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		s.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	// The peak in getrusage(2) is that of the process before exec, too.
	status, _ := os.ReadFile("/proc/self/status")
	if _, peak, ok := strings.Cut(string(status), "VmHWM:"); ok {
		fmt.Sscan(peak, &s.RSS)
		s.RSS <<= 10
	}
	return s
}

// config is that of the lab's clients.
func config(o Order) (tunnel.Config, error) {
	local, err := ikev2.ParseIdentity(gateway.RoadID)
	if err != nil {
		return tunnel.Config{}, err
	}
	remote, err := ikev2.ParseIdentity(gateway.GateID)
	if err != nil {
		return tunnel.Config{}, err
	}
	ike, err := suite.Parse(suite.IKE, o.Proposals[0])
	if err != nil {
		return tunnel.Config{}, err
	}
	esp, err := suite.Parse(suite.ESP, o.Proposals[1])
	if err != nil {
		return tunnel.Config{}, err
	}
	return tunnel.Config{
		Gateway: gateway.Gate,
		IKE: ikev2.Config{
			Local: local, Remote: &remote, PSK: []byte(gateway.PSK), Networks: []netip.Prefix{netip.MustParsePrefix(gateway.LanNet)},
			IKE: []suite.Proposal{ike}, ESP: []suite.Proposal{esp},
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, nil
}
