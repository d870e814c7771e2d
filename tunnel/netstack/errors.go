package netstack

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// plain makes an ordinary error of one of the stack's, where there is one that
// means the same.
func plain(err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrConnectionAborted, *tcpip.ErrAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable, *tcpip.ErrHostDown:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	case *tcpip.ErrClosedForSend:
		return syscall.EPIPE
	case *tcpip.ErrPortInUse:
		return syscall.EADDRINUSE
	case *tcpip.ErrBadLocalAddress:
		return syscall.EADDRNOTAVAIL
	case *tcpip.ErrMessageTooLong:
		return syscall.EMSGSIZE
	case *tcpip.ErrNoBufferSpace:
		return syscall.ENOBUFS
	}
	return errors.New(err.String())
}

// mend makes what gVisor's connections say fit for users of net.Conn: it has
// texts for the stack's errors, and a time-out of its own.
func mend(err error) error {
	var op *net.OpError
	if err == nil || err == io.EOF || !errors.As(err, &op) {
		return err
	}
	mended := *op
	if op.Timeout() {
		mended.Err = os.ErrDeadlineExceeded
		return &mended
	}
	for _, known := range []tcpip.Error{
		&tcpip.ErrConnectionRefused{}, &tcpip.ErrConnectionReset{}, &tcpip.ErrConnectionAborted{}, &tcpip.ErrAborted{},
		&tcpip.ErrTimeout{}, &tcpip.ErrHostUnreachable{}, &tcpip.ErrHostDown{}, &tcpip.ErrNetworkUnreachable{},
		&tcpip.ErrClosedForSend{}, &tcpip.ErrMessageTooLong{}, &tcpip.ErrNoBufferSpace{},
	} {
		if op.Err.Error() == known.String() {
			mended.Err = plain(known)
		}
	}
	return &mended
}
