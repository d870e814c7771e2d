package proxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"linehaul/fault"
)

// The numbers of RFC 1928.
const (
	version5 = 5

	methodNone         = 0    // no authentication, section 3
	methodUnacceptable = 0xff // section 3

	commandConnect   = 1 // section 4
	commandAssociate = 3

	addressIPv4 = 1 // section 5
	addressName = 3
	addressIPv6 = 4

	replyDone        = 0 // section 6
	replyFailure     = 1
	replyForbidden   = 2
	replyNetwork     = 3
	replyHost        = 4
	replyRefused     = 5
	replyCommand     = 7
	replyAddressType = 8
)

// A request is what a client of SOCKS wants, section 4:
//
//	version, command, reserved, address type, address, port
type request struct {
	command byte
	target  string // host:port
}

// A replyError is a request that is answered with that number, and why.
type replyError struct {
	reply byte
	error
}

func (e replyError) Unwrap() error { return e.error }

// socks serves a client of SOCKS.
func (s *Server) socks(ctx context.Context, c net.Conn, r *bufio.Reader) error {
	method, err := readMethods(r)
	if err != nil {
		return err
	}
	if _, err := c.Write([]byte{version5, method}); err != nil {
		return fault.New(fault.TCP, "answer the client: %w", err)
	}
	if method == methodUnacceptable {
		return fault.New(fault.Usage, "the client wants to log in, which nobody needs here")
	}
	q, err := readRequest(r)
	if err != nil {
		if why, ok := err.(replyError); ok { //nolint:errorlint // it is made one call below
			c.Write(reply(why.reply, netip.AddrPort{})) //nolint:errcheck // why is told in any case
		}
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if q.command == commandAssociate {
		return s.associate(ctx, c, r, q.target)
	}
	there, err := s.dial(ctx, "tcp", q.target)
	if err != nil {
		c.Write(reply(explain(err).socks, netip.AddrPort{})) //nolint:errcheck // why is told in any case
		return err
	}
	if _, err := c.Write(reply(replyDone, addrPort(there.LocalAddr()))); err != nil {
		there.Close()
		return fault.New(fault.TCP, "answer the client: %w", err)
	}
	join(ctx, c, r, there)
	return nil
}

// readMethods reads the first message and chooses: version, number of methods,
// methods.
func readMethods(r *bufio.Reader) (method byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, fault.New(fault.Usage, "the client's first message ends early: %w", err)
	}
	if head[0] != version5 {
		return 0, fault.New(fault.Usage, "the client speaks version %d of SOCKS", head[0])
	}
	method = methodUnacceptable
	for range head[1] {
		m, err := r.ReadByte()
		if err != nil {
			return 0, fault.New(fault.Usage, "the client's first message ends early: %w", err)
		}
		if m == methodNone {
			method = methodNone
		}
	}
	return method, nil
}

// readRequest reads what a client wants.
func readRequest(r *bufio.Reader) (request, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return request{}, fault.New(fault.Usage, "the client's request ends early: %w", err)
	}
	if head[0] != version5 {
		return request{}, fault.New(fault.Usage, "the client's request is of version %d", head[0])
	}
	target, err := readTarget(r)
	if err != nil {
		return request{}, err
	}
	if head[1] != commandConnect && head[1] != commandAssociate {
		return request{}, replyError{replyCommand, fault.New(fault.Usage, "the client wants command %d of SOCKS, and there are CONNECT and UDP ASSOCIATE", head[1])}
	}
	return request{head[1], target}, nil
}

// readTarget reads an address and a port, section 5.
func readTarget(r io.Reader) (string, error) {
	early := func(err error) (string, error) {
		return "", fault.New(fault.Usage, "the client's request ends early: %w", err)
	}
	var b [256 + 2]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return early(err)
	}
	size := 0
	switch kind := b[0]; kind {
	case addressIPv4:
		size = 4
	case addressIPv6:
		size = 16
	case addressName:
		if _, err := io.ReadFull(r, b[:1]); err != nil {
			return early(err)
		}
		if size = int(b[0]); size == 0 {
			return "", replyError{replyFailure, fault.New(fault.Usage, "the client wants a name of no letters")}
		}
		name := b[:size+2]
		if _, err := io.ReadFull(r, name); err != nil {
			return early(err)
		}
		host, err := checkName(string(name[:size]))
		if err != nil {
			return "", replyError{replyFailure, err}
		}
		return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(name[size:])))), nil
	default:
		return "", replyError{replyAddressType, fault.New(fault.Usage, "the client has an address of type %d", kind)}
	}
	if _, err := io.ReadFull(r, b[:size+2]); err != nil {
		return early(err)
	}
	a, _ := netip.AddrFromSlice(b[:size])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[size:])).String(), nil
}

// maxName is how long a name may be (RFC 1035 section 2.3.4), with a dot at its
// end.
const maxName = 254

// checkName refuses what is no name and no address: a log line, or the dialer's
// own syntax, could be made of it.
func checkName(host string) (string, error) {
	if len(host) == 0 || len(host) > maxName {
		return "", fault.New(fault.Usage, "the client wants a name of %d letters", len(host))
	}
	for _, c := range []byte(host) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '.' && c != '_' && c != ':' && c < 0x80 {
			return "", fault.New(fault.Usage, "the client wants the name %q", host)
		}
	}
	return host, nil
}

// reply is the answer to a request: version, reply, reserved, and the address
// that we have there.
func reply(code byte, at netip.AddrPort) []byte {
	return appendTarget([]byte{version5, code, 0}, at)
}

// appendTarget appends an address and a port.
func appendTarget(b []byte, at netip.AddrPort) []byte {
	a := at.Addr().Unmap()
	if !a.IsValid() {
		a = netip.IPv4Unspecified()
	}
	kind := byte(addressIPv4)
	if a.Is6() {
		kind = addressIPv6
	}
	b = append(append(b, kind), a.AsSlice()...)
	return binary.BigEndian.AppendUint16(b, at.Port())
}

// addrPort is an address of TCP or UDP, the zero value of others.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	case *net.UDPAddr:
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	return netip.AddrPort{}
}
