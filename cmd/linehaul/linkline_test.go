//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
	"linehaul/store"
)

// TestLinkLine puts a file through a tunnel whose gateway drops one train
// of packets in fifty: the record says that the tunnel's TCP has sent as many
// packets again at least.
func TestLinkLine(t *testing.T) {
	t.Parallel()
	lab.Need(t, "nft")
	s := siteBehind(t, gateway.Start(t, gateway.Options{}), 4<<20, labLink())
	s.GateHost.Drop("udp dport 4500 numgen random mod 50 < 1 counter")
	var run store.Run
	if err := json.Unmarshal([]byte(s.must("put", "--json", s.source, "behind:"+filepath.Join(s.Dir, "up.bin"))), &run); err != nil {
		t.Fatal(err)
	}
	counter := regexp.MustCompile(`counter packets (\d+)`).FindStringSubmatch(s.GateHost.Run("nft", "list", "table", "inet", "lab"))
	if counter == nil {
		t.Fatal("the firewall does not count")
	}
	dropped, _ := strconv.Atoi(counter[1])
	l := run.Line
	if l == nil || l.By != store.ByTheTunnel || !l.Outward() || l.RTTMS <= 0 || l.Sent < 4<<20/1500 {
		t.Fatalf("%+v", l)
	}
	t.Logf("%d dropped: %+v", dropped, *l)
	// The firewall counts a train of datagrams as one. A few of those dropped
	// carry no data; and a gateway that has too much to do drops some besides. A
	// train has up to some forty packets, all of which are sent again.
	if dropped < 5 || int(l.Resent) < dropped*3/4 || l.ResentShare < 0.004 || l.ResentShare > 0.5 {
		t.Errorf("%d dropped, %d of %d sent again (%s)", dropped, l.Resent, l.Sent, l.Retransmitted())
	}
}
