package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Net is a network namespace without a name. A thread of this process keeps
// it, and it goes with the test.
type Net struct {
	t    testing.TB
	path string // while the thread lives
	work chan func()
}

// NewNet makes an empty network whose loopback is up. It takes root.
func NewNet(t testing.TB) *Net {
	t.Helper()
	NeedRoot(t)
	Need(t, "ip")
	n := &Net{t: t, work: make(chan func())}
	made, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlock: the runtime then ends the thread
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		made <- err
		for f := range n.work {
			f()
		}
	}()
	t.Cleanup(func() {
		close(n.work)
		<-ended
	})
	if err := <-made; err != nil {
		Missing(t, "cannot make a network namespace: "+err.Error())
	}
	n.Set("ipv6/conf/default/dad_transmits", "0") // nobody else could have our addresses
	n.IP("link set lo up")
	return n
}

// Do calls f on the thread that is in the network, one call at a time. A socket
// that f makes stays there when f has returned; a goroutine that f starts is
// not there.
func (n *Net) Do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// IP runs lines of ip(8) in the network, all in one process.
func (n *Net) IP(lines ...string) {
	n.t.Helper()
	out, err := n.start(exec.Command(Path("ip"), "-batch", "-"), strings.Join(lines, "\n")+"\n")
	if err != nil {
		n.t.Fatalf("ip: %v\n%s\nof\n%s", err, out, strings.Join(lines, "\n"))
	}
}

// Run runs a program in the network to its end and returns what it printed on
// both streams. The test fails if the program does.
func (n *Net) Run(input, program string, args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := n.start(exec.CommandContext(ctx, Path(program), args...), input)
	if err != nil {
		n.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// start runs a command, whose process is in the network because its parent's
// thread is.
func (n *Net) start(cmd *exec.Cmd, input string) (out string, err error) {
	cmd.Stdin = strings.NewReader(input)
	err = n.Do(func() error {
		b, err := cmd.CombinedOutput()
		out = string(b)
		return err
	})
	return out, err
}

// Set writes values below /proc/sys/net.
func (n *Net) Set(name, value string) {
	n.t.Helper()
	err := n.Do(func() error {
		return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// Join makes a cable to another network: an interface here and one there, up,
// with an address each, as in "10.1.0.1/24".
func (n *Net) Join(name, address string, to *Net, itsName, itsAddress string) {
	n.t.Helper()
	n.IP("link add " + name + " type veth peer name " + itsName + " netns " + to.path)
	add := func(n *Net, name, address string) {
		more := ""
		if strings.Contains(address, ":") {
			more = " nodad"
		}
		n.IP("address add "+address+" dev "+name+more, "link set "+name+" up")
	}
	add(n, name, address)
	add(to, itsName, itsAddress)
}
