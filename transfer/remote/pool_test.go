package remote_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// crowd opens sessions until there are no more, and uses each.
func crowd(t *testing.T, p *remote.Pool, apart bool, path string) (files []transfer.WritableRemote, last error) {
	t.Helper()
	for len(files) < 30 {
		f, err := p.Files(t.Context(), apart)
		if err != nil {
			return files, err
		}
		if e, err := f.Stat(t.Context(), path); err != nil || !e.Mode.IsDir() {
			t.Fatalf("session %d: %+v, %v", len(files), e, err)
		}
		files = append(files, f)
	}
	return files, nil
}

func TestPool(t *testing.T) {
	startsOthers(t)
	for name, tt := range map[string]struct {
		config  string
		spread  remote.Spread
		apart   bool
		want    int // sessions beside the first
		crowded bool
	}{
		"as OpenSSH comes":       {"MaxSessions 10", remote.Spread{}, false, 17, false},
		"few sessions":           {"MaxSessions 3", remote.Spread{}, false, 2, true},
		"one connection":         {"MaxSessions 10", remote.Spread{Connections: 1}, false, 8, false},
		"one connection, apart":  {"MaxSessions 10", remote.Spread{Connections: 1}, true, 8, false},
		"three connections":      {"MaxSessions 10", remote.Spread{Connections: 3}, false, 26, false},
		"one session each":       {"MaxSessions 1", remote.Spread{}, false, 0, true},
		"one session each apart": {"MaxSessions 1", remote.Spread{}, true, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, _ := newKey(t)
			s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}, Config: tt.config})
			h := sshdHost(t, s, key)
			p, err := remote.DialPool(t.Context(), &net.Dialer{}, &net.Dialer{}, h, tt.spread, testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := p.First().Files(t.Context()); err != nil {
				t.Fatal(err)
			}
			path := filepath.ToSlash(s.Dir)
			files, err := crowd(t, p, tt.apart, path)
			if len(files) != tt.want || errors.Is(err, transfer.ErrCrowded) != tt.crowded {
				t.Fatalf("%d sessions, and then %v; want %d, and crowded: %v", len(files), err, tt.want, tt.crowded)
			}
			if len(files) == 0 {
				return
			}
			// What is given back may be had again, once the server has noticed.
			if err := files[0].(interface{ Close() error }).Close(); err != nil {
				t.Error(err)
			}
			for wait := time.NewTimer(5 * time.Second); ; {
				again, err := p.Files(t.Context(), tt.apart)
				if err == nil {
					if _, err := again.Stat(t.Context(), path); err != nil {
						t.Error(err)
					}
					return
				}
				select {
				case <-wait.C:
					t.Fatalf("a session was given back, and none can be had: %v", err)
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}
