package esp

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStrongSwan opens what strongSwan sealed, and nothing twice.
func TestStrongSwan(t *testing.T) {
	f, err := os.Open("testdata/strongswan.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var table Table
	var used []*Inbound
	packets := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" || fields[0][0] == '#' {
			continue
		}
		switch fields[0] {
		case "sa":
			spi, err := strconv.ParseUint(fields[2], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			var p Protection
			if key := unhex(t, fields[3]); fields[1] == "aes256gcm16" {
				p = newGCM(t, key[:32], key[32:])
			} else {
				p = newCBC(t, key, unhex(t, fields[4]))
			}
			used = append(used, NewInbound(uint32(spi), p, Options{}))
			table.Add(used[len(used)-1])
		case "packet":
			packets++
			packet := unhex(t, fields[1])
			if Sort(packet) != Packet {
				t.Errorf("packet %d is sorted as %v", packets, Sort(packet))
			}
			again := slices.Clone(packet)
			inner, by, err := table.Open(packet)
			if err != nil {
				t.Fatalf("packet %d: %v", packets, err)
			}
			from, to := [4]byte{10, 88, 0, 1}, [4]byte{10, 77, 0, 2}
			if inner[20] == 0 { // an echo reply
				from, to = to, from
			}
			if len(inner) != 68 || inner[9] != 1 || !bytes.Equal(inner[12:16], from[:]) || !bytes.Equal(inner[16:20], to[:]) ||
				onesSum(inner[:20]) != 0xffff || onesSum(inner[20:]) != 0xffff {
				t.Errorf("packet %d holds % x", packets, inner)
			}
			if n := SealedSize(by.Sizes(), len(inner)); n != len(packet) {
				t.Errorf("packet %d has %d bytes, and ours would have %d", packets, len(packet), n)
			}
			if _, _, err := table.Open(again); !errors.Is(err, ErrReplay) {
				t.Errorf("packet %d again: %v", packets, err)
			}
		}
	}
	if len(used) != 4 || packets != 8 {
		t.Fatalf("saw %d packets of %d associations", packets, len(used))
	}
	for _, in := range used {
		if s := in.Stats(); s != (Stats{Packets: 2, Bytes: 136, Replayed: 2, Sequence: 2}) {
			t.Errorf("SPI %08x: %+v", in.SPI(), s)
		}
	}
}
