//go:build unix && !linux

package transfer

// renameNew renames unless the new name is taken.
func renameNew(from, to string) error { return linkNew(from, to) }
