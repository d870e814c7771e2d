package job

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/path"
	"linehaul/keys"
	"linehaul/logs"
	"linehaul/preflight"
	"linehaul/store"
	"linehaul/store/storetest"
	"linehaul/transfer/remote"
)

// pathDialer dials from the client of a path.
type pathDialer struct{ p *path.Path }

func (d pathDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.p.Client.Dial(ctx, network, address)
}

// pathBench runs jobs from a path's client with the sshd of its server.
func pathBench(t *testing.T, p *path.Path) *bench {
	t.Helper()
	pin, err := keys.ParsePin(p.SSH.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	known, err := keys.NewHostKeys(keys.HostKeyOptions{Pins: []keys.Pin{pin}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), log: &lab.Buffer{}}
	record := storetest.Open(t, filepath.Join(b.dir, "state"))
	b.Runner = Runner{
		Dialer: pathDialer{p}, Now: time.Now, Random: rand.Reader, Version: "test", Store: record,
		Console: logs.NewHandler(b.log, logs.Text, slog.LevelInfo),
	}
	b.host = remote.Host{Name: "h", Address: p.SSH.Host, Port: p.SSH.Port, User: p.SSH.User, KeyFiles: []string{p.Key}, HostKeys: known}
	return b
}

// atEnd is a console that calls a function when a file has been moved, while
// the connection is there still.
type atEnd struct {
	slog.Handler
	call func()
}

func (h atEnd) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atEnd{h.Handler.WithAttrs(attrs), h.call}
}

func (h atEnd) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "stored" || r.Message == "fetched" {
		h.call()
	}
	return h.Handler.Handle(ctx, r)
}

// ssCounters are what ss(8) says of the one connection of the client: segments
// with data sent, sent again, and received out of order.
func ssCounters(t *testing.T, p *path.Path) (sent, resent, late uint64) {
	t.Helper()
	out, err := p.Client.Try("ss", "-tinH", "state", "established")
	if err != nil {
		t.Errorf("ss: %v\n%s", err, out)
	}
	number := func(pattern string) uint64 {
		m := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if m == nil {
			return 0
		}
		n, _ := strconv.ParseUint(m[1], 10, 64)
		return n
	}
	return number(`data_segs_out:(\d+)`), number(`retrans:\d+/(\d+)`), number(`rcv_ooopack:(\d+)`)
}

// TestLineOfRun: the record of a run over a line that loses says how much was
// sent again, as ss(8) does, and of a clean line that nothing was.
func TestLineOfRun(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ss")
	p := path.Start(t, path.Options{Hops: 1, Lines: []int{1}, Seed: 3, SSHD: &lab.SSHD{}})
	b := pathBench(t, p)
	content := make([]byte, 3<<20)
	rand.Read(content)
	file := filepath.Join(b.dir, "content")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		put  bool
		loss float64
	}{{"put, clean", true, 0}, {"put, 2 %", true, 0.02}, {"get, clean", false, 0}, {"get, 2 %", false, 0.02}} {
		t.Run(c.name, func(t *testing.T) {
			p.Line(1).Set(path.Faults{Loss: c.loss, Delay: 10 * time.Millisecond})
			before := p.Line(1).Up()
			j := &Job{Name: "j", Host: b.host, IfNone: NoneFails, Zone: time.UTC, Retry: Retry{Attempts: 1}, Get: []string{file}, To: template(t, filepath.ToSlash(t.TempDir())+"/got")}
			if c.put {
				j.Get, j.Put = nil, []string{file}
			}
			var sent, resent, late uint64
			b.Console = atEnd{logs.NewHandler(b.log, logs.Text, slog.LevelInfo), func() { sent, resent, late = ssCounters(t, p) }}
			run, err := b.Run(t.Context(), j, Trigger{})
			l := run.Line
			if err != nil || l == nil {
				t.Fatalf("the line: %+v, %v", l, err)
			}
			lost := p.Line(1).Up().Lost - before.Lost
			t.Logf("%s: %+v; ss: sent %d, sent again %d, out of order %d; the line lost %d of ours", c.name, *l, sent, resent, late, lost)
			// After ss has looked, a few messages more go to and fro.
			if sent == 0 || l.Sent < sent || l.Resent < resent || l.OutOfOrder < late || l.Sent > sent+20 || l.Resent > resent+3 || l.OutOfOrder > late+10 {
				t.Errorf("ss saw something else a moment before the end")
			}
			if l.MinRTTMS < 20 || l.MinRTTMS > 25 || l.RTTMS < l.MinRTTMS || l.RTT95MS < l.RTTMS {
				t.Errorf("20 ms are %v, %v, %v ms", l.MinRTTMS, l.RTTMS, l.RTT95MS)
			}
			switch {
			case c.loss == 0 && (l.Resent > 1 || l.OutOfOrder != 0):
				// One, as a busy machine is late with an acknowledgement at
				// times, and TCP then probes (RFC 8985 7).
				t.Error("a clean line resends")
			case c.loss > 0 && c.put && (l.ResentShare < 0.01 || l.ResentShare > 0.04 || l.Resent < uint64(lost)/2):
				t.Errorf("%d were lost, and %d of %d sent again", lost, l.Resent, l.Sent)
			case c.loss > 0 && !c.put && l.OutOfOrder == 0:
				t.Error("nothing came out of order")
			case !c.put && l.ReceivedBytes < uint64(len(content)):
				t.Errorf("%d bytes were received", l.ReceivedBytes)
			}
			want := "retransmitted=" + l.Retransmitted()
			if !c.put {
				want = fmt.Sprintf("outoforder=%d", l.OutOfOrder)
			}
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("the log does not say %s:\n%s", want, b.log.String())
			}
			stored, err := b.Store.Run(run.ID)
			if err != nil || stored.Line == nil || !sameLine(stored.Line, l) {
				t.Errorf("recorded: %+v, %v", stored.Line, err)
			}
			var rates []preflight.Rate
			if found, err := b.Store.Attachment(run, store.LineRates, &rates); !found || err != nil || len(rates) < 2 {
				t.Fatalf("%d points, %v", len(rates), err)
			}
			if last := rates[len(rates)-1]; last.Bytes != int64(len(content)) || last.Sent != l.Sent || last.Resent != l.Resent {
				t.Errorf("the last point is %+v", last)
			}
			got, err := os.ReadFile(run.Files[0].Target)
			if err != nil && c.put {
				got, err = os.ReadFile(filepath.FromSlash(run.Files[0].Target[strings.Index(run.Files[0].Target, ":")+1:]))
			}
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("the file is not what was sent: %v", err)
			}
		})
	}
}
