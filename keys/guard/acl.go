package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Well-known security identifiers ([MS-DTYP], section 2.4.2.4).
const (
	sidOwnerRights    = "S-1-3-4" // whoever the owner is
	sidSystem         = "S-1-5-18"
	sidAdministrators = "S-1-5-32-544"
	// TrustedInstaller is the service that owns the files of Windows itself.
	sidTrustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
)

// Kinds of access control entries ([MS-DTYP], section 2.4.4.1).
const (
	kindAllow               = 0x00
	kindDeny                = 0x01
	kindAudit               = 0x02
	kindAlarm               = 0x03
	kindAllowObject         = 0x05
	kindDenyObject          = 0x06
	kindAuditObject         = 0x07
	kindAlarmObject         = 0x08
	kindAllowCallback       = 0x09
	kindDenyCallback        = 0x0a
	kindAllowCallbackObject = 0x0b
	kindDenyCallbackObject  = 0x0c
	kindLast                = 0x14 // from here to there nothing grants anything
)

// Flags of an entry ([MS-DTYP], section 2.4.4.1).
const (
	flagInheritOnly = 0x08 // it counts for what is made below a folder
	flagInherited   = 0x10 // the folder above has it
)

// Flags of an entry that is for objects: which of two GUIDs stand before the
// identifier ([MS-DTYP], section 2.4.4.3).
const (
	hasObjectType          = 0x01
	hasInheritedObjectType = 0x02
	guidSize               = 16
)

// harmless are the rights that neither read nor change a file ([MS-DTYP],
// section 2.4.3; [MS-FSCC] has no own list): FILE_READ_EA, FILE_EXECUTE,
// FILE_READ_ATTRIBUTES, READ_CONTROL, SYNCHRONIZE, GENERIC_EXECUTE. OpenSSH for
// Windows refuses these too, and breaks on what backup programs leave.
const harmless = 0x00000008 | 0x00000020 | 0x00000080 | 0x00020000 | 0x00100000 | 0x20000000

// An entry is one line of an access list.
type entry struct {
	kind, flags byte
	mask        uint32 // the rights
	sid         string // whose
}

// An accessList is what Windows knows about who may use a file.
type accessList struct {
	owner   string // a security identifier
	absent  bool   // there is no list: everybody may do everything
	entries []entry
}

// A caller is who runs this process.
type caller struct {
	sid   string
	admin bool // with the rights of an administrator
}

// parseEntry reads an entry as it stands in an access list:
//
//	+------+-------+-----------+----------+----------------------+-----+
//	| kind | flags | size      | mask     | for objects: flags,  | SID |
//	| 1    | 1     | 2, little | 4,little | 4, and 0 to 2 GUIDs  |     |
//	+------+-------+-----------+----------+----------------------+-----+
//
// One whose kind grants and denies nothing has no identifier.
func parseEntry(b []byte) (entry, error) {
	const header = 8
	if len(b) < header {
		return entry{}, fmt.Errorf("an entry of %d bytes", len(b))
	}
	e := entry{kind: b[0], flags: b[1], mask: binary.LittleEndian.Uint32(b[4:])}
	rest := b[header:]
	switch e.kind {
	case kindAllow, kindDeny, kindAllowCallback, kindDenyCallback:
	case kindAllowObject, kindDenyObject, kindAllowCallbackObject, kindDenyCallbackObject:
		if len(rest) < 4 {
			return entry{}, fmt.Errorf("an entry of %d bytes", len(b))
		}
		skip, present := 4, binary.LittleEndian.Uint32(rest)
		if present&hasObjectType != 0 {
			skip += guidSize
		}
		if present&hasInheritedObjectType != 0 {
			skip += guidSize
		}
		if len(rest) < skip {
			return entry{}, fmt.Errorf("an entry of %d bytes", len(b))
		}
		rest = rest[skip:]
	default:
		return e, nil
	}
	var err error
	e.sid, err = parseSID(rest)
	return e, err
}

// parseSID reads a security identifier at the start of b ([MS-DTYP], section
// 2.4.2.2) and writes it as people do.
func parseSID(b []byte) (string, error) {
	const header, most = 8, 15
	if len(b) < header || b[0] != 1 || b[1] > most || len(b) < header+4*int(b[1]) {
		return "", errors.New("a security identifier that is none")
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	var s strings.Builder
	if authority < 1<<32 {
		fmt.Fprintf(&s, "S-1-%d", authority)
	} else {
		fmt.Fprintf(&s, "S-1-%#012x", authority)
	}
	for i := range int(b[1]) {
		fmt.Fprintf(&s, "-%d", binary.LittleEndian.Uint32(b[header+4*i:]))
	}
	return s.String(), nil
}

// grants reports whether an entry lets somebody read or change the file. One
// of a kind that did not exist when this was written may.
func (e entry) grants() bool {
	switch e.kind {
	case kindAllow, kindAllowObject, kindAllowCallback, kindAllowCallbackObject:
		return e.flags&flagInheritOnly == 0 && e.mask&^harmless != 0
	case kindDeny, kindAudit, kindAlarm, kindDenyObject, kindAuditObject, kindAlarmObject, kindDenyCallback, kindDenyCallbackObject:
		return false
	}
	return e.kind < kindDenyCallbackObject || e.kind > kindLast
}

// mayOwn reports whether the file may belong to sid.
func (c caller) mayOwn(sid string) bool {
	return sid == c.sid || sid == sidSystem || sid == sidAdministrators || sid == sidTrustedInstaller
}

// judge returns an *OpenError if others may use the file. Names says whose an
// identifier is, "" for one that nobody knows.
func (l accessList) judge(c caller, name func(sid string) string) error {
	if l.absent {
		return l.refuse(c, name, nil, errors.New("everybody may use it: it has no access list"))
	}
	var others, explicit []string
	for _, e := range l.entries {
		if !e.grants() || c.mayOwn(e.sid) || e.sid == sidOwnerRights {
			continue
		}
		if !slices.Contains(others, e.sid) {
			others = append(others, e.sid)
		}
		if e.flags&flagInherited == 0 && e.sid != "" && !slices.Contains(explicit, e.sid) {
			explicit = append(explicit, e.sid)
		}
	}
	switch {
	case !c.mayOwn(l.owner):
		return l.refuse(c, name, explicit, fmt.Errorf("it belongs to %s, who may let others use it", known(l.owner, name)))
	case len(others) > 0:
		return l.refuse(c, name, explicit, fmt.Errorf("others may use it: %s", knownAll(others, name)))
	}
	return nil
}

// knownAll writes the first few of some identifiers for people.
func knownAll(sids []string, name func(string) string) string {
	const most = 4
	var all []string
	for i, sid := range sids {
		if i == most {
			all = append(all, fmt.Sprintf("%d more", len(sids)-most))
			break
		}
		all = append(all, known(sid, name))
	}
	return strings.Join(all, ", ")
}

func known(sid string, name func(string) string) string {
	if sid == "" {
		return "somebody by an entry of an unknown kind"
	}
	if n := name(sid); n != "" {
		return n + " (" + sid + ")"
	}
	return sid
}

// refuse adds the command that mends it. It leaves the file to SYSTEM and
// Administrators, and to the caller too unless that is an administrator or the
// system and the file not their own: a service must not find the administrator
// in the list who set it up.
func (l accessList) refuse(c caller, name func(string) string, remove []string, why error) error {
	me := c.sid != sidSystem && (!c.admin || l.owner == c.sid)
	e := &OpenError{Err: why, fix: []string{"`icacls "}}
	if !c.mayOwn(l.owner) {
		to := "*" + sidAdministrators
		if me {
			to = account(c.sid, "", name)
		}
		e.fix = append(e.fix, " /setowner "+to+"` as an administrator, then `icacls ")
	}
	command, whom := " /inheritance:r /grant:r", "SYSTEM and Administrators"
	if me {
		command, whom = command+" "+account(c.sid, ":R", name), "you, "+whom
	}
	command += " *" + sidSystem + ":F *" + sidAdministrators + ":F"
	if len(remove) > 0 {
		command += " /remove:g *" + strings.Join(remove, " *")
	}
	e.fix = append(e.fix, command+"` leaves it to "+whom+newKey)
	return e
}

// account writes an account for icacls: by its name if every shell takes that
// as it is, or else by its identifier.
func account(sid, rights string, name func(string) string) string {
	n := name(sid)
	if n == "" || strings.ContainsAny(n, "\"'`$%^&|<>\r\n") {
		return "*" + sid + rights
	}
	return `"` + n + rights + `"`
}

// closed is the security of a new file of the caller's, as a string ([MS-DTYP],
// section 2.5.1.1): protected from what the folder above grants, all rights
// (FA) to SYSTEM (SY), Administrators (BA) and a caller who is neither.
func (c caller) closed() string {
	if c.admin || c.sid == sidSystem {
		return "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)"
	}
	return fmt.Sprintf("O:%[1]sD:P(A;;FA;;;%[1]s)(A;;FA;;;SY)(A;;FA;;;BA)", c.sid)
}
