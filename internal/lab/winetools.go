//go:build unix

package lab

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// forwarder returns a library for 64-bit Windows that has one function, which
// another library has under another name.
//
// Go's programs want ProcessPrng of bcryptprimitives.dll, which Wine has since
// version 9 only; SystemFunction036 of advapi32.dll takes the same arguments
// and does the same. A forwarded export takes no code:
//
//	0x000  headers: DOS, COFF, optional, one section
//	0x200  export directory, three tables of one, the strings
func forwarder(library, function, target string) []byte {
	const (
		address, align, fileAlign = 0x1000, 0x1000, 0x200
		readable                  = pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ
	)
	type exports struct {
		Flags, Time          uint32
		Major, Minor         uint16
		Name, FirstOrdinal   uint32
		Functions, Names     uint32
		FunctionsAt, NamesAt uint32
		OrdinalsAt           uint32
		FunctionAt, NameAt   uint32 // the tables, of one each
		Ordinal              uint16
	}
	var e exports
	texts := uint32(address + binary.Size(e))
	e = exports{
		Name: texts, FirstOrdinal: 1, Functions: 1, Names: 1,
		FunctionsAt: texts - 10, NamesAt: texts - 6, OrdinalsAt: texts - 2,
		NameAt:     texts + uint32(len(library)) + 1,
		FunctionAt: texts + uint32(len(library)) + 1 + uint32(len(function)) + 1,
	}
	section := encode(e)
	section = append(section, library+"\x00"+function+"\x00"+target+"\x00"...)

	optional := pe.OptionalHeader64{
		Magic: 0x20b, ImageBase: 0x180000000, SectionAlignment: align, FileAlignment: fileAlign,
		MajorOperatingSystemVersion: 6, MajorSubsystemVersion: 6, Subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_CUI,
		SizeOfInitializedData: fileAlign, SizeOfImage: address + align, SizeOfHeaders: fileAlign,
		DllCharacteristics:  pe.IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE | pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
		NumberOfRvaAndSizes: 16,
	}
	optional.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT] = pe.DataDirectory{VirtualAddress: address, Size: uint32(len(section))}
	header := pe.SectionHeader32{
		Name: [8]uint8{'.', 'e', 'd', 'a', 't', 'a'}, VirtualSize: uint32(len(section)), VirtualAddress: address,
		SizeOfRawData: fileAlign, PointerToRawData: fileAlign, Characteristics: readable,
	}
	const dosSize = 64
	file := make([]byte, dosSize, 2*fileAlign)
	copy(file, "MZ")
	file[0x3c] = dosSize // where the next header is
	file = append(file, "PE\x00\x00"...)
	file = append(file, encode(pe.FileHeader{
		Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: uint16(binary.Size(optional)),
		Characteristics: pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE | pe.IMAGE_FILE_DLL,
	})...)
	file = append(append(file, encode(optional)...), encode(header)...)
	file = append(file, make([]byte, fileAlign-len(file))...)
	file = append(file, section...)
	return append(file, make([]byte, 2*fileAlign-len(file))...)
}

func encode(v any) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, v)
	return b.Bytes()
}

// BuildForWine builds the tests of a package, named by its folder below the
// current one, into the folder dir, for Windows and so that they run in Wine. It
// returns the program. What is shipped needs no such care.
//
// Wine lacks the call by which Go removes files since version 1.25, so every
// t.TempDir would fail; Go has an older way, which its own tests can choose. A
// changed copy of one file of Go chooses it here.
func BuildForWine(t testing.TB, dir, pkg string) string {
	t.Helper()
	const from, to = "var TestDeleteatFallback bool", "var TestDeleteatFallback = true"
	original := filepath.Join(strings.TrimSpace(Run(t, "go", "env", "GOROOT")), "src", "internal", "syscall", "windows", "at_windows.go")
	text := readFile(t, original)
	if strings.Count(text, from) != 1 {
		t.Fatalf("%s lacks %q: look how Go removes files now", original, from)
	}
	changed, overlay := filepath.Join(dir, "at_windows.go"), filepath.Join(dir, "overlay.json")
	writeFile(t, changed, strings.Replace(text, from, to, 1)+"\n", 0o600)
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, overlay, string(list), 0o600)
	program := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")+".test.exe")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-trimpath", "-overlay", overlay, "-o", program, "./"+pkg)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests of %s for Windows: %v\n%s", pkg, err, out)
	}
	return program
}
