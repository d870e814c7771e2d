//go:build unix

package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/bench"
	"linehaul/internal/plainstack"
	"linehaul/tunnel/esp"
	"linehaul/tunnel/netstack"
)

const innerMTU = netstack.DefaultMTU

// inner are the addresses of the two ends inside.
func inner() [2]netip.Addr {
	return [2]netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")}
}

// A wiring connects two TCP/IPs in this process by ESP in UDP over loopback,
// and returns a connection from the one to the other, and its other side.
type wiring func(t testing.TB) (from, to net.Conn)

// keyed are two ends' SAs, each of which sends to the other.
func keyed(t testing.TB) (out [2]*esp.Outbound, in [2]*esp.Table) {
	t.Helper()
	for i := range out {
		out[i], in[1-i] = pairOfSAs(t, "aes256gcm16")
	}
	return out, in
}

// ours is how a Tunnel is wired, with sockets of the powers given.
func ours(may powers) wiring {
	return func(t testing.TB) (from, to net.Conn) {
		t.Helper()
		out, in := keyed(t)
		var s [2]*socket
		s[0], s[1] = sockets(t, "udp4", may, may)
		var stacks [2]*netstack.Stack
		var readers sync.WaitGroup
		for i, a := range inner() {
			l := linkOf(s[i])
			stack, err := netstack.New(netstack.Options{
				Addresses: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, MTU: innerMTU,
				Send: func(packets [][]byte) error { return l.sendESP(out[i], packets) },
			})
			if err != nil {
				t.Fatal(err)
			}
			stacks[i] = stack
			readers.Go(func() {
				var opened [][]byte
				for batch := range s[i].batches() {
					opened = opened[:0]
					for _, d := range batch {
						if packet, _, err := in[i].Open(d); err == nil {
							opened = append(opened, packet)
						}
					}
					stack.Deliver(opened)
				}
			})
		}
		t.Cleanup(func() {
			sent := stacks[0].Stats()
			t.Logf("%d packets sent, %d of them again; %d timeouts", sent.PacketsOut, sent.Retransmits, sent.Timeouts)
			for i := range stacks {
				stacks[i].Close()
				s[i].conn.Close()
			}
			readers.Wait()
		})
		return connect(t,
			func() (net.Listener, error) { return stacks[1].Listen(netip.AddrPortFrom(inner()[1], 9)) },
			func(ctx context.Context) (net.Conn, error) {
				return stacks[0].DialContext(ctx, "tcp", inner()[1].String()+":9")
			})
	}
}

// plain is how gVisor is wired up elsewhere: a packet is sealed and written,
// and read and opened, by itself.
func plain(t testing.TB) (from, to net.Conn) {
	t.Helper()
	out, in := keyed(t)
	var s [2]*socket
	s[0], s[1] = sockets(t, "udp4", powers{}, powers{})
	var stacks [2]*plainstack.Stack
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for i, a := range inner() {
		stack, err := plainstack.New(a, innerMTU)
		if err != nil {
			t.Fatal(err)
		}
		stacks[i] = stack
		work.Go(func() {
			buf := make([]byte, 0, maxDatagram)
			stack.Packets(ctx, func(p []byte) {
				if sealed, err := out[i].Seal(buf, p); err == nil {
					s[i].conn.Write(sealed)
				}
			})
		})
		work.Go(func() {
			buf := make([]byte, maxDatagram)
			for {
				n, err := s[i].conn.Read(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if packet, _, err := in[i].Open(buf[:n]); err == nil {
					stack.Deliver(packet)
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		for i := range stacks {
			s[i].conn.Close()
		}
		work.Wait()
		for i := range stacks {
			stacks[i].Close()
		}
	})
	return connect(t,
		func() (net.Listener, error) { return stacks[1].Listen(9) },
		func(ctx context.Context) (net.Conn, error) {
			return stacks[0].Dial(ctx, netip.AddrPortFrom(inner()[1], 9))
		})
}

func connect(t testing.TB, listen func() (net.Listener, error), dial func(context.Context) (net.Conn, error)) (from, to net.Conn) {
	t.Helper()
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if from, err = dial(ctx); err != nil {
		t.Fatal(err)
	}
	to, ok := <-accepted
	if !ok {
		t.Fatal("nothing was accepted")
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, to
}

// carry moves size bytes over a wiring, and looks that they are the right ones.
func carry(t testing.TB, w wiring, size int64) bench.Transfer {
	var x bench.Transfer
	t.(*testing.T).Run("carry", func(t *testing.T) {
		from, to := w(t)
		before, began := cpu(t), time.Now()
		sent := make(chan error, 1)
		go func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{from}, io.LimitReader(newPattern(), size), make([]byte, 256<<10))
			if closed := from.(interface{ CloseWrite() error }).CloseWrite(); err == nil {
				err = closed
			}
			sent <- err
		}()
		check := newPattern()
		n, err := io.CopyBuffer(struct{ io.Writer }{check}, struct{ io.Reader }{to}, make([]byte, 256<<10))
		x.Wall, x.ClientCPU = time.Since(began), cpu(t)-before
		if sendErr := <-sent; n != size || err != nil || sendErr != nil || check.wrong {
			t.Errorf("%d of %d bytes, wrong %v: %v, %v", n, size, check.wrong, err, sendErr)
		}
	})
	return x
}

// A pattern reads as the same random bytes over and over, and checks those that
// are written to it.
type pattern struct {
	block []byte
	at    int
	wrong bool
}

func newPattern() *pattern {
	p := &pattern{block: make([]byte, 1<<20-1)} // no multiple of what is cut
	rand.NewChaCha8([32]byte{1}).Read(p.block)
	return p
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	return n, nil
}

func (p *pattern) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), len(p.block)-p.at)
		p.wrong = p.wrong || !bytes.Equal(rest[:n], p.block[p.at:p.at+n])
		p.at, rest = (p.at+n)%len(p.block), rest[n:]
	}
	return len(b), nil
}

// cpu is the time of the processors that this process has taken.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestEnds compares how a Tunnel carries a connection with gVisor's stack as it
// comes, both ends in this process, and with less and less of the kernel's help.
// It moves a little once; with LINEHAUL_BENCH=ROUNDS it moves 256 MiB as often,
// in turn.
func TestEnds(t *testing.T) {
	rounds, size := 1, int64(4<<20)
	if n, err := strconv.Atoi(os.Getenv("LINEHAUL_BENCH")); err == nil {
		rounds, size = n, 256<<20
	}
	wirings := []struct {
		name string
		goal float64
		wiring
	}{
		{"trains", 4, ours(powers{cut: true, join: true, many: true})},
		{"no trains", 2, ours(powers{many: true})},
		{"a call each", 2, ours(powers{})},
		{"plain", 0, plain},
	}
	rows := make([]bench.Row, len(wirings))
	for round := range rounds {
		for i := range wirings {
			i = (i + round) % len(wirings)
			x := carry(t, wirings[i].wiring, size)
			x.Round = round
			rows[i].Runs = append(rows[i].Runs, x)
		}
	}
	var r bench.Report
	last := len(rows) - 1
	rows[last].Client = "plain"
	for i, w := range wirings[:last] {
		rows[i].Client, rows[i].Linehaul = "linehaul", true
		c := bench.Case{Name: "ends/" + w.name, Files: 1, Size: size, Goal: w.goal, What: "both ends in one process"}
		r.Results = append(r.Results, bench.Result{Case: c, Rows: []bench.Row{rows[i], rows[last]}})
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
}
