package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"linehaul/fault"
)

const (
	// rounds is how often every server is asked, and patience how long it has to
	// answer, each round twice as long.
	rounds   = 3
	patience = 2 * time.Second
	// maxChain is how many aliases are followed in an answer.
	maxChain = 16
	// payload is how long an answer over UDP may be: what passes every path
	// without being cut (DNS Flag Day 2020).
	payload = 1232
	// maxName is the longest name, RFC 1035 section 2.3.4.
	maxName = 253
)

var (
	errNoSuchName = noSuchName{}
	errPatience   = errors.New("no answer")
)

// A noSuchName is a server's answer that there is none. It is a *net.DNSError
// to those who ask for one.
type noSuchName struct{}

func (noSuchName) Error() string { return "no such host" }

func (e noSuchName) As(target any) bool {
	as, ok := target.(**net.DNSError)
	if ok {
		*as = &net.DNSError{Err: e.Error(), IsNotFound: true}
	}
	return ok
}

// ask asks the tunnel's name servers in turn until one knows, RFC 1035. They
// are expected to follow other servers themselves (recursion).
func (s *Stack) ask(ctx context.Context, host string, version int) ([]netip.Addr, error) {
	name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
	if err != nil || len(host) > maxName || host == "" || strings.Contains(host, "..") {
		return nil, fault.New(fault.Name, "resolve %q: that is no host name", host)
	}
	var types []dnsmessage.Type
	if version != 6 && s.has(netip.IPv4Unspecified()) {
		types = append(types, dnsmessage.TypeA)
	}
	if version != 4 && s.has(netip.IPv6Unspecified()) {
		types = append(types, dnsmessage.TypeAAAA)
	}
	if len(types) == 0 {
		return nil, fault.New(fault.Route, "resolve %q: the tunnel has no address of ours of that kind", host)
	}
	var last error
	wait := s.patience
	for range rounds {
		for _, server := range s.o.DNS {
			addrs, err := s.askServer(ctx, server, name, types, wait)
			switch {
			case err == nil:
				return addrs, nil
			case errors.Is(err, errNoSuchName):
				return nil, fault.New(fault.Name, "resolve %q at %v through the tunnel: %w", host, server, errNoSuchName)
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case s.gone() != nil:
				return nil, err
			}
			last = fault.New(fault.Name, "resolve %q at %v through the tunnel: %w", host, server, err)
		}
		wait *= 2
	}
	return nil, last
}

// askServer asks one server once for addresses of all the types.
func (s *Stack) askServer(ctx context.Context, server netip.AddrPort, name dnsmessage.Name, types []dnsmessage.Type, wait time.Duration) ([]netip.Addr, error) {
	if err := s.reach(server.Addr().Unmap()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errPatience)
	defer cancel()
	server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
	c, err := s.dialUDP(server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()

	questions := make([]question, len(types))
	for i, t := range types {
		if questions[i], err = newQuestion(s.o.Random, name, t); err != nil {
			return nil, err
		}
		if _, err := c.Write(questions[i].packet); err != nil {
			return nil, err
		}
	}
	found := make([][]netip.Addr, len(types))
	missing, open := 0, len(types)
	buf := make([]byte, payload+1)
	for open > 0 {
		n, err := c.Read(buf)
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, err
		}
		for i := range questions {
			q := &questions[i]
			if q.answered || !q.fits(buf[:n]) {
				continue // an answer to somebody else, or a forgery
			}
			q.answered = true
			open--
			answer := buf[:n]
			if q.cut(answer) {
				if answer, err = s.askTCP(ctx, server, q); err != nil {
					return nil, err
				}
			}
			found[i], err = q.read(answer)
			if errors.Is(err, errNoSuchName) {
				missing++
			} else if err != nil {
				return nil, err
			}
			break
		}
	}
	var all []netip.Addr
	for _, f := range found {
		all = append(all, f...)
	}
	if len(all) == 0 && missing > 0 {
		return nil, errNoSuchName
	}
	return all, nil
}

// askTCP asks again where the answer was too long for UDP, RFC 7766.
func (s *Stack) askTCP(ctx context.Context, server netip.AddrPort, q *question) ([]byte, error) {
	c, err := s.dialTCP(ctx, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q.packet))), q.packet...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:])) // 64 KiB at most
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	if !q.fits(answer) {
		return nil, errors.New("an answer to another question")
	}
	return answer, nil
}

// A question is one that was sent.
type question struct {
	id       uint16
	name     dnsmessage.Name
	kind     dnsmessage.Type
	packet   []byte
	answered bool
}

func newQuestion(random io.Reader, name dnsmessage.Name, kind dnsmessage.Type) (question, error) {
	var id [2]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return question{}, err
	}
	q := question{id: binary.BigEndian.Uint16(id[:]), name: name, kind: kind}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: q.id, RecursionDesired: true})
	err := errors.Join(
		b.StartQuestions(),
		b.Question(dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}),
		b.StartAdditionals(),
	)
	var edns dnsmessage.ResourceHeader // RFC 6891: how long an answer may be
	err = errors.Join(err, edns.SetEDNS0(payload, dnsmessage.RCodeSuccess, false), b.OPTResource(edns, dnsmessage.OPTResource{}))
	if err != nil {
		return question{}, err
	}
	q.packet, err = b.Finish()
	return q, err
}

// fits reports whether a message is an answer to the question.
func (q *question) fits(message []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || !h.Response || h.ID != q.id {
		return false
	}
	asked, err := p.Question()
	return err == nil && asked.Type == q.kind && asked.Class == dnsmessage.ClassINET &&
		strings.EqualFold(asked.Name.String(), q.name.String())
}

// cut reports whether an answer says of itself that it is not all.
func (q *question) cut(message []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	return err == nil && h.Truncated
}

// read returns the addresses that an answer has for the name, by its aliases.
func (q *question) read(message []byte) ([]netip.Addr, error) {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil {
		return nil, err
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return nil, errNoSuchName
	default:
		return nil, errors.New("the server says " + strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, err
	}
	aliases := map[string]string{}
	addrs := map[string][]netip.Addr{}
	for {
		r, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, err
		}
		owner := strings.ToLower(r.Name.String())
		switch {
		case r.Class == dnsmessage.ClassINET && r.Type == dnsmessage.TypeCNAME:
			var alias dnsmessage.CNAMEResource
			if alias, err = p.CNAMEResource(); err == nil {
				aliases[owner] = strings.ToLower(alias.CNAME.String())
			}
		case r.Class == dnsmessage.ClassINET && r.Type == q.kind && q.kind == dnsmessage.TypeA:
			var a dnsmessage.AResource
			if a, err = p.AResource(); err == nil {
				addrs[owner] = append(addrs[owner], netip.AddrFrom4(a.A))
			}
		case r.Class == dnsmessage.ClassINET && r.Type == q.kind && q.kind == dnsmessage.TypeAAAA:
			var a dnsmessage.AAAAResource
			if a, err = p.AAAAResource(); err == nil {
				addrs[owner] = append(addrs[owner], netip.AddrFrom16(a.AAAA))
			}
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return nil, err
		}
	}
	at := strings.ToLower(q.name.String())
	for range maxChain {
		if found := addrs[at]; len(found) > 0 {
			return found, nil
		}
		next, ok := aliases[at]
		if !ok {
			break
		}
		at = next
	}
	return nil, nil
}
