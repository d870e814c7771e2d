package config

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"time"
)

// runShell runs a line of the system's shell in dir and returns what it
// printed. Its input and its error output are closed: it may not ask, and what
// it complains about may hold a secret. When ctx ends, it is ended with the
// processes that it started.
func runShell(ctx context.Context, line, dir string) ([]byte, error) {
	var out capped
	cmd := shellCommand(ctx, line)
	cmd.Dir, cmd.Stdout = dir, &out
	// A process that it left behind may hold its output open for ever.
	cmd.WaitDelay = time.Second
	release, err := start(cmd)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := cmd.Wait(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, err
	}
	return out.buf.Bytes(), nil
}

// capped keeps up to maxSecret bytes and refuses more.
type capped struct{ buf bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > maxSecret {
		return 0, errTooLong
	}
	return c.buf.Write(p)
}
