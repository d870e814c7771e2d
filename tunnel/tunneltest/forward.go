package tunneltest

import (
	"context"
	"io"
	"net"
	"sync"
)

// Forward accepts connections behind the gateway at a port, and connects each
// with a TCP address outside, until the server is closed. It returns the address
// to connect to through the tunnel.
func (s *Server) Forward(ctx context.Context, port uint16, to string) (string, error) {
	l, err := s.Listen(port)
	if err != nil {
		return "", err
	}
	s.work.Go(func() {
		defer l.Close()
		for {
			inner, err := l.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.join(ctx, inner, to) })
		}
	})
	return l.Addr().String(), nil
}

// join copies both ways between a connection behind the gateway and another.
func (s *Server) join(ctx context.Context, inner net.Conn, to string) {
	defer inner.Close()
	var d net.Dialer
	outer, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer outer.Close()
	var back sync.WaitGroup
	back.Go(func() { pipe(outer, inner) })
	pipe(inner, outer)
	back.Wait()
}

// pipe copies until one side ends, and passes that on.
func pipe(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				from.Close()
				return
			}
		}
		if err == nil {
			continue
		}
		half, ok := to.(interface{ CloseWrite() error })
		if !ok || err != io.EOF || half.CloseWrite() != nil {
			to.Close()
		}
		return
	}
}
