package lab

import (
	"syscall"
	"testing"
)

// UnderWine reports whether this Windows is Wine, which says so itself.
func UnderWine() bool {
	return syscall.NewLazyDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

// NotUnderWine ends the test under Wine, with what Wine lacks or does
// otherwise. On Windows it does nothing, and the test has to hold.
func NotUnderWine(t testing.TB, lacks string) {
	t.Helper()
	if UnderWine() {
		t.Skip("Wine lacks: " + lacks)
	}
}
