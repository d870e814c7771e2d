//go:build unix

package lab

import (
	"bytes"
	"debug/pe"
	"testing"
)

// TestForwarder: what stands in for a library of Windows is one, by Go's own
// reader. TestWindowsProgram shows that Wine takes it.
func TestForwarder(t *testing.T) {
	b := forwarder("some.dll", "Function", "other.Name")
	f, err := pe.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	section := f.Section(".edata")
	if section == nil || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || f.Characteristics&pe.IMAGE_FILE_DLL == 0 {
		t.Fatalf("header %+v, sections %v", f.FileHeader, f.Sections)
	}
	data, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	at := func(offset int) string {
		rva := uint32(data[offset]) | uint32(data[offset+1])<<8 | uint32(data[offset+2])<<16 | uint32(data[offset+3])<<24
		text, _, _ := bytes.Cut(data[rva-section.VirtualAddress:], []byte{0})
		return string(text)
	}
	// The directory names the library at 12; the tables come after its 40 bytes.
	for offset, want := range map[int]string{12: "some.dll", 40: "other.Name", 44: "Function"} {
		if got := at(offset); got != want {
			t.Errorf("at %d stands %q, want %q", offset, got, want)
		}
	}
	exports := f.OptionalHeader.(*pe.OptionalHeader64).DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT]
	if exports.VirtualAddress != section.VirtualAddress || exports.Size != section.VirtualSize {
		t.Errorf("exports %+v, section %+v: a target outside of them would be taken for code", exports, section.SectionHeader)
	}
}
