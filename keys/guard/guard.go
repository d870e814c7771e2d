// Package guard keeps private files to those they belong to. It says who else
// may use a file, and makes new files that nobody else may use.
//
// On Unix it goes by the mode, as OpenSSH does (authfile.c, sshkey_perm_ok). On
// Windows it goes by the owner and the access list, as OpenSSH for Windows does
// (w32-sshfileperm.c):
//
//	owner     this user, SYSTEM, Administrators or TrustedInstaller
//	entries   what lets somebody read or change the file may name the same
//	          four, and the rights of the owner (S-1-3-4)
//
// Entries that deny are not weighed against those that grant: what they take
// away depends on their order and on groups that only the system knows, and a
// private key needs none. Entries that count for folders only are passed over.
// An access list that is not there lets everybody do everything.
//
// A drive that keeps no permissions, such as a stick with FAT or some network
// drives, cannot keep a key to anybody: files there are refused on Windows. On
// Unix they have the mode that they were mounted with.
package guard

import (
	"errors"
	"os"
	"strings"
)

// An OpenError says that others than those it belongs to may use a file.
type OpenError struct {
	Err error // who may, and what makes that so

	fix []string // what to do; the file's name belongs between the parts
}

// Error returns who may use the file, without its path.
func (e *OpenError) Error() string { return e.Err.Error() }

// Unwrap returns what the message was made from.
func (e *OpenError) Unwrap() error { return e.Err }

// Fix says what to do, as one line. The file is its path, quoted as the shells
// of this system want it.
func (e *OpenError) Fix(file string) string { return strings.Join(e.fix, file) }

// Check reports with an *OpenError that others may use the open file f. Another
// error says that this cannot be known.
func Check(f *os.File) error { return check(f) }

// Create makes a file that nobody else may use, and that must not exist yet. It
// is closed to others before it has any content; where that cannot be, on a
// drive without permissions, it is removed again and the error is an
// *OpenError.
//
// On Windows this user is its owner, and SYSTEM and Administrators may use it
// too; one that is made by an administrator, in a window that was opened as
// such, belongs to Administrators, so that a service may use it.
func Create(path string) (*os.File, error) {
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	return keep(f, check)
}

// keep returns a new file if it is closed to others, and removes it if not.
func keep(f *os.File, check func(*os.File) error) (*os.File, error) {
	if err := check(f); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// newKey ends what to do about a file that others could use.
const newKey = "; if others could read it until now, make a new key"
