package remote_test

import (
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// TestInProcess runs the suite against the server inside of the process.
func TestInProcess(t *testing.T) {
	for name, tt := range map[string]struct {
		protocol remote.Protocol
		faults   remotetest.Faults
	}{
		"sftp":                   {remote.SFTP, remotetest.Faults{}},
		"scp":                    {remote.SCP, remotetest.Faults{}},
		"scp, two slow sessions": {remote.SCP, remotetest.Faults{MaxSessions: 2, Delay: time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			noLeftovers(t, func() {
				root := t.TempDir()
				s, h := startServer(t, remotetest.Options{Root: root, Faults: tt.faults})
				h.Protocol = tt.protocol
				files, c := openFiles(t, h)
				suite(t, place{files: files, protocol: tt.protocol, local: root, path: "/", own: func(...string) {}})
				if got := c.Info().Protocol; got != tt.protocol {
					t.Errorf("used %v", got)
				}
				c.Close()
				s.Close()
			})
		})
	}
}

// TestWays: what a server lacks is gone around, where that is allowed.
func TestWays(t *testing.T) {
	for name, tt := range map[string]struct {
		server remotetest.Options
		ask    remote.Protocol
		get    remote.Protocol // Auto for an error
		want   []string        // in the error
	}{
		"auto":                {remotetest.Options{}, remote.Auto, remote.SFTP, nil},
		"auto without SFTP":   {remotetest.Options{NoSFTP: true}, remote.Auto, remote.SCP, nil},
		"auto without exec":   {remotetest.Options{NoExec: true}, remote.Auto, remote.SFTP, nil},
		"SCP without exec":    {remotetest.Options{NoExec: true}, remote.SCP, remote.SFTP, nil},
		"SFTP without SFTP":   {remotetest.Options{NoSFTP: true}, remote.SFTP, remote.Auto, []string{"open files on hk1: SFTP subsystem: refused by the server; sftp-server: it says"}},
		"nothing at all":      {remotetest.Options{NoSFTP: true, NoExec: true}, remote.Auto, remote.Auto, []string{"SFTP subsystem: refused", "sftp-server: refused", "SCP: refused"}},
		"no session is given": {remotetest.Options{NoSFTP: true, Faults: remotetest.Faults{MaxSessions: -1}}, remote.Auto, remote.Auto, []string{"open failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, h := startServer(t, tt.server)
			h.Protocol = tt.ask
			c := connect(t, h)
			// The second time the way is known.
			for range 2 {
				files, err := c.Files(t.Context())
				if tt.get == remote.Auto {
					check(t, err, fault.SSH, tt.want...)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := files.List(t.Context(), "."); err != nil {
					t.Error(err)
				}
			}
			if got := c.Info().Protocol; got != tt.get {
				t.Errorf("the protocol is %v, want %v", got, tt.get)
			}
		})
	}
}
