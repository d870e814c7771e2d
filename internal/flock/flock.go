// Package flock takes advisory locks on open files, so that processes of
// linehaul on one machine can tell whether another one is still at work.
//
// A lock belongs to the open file that it was taken through, not to the
// process: two files opened on one path exclude each other inside one process
// too. The system drops the lock when that file is closed, and so when the
// process dies, however it dies. The content of a locked file stays readable
// and writable by everyone.
//
// On Unix it is flock(2); on Windows LockFileEx on a byte far beyond any
// content, since Windows enforces the range that is locked. Systems without
// flock(2), such as Solaris and AIX, are left out. On a network file system
// the lock may hold on this machine only.
//
// All functions are safe for concurrent use.
package flock

import "os"

// TryLock takes the exclusive lock on f without waiting. It reports false,
// and no error, when someone else holds it. Taking a lock that f holds already
// is true again on Unix and false on Windows: do not.
//
// A child process that inherits f also keeps the lock. Files opened by package
// os are closed in children, so this takes effort.
func TryLock(f *os.File) (bool, error) { return tryLock(f) }

// Unlock gives the lock on f up. Closing f does so too, but a child process
// that is being started at that instant may keep it for a moment: Unlock first.
func Unlock(f *os.File) error { return unlock(f) }
