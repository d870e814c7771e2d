//go:build !windows

package lab

import "testing"

// UnderWine reports whether this Windows is Wine: elsewhere there is neither.
func UnderWine() bool { return false }

// NotUnderWine does nothing: there is no Wine here.
func NotUnderWine(testing.TB, string) {}
