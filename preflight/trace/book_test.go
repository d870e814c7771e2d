package trace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// mmdb writes a MaxMind DB file (version 2.0 of the format, records of 32 bits)
// whose networks have these values, which are strings, numbers and maps.
//
//	tree: nodes of two records(4 each)
//	16 zero bytes
//	data: values
//	0xab 0xcd 0xef "MaxMind.com", and a map that describes the file
func mmdb(version int, networks map[string]any) []byte {
	nodes, values := [][2]any{{}}, []any(nil)
	for prefix, value := range networks {
		p := netip.MustParsePrefix(prefix)
		bits, n := p.Addr().As16(), p.Bits()
		from := 0
		if version == 4 {
			from = 96
		}
		if p.Addr().Is4() {
			n += 96
			if version == 6 { // ::/96 is where IPv4 is
				a4 := p.Addr().As4()
				bits = [16]byte{}
				copy(bits[12:], a4[:])
			}
		}
		at := 0
		for i := from; i < n; i++ {
			side := int(bits[i/8]>>(7-i%8)) & 1
			if i == n-1 {
				nodes[at][side] = len(values)
				break
			}
			next, ok := nodes[at][side].(*int)
			if !ok {
				nodes = append(nodes, [2]any{})
				number := len(nodes) - 1
				next = &number
				nodes[at][side] = next
			}
			at = *next
		}
		values = append(values, value)
	}
	var data []byte
	var offsets []int
	for _, v := range values {
		offsets = append(offsets, len(data))
		data = append(data, mmdbValue(v)...)
	}
	var b []byte
	for _, node := range nodes {
		for _, record := range node {
			switch r := record.(type) {
			case *int:
				b = binary.BigEndian.AppendUint32(b, uint32(*r))
			case int:
				b = binary.BigEndian.AppendUint32(b, uint32(len(nodes)+16+offsets[r]))
			default: // nothing there
				b = binary.BigEndian.AppendUint32(b, uint32(len(nodes)))
			}
		}
	}
	b = append(append(b, make([]byte, 16)...), data...)
	b = append(b, "\xab\xcd\xefMaxMind.com"...)
	return append(b, mmdbValue(map[string]any{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1), "database_type": "Test",
		"ip_version": uint16(version), "node_count": uint32(len(nodes)), "record_size": uint16(32),
	})...)
}

// mmdbValue writes a value: a control byte of type (3 bits) and size (5 bits),
// and what it says.
func mmdbValue(v any) []byte {
	head := func(kind, size int) []byte {
		first, more := byte(size), []byte(nil)
		if size >= 29 {
			first, more = 29, []byte{byte(size - 29)}
		}
		if kind > 7 {
			return append([]byte{first, byte(kind - 7)}, more...)
		}
		return append([]byte{byte(kind)<<5 | first}, more...)
	}
	switch v := v.(type) {
	case string:
		return append(head(2, len(v)), v...)
	case uint16:
		return append(head(5, 2), byte(v>>8), byte(v))
	case uint32:
		return binary.BigEndian.AppendUint32(head(6, 4), v)
	case uint64:
		return binary.BigEndian.AppendUint64(head(9, 8), v)
	case map[string]any:
		b := head(7, len(v))
		for key, value := range v {
			b = append(append(b, mmdbValue(key)...), mmdbValue(value)...)
		}
		return b
	}
	panic(fmt.Sprintf("no value of the file: %T", v))
}

func city(name, code, country string) map[string]any {
	m := map[string]any{}
	if name != "" {
		m["city"] = map[string]any{"names": map[string]any{"en": name, "de": "anders"}}
	}
	if code != "" {
		m["country"] = map[string]any{"iso_code": code, "names": map[string]any{"en": country}}
	}
	return m
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.mmdb")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPlaces reads files of both versions, of cities and of networks.
func TestPlaces(t *testing.T) {
	cities := write(t, mmdb(6, map[string]any{
		"198.18.0.0/16": city("Singapore", "SG", "Singapore"), "198.19.0.0/24": city("", "HK", "Hong Kong"), "198.19.1.0/24": city("", "ZZ", ""),
		"198.19.2.0/24": city("Nowhere\x1b[2J\n", "", ""), "198.19.3.0/24": city(strings.Repeat("x", 200), "SG", ""),
		"198.19.4.0/24": "not a map", "2001:db8:1::/48": city("Lübeck", "DE", "Germany"),
	}))
	networks := write(t, mmdb(4, map[string]any{
		"198.18.7.0/24": map[string]any{"autonomous_system_number": uint32(64500), "autonomous_system_organization": "EXAMPLE"},
	}))
	p, err := OpenPlaces(cities, networks)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for addr, want := range map[string][2]string{
		"198.18.1.1": {"Singapore, SG", ""}, "198.18.7.1": {"Singapore, SG", "AS64500 EXAMPLE"}, "198.19.0.5": {"Hong Kong", ""}, "198.19.1.5": {"ZZ", ""},
		"198.19.2.1": {"Nowhere[2J", ""}, "198.19.3.1": {strings.Repeat("x", 79) + "…", ""}, "198.19.4.1": {"", ""},
		"2001:db8:1::7": {"Lübeck, DE", ""}, "2001:db8:2::7": {"", ""}, "192.0.2.1": {"", ""},
	} {
		place, as := p.find(netip.MustParseAddr(addr))
		if place != want[0] || as != want[1] {
			t.Errorf("%s: %q, %q, want %q", addr, place, as, want)
		}
	}
	for _, bad := range []string{write(t, []byte("GeoLite2")), filepath.Join(t.TempDir(), "none")} {
		if _, err := OpenPlaces(cities, bad); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), strconv.Quote(bad)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestDamaged: a file that is damaged anywhere is refused, or knows less.
func TestDamaged(t *testing.T) {
	whole := mmdb(4, map[string]any{"198.18.0.0/16": city("Singapore", "SG", "Singapore")})
	for i := range whole {
		b := append([]byte(nil), whole...)
		b[i] ^= 0xff
		p, err := OpenPlaces(write(t, b))
		if err != nil {
			continue
		}
		if place, _ := p.find(netip.MustParseAddr("198.18.0.1")); len([]rune(place)) > maxText {
			t.Errorf("byte %d: %q", i, place)
		}
		p.Close()
	}
}

// A fakeDNS has names and texts, and counts who asks at the same time.
type fakeDNS struct {
	names, texts map[string]string
	now, most    atomic.Int64
	asked        sync.Map
	silent       bool
}

func (d *fakeDNS) ask(ctx context.Context, of map[string]string, name string) ([]string, error) {
	if n := d.now.Add(1); n > d.most.Load() {
		d.most.Store(n)
	}
	defer d.now.Add(-1)
	if _, again := d.asked.LoadOrStore(name, true); again {
		return nil, errors.New("asked twice for " + name)
	}
	if d.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if text, ok := of[name]; ok {
		return []string{text, "another"}, nil
	}
	return nil, errors.New("no such name")
}

func (d *fakeDNS) LookupAddr(ctx context.Context, a string) ([]string, error) {
	return d.ask(ctx, d.names, a)
}

func (d *fakeDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return d.ask(ctx, d.texts, name)
}

func traceOf(addrs ...string) *Trace {
	t := &Trace{}
	for i, a := range addrs {
		t.Hops = append(t.Hops, Hop{TTL: i + 1, Routers: []Router{{Addr: netip.MustParseAddr(a)}}})
	}
	return t
}

// TestBook: names and networks are asked for once, in the background, and those
// of private addresses only where they are known.
func TestBook(t *testing.T) {
	dns := &fakeDNS{
		names: map[string]string{"198.18.0.1": "r1.path.test.", "10.0.0.1": "gate.lan.", "198.18.0.2": "bad\x07name"},
		texts: map[string]string{
			"1.0.18.198.origin.asn.cymru.com.": "64500 64501 | 198.18.0.0/15 | SG | apnic | 2011-08-11", "AS64500.asn.cymru.com.": "64500 | SG | apnic | 2011-08-11 | EXAMPLE, SG",
			"2.0.18.198.origin.asn.cymru.com.": "64502 | 198.18.0.0/15 | SG | apnic | ",
			"3.0.18.198.origin.asn.cymru.com.": "no number",
			"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.origin6.asn.cymru.com.": "64503",
			"1.0.0.10.origin.asn.cymru.com.": "666 | a private address was told",
		},
	}
	b := NewBook(BookOptions{Names: dns, AS: dns})
	defer b.Close()
	all := func() *Trace {
		return traceOf("198.18.0.1", "10.0.0.1", "198.18.0.2", "198.18.0.3", "2001:db8::1", "198.18.0.1")
	}
	tr := all()
	b.fill(tr)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	b.wait(ctx)
	tr = all()
	b.fill(tr)
	for i, want := range [][2]string{{"r1.path.test", "AS64500 EXAMPLE, SG"}, {"gate.lan", ""}, {"badname", "AS64502"}, {"", ""}, {"", "AS64503"}, {"r1.path.test", "AS64500 EXAMPLE, SG"}} {
		if r := tr.Hops[i].Routers[0]; r.Name != want[0] || r.AS != want[1] {
			t.Errorf("%v: %q, %q, want %q", r.Addr, r.Name, r.AS, want)
		}
	}
	if _, told := dns.asked.Load("1.0.0.10.origin.asn.cymru.com."); told {
		t.Error("a private address was told to others")
	}
}

// TestSilentServers: nothing waits longer than it may, few questions are under
// way at a time, and Close ends them.
func TestSilentServers(t *testing.T) {
	dns := &fakeDNS{silent: true}
	b := NewBook(BookOptions{Names: dns})
	var addrs []string
	for i := range 200 {
		addrs = append(addrs, fmt.Sprintf("198.18.0.%d", i))
	}
	b.fill(traceOf(addrs...))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	b.wait(ctx)
	b.Close()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if most := dns.most.Load(); most > lookups {
		t.Errorf("%d at the same time", most)
	}
	b.fill(traceOf("198.19.0.1"))
	b.Close()
	var none *Book
	none.fill(traceOf("198.19.0.1"))
	none.wait(ctx)
}
