package keys_test

import "testing"

// specialFiles are paths that open to no file: a device.
func specialFiles(*testing.T, string) []string { return []string{`\\.\NUL`} }
