package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
	"linehaul/keys"
)

// keyStatus is what known_hosts says of a key that is to be added to it.
type keyStatus string

const (
	keyAdded    keyStatus = "added"    // nothing is known against it; a dry run adds nothing
	keyKnown    keyStatus = "known"    // it is there already
	keyConflict keyStatus = "conflict" // another key of its type is there
	keyRevoked  keyStatus = "revoked"  // it is marked @revoked
)

// ownKnownHosts is the file that keys are added to: the flag's or the user's.
func (a *app) ownKnownHosts(flag string) (string, error) {
	switch {
	case flag != "":
		return flag, nil
	case a.home() == "":
		return "", fault.New(fault.Usage, "no known_hosts file to add to").WithHint("name one with --known-hosts FILE")
	}
	return filepath.Join(a.home(), ".ssh", "known_hosts"), nil
}

// judge reads known_hosts files, which may be absent.
func (a *app) judge(files ...string) (*keys.HostKeys, error) {
	var known []keys.KnownHostsFile
	for _, f := range files {
		known = append(known, keys.KnownHostsFile{Path: f})
	}
	return keys.NewHostKeys(keys.HostKeyOptions{Files: known, Warn: a.place().Warn})
}

// judged makes a status of what keys.HostKeys.Check says of a key, and says
// what is known instead. A server has a key of each type: one of another type
// than the known ones is no conflict, as it would be in a login.
func judged(err error, keyType string) (status keyStatus, instead string) {
	if err == nil {
		return keyKnown, ""
	}
	var refused *keys.HostKeyError
	if !errors.As(err, &refused) {
		return keyConflict, err.Error()
	}
	switch refused.Reason {
	case keys.Unknown:
		return keyAdded, ""
	case keys.Revoked:
		return keyRevoked, refused.Want[0].String()
	case keys.Changed, keys.NotPinned, keys.CertRefused:
		for _, known := range refused.Want {
			if known.Type == keyType {
				return keyConflict, known.String()
			}
		}
	}
	return keyAdded, ""
}

// trust adds the line of a key whose fingerprint somebody has compared: so
// also beside another one of its type.
func (a *app) trust(ctx context.Context, file, line string, status keyStatus) error {
	switch status {
	case keyKnown:
		a.note("the key is in %s already", file)
		return nil
	case keyRevoked:
		return fault.New(fault.HostKeyChanged, "the key is marked @revoked in %q", file).
			WithHint("do not trust this key again: ask the server's administrator for a new one, and why the old one was revoked")
	case keyAdded, keyConflict:
	}
	if err := appendKnown(ctx, file, line); err != nil {
		return err
	}
	a.note("added to %s: %s", file, line)
	return nil
}

// lockWait is how long to wait for another linehaul that adds to the same file.
// It takes milliseconds.
const (
	lockWait  = 10 * time.Second
	lockPause = 5 * time.Millisecond
)

// appendKnown adds lines to a known_hosts file and changes nothing in it. They
// begin on a line of their own also where the file's last one has no end: it
// may have none because somebody edited it, or because whoever added it was
// killed in the middle.
func appendKnown(ctx context.Context, file string, lines ...string) error {
	if len(lines) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fault.New(fault.LocalDisk, "make the folder of %q: %w", file, err)
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() { // opening a FIFO would wait
		return fault.New(fault.Usage, "add to %q: not a file", file).WithHint("name a file with --known-hosts FILE")
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fault.New(fault.LocalDisk, "open %q: %w", file, err)
	}
	err = lockKnown(ctx, f)
	if err == nil {
		err = appendLines(f, lines)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fault.Wrap(fault.LocalDisk, fmt.Errorf("add to %q: %w", file, err))
	}
	return nil
}

// lockKnown waits until no other linehaul adds to the file: not every system
// appends the bytes of two writers one after the other. Where the file system
// has no locks, it goes on without.
func lockKnown(ctx context.Context, f *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, errors.New("another linehaul is adding to it all the time"))
	defer cancel()
	for {
		if ok, err := flock.TryLock(f); ok || err != nil {
			return nil // a lock is better than none, and none no reason to stop
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// appendLines writes the lines with one call, so that others who append do not
// come between them, and waits until the disk has them.
func appendLines(f *os.File, lines []string) error {
	text := strings.Join(lines, "\n") + "\n"
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			text = "\n" + text
		}
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}
