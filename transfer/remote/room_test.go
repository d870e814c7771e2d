package remote_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// TestServersTell asks each server what it can say of its files beside their
// content: their sums, by the check-file extension, and the room on its disk.
func TestServersTell(t *testing.T) {
	startsOthers(t)
	key, _ := newKey(t)
	public := []string{key + ".pub"}
	for _, tt := range []struct {
		name      string
		start     func(t *testing.T) *lab.Server
		sum, room bool
	}{
		{"OpenSSH", func(t *testing.T) *lab.Server {
			return lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: public, HostKeys: []string{"ed25519"}, Tester: os.Getuid() == 0})
		}, false, true},
		{"ProFTPD", func(t *testing.T) *lab.Server { return lab.StartProftpd(t, lab.Other{AuthorizedKeys: public}) }, true, true},
		{"asyncssh", func(t *testing.T) *lab.Server { return lab.StartAsyncSSH(t, lab.Other{AuthorizedKeys: public}) }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.start(t)
			h := sshdHost(t, s, key)
			h.Protocol = remote.SFTP
			files, _ := openFiles(t, h)
			data := pattern(3<<20 + 77)
			name := filepath.Join(s.Home, "summed up")
			if err := os.WriteFile(name, data, 0o644); err != nil {
				t.Fatal(err)
			}
			s.Own(name)
			want := sha256.Sum256(data)
			sum, by, err := files.(remote.Summer).Sum(t.Context(), name)
			switch {
			case tt.sum && (err != nil || sum != hex.EncodeToString(want[:]) || by != "check-file"):
				t.Errorf("the sum is %q by %q, %v; want %x", sum, by, err, want)
			case !tt.sum && !errors.Is(err, remote.ErrNoSum):
				t.Errorf("the sum is %q by %q, %v", sum, by, err)
			}
			if tt.sum {
				if _, _, err := files.(remote.Summer).Sum(t.Context(), name+".absent"); !fault.Is(err, fault.RemoteFile) || errors.Is(err, remote.ErrNoSum) {
					t.Errorf("the sum of nothing: %v", err)
				}
			}
			room, err := files.(transfer.Roomer).Room(t.Context(), s.Home)
			if tt.room != (err == nil) || tt.room && (!room.Known || room.Free < 1<<20) {
				t.Errorf("the room is %+v, %v", room, err)
			}
			if _, err := files.(transfer.Roomer).Room(t.Context(), s.Home+"/absent"); tt.room && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the room of nothing: %v", err)
			}
		})
	}
}
