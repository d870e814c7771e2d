package keys

import (
	"context"

	"linehaul/fault"
	"linehaul/keys/pageant"
)

// dialAgent searches for an agent, or connects to the pipe or socket that where
// is.
func dialAgent(ctx context.Context, where string) (conn pageant.Conn, name string, err error) {
	if where == "" || where == "agent" {
		if conn, name, err = pageant.Dial(ctx); err != nil {
			return nil, "", fault.New(fault.Key, "connect to the ssh-agent: %w", err).
				WithHint("start Pageant and add the key there, or start the service ssh-agent and run `ssh-add FILE`; a service does not see the Pageant of a login")
		}
		return conn, name, nil
	}
	name, isPipe := pageant.PipeName(where)
	if isPipe {
		conn, err = pageant.DialPipe(ctx, name)
	} else {
		name = where
		conn, err = dialSocket(ctx, where)
	}
	if err != nil {
		return nil, "", fault.New(fault.Key, "connect to the ssh-agent at %q: %w", name, err).
			WithHint(`unset SSH_AUTH_SOCK to have the agent searched for, or name its pipe, as in \\.\pipe\openssh-ssh-agent; sockets of Cygwin and Git Bash are not for other programs`)
	}
	return conn, name, nil
}
