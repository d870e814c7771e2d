package sftp

import (
	"encoding/binary"
	"io/fs"
	"time"
)

// An encoder appends to a packet. The first nine bytes are the header.
type encoder struct {
	b      []byte
	closes string // a handle that the request gives back
}

// begin starts a packet; seal gives it its length and id.
func begin(kind byte, room int) *encoder {
	b := make([]byte, 9, 9+room)
	b[4] = kind
	return &encoder{b: b}
}

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

func (e *encoder) attrs(a Attrs) *encoder {
	var flags uint32
	if a.SetSize {
		flags |= attrSize
	}
	if a.SetMode {
		flags |= attrPermissions
	}
	if !a.MTime.IsZero() {
		flags |= attrTimes
	}
	e.uint32(flags)
	if a.SetSize {
		e.uint64(uint64(a.Size))
	}
	if a.SetMode {
		e.uint32(uint32(a.Mode.Perm()))
	}
	if !a.MTime.IsZero() {
		t := wireTime(a.MTime)
		e.uint32(t).uint32(t)
	}
	return e
}

// seal completes the header.
func (e *encoder) seal(id uint32) []byte {
	binary.BigEndian.PutUint32(e.b, uint32(len(e.b)-4))
	binary.BigEndian.PutUint32(e.b[5:], id)
	return e.b
}

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

func (d *decoder) uint32() uint32 {
	b := d.take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (d *decoder) uint64() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (d *decoder) string() string { return string(d.take(d.uint32())) }

// Which attributes are present (section 5).
const (
	attrSize        = 0x00000001
	attrUIDGID      = 0x00000002
	attrPermissions = 0x00000004
	attrTimes       = 0x00000008
	attrExtended    = 0x80000000
)

// Attrs are what is set of a file.
type Attrs struct {
	SetSize bool
	Size    int64
	SetMode bool
	Mode    fs.FileMode // permission bits alone
	MTime   time.Time   // zero: not set; the time of access is set to the same
}

// wireTime clamps a time to the 32 bits that version 3 has for it.
func wireTime(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 0), 1<<32-1))
}

// Info is what a server says of a file. What it leaves out is zero: a Size of
// 0 where HasSize is not set means nothing.
type Info struct {
	Size    int64
	HasSize bool
	UID     uint32
	GID     uint32
	Mode    fs.FileMode // type and permission bits
	HasMode bool
	ATime   time.Time // whole seconds
	MTime   time.Time // whole seconds; zero if the server does not say
}

// maxAttrExtensions bounds the pairs that may follow the attributes.
const maxAttrExtensions = 64

func (d *decoder) info() Info {
	var i Info
	flags := d.uint32()
	if flags&attrSize != 0 {
		i.Size, i.HasSize = int64(d.uint64()), true
	}
	if flags&attrUIDGID != 0 {
		i.UID, i.GID = d.uint32(), d.uint32()
	}
	if flags&attrPermissions != 0 {
		i.Mode, i.HasMode = fileMode(d.uint32()), true
	}
	if flags&attrTimes != 0 {
		i.ATime, i.MTime = time.Unix(int64(d.uint32()), 0), time.Unix(int64(d.uint32()), 0)
	}
	if flags&attrExtended != 0 {
		n := d.uint32()
		if n > maxAttrExtensions {
			d.short = true
			return i
		}
		for range n {
			d.take(d.uint32())
			d.take(d.uint32())
		}
	}
	return i
}

// fileMode turns POSIX's mode bits, which the draft's permissions are
// (section 5), into Go's.
func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & 0o170000 {
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	case 0o010000:
		mode |= fs.ModeNamedPipe
	case 0o140000:
		mode |= fs.ModeSocket
	case 0o020000:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case 0o060000:
		mode |= fs.ModeDevice
	case 0, 0o100000: // not said, or a file
	default:
		mode |= fs.ModeIrregular
	}
	if m&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
