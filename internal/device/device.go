// Package device keeps a socket at a network interface, so that what it sends does
// not leave by another way when the routes change.
package device

import "net"

// An Interface is one of this machine's, as its name or its number says it:
// Linux goes by the name, the other systems by the number.
type Interface struct {
	Name  string
	Index int
}

// BindName is Bind, by the interface's name alone.
func BindName(fd uintptr, name string, six bool) error {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	return Bind(fd, Interface{i.Name, i.Index}, six)
}
