package pageant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

// busyPause is how long to wait for a pipe all whose ends are taken: the
// server makes a new one as soon as it can.
const busyPause = 20 * time.Millisecond

// openSSHPipe is where OpenSSH for Windows listens (ssh-agent's agent.c).
const openSSHPipe = pipeFolder + "openssh-ssh-agent"

// Dial finds an agent and says how: the name of a pipe, or of the window. The
// service of OpenSSH comes first, then Pageant's pipe, then its window; one
// that has no keys is passed over if a later one has some. ctx bounds the
// search. The caller closes the connection.
func Dial(ctx context.Context) (conn Conn, how string, err error) {
	id, err := whoAmI()
	if err != nil {
		return nil, "", err
	}
	ways := []way{pipeWay(openSSHPipe, id.systemPipe)}
	all, err := listPipes()
	if err != nil {
		ways = append(ways, way{"a pipe of Pageant", func(context.Context) (Conn, error) { return nil, err }})
	}
	for _, name := range pageantPipes(all, userName()) {
		ways = append(ways, pipeWay(name, id.ownPipe))
	}
	ways = append(ways, way{"the window of Pageant", openWindow})
	return find(ctx, ways)
}

// DialPipe connects to the agent behind a named pipe, whose name is as
// PipeName returns it. The pipe must belong to this user or to the system.
func DialPipe(ctx context.Context, name string) (Conn, error) {
	id, err := whoAmI()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	return openPipe(ctx, name, id.systemPipe)
}

func pipeWay(name string, trust func(owner string) bool) way {
	return way{name, func(ctx context.Context) (Conn, error) { return openPipe(ctx, name, trust) }}
}

// openPipe opens a pipe if its owner is one to trust. Until that is known
// nothing is sent, and whoever made the pipe may learn who we are but not act
// in our name (SECURITY_IDENTIFICATION).
func openPipe(ctx context.Context, name string, trust func(owner string) bool) (Conn, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	const flags = windows.FILE_FLAG_OVERLAPPED | windows.SECURITY_SQOS_PRESENT | windows.SECURITY_IDENTIFICATION
	for {
		h, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, flags, 0)
		if err == nil {
			return trusted(h, name, trust)
		}
		if !errors.Is(err, windows.ERROR_PIPE_BUSY) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(busyPause):
		}
	}
}

// trusted makes a file of a pipe's handle, which it owns, or closes it.
func trusted(h windows.Handle, name string, trust func(owner string) bool) (Conn, error) {
	owner, err := ownerOf(h)
	if err == nil && !trust(owner) {
		err = fmt.Errorf("it belongs to another user (%s)", owner)
	}
	if err != nil {
		windows.CloseHandle(h) //nolint:errcheck // nothing was written
		return nil, err
	}
	return os.NewFile(uintptr(h), name), nil
}

func ownerOf(h windows.Handle) (sid string, err error) {
	sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("ask for the owner: %w", err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return "", fmt.Errorf("ask for the owner: %w", err)
	}
	if owner == nil {
		return "", errors.New("it has no owner")
	}
	return owner.String(), nil
}

// listPipes names every pipe of this machine.
func listPipes() ([]string, error) {
	pattern, err := windows.UTF16PtrFromString(pipeFolder + "*")
	if err != nil {
		return nil, err
	}
	var found windows.Win32finddata
	h, err := windows.FindFirstFile(pattern, &found)
	if err != nil {
		return nil, fmt.Errorf("list the pipes: %w", err)
	}
	defer windows.FindClose(h) //nolint:errcheck // a handle for reading
	var names []string
	for err == nil {
		names = append(names, windows.UTF16ToString(found.FileName[:]))
		err = windows.FindNextFile(h, &found)
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return nil, fmt.Errorf("list the pipes: %w", err)
	}
	return names, nil
}

func whoAmI() (identity, error) {
	token := windows.GetCurrentProcessToken()
	user, err := token.GetTokenUser()
	if err != nil {
		return identity{}, fmt.Errorf("ask who runs this process: %w", err)
	}
	return identity{sid: user.User.Sid.String(), elevated: token.IsElevated()}, nil
}

// userName returns the name of the account, without its domain; it only puts
// the likely pipe first.
func userName() string {
	name := make([]uint16, 512)
	size := uint32(len(name))
	if err := windows.GetUserNameEx(windows.NameSamCompatible, &name[0], &size); err != nil {
		return ""
	}
	full := windows.UTF16ToString(name)
	return full[strings.LastIndexByte(full, '\\')+1:]
}
