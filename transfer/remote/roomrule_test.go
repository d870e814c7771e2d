package remote

import (
	"math"
	"testing"

	"linehaul/transfer"
	"linehaul/transfer/sftp"
)

// TestRoomRule: which answers to statvfs are believed.
func TestRoomRule(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    sftp.Volume
		user transfer.Room
		root transfer.Room
	}{
		{"usual", sftp.Volume{BlockSize: 4096, Blocks: 1000, Free: 100, Available: 50, ID: 7},
			transfer.Room{Volume: 7, Free: 50 * 4096, Known: true}, transfer.Room{Volume: 7, Free: 100 * 4096, Known: true}},
		{"full but for the reserve", sftp.Volume{BlockSize: 4096, Blocks: 1000, Free: 50, ID: 7},
			transfer.Room{Volume: 7, Known: true}, transfer.Room{Volume: 7, Free: 50 * 4096, Known: true}},
		{"nothing free at all", sftp.Volume{BlockSize: 4096, Blocks: 1000}, transfer.Room{}, transfer.Room{}},
		{"no size", sftp.Volume{BlockSize: 4096}, transfer.Room{}, transfer.Room{}},
		{"zeroes", sftp.Volume{}, transfer.Room{}, transfer.Room{}},
		{"more free than there is", sftp.Volume{BlockSize: 4096, Blocks: 10, Free: 100, Available: 50}, transfer.Room{}, transfer.Room{}},
		{"more for users than for all", sftp.Volume{BlockSize: 4096, Blocks: 1000, Free: 10, Available: 50}, transfer.Room{}, transfer.Room{}},
		{"without end", sftp.Volume{BlockSize: 1 << 20, Blocks: math.MaxUint64, Free: math.MaxUint64, Available: math.MaxUint64},
			transfer.Room{Free: math.MaxUint64, Known: true}, transfer.Room{Free: math.MaxUint64, Known: true}},
	} {
		if got := room(tt.v, false); got != tt.user {
			t.Errorf("%s: for a user %+v, want %+v", tt.name, got, tt.user)
		}
		if got := room(tt.v, true); got != tt.root {
			t.Errorf("%s: for root %+v, want %+v", tt.name, got, tt.root)
		}
	}
}
