//go:build !windows

package keys_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/keys"
)

func TestOpenAgentRefuses(t *testing.T) {
	_, err := keys.OpenAgent(t.Context(), "")
	wantFault(t, err, fault.Key, "SSH_AUTH_SOCK is not set", "ssh-add FILE")
	absent := filepath.Join(t.TempDir(), "none")
	_, err = keys.OpenAgent(t.Context(), absent)
	wantFault(t, err, fault.Key, "connect to the ssh-agent at", "no agent listens there")
	if strings.Count(err.Error(), absent) != 1 {
		t.Errorf("the path stands twice in %q", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the run was stopped")
	cancel(stop)
	if _, err := keys.OpenAgent(ctx, absent); err != stop {
		t.Errorf("got %v, want the cause", err)
	}
}
