package transfer

import "testing"

// TestNamesOf: the numbers are those of linux/magic.h.
func TestNamesOf(t *testing.T) {
	for name, tt := range map[string]struct {
		magic uint32
		names System
		folds bool
	}{
		"vfat": {0x4d44, Windows, true}, "exfat": {0x2011bab0, Windows, true}, "cifs": {0xff534d42, Unix, true}, "smb3": {0xfe534d42, Unix, true},
		"ext4": {0xef53, Unix, false}, "nfs": {0x6969, Unix, false}, "tmpfs": {0x01021994, Unix, false},
	} {
		if names, folds := namesOf(tt.magic); names != tt.names || folds != tt.folds {
			t.Errorf("%s: %s, %t", name, names, folds)
		}
	}
}
