package postgres

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"linehaul/internal/delay"
)

// A Follower has what its leader has, by streaming replication, somewhat
// later. It can be read, and written to once it is promoted.
type Follower struct {
	*Server
	// Line is what the leader's log comes through. What is held there by Pause
	// is lost to a follower that is promoted.
	Line *delay.Line
}

// Follower starts a follower of the server that shows each commit so much
// after it was made. What it has received and not shown yet is not lost when
// it is promoted; see Line for that.
func (s *Server) Follower(t testing.TB, behind time.Duration) *Follower {
	t.Helper()
	f := &Follower{Server: newServer(t), Line: listen(t, s.Addr())}
	t.Cleanup(f.end) // before the line's, as its end would wait for the line's
	f.run(t, []string{"PGPASSWORD=" + Password}, "pg_basebackup", "--pgdata="+f.data, "--host=127.0.0.1",
		"--port="+strconv.Itoa(f.Line.Port()), "--username="+User, "--checkpoint=fast", "--write-recovery-conf", "--no-sync")
	f.configure(t, []string{
		"cluster_name = '" + filepath.Base(f.Dir) + "'",
		fmt.Sprintf("recovery_min_apply_delay = '%dms'", behind.Milliseconds()),
	})
	f.launch(t)
	return f
}

// Promote makes the follower a leader of its own, and returns when it can be
// written to. The old leader is not told.
func (f *Follower) Promote(t testing.TB) {
	t.Helper()
	// pg_promote may give up early on a busy machine, so it is not what waits.
	f.Exec(t, "SELECT pg_promote(false)")
	deadline := time.Now().Add(patience)
	for {
		err := f.Try("CREATE TABLE promoted (); DROP TABLE promoted")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the follower cannot be written to: %v\n%s", err, f.Log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
