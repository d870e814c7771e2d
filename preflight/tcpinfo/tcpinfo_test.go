package tcpinfo

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"reflect"
	"runtime"
	"testing"

	"linehaul/internal/lab"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// words lays numbers out as they stand in memory.
func words(length int, at map[int]uint64, wide ...int) []byte {
	b := make([]byte, length)
	for i, v := range at {
		binary.LittleEndian.PutUint32(b[i:], uint32(v))
	}
	for _, i := range wide {
		binary.LittleEndian.PutUint64(b[i:], at[i])
	}
	return b
}

func TestLayouts(t *testing.T) {
	windows := words(windowsLen, map[int]uint64{
		0: 4, 4: 1460, 8: 61_000, 20: 81_500, 24: 79_000, 28: 9000, 32: 65_000, 36: 70_000, 40: 80_000, 44: 90_000,
		48: 6 << 32, 56: 5_000_000_000, 64: 2921, 68: 14_600, 72: 3, 76: 7, 80: 1,
	}, 8, 48, 56)
	for _, test := range []struct {
		name   string
		read   func([]byte) (Sample, error)
		b      []byte
		length int
		want   Sample
	}{
		{"windows", fromWindows, windows, windowsLen, Sample{
			RTTMS: 81.5, MinRTTMS: 79, Sent: 17_650_551, Resent: 10, SentBytes: 6 << 32, ResentB: 14_600,
			Received: 5_000_000_000, OutOfOrder: 3, Window: 65_000, MSS: 1460,
		}},
		{"windows, nothing yet", fromWindows, words(windowsLen, map[int]uint64{24: 1<<32 - 1}), windowsLen, Sample{}},
		{"freebsd", fromFreeBSD, words(236, map[int]uint64{8: 230_000, 16: 1448, 68: 80_250, 72: 1500, 80: 140_000, 120: 17, 124: 5}), freebsdLen, Sample{
			RTTMS: 80.25, RTTVarMS: 1.5, Resent: 17, OutOfOrder: 5, Window: 140_000, MSS: 1448,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.read(test.b)
			if err != nil || got != test.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
			for n := range test.length {
				if got, err := test.read(test.b[:n]); err == nil || got != (Sample{}) {
					t.Errorf("%d bytes of it: %+v, %v", n, got, err)
				}
			}
		})
	}
}

func TestShare(t *testing.T) {
	for _, test := range []struct {
		name  string
		s     Sample
		share float64
		known bool
	}{
		{"nothing", Sample{}, 0, false},
		{"segments", Sample{Sent: 1000, Resent: 8, SentBytes: 1, ResentB: 1}, 0.008, true},
		{"bytes", Sample{SentBytes: 200, ResentB: 50}, 0.25, true},
		{"more than all", Sample{Sent: 3, Resent: 4}, 1, true},
		{"not counted", Sample{Resent: 4}, 0, false},
	} {
		if share, known := test.s.Share(); share != test.share || known != test.known {
			t.Errorf("%s: %v, %v", test.name, share, known)
		}
	}
	a := Sample{AtMS: 1000, RTTMS: 80, Sent: 10, Resent: 1, SentBytes: 1000, ResentB: 100, Received: 5, OutOfOrder: 2, Window: 7, MSS: 8}
	b := Sample{AtMS: 2000, RTTMS: 90, Sent: 30, Resent: 4, SentBytes: 3000, ResentB: 400, Received: 5, OutOfOrder: 3, Window: 9, MSS: 8}
	want := Sample{AtMS: 2000, RTTMS: 90, Sent: 20, Resent: 3, SentBytes: 2000, ResentB: 300, OutOfOrder: 1, Window: 9, MSS: 8}
	if got := b.Since(a); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A wrapped connection tells what it is told.
type wrapped struct {
	net.Conn
	s Sample
}

func (w wrapped) TCPInfo() (Sample, error) { return w.s, nil }

func TestRead(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := Read(a); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe: %v", err)
	}
	want := Sample{Sent: 7, RTTMS: 3}
	if got, err := Read(wrapped{a, want}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("one that knows itself: %+v, %v", got, err)
	}
}

func TestNoTCP(t *testing.T) {
	lab.NotUnderWine(t, "UDP sockets as Go makes them")
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := Read(u.(*net.UDPConn)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a UDP socket: %v", err)
	}
}

// TestHere reads a connection of this system, whichever it is.
func TestHere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := Read(c)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Log(err)
		if runtime.GOOS == "openbsd" {
			return
		}
		lab.NotUnderWine(t, "SIO_TCP_INFO")
	}
	if err != nil || s.MSS == 0 || s.Window == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	c.Close()
	if s, err := Read(c); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("closed: %+v, %v", s, err)
	}
}
