package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/keys"
)

// Scan asks a server for its host keys, each type in a connection of its own,
// and logs in nowhere but at the jump hosts on the way. What it returns is
// what somebody at that address says: nothing has been compared. It fails if
// there is no key at all.
func Scan(ctx context.Context, d Dialer, h Host, log *slog.Logger) ([]ssh.PublicKey, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := h.checkLink(d); err != nil {
		return nil, err
	}
	// A pin that no key has makes the server show one key after another.
	none, err := keys.ParsePin("SHA256:" + strings.Repeat("A", 43))
	if err != nil {
		return nil, err
	}
	if h.HostKeys, err = keys.NewHostKeys(keys.HostKeyOptions{Pins: []keys.Pin{none}, Legacy: h.Legacy}); err != nil {
		return nil, err
	}
	h = h.withDefaults()
	var jump *Conn
	if h.Jump != nil {
		if jump, err = dial(ctx, d, *h.Jump, beside{}, log); err != nil {
			return nil, fmt.Errorf("on the way to %s: %w", h.Name, err)
		}
		defer jump.Close()
		d = jump
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.ConnectTimeout, errConnectTime)
	defer cancel()
	var found []ssh.PublicKey
	for _, algorithms := range h.HostKeys.Groups(h.Address, h.Port) {
		_, err = handshake(ctx, d, h, jump, algorithms, &credentials{}, log)
		var shown *keys.HostKeyError
		switch {
		case errors.As(err, &shown):
			found = append(found, shown.Key)
		case !errors.Is(err, errNoHostKey):
			return found, err
		}
	}
	if len(found) == 0 {
		return nil, err
	}
	return found, nil
}
