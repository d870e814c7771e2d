package guard

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

const (
	sidAlice    = "S-1-5-21-1-2-3-1001"
	sidBob      = "S-1-5-21-1-2-3-1002"
	sidGone     = "S-1-5-21-9-9-9-1234" // of an account that was deleted
	sidEveryone = "S-1-1-0"
	sidUsers    = "S-1-5-32-545"
	sidAuthUser = "S-1-5-11"
	sidCreator  = "S-1-3-0"
	sidService  = "S-1-5-80-1-2-3-4-5"

	fullControl = 0x001f01ff
	readAndRun  = 0x001200a9
	readOnly    = 0x00120089
	readData    = 0x00000001
	writeData   = 0x00000002
	appendData  = 0x00000004
	writeDAC    = 0x00040000
	writeOwner  = 0x00080000
	deleteFile  = 0x00010000
	genericRead = 0x80000000
	genericAll  = 0x10000000
)

// nameOf knows who lives in these tests.
func nameOf(sid string) string {
	return map[string]string{
		sidAlice: `CORP\alice`, sidBob: `CORP\bob`, sidEveryone: "Everyone", sidUsers: `BUILTIN\Users`,
		sidAuthUser: `NT AUTHORITY\Authenticated Users`, sidSystem: `NT AUTHORITY\SYSTEM`, sidService: `NT SERVICE\linehaul`,
	}[sid]
}

func allow(sid string, mask uint32) entry { return entry{kindAllow, 0, mask, sid} }

func inherited(sid string, mask uint32) entry { return entry{kindAllow, flagInherited, mask, sid} }

// list is of a file that alice owns, with these entries and the usual ones.
func list(entries ...entry) accessList {
	usual := []entry{allow(sidAlice, fullControl), allow(sidSystem, fullControl), allow(sidAdministrators, fullControl)}
	return accessList{owner: sidAlice, entries: append(usual, entries...)}
}

func owned(owner string, entries ...entry) accessList {
	return accessList{owner: owner, entries: entries}
}

func TestJudge(t *testing.T) {
	alice, admin, system := caller{sid: sidAlice}, caller{sidAlice, true}, caller{sidSystem, true}
	const fix = `icacls "K" /inheritance:r /grant:r `
	const forAlice, forSystem = fix + `"CORP\alice:R" *S-1-5-18:F *S-1-5-32-544:F`, fix + "*S-1-5-18:F *S-1-5-32-544:F"
	tests := []struct {
		name string
		me   caller
		list accessList
		want string // in the message; empty: closed
		fix  string // in the next step
	}{
		{"as ssh-keygen makes it", alice, list(), "", ""},
		{"nobody at all", alice, owned(sidAlice), "", ""},
		{"TrustedInstaller", alice, list(allow(sidTrustedInstaller, fullControl)), "", ""},
		{"rights of the owner", alice, list(allow(sidOwnerRights, fullControl)), "", ""},
		{"of SYSTEM", alice, owned(sidSystem, allow(sidAlice, readOnly)), "", ""},
		{"of Administrators", alice, owned(sidAdministrators, allow(sidAlice, readOnly)), "", ""},
		{"of TrustedInstaller", alice, owned(sidTrustedInstaller, allow(sidAlice, readOnly)), "", ""},
		{"SYSTEM reads its own", system, owned(sidSystem, allow(sidSystem, fullControl)), "", ""},
		{"a service account reads its own", caller{sid: sidService}, owned(sidService, allow(sidService, readOnly)), "", ""},

		{"no list", alice, accessList{owner: sidAlice, absent: true}, "everybody may use it: it has no access list", "`" + forAlice + "`"},
		{"no list, of a stranger", alice, accessList{owner: sidBob, absent: true}, "no access list", `/setowner "CORP\alice"`},
		{"Everyone reads", alice, list(allow(sidEveryone, readOnly)), "others may use it: Everyone (S-1-1-0)", "`" + forAlice + " /remove:g *S-1-1-0`"},
		{"Users, inherited", alice, list(inherited(sidUsers, readAndRun)), `BUILTIN\Users (S-1-5-32-545)`, "`" + forAlice + "`"},
		{"Authenticated Users", alice, list(inherited(sidAuthUser, 0x001301bf)), `NT AUTHORITY\Authenticated Users (S-1-5-11)`, forAlice},
		{"another user", alice, list(allow(sidBob, readOnly)), `CORP\bob (` + sidBob + ")", forAlice + " /remove:g *" + sidBob},
		{"an account that is gone", alice, list(allow(sidGone, readOnly)), "others may use it: " + sidGone, "/remove:g *" + sidGone},
		{"whoever creates", alice, list(allow(sidCreator, fullControl)), sidCreator, "/remove:g *" + sidCreator},
		{"one right", alice, list(allow(sidEveryone, readData)), "Everyone", forAlice},
		{"may write", alice, list(allow(sidEveryone, writeData)), "Everyone", forAlice},
		{"may append", alice, list(allow(sidEveryone, appendData)), "Everyone", forAlice},
		{"may change the list", alice, list(allow(sidEveryone, writeDAC)), "Everyone", forAlice},
		{"may take it", alice, list(allow(sidEveryone, writeOwner)), "Everyone", forAlice},
		{"may replace it", alice, list(allow(sidEveryone, deleteFile)), "Everyone", forAlice},
		{"generic read", alice, list(allow(sidEveryone, genericRead)), "Everyone", forAlice},
		{"generic all", alice, list(allow(sidEveryone, genericAll)), "Everyone", forAlice},
		{"harmless rights", alice, list(allow(sidEveryone, harmless)), "", ""},
		{"no right", alice, list(allow(sidEveryone, 0)), "", ""},
		{"for folders only", alice, list(entry{kindAllow, flagInheritOnly | 3, fullControl, sidEveryone}), "", ""},
		{"denied", alice, list(entry{kindDeny, 0, fullControl, sidEveryone}), "", ""},
		{"denied, then granted", alice, list(entry{kindDeny, 0, fullControl, sidBob}, allow(sidBob, readOnly)), `CORP\bob`, forAlice},
		{"watched", alice, list(entry{kindAudit, 0xc0, fullControl, sidEveryone}), "", ""},
		{"for objects", alice, list(entry{kindAllowObject, 0, readOnly, sidEveryone}), "Everyone", forAlice},
		{"on a condition", alice, list(entry{kindAllowCallback, 0, readOnly, sidEveryone}), "Everyone", forAlice},
		{"a label", alice, list(entry{kind: 0x11, mask: 1}), "", ""},
		{"a compound entry", alice, list(entry{kind: 4, mask: 1}), "an entry of an unknown kind", forAlice},
		{"an entry of the future", alice, list(entry{kind: 0x40}), "an entry of an unknown kind", forAlice},
		{"twice, and many", alice, list(allow(sidBob, 1), allow(sidBob, 2), allow("S-1-2-1", 1), allow("S-1-2-2", 1), allow("S-1-2-3", 1), allow("S-1-2-4", 1), allow("S-1-2-5", 1)),
			`CORP\bob (` + sidBob + "), S-1-2-1, S-1-2-2, S-1-2-3, 2 more", "/remove:g *" + sidBob + " *S-1-2-1 *S-1-2-2 *S-1-2-3 *S-1-2-4 *S-1-2-5`"},

		{"of another user", alice, owned(sidBob, allow(sidAlice, readOnly)), `it belongs to CORP\bob (` + sidBob + ")",
			"`icacls \"K\" /setowner \"CORP\\alice\"` as an administrator, then `" + forAlice + "`"},
		{"of another user who may read", alice, owned(sidBob, allow(sidBob, readOnly)), "it belongs to", forAlice + " /remove:g *" + sidBob},
		{"of everybody, as on FAT", alice, owned(sidEveryone), "it belongs to Everyone", `/setowner "CORP\alice"`},
		{"a service reads the administrator's", system, list(), `it belongs to CORP\alice`,
			"`icacls \"K\" /setowner *S-1-5-32-544` as an administrator, then `" + forSystem + " /remove:g *" + sidAlice + "`"},
		{"a service reads what Users may", system, owned(sidSystem, inherited(sidUsers, readAndRun)), `BUILTIN\Users`, "`" + forSystem + "` leaves it to SYSTEM and Administrators"},
		{"an administrator reads the service's", admin, owned(sidSystem, allow(sidEveryone, readOnly)), "Everyone", "`" + forSystem + " /remove:g"},
		{"an administrator reads their own", admin, list(allow(sidEveryone, readOnly)), "Everyone", forAlice + " /remove:g *S-1-1-0` leaves it to you, SYSTEM and Administrators"},
		{"a caller without a name", caller{sid: sidGone}, owned(sidGone, allow(sidEveryone, readOnly)), "Everyone", "/grant:r *" + sidGone + ":R "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.list.judge(tt.me, nameOf)
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			open, ok := errors.AsType[*OpenError](err)
			if !ok || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			got := open.Fix(`"K"`)
			if !strings.Contains(got, tt.fix) || !strings.HasSuffix(got, newKey) || strings.ContainsAny(got+err.Error(), "\r\n") {
				t.Errorf("next step\n  %s\nwant one with\n  %s", got, tt.fix)
			}
		})
	}
}

// TestMended: what the command leaves is closed to others.
func TestMended(t *testing.T) {
	for _, me := range []caller{{sid: sidAlice}, {sidAlice, true}, {sidSystem, true}, {sid: sidService}} {
		left := owned(sidAdministrators, allow(sidSystem, fullControl), allow(sidAdministrators, fullControl))
		if err := left.judge(me, nameOf); err != nil {
			t.Errorf("%+v: %v", me, err)
		}
		left.owner, left.entries = me.sid, append(left.entries, allow(me.sid, readOnly))
		if err := left.judge(me, nameOf); err != nil {
			t.Errorf("%+v: %v", me, err)
		}
	}
}

func TestAccountQuotes(t *testing.T) {
	for n, want := range map[string]string{
		`CORP\alice`:          `"CORP\alice:R"`,
		`NT SERVICE\linehaul`: `"NT SERVICE\linehaul:R"`,
		`CORP\HOST$`:          "*S-1-2:R",
		`CORP\50%`:            "*S-1-2:R",
		`CORP\o'brien`:        "*S-1-2:R",
		"":                    "*S-1-2:R",
	} {
		if got := account("S-1-2", ":R", func(string) string { return n }); got != want {
			t.Errorf("%q became %s, want %s", n, got, want)
		}
	}
}

func TestClosed(t *testing.T) {
	if got, want := (caller{sid: sidAlice}).closed(), "O:"+sidAlice+"D:P(A;;FA;;;"+sidAlice+")(A;;FA;;;SY)(A;;FA;;;BA)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, me := range []caller{{sidAlice, true}, {sidSystem, true}, {sidSystem, false}} {
		if got, want := me.closed(), "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)"; got != want {
			t.Errorf("%+v: got %s, want %s", me, got, want)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseEntry(t *testing.T) {
	const everyone, guid = "01 01 000000000001 00000000", "00112233445566778899aabbccddeeff"
	tests := []struct {
		name, bytes string
		want        entry
	}{
		{"allow", "00 10 1400 a9001200 " + everyone, inherited(sidEveryone, readAndRun)},
		{"deny", "01 00 1400 ff011f00 " + everyone, entry{kindDeny, 0, fullControl, sidEveryone}},
		{"Administrators", "00 00 1800 ff011f00 01 02 000000000005 20000000 20020000", allow(sidAdministrators, fullControl)},
		{"a user", "00 00 2400 89001200 01 05 000000000005 15000000 01000000 02000000 03000000 e9030000", allow(sidAlice, readOnly)},
		{"more after the identifier", "09 00 1800 89001200 " + everyone + "61727478", entry{kindAllowCallback, 0, readOnly, sidEveryone}},
		{"for objects, no type", "05 00 1800 89001200 00000000 " + everyone, entry{kindAllowObject, 0, readOnly, sidEveryone}},
		{"for objects, one type", "05 00 2800 89001200 01000000 " + guid + everyone, entry{kindAllowObject, 0, readOnly, sidEveryone}},
		{"for objects, two types", "0b 00 3800 89001200 03000000 " + guid + guid + everyone, entry{kindAllowCallbackObject, 0, readOnly, sidEveryone}},
		{"a label", "11 00 1400 01000000 01 01 000000000010 00200000", entry{kind: 0x11, mask: 1}},
		{"large authority", "00 00 1400 89001200 01 01 010000000001 07000000", allow("S-1-0x010000000001-7", readOnly)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			whole := unhex(t, tt.bytes)
			got, err := parseEntry(bytes.Clone(whole))
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
			if tt.want.sid == "" || tt.want.kind == kindAllowCallback {
				return // what follows the identifier does not matter
			}
			for n := range whole {
				if e, err := parseEntry(whole[:n]); err == nil {
					t.Errorf("the first %d bytes were read as %+v", n, e)
				}
			}
		})
	}
	for name, text := range map[string]string{
		"revision 2":          "00 00 1400 89001200 02 01 000000000001 00000000",
		"sixteen authorities": "00 00 4c00 89001200 01 10 000000000005" + strings.Repeat("01000000", 16),
	} {
		if e, err := parseEntry(unhex(t, text)); err == nil {
			t.Errorf("%s: read as %+v", name, e)
		}
	}
}

// FuzzParseEntry: whatever stands there, an entry is read or refused, and what
// is not known to be closed is open.
func FuzzParseEntry(f *testing.F) {
	for _, seed := range []string{"0010140 0a9001200010100000000000100000000", "05002800890012000100000000112233445566778899aabbccddeeff010100000000000100000000", "0400"} {
		b, err := hex.DecodeString(strings.ReplaceAll(seed, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b)
		if err != nil {
			return
		}
		if e.sid != "" && !strings.HasPrefix(e.sid, "S-1-") {
			t.Errorf("identifier %q", e.sid)
		}
		me := caller{sid: sidAlice}
		open := accessList{owner: sidAlice, entries: []entry{e}}.judge(me, nameOf) != nil
		if want := e.grants() && !me.mayOwn(e.sid) && e.sid != sidOwnerRights; open != want {
			t.Errorf("%+v: open %v, want %v", e, open, want)
		}
	})
}
