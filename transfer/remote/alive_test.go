package remote_test

import (
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// TestServerLooksForUs: a server that looks every second whether its client is still
// there has its answers on a connection on which nothing is open. (That they come
// while a file is open is shown by a test of the same name in job.)
func TestServerLooksForUs(t *testing.T) {
	startsOthers(t)
	t.Parallel()
	key, _ := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{
		AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"},
		Config: "ClientAliveInterval 1\nClientAliveCountMax 2",
	})
	h := sshdHost(t, s, key)
	h.Protocol, h.Keepalive = 0, -1 // what we send by ourselves would be an answer, too
	c := connect(t, h)
	<-time.After(8 * time.Second) // OpenSSH 9.2 looks every other second only
	files, err := c.Files(t.Context())
	if err == nil {
		_, err = files.Stat(t.Context(), "/")
	}
	if err != nil || strings.Contains(s.Log(), "not responding") {
		t.Errorf("%v\n%s", err, s.Log())
	}
}
