package pageant

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Of winuser.h and winbase.h.
const (
	wmDestroy        = 0x0002
	wmClose          = 0x0010
	fileMapAllAccess = 0x000f001f
)

type windowClassEx struct {
	size, style             uint32
	procedure               uintptr
	classExtra, windowExtra int32
	instance, icon          windows.Handle
	cursor, background      windows.Handle
	menuName, name          *uint16
	smallIcon               windows.Handle
}

type windowMessage struct {
	window         uintptr
	message        uint32
	wParam, lParam uintptr
	time           uint32
	x, y           int32
	private        uint32
}

// call calls a function of a library of the system. What an argument points to
// is kept where it is, as for a system call.
//
//go:uintptrescapes
func call(t *testing.T, library, function string, args ...uintptr) (uintptr, error) {
	proc := windows.NewLazySystemDLL(library).NewProc(function)
	if err := proc.Find(); err != nil {
		t.Error(err)
		return 0, err
	}
	r, _, err := proc.Call(args...)
	return r, err
}

// serveWindow opens a window, titled as its class, which answers each request
// as answer says; without an answer it turns the request away.
func serveWindow(t *testing.T, class string, answer func(request []byte) []byte) {
	t.Helper()
	opened, ended := make(chan uintptr), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // a window belongs to a thread
		window := newWindow(t, class, func(name string) bool { return answerMapping(t, name, answer) })
		opened <- window
		if window == 0 {
			return
		}
		defer forgetClass(t, class)
		var m windowMessage
		for {
			if got, _ := call(t, "user32.dll", "GetMessageW", uintptr(unsafe.Pointer(&m)), 0, 0, 0); int32(got) <= 0 {
				return
			}
			call(t, "user32.dll", "DispatchMessageW", uintptr(unsafe.Pointer(&m)))
		}
	}()
	window := <-opened
	if window == 0 {
		<-ended
		t.Fatal("no window can be opened here")
	}
	t.Cleanup(func() {
		call(t, "user32.dll", "PostMessageW", window, wmClose, 0, 0)
		<-ended
	})
}

func forgetClass(t *testing.T, class string) {
	if name, err := windows.UTF16PtrFromString(class); err != nil {
		t.Error(err)
	} else if done, err := call(t, "user32.dll", "UnregisterClassW", uintptr(unsafe.Pointer(name)), 0); done == 0 {
		t.Error(err)
	}
}

// newClass is a class of windows that nobody has.
func newClass() string { return "linehaul-" + rand.Text() }

func newWindow(t *testing.T, class string, answered func(mapping string) bool) uintptr {
	name, err := windows.UTF16PtrFromString(class)
	if err != nil {
		t.Error(err)
		return 0
	}
	procedure := func(window, message, wParam uintptr, lParam *copyData) uintptr {
		switch message {
		case wmCopyData:
			name := unsafe.Slice((*byte)(lParam.data), lParam.size)
			if lParam.id != copyDataID || name[len(name)-1] != 0 || !answered(string(name[:len(name)-1])) {
				return 0
			}
			return 1
		case wmDestroy:
			call(t, "user32.dll", "PostQuitMessage", 0)
			return 0
		}
		r, _ := call(t, "user32.dll", "DefWindowProcW", window, message, wParam, uintptr(unsafe.Pointer(lParam)))
		return r
	}
	c := windowClassEx{procedure: windows.NewCallback(procedure), name: name}
	c.size = uint32(unsafe.Sizeof(c))
	if atom, err := call(t, "user32.dll", "RegisterClassExW", uintptr(unsafe.Pointer(&c))); atom == 0 {
		t.Log(err)
		return 0
	}
	window, err := call(t, "user32.dll", "CreateWindowExW", 0, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(name)),
		0, 0, 0, 100, 100, 0, 0, 0, 0)
	if window == 0 {
		t.Log(err)
	}
	return window
}

// answerMapping does what Pageant does (PuTTY's windows/pageant.c).
func answerMapping(t *testing.T, name string, answer func([]byte) []byte) bool {
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Error(err)
		return false
	}
	h, err := call(t, "kernel32.dll", "OpenFileMappingW", fileMapAllAccess, 0, uintptr(unsafe.Pointer(text)))
	if h == 0 {
		t.Error(err)
		return false
	}
	mapping := windows.Handle(h)
	defer windows.CloseHandle(mapping)
	if owner, err := ownerOf(mapping); err != nil || owner != me(t).sid {
		t.Errorf("the memory belongs to %q (%v), and we are %s", owner, err, me(t).sid)
	}
	address, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_WRITE, 0, 0, 0)
	if err != nil {
		t.Error(err)
		return false
	}
	defer windows.UnmapViewOfFile(address)
	var region windows.MemoryBasicInformation
	if err := windows.VirtualQuery(address, &region, unsafe.Sizeof(region)); err != nil || region.RegionSize < sharedSize {
		t.Errorf("the memory has %d bytes, %v", region.RegionSize, err)
		return false
	}
	shared := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), sharedSize)
	request, err := ReadMessage(bytes.NewReader(shared))
	if err != nil {
		t.Error(err)
		return false
	}
	a := answer(request)
	copy(shared, a)
	return a != nil
}

// windowConn connects to a window of a test.
func windowConn(class string) *messageConn {
	return newMessageConn(func(request []byte, limit time.Duration) ([]byte, error) {
		return askWindow(class, request, limit)
	})
}

func TestWindow(t *testing.T) {
	var asked [][]byte
	class := newClass()
	serveWindow(t, class, func(request []byte) []byte {
		asked = append(asked, request)
		return list(byte(len(asked)))
	})
	conn, how, err := find(t.Context(), []way{{"test", func(context.Context) (Conn, error) { return windowConn(class), nil }}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	long := append([]byte{0, 0, 31, 252, 13}, bytes.Repeat([]byte("x"), maxRequest-lengthSize-1)...)
	if _, err := conn.Write(long); err != nil {
		t.Fatal(err)
	}
	if answer, err := ReadMessage(conn); err != nil || !bytes.Equal(answer, list(2)) || how != "test" {
		t.Errorf("got % x, %v, %q", answer, err, how)
	}
	if len(asked) != 2 || !bytes.Equal(asked[0], frame(agentRequestIdentities)) || !bytes.Equal(asked[1], long) {
		t.Errorf("asked %.40q", asked)
	}
}

func TestWindowRefuses(t *testing.T) {
	class := newClass()
	serveWindow(t, class, func([]byte) []byte { return nil })
	if _, err := askWindow(class, frame(agentRequestIdentities), time.Second); err == nil || !strings.Contains(err.Error(), "turns the request away") {
		t.Errorf("turned away: %v", err)
	}
	if _, err := askWindow(newClass(), frame(agentRequestIdentities), time.Second); err == nil || !strings.Contains(err.Error(), "there is none on this desktop") {
		t.Errorf("absent: %v", err)
	}
}

// TestWindowSilent: a window that is busy costs no more than the deadline, and
// Close does not wait for it.
func TestWindowSilent(t *testing.T) {
	release := make(chan struct{})
	class := newClass()
	serveWindow(t, class, func([]byte) []byte {
		<-release
		return list(1)
	})
	defer close(release)
	conn := windowConn(class)
	ask := func() error {
		conn.Write(frame(agentRequestIdentities))
		_, err := ReadMessage(conn)
		return err
	}
	conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	start := time.Now()
	if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 150*time.Millisecond || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	time.AfterFunc(50*time.Millisecond, func() { conn.Close() })
	start = time.Now()
	if err := ask(); err == nil || time.Since(start) > time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// TestDial finds the window where nothing else is to be found.
func TestDial(t *testing.T) {
	if conn, how, err := Dial(t.Context()); err == nil {
		conn.Close()
		t.Skip("there is an agent on this desktop: ", how)
	} else if !strings.Contains(err.Error(), "no agent answers ("+openSSHPipe) || !strings.Contains(err.Error(), "the window of Pageant: there is none") {
		t.Errorf("without an agent: %v", err)
	}
	serveWindow(t, windowClass, func([]byte) []byte { return list(1) })
	conn, how, err := Dial(t.Context())
	if err != nil || how != "the window of Pageant" {
		t.Fatalf("got %q, %v", how, err)
	}
	conn.Close()
}
