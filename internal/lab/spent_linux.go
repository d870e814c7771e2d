package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// userHz is the unit of times in /proc/PID/stat: USER_HZ, 100 on every
	// Linux.
	userHz = 100
	// setChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
	setChildSubreaper = 36
)

// Spent waits until the process has no descendants left, for a minute at most,
// and returns the CPU time, user and system, that it and they have used. It
// reports false if that cannot be known.
//
// A session of sshd outlives its parent when the client goes quickly, and is
// then nobody's child to be counted. So the first call makes the calling
// process the parent of such orphans, and every call buries those with the
// process's name. It is for one server of a name at a time.
func (p *Process) Spent() (time.Duration, bool) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); errno != 0 {
		return 0, false
	}
	s, err := readStat(p.Pid())
	if err != nil {
		return 0, false
	}
	for deadline := time.Now().Add(time.Minute); !p.alone(s.name); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, false
		}
	}
	s, err = readStat(p.Pid())
	return s.cpu + p.orphans, err == nil
}

// Used is the CPU time, user and system, that the process and those of its
// descendants that live have used so far, with what those took that they waited
// for.
func (p *Process) Used() time.Duration {
	var sum time.Duration
	for _, pid := range p.tree() {
		if s, err := readStat(pid); err == nil {
			sum += s.cpu
		}
	}
	return sum
}

// alone buries orphans whose name begins so, as sshd-session's does, and
// reports whether no descendant is left.
func (p *Process) alone(name string) bool {
	if len(p.tree()) > 1 {
		return false
	}
	alone := true
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		s, err := readStat(pid)
		if err != nil || s.parent != os.Getpid() || pid == p.Pid() || !strings.HasPrefix(s.name, name) {
			continue
		}
		var usage syscall.Rusage
		if s.state != "Z" {
			alone = false
		} else if buried, _ := syscall.Wait4(pid, nil, syscall.WNOHANG, &usage); buried == pid {
			p.orphans += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	return alone
}

// A stat is what proc(5) says of a process in /proc/PID/stat.
type stat struct {
	name, state string
	parent      int
	cpu         time.Duration // its own and that of the children it waited for
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name in parentheses may hold anything, so count from its end.
	text := string(b)
	open, shut := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || shut < open {
		return stat{}, fmt.Errorf("/proc/%d/stat holds %q", pid, text)
	}
	rest := strings.Fields(text[shut+1:])
	if len(rest) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat holds %q", pid, text)
	}
	s := stat{name: text[open+1 : shut], state: rest[0]}
	s.parent, err = strconv.Atoi(rest[1])
	for _, f := range rest[11:15] { // utime, stime, cutime, cstime
		ticks, bad := strconv.Atoi(f)
		if bad != nil {
			return stat{}, bad
		}
		s.cpu += time.Duration(ticks) * time.Second / userHz
	}
	return s, err
}
