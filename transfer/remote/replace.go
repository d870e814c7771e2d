package remote

import (
	"context"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/sftp"
)

// replaceWait is the time that the steps of a replacement may take, once begun.
const replaceWait = 10 * time.Second

// Replace renames in one step where the server has posix-rename@openssh.com.
// Plain renames do not replace (section 6.5 of the draft), so elsewhere the
// old file is moved aside first if there is one. If the new one does not get its place,
// the old one is put back there, or the error says where it is.
func (f *sftpFiles) Replace(ctx context.Context, from, to string) error {
	var taken error // why the rename was refused, if there is a file in its way
	err := f.tell(ctx, "rename to", to, func() error {
		if _, ok := f.client.Extension(sftp.ExtPosixRename); ok {
			return f.client.PosixRename(ctx, from, to)
		}
		err := f.client.Rename(ctx, from, to)
		if err == nil || lost(err) {
			return err
		}
		if info, statErr := f.client.Lstat(ctx, to); statErr != nil || info.Mode.IsDir() {
			return err
		}
		taken = err
		return nil
	})
	if err != nil || taken == nil {
		return err
	}
	// A run that is to end does so after them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replaceWait)
	defer cancel()
	return f.tell(ctx, "rename to", to, func() error { return f.replaceInSteps(ctx, from, to, taken) })
}

// replaceInSteps is Replace where a file is in the way, or where the rename was refused
// for another reason, which refused says.
func (f *sftpFiles) replaceInSteps(ctx context.Context, from, to string, refused error) error {
	aside := transfer.AsideName(from)
	// What an attempt before has moved there is older than what is in place.
	f.client.Remove(ctx, aside) //nolint:errcheck // as a rule, there is none
	err := f.client.Rename(ctx, to, aside)
	switch {
	case err == nil:
	case lost(err):
		return err
	default:
		return refused
	}
	f.c.inSteps.Do(func() {
		f.c.log.Warn("the server cannot replace files in one step: moving old ones aside first", "path", to, "aside", aside)
	})
	if err = f.client.Rename(ctx, from, to); err == nil {
		if err := f.client.Remove(ctx, aside); err != nil {
			f.c.log.Warn("cannot remove the old file that was moved aside", "path", aside, "error", plain(err))
		}
		return nil
	}
	if lost(err) || f.client.Rename(ctx, aside, to) == nil {
		return err
	}
	return fault.New(fault.RemoteFile, "%w, and the file that was there is now %q", plain(err), aside).
		WithHint("a run that puts the new file there removes it; or rename it back by hand")
}
