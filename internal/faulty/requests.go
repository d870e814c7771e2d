package faulty

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// A request with what its kind has besides.
type request struct {
	Request
	handle string
	flags  uint32 // of an open
	attrs  attrs
	data   []byte // of a write
	target string // of a rename or link
}

// parse reads a request. Sections 6.3 to 6.11 of the draft, and 4 of OpenSSH's
// PROTOCOL.
func (c *session) parse(kind byte, d *decoder) request {
	q := request{}
	q.Op = ops(kind)
	if kind == typeExtended {
		q.Op = d.string()
	}
	switch q.Op {
	case "open":
		q.Path, q.flags, q.attrs = below(d.string()), d.uint32(), d.attrs()
		q.Create = q.flags&openCreate != 0
	case "close", "fstat", "readdir", "fsync@openssh.com":
		q.handle = d.string()
	case "read":
		q.handle, q.Offset, q.Length = d.string(), int64(d.uint64()), int(d.uint32())
	case "write":
		q.handle, q.Offset = d.string(), int64(d.uint64())
		q.data = d.take(d.uint32())
		q.Length = len(q.data)
	case "fsetstat":
		q.handle, q.attrs = d.string(), d.attrs()
	case "setstat", "mkdir":
		q.Path, q.attrs = below(d.string()), d.attrs()
	case "rename", "posix-rename@openssh.com":
		q.Path, q.target = below(d.string()), below(d.string())
	case "symlink": // in OpenSSH's order
		q.target, q.Path = d.string(), below(d.string())
	case "lstat", "stat", "opendir", "remove", "rmdir", "realpath", "readlink":
		q.Path = below(d.string())
	}
	if h := c.files[q.handle]; h != nil {
		q.Path = h.path
	}
	return q
}

// below takes a client's path below the root.
func below(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}

// folded is a path in the letters of what is there.
func (c *session) folded(p string) string {
	at := ""
	for name := range strings.SplitSeq(p, "/") {
		if dir, err := c.root.Open(path.Join(".", at)); err == nil {
			names, _ := dir.Readdirnames(-1)
			dir.Close()
			if i := slices.IndexFunc(names, func(there string) bool { return strings.EqualFold(there, name) }); i >= 0 {
				name = names[i]
			}
		}
		at = path.Join(at, name)
	}
	return at
}

// How a file is opened (section 6.3).
const (
	openRead   = 0x01
	openWrite  = 0x02
	openCreate = 0x08
	openTrunc  = 0x10
	openExcl   = 0x20
)

// carryOut does what is asked and returns the answer.
func (c *session) carryOut(f Faults, id uint32, q request) []byte {
	h := c.files[q.handle]
	if q.handle != "" && h == nil {
		return status(id, Failure, "no such handle")
	}
	switch q.Op {
	case "open", "opendir":
		return c.openFile(f, id, q)
	case "close":
		delete(c.files, q.handle)
		return failed(id, h.file.Close())
	case "read":
		return read(f, id, q, h)
	case "write":
		_, err := h.file.WriteAt(q.data, q.Offset)
		return failed(id, err)
	case "fstat":
		info, err := h.file.Stat()
		return described(f, id, h.path, info, err)
	case "stat":
		info, err := c.root.Stat(q.Path)
		return described(f, id, q.Path, info, err)
	case "lstat":
		info, err := c.root.Lstat(q.Path)
		return described(f, id, q.Path, info, err)
	case "readdir":
		return c.list(f, id, h)
	case "realpath":
		return reply(typeName, id).uint32(1).string(path.Clean("/" + q.Path)).string("").uint32(0).seal()
	case "readlink":
		text, err := c.root.Readlink(q.Path)
		if err != nil {
			return failed(id, err)
		}
		return reply(typeName, id).uint32(1).string(text).string("").uint32(0).seal()
	case "limits@openssh.com":
		most := uint64(cmp.Or(f.Most, 261120)) //nolint:gosec // the test's own number
		return reply(typeReply, id).uint64(256 << 10).uint64(most).uint64(most).uint64(0).seal()
	}
	known, err := c.change(q, h)
	if !known {
		return status(id, 8, "Operation unsupported")
	}
	return failed(id, err)
}

// change does what is answered with a status alone.
func (c *session) change(q request, h *handle) (known bool, err error) {
	switch q.Op {
	case "fsetstat":
		return true, c.set(h.path, q.attrs)
	case "setstat":
		return true, c.set(q.Path, q.attrs)
	case "remove":
		if info, err := c.root.Lstat(q.Path); err == nil && info.IsDir() {
			return true, errors.New("is a folder")
		}
		return true, c.root.Remove(q.Path)
	case "rmdir":
		return true, c.root.Remove(q.Path)
	case "mkdir":
		return true, c.root.Mkdir(q.Path, 0o755)
	case "rename": // section 6.5: a target that exists is an error
		if _, err := c.root.Lstat(q.target); err == nil {
			return true, fs.ErrExist
		}
		return true, c.root.Rename(q.Path, q.target)
	case "posix-rename@openssh.com":
		return true, c.root.Rename(q.Path, q.target)
	case "fsync@openssh.com":
		return true, h.file.Sync()
	case "symlink":
		return true, c.root.Symlink(q.target, q.Path)
	}
	return false, nil
}

func (c *session) openFile(f Faults, id uint32, q request) []byte {
	flag := os.O_RDONLY
	switch q.flags & (openRead | openWrite) {
	case openWrite:
		flag = os.O_WRONLY
	case openRead | openWrite:
		flag = os.O_RDWR
	}
	for bit, add := range map[uint32]int{openCreate: os.O_CREATE, openTrunc: os.O_TRUNC, openExcl: os.O_EXCL} {
		if q.flags&bit != 0 {
			flag |= add
		}
	}
	mode := os.FileMode(0o666)
	if q.attrs.flags&attrPermissions != 0 {
		mode = q.attrs.mode
	}
	file, err := c.root.OpenFile(q.Path, flag, mode)
	if err != nil {
		return failed(id, err)
	}
	h := &handle{path: q.Path, file: file}
	if q.Op == "opendir" {
		if h.names, err = file.ReadDir(-1); err != nil {
			file.Close()
			return failed(id, err)
		}
	}
	return reply(typeHandle, id).string(c.keep(f, h)).seal()
}

func read(f Faults, id uint32, q request, h *handle) []byte {
	n := min(q.Length, 261120)
	if f.MaxRead > 0 {
		n = min(n, f.MaxRead)
	}
	buf := make([]byte, n)
	n, err := h.file.ReadAt(buf, q.Offset)
	if n == 0 && err != nil {
		return failed(id, err)
	}
	return reply(typeData, id).string(string(buf[:n])).seal()
}

// namesAtOnce is how many entries one answer has.
const namesAtOnce = 100

func (c *session) list(f Faults, id uint32, h *handle) []byte {
	if len(h.names) == 0 {
		return failed(id, io.EOF)
	}
	some := h.names[:min(namesAtOnce, len(h.names))]
	h.names = h.names[len(some):]
	var entries encoder
	count := uint32(0)
	for _, e := range some {
		info, err := e.Info()
		if err != nil {
			continue // it is gone meanwhile
		}
		entries.string(e.Name()).string(e.Name()).info(about(f, path.Join(h.path, e.Name()), info))
		count++
	}
	if count == 0 {
		return c.list(f, id, h)
	}
	e := reply(typeName, id).uint32(count)
	e.b = append(e.b, entries.b...)
	return e.seal()
}

func about(f Faults, name string, info fs.FileInfo) Info {
	i := Info{Size: info.Size(), Mode: info.Mode(), MTime: info.ModTime()}
	if f.Describe != nil {
		f.Describe(name, &i)
	}
	return i
}

func described(f Faults, id uint32, name string, info fs.FileInfo, err error) []byte {
	if err != nil {
		return failed(id, err)
	}
	return reply(typeAttrs, id).info(about(f, name, info)).seal()
}

func (c *session) set(name string, a attrs) error {
	var err error
	if a.flags&attrSize != 0 {
		f, openErr := c.root.OpenFile(name, os.O_WRONLY, 0)
		if openErr != nil {
			return openErr
		}
		err = errors.Join(f.Truncate(a.size), f.Close())
	}
	if a.flags&attrPermissions != 0 {
		err = errors.Join(err, c.root.Chmod(name, a.mode))
	}
	if a.flags&attrTimes != 0 {
		err = errors.Join(err, c.root.Chtimes(name, time.Time{}, a.mtime))
	}
	return err
}
