package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"linehaul/transfer"
	"linehaul/transfer/scp"
	"linehaul/transfer/sftp"
)

// What follows a transfer: sources are moved or removed, and old copies and
// their folders.
var (
	_ transfer.Mover         = (*sftpFiles)(nil)
	_ transfer.AttrSetter    = (*sftpFiles)(nil)
	_ transfer.LinkStater    = (*sftpFiles)(nil)
	_ transfer.FolderRemover = (*sftpFiles)(nil)
	_ transfer.Mover         = (*scpFiles)(nil)
	_ transfer.LinkStater    = (*scpFiles)(nil)
	_ transfer.FolderRemover = (*scpFiles)(nil)
)

// Move uses a plain rename, which does not replace (section 6.5 of the draft;
// OpenSSH makes a link and removes the old name). As some servers replace all
// the same, it looks before.
func (f *sftpFiles) Move(ctx context.Context, from, to string) error {
	return f.tell(ctx, "move to", to, func() error {
		switch _, err := f.client.Lstat(ctx, to); {
		case err == nil:
			return fs.ErrExist
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		err := f.client.Rename(ctx, from, to)
		if err == nil || lost(err) {
			return err
		}
		// Version 3 has no status for a name that is taken.
		if _, statErr := f.client.Lstat(ctx, to); statErr == nil {
			return fs.ErrExist
		}
		return err
	})
}

func (f *sftpFiles) Lstat(ctx context.Context, name string) (transfer.Entry, error) {
	info, err := f.ask(ctx, func() (sftp.Info, error) { return f.client.Lstat(ctx, name) })
	if err != nil {
		return transfer.Entry{}, f.c.fileError("look at", name, err)
	}
	return entry(path.Base(name), info), nil
}

func (f *sftpFiles) RemoveFolder(ctx context.Context, name string) error {
	return f.tell(ctx, "remove folder", name, func() error { return f.client.Rmdir(ctx, name) })
}

// SetAttrs sets the mode, unless it is 0, and the time.
func (f *sftpFiles) SetAttrs(ctx context.Context, name string, a transfer.Attrs) error {
	return f.tell(ctx, "set mode and time of", name, func() error {
		return f.client.Set(ctx, name, sftp.Attrs{SetMode: a.Mode != 0, Mode: a.Mode.Perm(), MTime: a.MTime})
	})
}

// Move has mv refuse to replace, and then looks whether it did anything: some
// say nothing where they refuse.
func (f *scpFiles) Move(ctx context.Context, from, to string) error {
	a, _, err := scp.Target(from)
	if err != nil {
		return f.c.fileError("move", from, err)
	}
	b, _, err := scp.Target(to)
	if err != nil {
		return f.c.fileError("move to", to, err)
	}
	a, b = scp.Quote(a), scp.Quote(b)
	err = f.command(ctx, fmt.Sprintf("test ! -e %s && test ! -L %s && mv -n -- %s %s && test ! -e %s", b, b, a, b, a))
	var exit *exitError
	if errors.As(err, &exit) && exit.status == 1 && exit.words == "" {
		err = fs.ErrExist // mv would have said something
	}
	return f.c.fileError("move to", to, err)
}

func (f *scpFiles) Lstat(ctx context.Context, path string) (transfer.Entry, error) {
	arg, name, err := scp.Target(path)
	if err != nil {
		return transfer.Entry{}, f.c.fileError("look at", path, err)
	}
	err = f.command(ctx, "test -L "+scp.Quote(arg))
	var exit *exitError
	switch {
	case err == nil:
		return transfer.Entry{Name: name, Mode: fs.ModeSymlink | 0o777}, nil
	case errors.As(err, &exit) && exit.status == 1 && exit.words == "":
		return f.Stat(ctx, path)
	}
	return transfer.Entry{}, f.c.fileError("look at", path, err)
}

func (f *scpFiles) RemoveFolder(ctx context.Context, path string) error {
	arg, _, err := scp.Target(path)
	if err == nil {
		err = f.command(ctx, "rmdir -- "+scp.Quote(arg))
	}
	return f.c.fileError("remove folder", path, err)
}
