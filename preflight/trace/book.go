package trace

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A Namer tells the names of an address, as *net.Resolver does.
type Namer interface {
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
}

// A Texter tells the texts of a name, as *net.Resolver does.
type Texter interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// BookOptions say what a book knows, and whom it asks.
type BookOptions struct {
	Names Namer // reverse DNS; nil: no names
	// AS asks Team Cymru's zones (origin.asn.cymru.com) who announces an address.
	// That tells a third party which routers are looked at, so it is for users
	// who want it. nil: nobody is asked.
	AS     Texter
	Places *Places // files of the user's; nil: none
}

// Limits of our own.
const (
	lookupTime = 5 * time.Second // for all that is asked about one address
	lookups    = 8               // at the same time
	maxKnown   = 4096            // addresses
	maxText    = 80              // characters of a name, network or place
)

// A Book finds out names, networks and places of routers, in the background,
// and remembers them. It may serve several traces, also at the same time; its
// owner calls Close. A nil *Book knows nothing.
type Book struct {
	o     BookOptions
	ctx   context.Context
	stop  context.CancelFunc
	slots chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	known   map[netip.Addr]*entry
	pending int
	idle    chan struct{} // closed when nothing is pending
}

type entry struct{ name, as, place string }

// NewBook returns a book without entries.
func NewBook(o BookOptions) *Book {
	ctx, stop := context.WithCancel(context.Background())
	return &Book{o: o, ctx: ctx, stop: stop, slots: make(chan struct{}, lookups), known: map[netip.Addr]*entry{}}
}

// Close ends what is being looked up, and waits for it.
func (b *Book) Close() {
	b.stop()
	b.wg.Wait()
}

// fill writes what is known of a trace's routers, and looks up the rest.
func (b *Book) fill(t *Trace) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range t.Hops {
		for j := range t.Hops[i].Routers {
			r := &t.Hops[i].Routers[j]
			if e := b.entryLocked(r.Addr.WithZone("")); e != nil {
				r.Name, r.AS, r.Place = e.name, e.as, e.place
			}
		}
	}
}

// entryLocked returns what is known of an address, and looks it up if nobody
// has yet.
func (b *Book) entryLocked(a netip.Addr) *entry {
	if e, ok := b.known[a]; ok {
		return e
	}
	if !a.IsValid() || len(b.known) >= maxKnown || b.ctx.Err() != nil {
		return nil
	}
	e := &entry{}
	b.known[a] = e
	if b.pending == 0 {
		b.idle = make(chan struct{})
	}
	b.pending++
	b.wg.Go(func() {
		found := b.look(a)
		b.mu.Lock()
		defer b.mu.Unlock()
		*e = found
		if b.pending--; b.pending == 0 {
			close(b.idle)
		}
	})
	return e
}

// wait returns when nothing is being looked up, or the context ends.
func (b *Book) wait(ctx context.Context) {
	if b == nil {
		return
	}
	b.mu.Lock()
	idle := b.idle
	b.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// look asks all that there is to ask about an address. What is not found is "".
func (b *Book) look(a netip.Addr) (e entry) {
	if public(a) {
		e.place, e.as = b.o.Places.find(a)
	}
	if b.o.Names == nil && (b.o.AS == nil || !public(a)) {
		return e
	}
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-b.ctx.Done():
		return e
	}
	ctx, cancel := context.WithTimeout(b.ctx, lookupTime)
	defer cancel()
	if b.o.Names != nil {
		if names, err := b.o.Names.LookupAddr(ctx, a.String()); err == nil && len(names) > 0 {
			e.name = clean(strings.TrimSuffix(names[0], "."))
		}
	}
	if b.o.AS != nil && e.as == "" && public(a) {
		e.as = b.origin(ctx, a)
	}
	return e
}

// public reports whether others can know an address: those of private networks
// mean something else to everybody.
func public(a netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// origin is who announces an address, as in "AS64500 EXAMPLE".
//
//	4.3.2.1.origin.asn.cymru.com  TXT  "64500 | 1.2.3.0/24 | SG | apnic | 2011-08-11"
//	AS64500.asn.cymru.com         TXT  "64500 | SG | apnic | 2011-08-11 | EXAMPLE, SG"
func (b *Book) origin(ctx context.Context, a netip.Addr) string {
	zone := "origin.asn.cymru.com."
	if a.Is6() {
		zone = "origin6.asn.cymru.com."
	}
	texts, err := b.o.AS.LookupTXT(ctx, reversed(a)+zone)
	if err != nil || len(texts) == 0 {
		return ""
	}
	first, _, _ := strings.Cut(texts[0], "|")
	fields := strings.Fields(first) // an address may have several
	if len(fields) == 0 {
		return ""
	}
	n, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return ""
	}
	number := fmt.Sprintf("AS%d", n)
	texts, err = b.o.AS.LookupTXT(ctx, number+".asn.cymru.com.")
	if err != nil || len(texts) == 0 {
		return number
	}
	parts := strings.Split(texts[0], "|")
	return clean(number + " " + strings.TrimSpace(parts[len(parts)-1]))
}

// reversed is an address as names for it are built: its parts from the last
// one on, each with a dot after it (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reversed(a netip.Addr) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, b := range backwards(a.AsSlice()) {
		if a.Is4() {
			s.WriteString(strconv.Itoa(int(b)) + ".")
		} else {
			s.Write([]byte{digits[b&15], '.', digits[b>>4], '.'})
		}
	}
	return s.String()
}

func backwards(b []byte) []byte {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// clean makes a text of others fit to be shown: short, and on one line.
func clean(s string) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText-1]) + "…"
	}
	return strings.TrimSpace(text)
}
