package pcapng_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/tunnel/pcapng"
)

// TestBytes: the blocks are what the format says, byte for byte.
func TestBytes(t *testing.T) {
	var b bytes.Buffer
	w, err := pcapng.NewWriter(&b, "test", pcapng.Interface{Name: "in"})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(time.Unix(1, 5), 0, true, []byte{0x45, 1, 2, 3, 4})
	w.Write(time.Unix(1, 5), 1, true, []byte{0x45}) // there is no such interface
	want := `
		0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff 0400 0400 74657374 0000 0000 28000000
		01000000 28000000 6500 0000 ffff0000 0200 0200 696e 0000 0900 0100 09 000000 0000 0000 28000000
		06000000 34000000 00000000 00000000 05ca9a3b 05000000 05000000 4501020304 000000 0200 0400 02000000 0000 0000 34000000`
	if got := hex.EncodeToString(b.Bytes()); got != strings.Join(strings.Fields(want), "") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(strings.Fields(want), ""))
	}
}

// TestTshark has Wireshark read a capture of packets of all lengths.
func TestTshark(t *testing.T) {
	lab.Need(t, "tshark")
	file := filepath.Join(t.TempDir(), "a.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcapng.NewWriter(f, "linehaul", pcapng.Interface{Name: "inner", Description: "a"}, pcapng.Interface{Name: "outer", Description: "b"})
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	at := time.Date(2026, 11, 28, 2, 30, 0, 123456789, time.UTC)
	for n := 20; n < 60; n++ {
		packet := make([]byte, n)
		copy(packet, []byte{0x45, 0, 0, byte(n), 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
		w.Write(at, n%2, n%3 == 0, packet)
		direction := "0x00000001"
		if n%3 == 0 {
			direction = "0x00000002"
		}
		fmt.Fprintf(&want, "%d.123456789\t%d\t%s\t%d\t10.0.0.2\n", at.Unix(), n%2, []string{"inner", "outer"}[n%2]+"\t"+direction, n)
	}
	if err := errors.Join(w.Err(), f.Close()); err != nil {
		t.Fatal(err)
	}
	out := lab.RunWith(t, []string{"HOME=" + t.TempDir()}, "tshark", "-r", file, "-T", "fields",
		"-e", "frame.time_epoch", "-e", "frame.interface_id", "-e", "frame.interface_name", "-e", "frame.packet_flags", "-e", "ip.len", "-e", "ip.dst")
	var got strings.Builder
	for line := range strings.Lines(out) {
		if strings.Count(line, "\t") == 5 { // not what it says of itself
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("tshark sees\n%s\nwant\n%s", out, want.String())
	}
}

// full is a disk with room for so many bytes.
type full struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("the disk is full")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	f.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// TestFull: after an error nothing more is written, and it is told.
func TestFull(t *testing.T) {
	if _, err := pcapng.NewWriter(&full{room: 50}, "test", pcapng.Interface{Name: "in"}); !errors.Is(err, errFull) {
		t.Errorf("no room for the head: %v", err)
	}
	f := &full{room: 150}
	w, err := pcapng.NewWriter(f, "test", pcapng.Interface{Name: "in"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		w.Write(time.Unix(1, 0), 0, false, make([]byte, 40))
	}
	f.room = 1000
	w.Write(time.Unix(1, 0), 0, false, make([]byte, 40))
	if !errors.Is(w.Err(), errFull) || f.Len() != 150 {
		t.Errorf("%v, %d bytes", w.Err(), f.Len())
	}
}
