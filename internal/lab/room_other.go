//go:build !linux

package lab

// Room does not know.
func Room(string) int64 { return 0 }
