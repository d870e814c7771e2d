// Package sftp is a client of the SSH File Transfer Protocol, version 3
// (draft-ietf-secsh-filexfer-02), over a reader and a writer. It is made for
// lines with much delay: every request is sent without waiting for the one
// before, in the order of the calls, and file content goes straight from the
// stream into the caller's buffer, and from there into the stream.
//
// Of OpenSSH's extensions (its file PROTOCOL, section 4) it has
// posix-rename@openssh.com, fsync@openssh.com, statvfs@openssh.com,
// lsetstat@openssh.com and limits@openssh.com; any other can be asked for by
// name with Extended.
//
// A packet is
//
//	uint32 length | byte type | uint32 request id | type specific
//
// and integers are big-endian; a string is a uint32 length and its bytes. A
// length is held against a bound before anything is allocated for it, and what
// does not parse ends the session. Versions above 3, text mode, ACLs and
// locks are left out.
package sftp

import (
	"errors"
	"fmt"
	"io/fs"
)

// The packet types of section 3 of the draft.
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// version is the only one that is spoken.
const version = 3

// How a file is opened (section 6.3).
const (
	OpenRead   uint32 = 0x01
	OpenWrite  uint32 = 0x02
	OpenCreate uint32 = 0x08
	OpenTrunc  uint32 = 0x10
	OpenExcl   uint32 = 0x20
)

// The limits. Those without a section are our own.
const (
	// maxHandle is what a handle may have at most (section 3): 256 bytes.
	maxHandle = 256
	// maxPacket bounds any packet from the server: 256 KiB is OpenSSH's own
	// bound, and a listing may come in one that is larger elsewhere.
	maxPacket = 1 << 20
	// MaxData is the most that one read or write may carry, in bytes. One KiB
	// under 256 KiB leaves room for the header: larger ones make OpenSSH,
	// ProFTPD and asyncssh close the connection (seen with 262,144).
	MaxData = 261120
	// SafeData is what any server must take (section 3).
	SafeData = 32 << 10
	// maxNames bounds the entries of one answer; each takes 12 bytes at least.
	maxNames = maxPacket / 12
	// maxExtensions bounds what a server says of itself.
	maxExtensions = 256
	// Headroom is how many bytes a write wants before the data: its header takes
	// up to 281 of them.
	Headroom = 288
)

// The status codes (section 7).
const (
	statusOK               = 0
	statusEOF              = 1
	statusNoSuchFile       = 2
	statusPermissionDenied = 3
	statusOpUnsupported    = 8
)

// A StatusError is a server's refusal. It is fs.ErrNotExist, fs.ErrPermission
// or errors.ErrUnsupported to errors.Is where its code says so.
type StatusError struct {
	Code    uint32 // section 7
	Message string // the server's words, at most 1,024 bytes; not fit for a terminal
}

// Error returns the server's words, or the draft's name for the code.
func (e *StatusError) Error() string {
	if e.Message != "" {
		return e.Message
	}
	names := []string{"OK", "end of file", "no such file", "permission denied", "failure", "bad message",
		"no connection", "connection lost", "operation unsupported"}
	if int64(e.Code) < int64(len(names)) {
		return names[e.Code]
	}
	return fmt.Sprintf("status %d", e.Code)
}

// Is reports what the code stands for.
func (e *StatusError) Is(target error) bool {
	switch e.Code {
	case statusNoSuchFile:
		return target == fs.ErrNotExist
	case statusPermissionDenied:
		return target == fs.ErrPermission
	case statusOpUnsupported:
		return target == errors.ErrUnsupported
	}
	return false
}

// A ProtocolError says what a server did that the draft does not allow. The
// session has ended with it.
type ProtocolError struct{ What string }

func (e *ProtocolError) Error() string { return "SFTP: " + e.What }

func broken(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}
