package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"linehaul/fault"
)

const (
	// maxName bounds a name from a peer. It is far above what any file system
	// takes, so a name that is merely too long is refused by the local disk.
	maxName = 4096
	// maxLocalName is the longest name that the common file systems take, in
	// bytes (on Windows in UTF-16 units, which are never more).
	maxLocalName = 255
	// longestInMessage bounds how much of a refused name an error repeats.
	longestInMessage = 200
)

// CheckName refuses what may not become one element of a local path: a name
// that is empty, "." or "..", that holds a slash or a NUL, and on Windows what
// that system would take for something else than a plain file's name. Line
// breaks, quotes and bytes that are not UTF-8 are legal in a name on Unix. The
// error is of kind fault.RemoteFile.
func CheckName(name string) error {
	if why := badName(name, runtime.GOOS == "windows"); why != "" {
		return fault.New(fault.RemoteFile, "the name %q cannot be used on this machine: %s", clip(name), why).
			WithHint("rename the file on the server; a server that sends such names unasked may be hostile")
	}
	return nil
}

// badName says what is wrong with a name, or nothing.
func badName(name string, windows bool) string {
	switch {
	case name == "":
		return "it is empty"
	case name == "." || name == "..":
		return "it names a folder's place in the tree"
	case len(name) > maxName:
		return "it is too long"
	case strings.ContainsAny(name, "/\x00"):
		return "it holds a slash or a NUL"
	case windows:
		return badWindowsName(name)
	}
	return ""
}

// badWindowsName is stricter than the newest Windows: which device names are
// reserved with an extension depends on its version, and a tree must not be
// taken on one machine and misread on the next.
func badWindowsName(name string) string {
	if !utf8.ValidString(name) {
		return "it is not UTF-8" // two such names would become one
	}
	for _, r := range name {
		if r < ' ' || strings.ContainsRune(forbiddenOnWindows, r) {
			return "Windows does not allow one of its characters"
		}
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return "Windows drops a dot or space at its end"
	}
	if isWindowsDevice(name) {
		return "it is a device on Windows"
	}
	return ""
}

// forbiddenOnWindows are the characters that no name may hold there, besides
// the slash and the control characters.
const forbiddenOnWindows = `\:<>"|?*`

// isWindowsDevice reports a name that is a device, with or without an
// extension.
func isWindowsDevice(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if rest, ok := strings.CutPrefix(base, "COM"); ok && isPortDigit(rest) {
		return true
	}
	rest, ok := strings.CutPrefix(base, "LPT")
	return ok && isPortDigit(rest)
}

// isPortDigit: Windows counts the superscripts 1, 2 and 3 as digits too.
func isPortDigit(s string) bool {
	return len(s) == 1 && '0' <= s[0] && s[0] <= '9' || s == "¹" || s == "²" || s == "³"
}

// CheckTarget refuses a target for a get that is not a plain path below the
// target folder. The error is of kind fault.RemoteFile if the name on the
// server is at fault, and of kind fault.Config if the naming of targets is.
func CheckTarget(item Item) error {
	why := ""
	switch {
	case item.Target == "":
		why = "it is empty"
	case filepath.IsAbs(item.Target):
		why = "it is not below the target folder"
	}
	for element := range strings.SplitSeq(filepath.ToSlash(item.Target), "/") {
		if why == "" {
			why = badName(element, runtime.GOOS == "windows")
		}
	}
	if why == "" && !filepath.IsLocal(item.Target) {
		why = "it leads out of the target folder"
	}
	if why == "" {
		return nil
	}
	for element := range strings.SplitSeq(item.Rel, "/") {
		if err := CheckName(element); err != nil {
			return err
		}
	}
	return fault.New(fault.Config, "%q cannot go to %q: %s", clip(item.Source), clip(item.Target), why)
}

// clip shortens a text from a peer for a message.
func clip(s string) string {
	if len(s) > longestInMessage {
		return s[:longestInMessage] + "..."
	}
	return s
}

// runForm is the form of a run's id: 0 stands for a digit, a for a digit or
// lower-case letter, anything else for itself. What does not have it is not a
// temporary file of ours, and is never removed.
const runForm = "00000000T000000Z-aaaaaaaa"

// The suffixes of a temporary file, of its journal, of a copy that turned out not
// to be what its source is, and of the file before it while it takes its place.
const (
	partSuffix    = ".part"
	journalSuffix = ".todo"
	badSuffix     = ".bad"
	oldSuffix     = ".old"
)

func validRun(run string) bool {
	if len(run) != len(runForm) {
		return false
	}
	for i := range len(run) {
		digit := '0' <= run[i] && run[i] <= '9'
		switch runForm[i] {
		case '0':
			if !digit {
				return false
			}
		case 'a':
			if !digit && (run[i] < 'a' || run[i] > 'z') {
				return false
			}
		default:
			if run[i] != runForm[i] {
				return false
			}
		}
	}
	return true
}

// runBegan returns when a run began, by the clock of the machine it ran on.
func runBegan(run string) (time.Time, bool) {
	stamp, _, _ := strings.Cut(run, "-")
	t, err := time.Parse("20060102T150405Z", stamp)
	return t, err == nil
}

// partName returns the temporary name for a target called name.
func partName(name, run string) string { return "." + partStem(name) + "." + run + partSuffix }

// partStem is the target's name as it stands in its temporary name: whole, or
// cut and told apart by a hash where the temporary name would be too long.
func partStem(name string) string {
	const room = maxLocalName - len("."+"."+runForm+partSuffix)
	if len(name) <= room {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "~" + hex.EncodeToString(sum[:4])
	cut := room - len(tail)
	for back := 0; back < utf8.UTFMax-1 && !utf8.RuneStart(name[cut]); back++ {
		cut--
	}
	return name[:cut] + tail
}

// journalName returns the name of the journal of a temporary file.
func journalName(part string) string { return strings.TrimSuffix(part, partSuffix) + journalSuffix }

// badCopyName returns the name under which a temporary file is kept that is not what
// its source is.
func badCopyName(part string) string { return strings.TrimSuffix(part, partSuffix) + badSuffix }

// AsideName returns the name that the file which a temporary file is to replace has for
// a moment, on a server that cannot replace one in one step.
func AsideName(part string) string { return strings.TrimSuffix(part, partSuffix) + oldSuffix }

// isOurs reports whether a name is that of a temporary file, of its journal, of
// a bad copy that was kept, or of a file that was moved aside.
func isOurs(name string) bool {
	for _, suffix := range []string{journalSuffix, badSuffix, oldSuffix} {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			name = stem + partSuffix
			break
		}
	}
	_, _, ok := parsePart(name)
	return ok
}

// parsePart takes the name of a temporary file apart.
func parsePart(name string) (stem, run string, ok bool) {
	rest, dotted := strings.CutPrefix(name, ".")
	rest, part := strings.CutSuffix(rest, partSuffix)
	dot := len(rest) - len(runForm) - 1
	if !dotted || !part || dot < 1 || rest[dot] != '.' || !validRun(rest[dot+1:]) {
		return "", "", false
	}
	return rest[:dot], rest[dot+1:], true
}
