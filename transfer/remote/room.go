package remote

import (
	"context"
	"errors"
	"math"

	"linehaul/transfer"
	"linehaul/transfer/sftp"
)

var _ transfer.Roomer = (*sftpFiles)(nil)

// Room asks by statvfs@openssh.com, where the server has that. One that has not
// greeted yet is OpenSSH's, and has it unless it says otherwise.
func (f *sftpFiles) Room(ctx context.Context, path string) (transfer.Room, error) {
	if has, said := f.says(sftp.ExtStatvfs); said && !has {
		return transfer.Room{}, errors.ErrUnsupported
	}
	v, err := leave(ctx, f.c, nil, func() (sftp.Volume, error) { return f.client.Volume(ctx, path) }, nil)
	if err != nil {
		return transfer.Room{}, f.c.fileError("ask for the room in", path, err)
	}
	return room(v, f.c.Info().User == "root"), nil
}

// room judges what a server says of a file system. Numbers that contradict each
// other are no answer, nor are those of a file system that has no size, as some
// that lie on a network have none. That nothing at all is free is not believed
// either, not even for the superuser: file systems say so that do not count. A
// disk that is full for ordinary users has a reserve left as a rule, and is
// believed to be full.
func room(v sftp.Volume, superuser bool) transfer.Room {
	free := v.Available
	if superuser {
		free = v.Free
	}
	if v.BlockSize == 0 || v.Blocks == 0 || v.Available > v.Free || v.Free > v.Blocks || v.Free == 0 {
		return transfer.Room{}
	}
	bytes := uint64(math.MaxUint64)
	if free <= bytes/v.BlockSize {
		bytes = free * v.BlockSize
	}
	return transfer.Room{Volume: v.ID, Free: bytes, Known: true}
}
