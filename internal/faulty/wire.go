package faulty

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// The bytes of SFTP: packets, and the attributes and names in them, read and
// written.

// The packet types of section 3 of the draft.
const (
	typeInit     = 1
	typeVersion  = 2
	typeStatus   = 101
	typeHandle   = 102
	typeData     = 103
	typeName     = 104
	typeAttrs    = 105
	typeExtended = 200
	typeReply    = 201
)

// ops are the names of the requests by their type.
func ops(kind byte) string {
	names := [...]string{3: "open", "close", "read", "write", "lstat", "fstat", "setstat", "fsetstat", "opendir", "readdir",
		"remove", "mkdir", "rmdir", "realpath", "stat", "rename", "readlink", "symlink"}
	if int(kind) < len(names) {
		return names[kind]
	}
	return ""
}

// Which attributes are present (section 5).
const (
	attrSize        = 0x00000001
	attrUIDGID      = 0x00000002
	attrPermissions = 0x00000004
	attrTimes       = 0x00000008
)

// An encoder appends to a packet, whose first four bytes are its length.
type encoder struct{ b []byte }

func begin(kind byte) *encoder { return &encoder{append(make([]byte, 4, 64), kind)} }

// reply begins an answer to a request.
func reply(kind byte, id uint32) *encoder { return begin(kind).uint32(id) }

func (e *encoder) uint32(v uint32) *encoder {
	e.b = binary.BigEndian.AppendUint32(e.b, v)
	return e
}

func (e *encoder) uint64(v uint64) *encoder {
	e.b = binary.BigEndian.AppendUint64(e.b, v)
	return e
}

func (e *encoder) string(s string) *encoder {
	e.b = append(binary.BigEndian.AppendUint32(e.b, uint32(len(s))), s...)
	return e
}

func (e *encoder) info(i Info) *encoder {
	mode := uint32(i.Mode.Perm())
	switch {
	case i.Mode.IsRegular():
		mode |= 0o100000
	case i.Mode.IsDir():
		mode |= 0o040000
	case i.Mode&fs.ModeSymlink != 0:
		mode |= 0o120000
	}
	t := uint32(i.MTime.Unix())
	return e.uint32(attrSize | attrPermissions | attrTimes).uint64(uint64(i.Size)).uint32(mode).uint32(t).uint32(t)
}

func (e *encoder) seal() []byte {
	binary.BigEndian.PutUint32(e.b, uint32(len(e.b)-4))
	return e.b
}

// status is an answer of that type.
func status(id, code uint32, text string) []byte {
	return reply(typeStatus, id).uint32(code).string(text).string("en").seal()
}

// failed is the status that an error stands for.
func failed(id uint32, err error) []byte {
	switch {
	case err == nil:
		return status(id, 0, "OK")
	case errors.Is(err, io.EOF):
		return status(id, 1, "End of file")
	case errors.Is(err, fs.ErrNotExist):
		return status(id, NoSuchFile, "No such file")
	case errors.Is(err, fs.ErrPermission):
		return status(id, PermissionDenied, "Permission denied")
	}
	return status(id, Failure, "Failure")
}

// Data is an answer to a read, for Faults.Tamper: id is taken from the packet
// that it replaces.
func Data(packet, content []byte) []byte {
	return reply(typeData, IDOf(packet)).string(string(content)).seal()
}

// IDOf is the request that a packet answers.
func IDOf(packet []byte) uint32 { return binary.BigEndian.Uint32(packet[5:]) }

// A decoder takes a packet apart. After the first thing that is not there it
// returns zeroes, and short is set.
type decoder struct {
	b     []byte
	short bool
}

func (d *decoder) take(n uint32) []byte {
	if uint64(n) > uint64(len(d.b)) {
		d.short, d.b = true, nil
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) string() string { return string(d.take(d.uint32())) }

// attrs are what a client sets.
type attrs struct {
	flags uint32
	size  int64
	mode  os.FileMode
	mtime time.Time
}

func (d *decoder) attrs() attrs {
	a := attrs{flags: d.uint32()}
	if a.flags&attrSize != 0 {
		a.size = int64(d.uint64())
	}
	if a.flags&attrUIDGID != 0 {
		d.uint64()
	}
	if a.flags&attrPermissions != 0 {
		a.mode = os.FileMode(d.uint32() & 0o777)
	}
	if a.flags&attrTimes != 0 {
		d.uint32()
		a.mtime = time.Unix(int64(d.uint32()), 0)
	}
	return a
}
