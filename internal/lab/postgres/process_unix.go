//go:build unix

package postgres

import (
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// freeze stops a process and all that descend from it. The first round stops
// the one that makes the others, so that the second finds all of them.
func freeze(p *lab.Process) {
	tell(p, syscall.SIGSTOP)
	tell(p, syscall.SIGSTOP)
}

// thaw lets them go on.
func thaw(p *lab.Process) { tell(p, syscall.SIGCONT) }

// tell sends a signal to all of them, unless the process has ended and its id
// may be another's.
func tell(p *lab.Process, sig syscall.Signal) {
	if !p.Wait(time.Millisecond) {
		p.Signal(sig)
	}
}

// farewell waits until its input ends, which it does with the test's process,
// however that ends. Then it kills what still lives in the data folder $1, gives
// back the System V memory that a killed server leaves (the seventh line of
// postmaster.pid names it), and removes the folder.
const farewell = `cat > /dev/null
left() { find /proc -mindepth 2 -maxdepth 2 -name cwd '(' -lname "$1" -o -lname "$1 (deleted)" ')' | cut -d/ -f3; }
rounds=0
while pids=$(left "$1"); [ -n "$pids" ] && [ $rounds -lt 200 ]; do
	kill -9 $pids
	rounds=$((rounds+1)); sleep 0.05
done
pid="$1/postmaster.pid"
if [ -f "$pid" ]; then
	[ -d /proc/self ] || kill -9 "$(sed -n 1p "$pid")"
	ipcrm -m "$(sed -n '7s/.* //p' "$pid")"
fi
rm -rf "$1"
`

// guard starts the process that cleans up after the server, whether or not the
// test's process is still there to do so.
func (s *Server) guard(t testing.TB) {
	t.Helper()
	all := slices.Concat(s.as(), []string{"sh", "-c", farewell, "sh", s.data})
	cmd := exec.Command(lab.Path(all[0]), all[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of a terminal's ^C
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start the guard of postgres: %v", err)
	}
	s.ends = append(s.ends, func() {
		in.Close()
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait()
	})
}
