package guard

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func check(f *os.File) error {
	me, err := whoAmI()
	if err != nil {
		return err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var drive string
	var list accessList
	var asked error
	err = conn.Control(func(fd uintptr) {
		if drive = withoutPermissions(windows.Handle(fd)); drive == "" {
			list, asked = readAccess(windows.Handle(fd))
		}
	})
	switch {
	case err != nil:
		return err
	case asked != nil:
		return fmt.Errorf("ask who may use it: %w", asked)
	case drive != "":
		return &OpenError{
			Err: fmt.Errorf("everybody may use it: its drive (%s) keeps no permissions", drive),
			fix: []string{"move it to a drive with NTFS, and name it there after `keys:`" + newKey},
		}
	}
	return list.judge(me, accountName)
}

// whoAmI says who runs this process, or this thread in their name.
func whoAmI() (caller, error) {
	token := windows.GetCurrentProcessToken()
	user, err := token.GetTokenUser()
	if err != nil {
		return caller{}, fmt.Errorf("ask who runs this process: %w", err)
	}
	return caller{sid: user.User.Sid.String(), admin: token.IsElevated()}, nil
}

// withoutPermissions returns the kind of a drive that keeps no permissions, ""
// for one that does, or that does not say: then the access list has to.
func withoutPermissions(file windows.Handle) string {
	var flags uint32
	var kind [windows.MAX_PATH + 1]uint16
	err := windows.GetVolumeInformationByHandle(file, nil, 0, nil, nil, &flags, &kind[0], uint32(len(kind)))
	if err != nil || flags&windows.FILE_PERSISTENT_ACLS != 0 {
		return ""
	}
	if name := windows.UTF16ToString(kind[:]); name != "" {
		return name
	}
	return "of an unknown kind"
}

// readAccess reads the owner and the access list of an open file.
func readAccess(file windows.Handle) (accessList, error) {
	sd, err := windows.GetSecurityInfo(file, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return accessList{}, err
	}
	var l accessList
	owner, _, err := sd.Owner()
	if err != nil {
		return l, err
	}
	if owner == nil {
		return l, errors.New("it has no owner")
	}
	l.owner = owner.String()
	dacl, _, err := sd.DACL()
	if errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && dacl == nil {
		l.absent = true
		return l, nil
	}
	if err != nil {
		return l, err
	}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return l, err
		}
		e, err := parseEntry(unsafe.Slice((*byte)(unsafe.Pointer(ace)), ace.Header.AceSize))
		if err != nil {
			return l, err
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

// accountName returns the name that an identifier has here, "" if it has none.
func accountName(sid string) string {
	id, err := windows.StringToSid(sid)
	if err != nil {
		return ""
	}
	account, domain, _, err := id.LookupAccount("")
	switch {
	case err != nil || account == "":
		return ""
	case domain == "":
		return account
	}
	return domain + `\` + account
}

// create makes the file with its access list: there is no moment at which
// others could open it.
func create(path string) (*os.File, error) {
	f, err := createClosed(path)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return f, nil
}

func createClosed(path string) (*os.File, error) {
	me, err := whoAmI()
	if err != nil {
		return nil, err
	}
	security, err := windows.SecurityDescriptorFromString(me.closed())
	if err != nil {
		return nil, err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: security}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ,
		&attributes, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}
