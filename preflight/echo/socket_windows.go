package echo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A system is the ICMP API of iphlpapi.dll. A call sends one request and
// returns when it is answered or its time is over, so that each has a goroutine
// of its own, and a handle, as nobody promises that a handle serves two at once.
type system struct {
	way     string
	slots   chan struct{} // one for each call that waits
	api     api
	tick    int64 // a second, by the clock that is finer than Go's
	ttl     byte  // of the next request
	mu      sync.Mutex
	handles []uintptr // that no call has
}

type api struct{ create, closeHandle, send, counter *windows.LazyProc }

// Limits of our own.
const (
	maxCalls       = 512 // each takes a thread
	defaultTimeout = 2 * time.Second
	defaultTTL     = 128 // as Windows has it
)

// An ipOption is IP_OPTION_INFORMATION of ipexport.h.
type ipOption struct {
	ttl, tos, flags, size byte
	options               uintptr
}

// replyRoom is what has to be there besides the data of the request: an ICMP
// error message, and Windows's IO_STATUS_BLOCK.
const replyRoom = 8 + 16

const flagDF = 2 // IP_FLAG_DF

func (s *Socket) open() error {
	if s.o.Whole && s.o.To.Is6() {
		return fmt.Errorf("send whole packets to %v: Windows lets nobody ask for that with IPv6: %w", s.o.To, errors.ErrUnsupported)
	}
	if s.o.Timeout <= 0 {
		s.o.Timeout = defaultTimeout
	}
	dll := windows.NewLazySystemDLL("iphlpapi.dll")
	kernel := windows.NewLazySystemDLL("kernel32.dll")
	y := &s.sys
	y.way, y.slots, y.ttl = System, make(chan struct{}, maxCalls), defaultTTL
	y.api = api{dll.NewProc("IcmpCreateFile"), dll.NewProc("IcmpCloseHandle"), dll.NewProc("IcmpSendEcho2Ex"), kernel.NewProc("QueryPerformanceCounter")}
	if s.o.To.Is6() {
		y.api.create, y.api.send = dll.NewProc("Icmp6CreateFile"), dll.NewProc("Icmp6SendEcho2")
	}
	frequency := kernel.NewProc("QueryPerformanceFrequency")
	for _, p := range []*windows.LazyProc{y.api.create, y.api.closeHandle, y.api.send, y.api.counter, frequency} {
		if err := p.Find(); err != nil {
			return &NotAllowedError{[]string{System}, "a Windows that has " + p.Name, err}
		}
	}
	if ok, _, err := frequency.Call(uintptr(unsafe.Pointer(&y.tick))); ok == 0 || y.tick <= 0 {
		return fmt.Errorf("ask how fine the clock is: %w", err)
	}
	h, err := y.take()
	if err != nil {
		return &NotAllowedError{[]string{System}, "a Windows whose ICMP is not switched off", err}
	}
	y.put(h)
	return nil
}

// take returns a handle that nobody else uses.
func (y *system) take() (uintptr, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if n := len(y.handles); n > 0 {
		h := y.handles[n-1]
		y.handles = y.handles[:n-1]
		return h, nil
	}
	h, _, err := y.api.create.Call()
	if windows.Handle(h) == windows.InvalidHandle {
		return 0, fmt.Errorf("%s: %w", y.api.create.Name, err)
	}
	return h, nil
}

func (y *system) put(h uintptr) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.handles = append(y.handles, h)
}

// now is a time by the fine clock.
func (y *system) now() (t int64) {
	y.api.counter.Call(uintptr(unsafe.Pointer(&t))) //nolint:errcheck // it does not fail where its frequency is known
	return t
}

func (y *system) since(t int64) time.Duration {
	return time.Duration(float64(y.now()-t) / float64(y.tick) * float64(time.Second))
}

func (s *Socket) send(seq uint16, size, ttl int) error {
	if size > 1<<16-1 {
		return &SendError{Size: size, TooBig: true, Err: windows.WSAEMSGSIZE}
	}
	select {
	case s.sys.slots <- struct{}{}:
	default:
		return &SendError{Size: size, Err: fmt.Errorf("%d requests wait for their answers already", maxCalls)}
	}
	h, err := s.sys.take()
	if err != nil {
		<-s.sys.slots
		return &SendError{Size: size, Err: err}
	}
	if ttl > 0 {
		s.sys.ttl = byte(ttl)
	}
	hops := s.sys.ttl
	s.note(seq, size, time.Now())
	s.wg.Go(func() {
		defer func() { <-s.sys.slots }()
		defer s.sys.put(h)
		s.call(h, seq, size, hops)
	})
	return nil
}

// call sends a request and tells what came of it.
func (s *Socket) call(h uintptr, seq uint16, size int, ttl byte) {
	is6 := s.o.To.Is6()
	data := append(s.data(size), 0) // one more, for an address even of nothing
	head := replyLen4
	if is6 {
		head = replyLen6
	}
	buffer := make([]byte, head+size+replyRoom)
	o := ipOption{ttl: ttl}
	if s.o.Whole {
		o.flags = flagDF
	}
	wait := uintptr(max(1, s.o.Timeout.Milliseconds()))
	var n uintptr
	var err error
	began := s.sys.now()
	if is6 {
		from, to := sockaddr6(s.o.From), sockaddr6(s.o.To)
		n, _, err = s.sys.api.send.Call(h, 0, 0, 0, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&to)),
			uintptr(unsafe.Pointer(&data[0])), uintptr(size), uintptr(unsafe.Pointer(&o)), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), wait)
	} else {
		n, _, err = s.sys.api.send.Call(h, 0, 0, 0, uintptr(number(s.o.From)), uintptr(number(s.o.To)),
			uintptr(unsafe.Pointer(&data[0])), uintptr(size), uintptr(unsafe.Pointer(&o)), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), wait)
	}
	took := s.sys.since(began)
	if e, ok := s.judge(buffer, uint64(uintptr(unsafe.Pointer(&buffer[0]))), n, err, size); ok {
		e.Seq, e.RTT = seq, took
		s.tell(e)
	}
}

// judge says what a call came to, false if to nothing.
func (s *Socket) judge(buffer []byte, base uint64, replies uintptr, err error, size int) (Event, bool) {
	is6 := s.o.To.Is6()
	r, ok := reply{}, replies > 0
	switch {
	case replies > 0 && is6:
		r, ok = readReply6(buffer, size)
	case replies > 0:
		r, ok = readReply4(buffer, base)
	default:
		code := windows.Errno(0)
		if !errors.As(err, &code) {
			return Event{}, false
		}
		if code < ipStatusBase || code > ipStatusBase+99 {
			return Event{Kind: Refused, Said: err.Error()}, true
		}
		r, ok = reply{status: uint32(code)}, true
	}
	switch {
	case !ok || r.status == ipTimedOut:
		return Event{}, false
	case r.status == ipSuccess:
		return Event{Kind: Echoed, From: r.from}, s.isOurs(r.data, size)
	}
	return r.event(is6), true
}

// close waits for the calls that are under way, each of which has its time.
func (y *system) close() {
	for range maxCalls {
		y.slots <- struct{}{}
	}
	for _, h := range y.handles {
		y.api.closeHandle.Call(h) //nolint:errcheck // nothing can be done about it
	}
}

// number is an IPv4 address as the API wants it: the bytes in their order, in
// the memory of a little-endian machine. No address is 0, any.
func number(a netip.Addr) uint32 {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// sockaddr6 is an address as the API wants it, any if it is not valid.
func sockaddr6(a netip.Addr) windows.RawSockaddrInet6 {
	sa := windows.RawSockaddrInet6{Family: windows.AF_INET6}
	if !a.IsValid() {
		return sa
	}
	sa.Addr = a.As16()
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		sa.Scope_id = uint32(n)
	} else if i, err := net.InterfaceByName(a.Zone()); err == nil {
		sa.Scope_id = uint32(i.Index)
	}
	return sa
}
