package sftp

import (
	"context"
	"io"
	"iter"
)

// Stat describes what path leads to, through symbolic links (section 6.8).
func (c *Client) Stat(ctx context.Context, path string) (Info, error) {
	return infoOf(c.do(ctx, statPacket(path), typeAttrs))
}

func statPacket(path string) *encoder { return begin(typeStat, 4+len(path)).string(path) }

// Lstat describes path itself.
func (c *Client) Lstat(ctx context.Context, path string) (Info, error) {
	return infoOf(c.do(ctx, begin(typeLstat, 4+len(path)).string(path), typeAttrs))
}

// Set sets attributes of what path leads to (section 6.9).
func (c *Client) Set(ctx context.Context, path string, a Attrs) error {
	return c.ask(ctx, begin(typeSetstat, 40+len(path)).string(path).attrs(a))
}

// Remove removes a file, and no folder (section 6.5).
func (c *Client) Remove(ctx context.Context, path string) error {
	return c.ask(ctx, begin(typeRemove, 4+len(path)).string(path))
}

// Mkdir makes one folder (section 6.6).
func (c *Client) Mkdir(ctx context.Context, path string, a Attrs) error {
	return c.ask(ctx, begin(typeMkdir, 40+len(path)).string(path).attrs(a))
}

// Rmdir removes an empty folder.
func (c *Client) Rmdir(ctx context.Context, path string) error {
	return c.ask(ctx, begin(typeRmdir, 4+len(path)).string(path))
}

// Rename renames, and replaces nothing on most servers (section 6.5).
func (c *Client) Rename(ctx context.Context, from, to string) error {
	return c.ask(ctx, begin(typeRename, 8+len(from)+len(to)).string(from).string(to))
}

// ExtPosixRename renames over what is there, in one step (OpenSSH's PROTOCOL,
// section 4.3).
const ExtPosixRename = "posix-rename@openssh.com"

// PosixRename renames over what is there. The server must have ExtPosixRename.
func (c *Client) PosixRename(ctx context.Context, from, to string) error {
	e := begin(typeExtended, 12+len(ExtPosixRename)+len(from)+len(to))
	return c.ask(ctx, e.string(ExtPosixRename).string(from).string(to))
}

// Readlink returns what a symbolic link says (section 6.10).
func (c *Client) Readlink(ctx context.Context, path string) (string, error) {
	return nameOf(c.do(ctx, begin(typeReadlink, 4+len(path)).string(path), typeName))
}

// Realpath returns a path as the server writes it in full (section 6.11).
func (c *Client) Realpath(ctx context.Context, path string) (string, error) {
	return nameOf(c.do(ctx, begin(typeRealpath, 4+len(path)).string(path), typeName))
}

// nameOf reads an answer with a single name in it.
func nameOf(d *decoder, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if n := d.uint32(); n != 1 && !d.short {
		return "", broken("%d names where one belongs", n)
	}
	return parsed(d.string(), d, "a name")
}

// Symlink makes a symbolic link at path that says target. The order on the
// wire is OpenSSH's, which is not that of section 6.10, and which most servers
// have followed; whoever needs to be sure reads the link back.
func (c *Client) Symlink(ctx context.Context, target, path string) error {
	return c.ask(ctx, begin(typeSymlink, 8+len(target)+len(path)).string(target).string(path))
}

// ask sends a request that is answered with a status alone.
func (c *Client) ask(ctx context.Context, e *encoder) error {
	_, err := c.do(ctx, e, typeStatus)
	return err
}

// Limits are what limits@openssh.com says (OpenSSH's PROTOCOL, section 4.8):
// bytes, and 0 where the server sets none.
type Limits struct{ Packet, Read, Write, Handles uint64 }

// ExtLimits is the extension that Limits asks.
const ExtLimits = "limits@openssh.com"

// Limits asks for the server's limits. The server must have ExtLimits.
func (c *Client) Limits(ctx context.Context) (Limits, error) {
	body, err := c.Extended(ctx, ExtLimits, nil)
	if err != nil {
		return Limits{}, err
	}
	d := &decoder{b: body}
	return parsed(Limits{d.uint64(), d.uint64(), d.uint64(), d.uint64()}, d, "the server's limits")
}

// ExtStatvfs is the extension that Volume asks (OpenSSH's PROTOCOL, section
// 4.4).
const ExtStatvfs = "statvfs@openssh.com"

// A Volume is a file system as statvfs describes it. The numbers are the
// server's word.
type Volume struct {
	BlockSize uint64 // bytes, of the blocks below
	Blocks    uint64 // in all
	Free      uint64 // for the superuser
	Available uint64 // for others
	ID        uint64
}

// Volume describes the file system that holds path. The server must have
// ExtStatvfs.
func (c *Client) Volume(ctx context.Context, path string) (Volume, error) {
	body, err := c.Extended(ctx, ExtStatvfs, begin(0, 4+len(path)).string(path).b[9:])
	if err != nil {
		return Volume{}, err
	}
	d := &decoder{b: body}
	d.uint64() // the block size that is best for reading
	v := Volume{BlockSize: d.uint64(), Blocks: d.uint64(), Free: d.uint64(), Available: d.uint64()}
	for range 3 {
		d.uint64() // of files: how many there may be, and are left for the superuser and for others
	}
	v.ID = d.uint64()
	return parsed(v, d, "the size of the file system")
}

// A Name is one entry of a folder.
type Name struct {
	Name string // as the server sent it, "." and ".." too
	Info
}

// ahead is how many requests for more names are under way at most. OpenSSH
// sends 100 names at a time, so that a large folder takes many.
const ahead = 16

// Names lists a folder, in the order of the server, without holding more than
// a few answers at a time (section 6.7). It ends after an error.
func (c *Client) Names(ctx context.Context, path string) iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		requests, foreseen, err := c.sendOpening(begin(typeOpendir, 4+len(path)).string(path), func(handle string) []outgoing {
			return []outgoing{readdirPacket(handle).request(), readdirPacket(handle).request()}
		})
		if err != nil {
			yield(Name{}, err)
			return
		}
		f, err := c.newFile(c.take(ctx, requests[0], typeHandle))
		asked := requests[1:]
		if err != nil || f.handle != foreseen {
			for _, q := range asked {
				c.leave(q)
			}
			asked = nil
		}
		if err != nil {
			yield(Name{}, err)
			return
		}
		defer f.Drop()
		if more, err := f.names(ctx, asked, yield); more && err != nil {
			yield(Name{}, err)
		}
	}
}

func readdirPacket(handle string) *encoder { return begin(typeReaddir, 4+len(handle)).string(handle) }

// names asks for names until there are no more, or nobody wants more; the more
// come, the more is asked for at a time. Some may have been asked for.
func (f *File) names(ctx context.Context, asked []*request, yield func(Name, error) bool) (more bool, err error) {
	// Two to begin with: most folders end with the second answer.
	for want := 2; ; want = min(2*want, ahead) {
		for len(asked) < want {
			q, err := f.c.send(readdirPacket(f.handle))
			if err != nil {
				return true, err
			}
			asked = append(asked, q)
		}
		d, err := f.c.take(ctx, asked[0], typeName)
		asked = asked[1:]
		if err != nil {
			for _, q := range asked {
				f.c.leave(q)
			}
			if err == io.EOF {
				return true, nil
			}
			return true, err
		}
		n := d.uint32()
		if n == 0 || n > maxNames {
			return true, broken("an answer with %d names", n)
		}
		for range n {
			name := d.string()
			d.string() // the line that ls -l would show
			entry := Name{name, d.info()}
			if d.short {
				return true, broken("the names in a folder do not parse")
			}
			if !yield(entry, nil) {
				return false, nil
			}
		}
	}
}
