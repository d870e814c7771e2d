package job

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/transfer/remote"
	"linehaul/tunnel/ikemsg"
)

func someLink(name, gateway string) *config.Link {
	return &config.Link{
		Name: name, Gateway: gateway, Local: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("us")},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
	}
}

// TestReloadedLinks: a link that has not changed keeps its tunnel, and one that
// has changed gets another.
func TestReloadedLinks(t *testing.T) {
	l := NewLinks(time.Now, rand.Reader, slog.New(slog.DiscardHandler))
	defer l.Close()
	dialer := func(link string) remote.Dialer {
		d, err := l.Dialer(remote.Host{Name: "h", Link: link}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	l.Keep(map[string]*config.Link{"a": someLink("a", "192.0.2.1"), "b": someLink("b", "192.0.2.1")})
	a, b := dialer("a"), dialer("b")
	l.Keep(map[string]*config.Link{"a": someLink("a", "192.0.2.1"), "b": someLink("b", "192.0.2.9")})
	if dialer("a") != a {
		t.Error("the same link has another tunnel")
	}
	if dialer("b") == b {
		t.Error("a link that has changed has the tunnel of before")
	}
	l.Keep(map[string]*config.Link{"a": someLink("a", "192.0.2.1")})
	if _, err := l.Dialer(remote.Host{Name: "h", Link: "b"}, nil); err == nil {
		t.Error("a link that is no more can be had")
	}
	if len(l.shared) != 1 || len(l.retired) != 0 {
		t.Errorf("%d tunnels and %d of the past", len(l.shared), len(l.retired))
	}
}

// text is a log's, read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// TestKeptLinks: while we serve, a link that is to be kept up asks its gateway
// again and again, and no more when it is out of the config.
func TestKeptLinks(t *testing.T) {
	gateway, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	asked := func(within time.Duration) bool {
		if err := gateway.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, _, err := gateway.ReadFrom(make([]byte, 4096))
		return err == nil
	}
	log := &text{}
	l := NewLinks(time.Now, rand.Reader, slog.New(slog.DiscardHandler))
	defer l.Close()
	kept := someLink("kept", gateway.LocalAddr().String())
	kept.KeepUp, kept.PSK = true, config.Secret{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l.Keep(map[string]*config.Link{"kept": kept})
	l.Serve(ctx, slog.New(slog.NewTextHandler(log, nil)))
	if asked(time.Second) {
		t.Error("a link without a key asks its gateway")
	}
	if !strings.Contains(log.String(), "the link cannot come up") {
		t.Errorf("the log says nothing of a link without a key: %s", log)
	}
	good := someLink("kept", gateway.LocalAddr().String())
	good.KeepUp = true
	t.Setenv("LINK_PSK", "secret")
	if good.PSK, err = config.ParseSecret("env:LINK_PSK", ""); err != nil {
		t.Fatal(err)
	}
	l.Keep(map[string]*config.Link{"kept": good})
	if !asked(5 * time.Second) {
		t.Error("the gateway was not asked")
	}
	l.Keep(map[string]*config.Link{})
	for asked(10 * time.Millisecond) { // what was sent before
	}
	if asked(2 * time.Second) {
		t.Error("the gateway is asked for a link that is no more")
	}
}
