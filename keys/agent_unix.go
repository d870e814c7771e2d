//go:build !windows

package keys

import (
	"context"

	"linehaul/fault"
	"linehaul/keys/pageant"
)

// dialAgent connects to the agent whose socket where is.
func dialAgent(ctx context.Context, where string) (conn pageant.Conn, name string, err error) {
	if where == "" {
		return nil, "", fault.New(fault.Key, "connect to the ssh-agent: SSH_AUTH_SOCK is not set").
			WithHint("start an agent with `eval $(ssh-agent)` and `ssh-add FILE`; a service does not see the agent of a login")
	}
	if conn, err = dialSocket(ctx, where); err != nil {
		return nil, "", fault.New(fault.Key, "connect to the ssh-agent at %q: %w", where, err).
			WithHint("no agent listens there: start one with `eval $(ssh-agent)` and `ssh-add FILE`, or check SSH_AUTH_SOCK")
	}
	return conn, where, nil
}
