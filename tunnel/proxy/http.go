package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"linehaul/fault"
)

const (
	// maxHead bounds a request's line and fields together, in bytes.
	maxHead = 16 << 10
	// maxFields is how many fields it may have.
	maxFields = 100
)

// A statusError is a request that is answered so, and why.
type statusError struct {
	status string
	error
}

func (e statusError) Unwrap() error { return e.error }

// http serves a client of HTTP: one CONNECT.
func (s *Server) http(ctx context.Context, c net.Conn, r *bufio.Reader) error {
	target, err := readConnect(r)
	if err != nil {
		if why, ok := err.(statusError); ok { //nolint:errorlint // it is made one call below
			c.Write(response(why.status, why.Error())) //nolint:errcheck // why is told in any case
		}
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	there, err := s.dial(ctx, "tcp", target)
	if err != nil {
		c.Write(response(explain(err).http, err.Error())) //nolint:errcheck // why is told in any case
		return err
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		there.Close()
		return fault.New(fault.TCP, "answer the client: %w", err)
	}
	join(ctx, c, r, there)
	return nil
}

// response refuses a request, with the reason as its content.
func response(status, why string) []byte {
	why = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, why) + "\n"
	allow := ""
	if strings.HasPrefix(status, "405") {
		allow = "Allow: CONNECT\r\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, allow, len(why), why)
}

// readConnect reads a request and returns its target (RFC 9112 sections 3 and
// 3.2.3). Its fields mean nothing here.
func readConnect(r *bufio.Reader) (target string, err error) {
	left := maxHead
	line, err := readLine(r, &left)
	if err != nil {
		return "", err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/1.") {
		return "", statusError{"400 Bad Request", fault.New(fault.Usage, "the client speaks neither SOCKS 5 nor HTTP/1")}
	}
	for n := 0; ; n++ {
		field, err := readLine(r, &left)
		if err != nil {
			return "", err
		}
		if field == "" {
			break
		}
		if n == maxFields {
			return "", statusError{"431 Request Header Fields Too Large", fault.New(fault.Usage, "the client's request has more than %d fields", maxFields)}
		}
	}
	if parts[0] != "CONNECT" {
		return "", statusError{"405 Method Not Allowed", fault.New(fault.Usage, "the client wants HTTP's %.16q, and there is CONNECT only", parts[0])}
	}
	host, port, err := net.SplitHostPort(parts[1])
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 {
		return "", statusError{"400 Bad Request", fault.New(fault.Usage, "the client wants %.300q, which is no host and port", parts[1])}
	}
	if host, err = checkName(host); err != nil {
		return "", statusError{"400 Bad Request", err}
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10)), nil
}

// readLine reads a line without its end, and takes its length from what is left.
func readLine(r *bufio.Reader, left *int) (string, error) {
	line, err := r.ReadSlice('\n')
	*left -= len(line)
	switch {
	case err == bufio.ErrBufferFull, *left < 0:
		return "", statusError{"431 Request Header Fields Too Large", fault.New(fault.Usage, "the client's request is longer than %d bytes", maxHead)}
	case err != nil:
		return "", fault.New(fault.Usage, "the client's request ends early: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}
