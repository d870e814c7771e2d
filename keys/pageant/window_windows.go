package pageant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What PuTTY's agent-client.c and pageant.c have agreed on.
const (
	windowClass = "Pageant"
	copyDataID  = 0x804e50ba
	mappingName = "PageantRequest" // and something unique
)

// Of the Windows API (winuser.h).
const (
	wmCopyData      = 0x004a
	smtoNormal      = 0
	smtoErrorOnExit = 0x0020
)

// maxLimit is the longest wait that fits its field, and sense.
const maxLimit = time.Hour

// copyData is COPYDATASTRUCT.
type copyData struct {
	id   uintptr
	size uint32
	data unsafe.Pointer
}

func openWindow(context.Context) (Conn, error) {
	if _, err := findWindow(windowClass); err != nil {
		return nil, err
	}
	return newMessageConn(func(request []byte, limit time.Duration) ([]byte, error) {
		return askWindow(windowClass, request, limit)
	}), nil
}

// findWindow returns the window whose class and title are name. A service has
// a desktop of its own and does not see it.
func findWindow(name string) (window uintptr, err error) {
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	find, err := user32("FindWindowW")
	if err != nil {
		return 0, err
	}
	window, _, err = find.Call(uintptr(unsafe.Pointer(text)), uintptr(unsafe.Pointer(text)))
	if window == 0 {
		return 0, fmt.Errorf("there is none on this desktop (%w)", err)
	}
	return window, nil
}

// askWindow puts a request into shared memory, tells the window its name, and
// returns a copy of the memory once the answer stands there.
func askWindow(class string, request []byte, limit time.Duration) ([]byte, error) {
	window, err := findWindow(class)
	if err != nil {
		return nil, err
	}
	// Another program may know a name that can be guessed, and make it first.
	name := mappingName + rand.Text()
	mapping, err := newMapping(name)
	if err != nil {
		return nil, fmt.Errorf("make memory to share with the window: %w", err)
	}
	defer windows.CloseHandle(mapping) //nolint:errcheck // its memory goes with it
	address, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_WRITE, 0, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("map memory to share with the window: %w", err)
	}
	defer windows.UnmapViewOfFile(address) //nolint:errcheck // as above
	// The detour tells vet that this address is none of the garbage collector's.
	shared := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), sharedSize)
	copy(shared, request)
	if err := sendName(window, name, limit); err != nil {
		return nil, err
	}
	return append([]byte(nil), shared...), nil
}

// newMapping makes shared memory that belongs to this user, for whom it is
// also open: Pageant looks at the owner, and what an elevated process makes
// would belong to the administrators.
func newMapping(name string) (windows.Handle, error) {
	id, err := whoAmI()
	if err != nil {
		return 0, err
	}
	security, err := windows.SecurityDescriptorFromString(fmt.Sprintf("O:%[1]sD:P(A;;GA;;;%[1]s)", id.sid))
	if err != nil {
		return 0, err
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: security}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	mapping, err := windows.CreateFileMapping(windows.InvalidHandle, &attributes, windows.PAGE_READWRITE, 0, sharedSize, text)
	if err != nil && mapping != 0 { // somebody else's of the same name
		windows.CloseHandle(mapping) //nolint:errcheck // nothing was written
	}
	if err != nil {
		return 0, err
	}
	return mapping, nil
}

// sendName sends the window a name and waits until it has done its work. The
// flag that gives up on a window that hangs is left out: Pageant seems to hang
// while its user types a passphrase.
func sendName(window uintptr, name string, limit time.Duration) error {
	text, err := windows.ByteSliceFromString(name) // with a zero at its end
	if err != nil {
		return err
	}
	send, err := user32("SendMessageTimeoutW")
	if err != nil {
		return err
	}
	message := copyData{id: copyDataID, size: uint32(len(text)), data: unsafe.Pointer(&text[0])}
	var result uintptr
	sent, _, err := send.Call(window, wmCopyData, 0, uintptr(unsafe.Pointer(&message)),
		smtoNormal|smtoErrorOnExit, uintptr(min(limit, maxLimit).Milliseconds()+1), uintptr(unsafe.Pointer(&result)))
	switch {
	case sent == 0 && (errors.Is(err, windows.ERROR_TIMEOUT) || errors.Is(err, windows.ERROR_SUCCESS)):
		return os.ErrDeadlineExceeded
	case sent == 0:
		return fmt.Errorf("send a message to the window: %w", err)
	case result == 0:
		return errors.New("the window turns the request away; it may run as another user")
	}
	return nil
}

// user32 finds a function of the library for windows, which the smallest
// systems are without.
func user32(function string) (*windows.LazyProc, error) {
	proc := windows.NewLazySystemDLL("user32.dll").NewProc(function)
	return proc, proc.Find()
}
