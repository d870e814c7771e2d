package remote_test

import (
	"testing"

	"linehaul/transfer/remote"
	"linehaul/transfer/remote/remotetest"
)

// TestInProcess runs the suite against the server inside of the process.
func TestInProcess(t *testing.T) {
	for _, protocol := range []remote.Protocol{remote.SFTP, remote.SCP} {
		t.Run(protocol.String(), func(t *testing.T) {
			noLeftovers(t, func() {
				root := t.TempDir()
				s, h := startServer(t, remotetest.Options{Root: root})
				h.Protocol = protocol
				files, c := openFiles(t, h)
				suite(t, place{files: files, protocol: protocol, local: root, path: "/", own: func(...string) {}})
				if got := c.Info().Protocol; got != protocol {
					t.Errorf("used %v", got)
				}
				c.Close()
				s.Close()
			})
		})
	}
}
