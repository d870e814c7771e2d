package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/scp"
	"linehaul/transfer/sftp"
)

// maxAuthorized bounds what is read of a file of authorized keys, in bytes.
const maxAuthorized = 1 << 20

// AuthorizedKeys is the file that OpenSSH reads by default (sshd_config(5)).
const AuthorizedKeys = ".ssh/authorized_keys"

// Authorize adds a public key line to a file of authorized keys in the login
// folder, such as AuthorizedKeys, unless it holds the key already. The file is
// replaced in one step and what it held is kept; a new file gets the mode 600
// and a new folder 700, as servers want them. It reports whether the key was
// added.
func (c *Conn) Authorize(ctx context.Context, file, line string) (bool, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return false, fault.New(fault.Key, "the public key cannot be read: %w", err)
	}
	files, err := c.Files(ctx)
	if err != nil {
		return false, err
	}
	old, mode, err := readAuthorized(ctx, files, file)
	if err != nil {
		return false, err
	}
	for l := range strings.Lines(string(old)) {
		if other, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l)); err == nil && bytes.Equal(other.Marshal(), key.Marshal()) {
			return false, nil
		}
	}
	if dir, _, found := strings.Cut(file, "/"); found {
		if _, err := files.Stat(ctx, dir); errors.Is(err, fs.ErrNotExist) {
			if err := c.makePrivate(ctx, files, dir); err != nil {
				return false, err
			}
		}
	}
	text := bytes.TrimRight(old, "\n")
	if len(text) > 0 {
		text = append(text, '\n')
	}
	text = append(text, strings.TrimSpace(line)+"\n"...)
	return true, writeAuthorized(ctx, files, file, text, mode)
}

// readAuthorized returns what the file holds, and the mode to give it.
func readAuthorized(ctx context.Context, files transfer.WritableRemote, file string) ([]byte, fs.FileMode, error) {
	r, err := files.Open(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0o600, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	entry, err := r.Stat(ctx)
	if err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxAuthorized+1))
	if err == nil && len(text) > maxAuthorized {
		err = fault.New(fault.RemoteFile, "%q is larger than %d bytes", file, maxAuthorized)
	}
	return text, entry.Mode.Perm(), err
}

func writeAuthorized(ctx context.Context, files transfer.WritableRemote, file string, text []byte, mode fs.FileMode) error {
	temp := fmt.Sprintf("%s.%d.part", file, time.Now().UnixNano())
	w, err := files.Create(ctx, temp, transfer.Attrs{Size: int64(len(text)), Mode: mode})
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	if err == nil {
		err = w.Commit(ctx)
	}
	err = errors.Join(err, w.Close())
	if err == nil {
		err = files.Replace(ctx, temp, file)
	}
	if err != nil {
		return errors.Join(err, files.Remove(context.WithoutCancel(ctx), temp))
	}
	return nil
}

// makePrivate makes a folder that only its owner may enter.
func (c *Conn) makePrivate(ctx context.Context, files transfer.WritableRemote, dir string) error {
	if err := files.Mkdir(ctx, dir); err != nil {
		return err
	}
	switch f := files.(type) {
	case *sftpFiles:
		return c.fileError("set the mode of", dir, c.do(ctx, func() error { return f.client.Set(ctx, dir, sftp.Attrs{SetMode: true, Mode: 0o700}) }))
	case *scpFiles:
		return c.fileError("set the mode of", dir, f.command(ctx, "chmod 700 -- "+scp.Quote(dir)))
	}
	return nil
}
