package path

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"linehaul/internal/lab/netns"
)

// tunQueue is how many packets a device keeps until we read them. What comes
// when it is full is lost without being counted.
const tunQueue = 10_000

// openTUN makes a TUN device in a host and returns its other end (the kernel's
// Documentation/networking/tuntap.rst). The device goes when that is closed.
func openTUN(h *netns.Host, name string) (*os.File, error) {
	var fd int
	err := h.Do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return err
		}
		req, err := unix.NewIfreq(name)
		if err == nil {
			req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err != nil {
			unix.Close(fd)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the device %s in %s: %w", name, h.Name(), err)
	}
	if err := h.TryIP(fmt.Sprintf("link set %s txqueuelen %d\n", name, tunQueue)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
