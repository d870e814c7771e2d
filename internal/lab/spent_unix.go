//go:build unix

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// userHz is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux.
const userHz = 100

// Spent waits until the process has no descendants left, for a minute at most,
// and returns the CPU time, user and system, that it and they have used so
// far. A descendant whose parent did not wait for it is not counted. Without
// Linux's /proc it reports false.
func (p *Process) Spent() (time.Duration, bool) {
	for deadline := time.Now().Add(time.Minute); len(p.tree()) > 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, false
		}
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		return 0, false
	}
	// proc(5): fields 14 to 17 are utime, stime, cutime, cstime; the command,
	// field 2, may hold anything, so count from its end.
	rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(rest) < 15 {
		return 0, false
	}
	ticks := 0
	for _, f := range rest[11:15] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHz, true
}
