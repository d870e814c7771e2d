package pageant

import (
	"slices"
	"strings"
)

const (
	pipeFolder = `\\.\pipe\`
	// pageantPrefix begins the name of a pipe of Pageant's.
	pageantPrefix = "pageant."
	// hashSize is how many hexadecimal digits end it. They are the SHA-256 of
	// something that only the user's own session can compute, and that no
	// document describes, so such a pipe is found by its looks and then by its
	// owner.
	hashSize = 64
	// maxPipes is how many such pipes are tried. On a terminal server each
	// user may have one.
	maxPipes = 64
)

// SIDs that every Windows has.
const (
	systemSID         = "S-1-5-18"
	administratorsSID = "S-1-5-32-544"
)

// PipeName returns where as the name of a pipe of this machine, and whether it
// is one. Slashes may stand for backslashes, as ssh_config(5) has them on
// Windows. A further one in the name is refused: with it the name would stand
// for another kind of file, or another machine.
func PipeName(where string) (name string, ok bool) {
	name = strings.ReplaceAll(where, "/", `\`)
	if len(name) <= len(pipeFolder) || !strings.EqualFold(name[:len(pipeFolder)], pipeFolder) {
		return "", false
	}
	rest := name[len(pipeFolder):]
	if strings.ContainsAny(rest, "\\\x00") || strings.Trim(rest, ".") == "" {
		return "", false
	}
	return pipeFolder + rest, true
}

// pageantPipes picks the pipes of Pageants from all that there are, those that
// are named after user first. Others are kept, as PuTTY takes the name from
// the account's principal name where there is one.
func pageantPipes(all []string, user string) []string {
	var own, other []string
	for _, name := range all {
		of, ok := pageantUser(name)
		switch {
		case !ok:
		case strings.EqualFold(of, user):
			own = append(own, pipeFolder+name)
		default:
			other = append(other, pipeFolder+name)
		}
	}
	slices.Sort(own)
	slices.Sort(other)
	pipes := append(own, other...)
	return pipes[:min(len(pipes), maxPipes)]
}

// pageantUser returns USER of a name pageant.USER.SHA256. A user's name may
// hold dots.
func pageantUser(name string) (user string, ok bool) {
	rest, ok := strings.CutPrefix(name, pageantPrefix)
	if !ok {
		return "", false
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 1 {
		return "", false
	}
	hash := rest[dot+1:]
	if len(hash) != hashSize || strings.Trim(hash, "0123456789abcdef") != "" {
		return "", false
	}
	return rest[:dot], true
}

// An identity is who this process is.
type identity struct {
	sid      string // S-1-5-21-…
	elevated bool   // with an administrator's rights in use
}

// ownPipe reports whether a pipe that owner has made is our own. What is made
// with elevated rights belongs to the administrators as a group.
func (id identity) ownPipe(owner string) bool {
	return owner == id.sid || id.elevated && owner == administratorsSID
}

// systemPipe reports whether a pipe is our own or the system's. Anybody may
// make a pipe of a name that is not taken, and then learn what is signed.
func (id identity) systemPipe(owner string) bool {
	return owner == id.sid || owner == systemSID || owner == administratorsSID
}
