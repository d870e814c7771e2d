package guard

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"

	"linehaul/internal/lab"
)

func me(t *testing.T) caller {
	t.Helper()
	c, err := whoAmI()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// secured makes a file with the security that a string describes, in which ME
// is this user.
func secured(t *testing.T, sddl string) *os.File {
	t.Helper()
	security, err := windows.SecurityDescriptorFromString(strings.ReplaceAll(sddl, "ME", me(t).sid))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: security}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ, &attributes,
		windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(h), path)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestCheckAccessList(t *testing.T) {
	tests := []struct {
		name, sddl string
		open       string // whom the message names; empty: closed
		wine       string // why it cannot be shown under Wine
	}{
		{"this user", "O:MED:P(A;;FA;;;ME)", "", ""},
		{"as keys generate makes it", me(t).closed(), "", ""},
		{"Everyone reads", "O:MED:P(A;;FA;;;ME)(A;;FR;;;WD)", sidEveryone, ""},
		{"Everyone writes", "O:MED:P(A;;FA;;;ME)(A;;FW;;;WD)", sidEveryone, "what the umask takes away"},
		{"Everyone does everything", "O:MED:P(A;;FA;;;ME)(A;;FA;;;WD)", sidEveryone, ""},
		{"Users read", "O:MED:P(A;;FA;;;ME)(A;;FR;;;BU)", sidUsers, "entries for groups: it keeps Unix modes"},
		{"Authenticated Users change", "O:MED:P(A;;FA;;;ME)(A;;0x1301bf;;;AU)", sidAuthUser, "entries for groups: it keeps Unix modes"},
		{"an account that is gone", "O:MED:P(A;;FA;;;ME)(A;;FR;;;" + sidGone + ")", sidGone, "entries for other users: it keeps Unix modes"},
		{"no list", "O:MED:NO_ACCESS_CONTROL", "everybody", "files without an access list: it keeps Unix modes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.wine != "" {
				lab.NotUnderWine(t, tt.wine)
			}
			err := Check(secured(t, tt.sddl))
			open, isOpen := errors.AsType[*OpenError](err)
			switch {
			case tt.open == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.open != "" && (!isOpen || !strings.Contains(err.Error(), tt.open)):
				t.Errorf("got %v, want %s named", err, tt.open)
			case isOpen && !strings.Contains(open.Fix("K"), "`icacls K /inheritance:r /grant:r "):
				t.Errorf("next step %q", open.Fix("K"))
			}
		})
	}
}

// TestReadAccess: what is read is what stands there.
func TestReadAccess(t *testing.T) {
	f := secured(t, "O:MED:P(A;;FA;;;ME)(A;;FR;;;WD)")
	list, err := readAccess(windows.Handle(f.Fd()))
	if err != nil || list.owner != me(t).sid || list.absent {
		t.Fatalf("read %+v, %v", list, err)
	}
	everyone := allow(sidEveryone, readOnly)
	if lab.UnderWine() {
		everyone.mask = readAndRun // of a mode, one as good as the other
	}
	for _, want := range []entry{allow(me(t).sid, fullControl), everyone} {
		if !slices.Contains(list.entries, want) {
			t.Errorf("%+v is not among %+v", want, list.entries)
		}
	}
}

// TestCreatedList: a new file has the list that was asked for from the start,
// and nothing of the folder's.
func TestCreatedList(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "id"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := readAccess(windows.Handle(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.entries {
		if sid := e.sid; sid != me(t).sid && sid != sidSystem && sid != sidAdministrators {
			t.Errorf("%+v is in it", e)
		}
	}
	lab.NotUnderWine(t, "access lists that are read back as they were set: it keeps Unix modes")
	want := []entry{allow(sidSystem, fullControl), allow(sidAdministrators, fullControl)}
	if !me(t).admin {
		want = slices.Insert(want, 0, allow(me(t).sid, fullControl))
	}
	if !slices.Equal(list.entries, want) {
		t.Errorf("it has %+v, want %+v", list.entries, want)
	}
}

func TestAccountName(t *testing.T) {
	if got := accountName(sidGone); got != "" {
		t.Errorf("an account that is gone is called %q", got)
	}
	if got := accountName(sidSystem); got == "" {
		t.Error("SYSTEM has no name")
	}
	if got := accountName("nobody"); got != "" {
		t.Errorf("what is no identifier is called %q", got)
	}
}

// TestWithoutPermissions: the drive of the temporary folder keeps them.
func TestWithoutPermissions(t *testing.T) {
	if kind := withoutPermissions(windows.Handle(secured(t, "O:MED:P(A;;FA;;;ME)").Fd())); kind != "" {
		t.Errorf("the drive is a %q without permissions", kind)
	}
}
