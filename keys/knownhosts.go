package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/pattern"
)

// Our own limits, far above what real files hold.
const (
	maxKnownHosts = 16 << 20 // bytes of a known_hosts file
	maxKnownLine  = 64 << 10 // bytes of one line of it
)

const defaultPort = 22

// A marker is what stands before the names of a line.
type marker int

const (
	markNone      marker = iota
	markAuthority        // @cert-authority: the key signs host certificates
	markRevoked          // @revoked: the key is never accepted
)

// A knownLine is one line of a known_hosts file, as sshd(8) describes it:
//
//	[@MARKER] NAME,NAME…    TYPE BASE64 [COMMENT]
//	[@MARKER] |1|SALT|HASH  TYPE BASE64 [COMMENT]
type knownLine struct {
	file   string
	number int // from 1
	marker marker
	names  string // comma-separated patterns, if the name is not hashed
	salt   []byte // nil if the name is not hashed
	hash   []byte
	key    ssh.PublicKey
}

// known describes the line's key.
func (l *knownLine) known() Known {
	return Known{File: l.file, Line: l.number, Type: l.key.Type(), Fingerprint: ssh.FingerprintSHA256(l.key)}
}

// readKnownHosts reads the lines of one file. Lines that cannot be used are
// passed to warn and left out.
func readKnownHosts(f KnownHostsFile, warn func(string)) ([]knownLine, error) {
	refuse := func(hint, format string, args ...any) error {
		return fault.New(fault.HostKeyUnknown, "read known hosts %q: %w", f.Path, fmt.Errorf(format, args...)).WithHint("%s", hint)
	}
	info, err := os.Stat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !f.Required, f.Path == os.DevNull:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("check the path after `known_hosts:`; an empty file will do", "%w", fs.ErrNotExist)
	case err == nil && !info.Mode().IsRegular():
		return nil, refuse("name a file of known_hosts lines after `known_hosts:`", "not a file")
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, refuse("let the user that linehaul runs as read the file", "%w", bareError(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKnownHosts+1))
	switch {
	case err != nil:
		return nil, refuse("check the disk that the file is on", "%w", bareError(err))
	case len(data) > maxKnownHosts:
		return nil, refuse("name a file of known_hosts lines after `known_hosts:`", "larger than %d MiB", maxKnownHosts>>20)
	}
	return parseKnownHosts(f.Path, data, warn), nil
}

// parseKnownHosts reads line by line, so that a bad one costs only itself.
func parseKnownHosts(file string, data []byte, warn func(string)) []knownLine {
	var lines []knownLine
	number := 0
	for text := range bytes.Lines(data) {
		number++
		line, err := parseKnownLine(text)
		switch {
		case err != nil:
			warn(fmt.Sprintf("%s:%d: line left out: %v", file, number, err))
		case line != nil:
			line.file, line.number = file, number
			lines = append(lines, *line)
		}
	}
	return lines
}

// parseKnownLine reads one line; it returns nil for a blank or comment line.
func parseKnownLine(text []byte) (*knownLine, error) {
	if len(text) > maxKnownLine {
		return nil, fmt.Errorf("longer than %d KiB", maxKnownLine>>10)
	}
	rest := strings.TrimLeft(strings.TrimRight(string(text), "\r\n"), " \t")
	if rest == "" || rest[0] == '#' {
		return nil, nil
	}
	line := &knownLine{}
	if rest[0] == '@' {
		var word string
		word, rest = cutField(rest)
		switch word {
		case "@cert-authority":
			line.marker = markAuthority
		case "@revoked":
			line.marker = markRevoked
		default:
			return nil, errors.New("an unknown marker: there are @cert-authority and @revoked")
		}
	}
	names, rest := cutField(rest)
	if strings.HasPrefix(names, "@") {
		return nil, errors.New("two markers")
	}
	if err := line.setNames(names); err != nil {
		return nil, err
	}
	keyType, rest := cutField(rest)
	blob, _ := cutField(rest)
	if blob == "" {
		return nil, errors.New("no key")
	}
	if _, err := strconv.Atoi(keyType); err == nil {
		return nil, errors.New("an SSH-1 key, which nothing uses any more")
	}
	key, err := parsePublic(keyType, blob)
	if err != nil {
		return nil, err
	}
	line.key = key
	return line, nil
}

// setNames keeps the patterns, or takes a hashed name apart.
func (l *knownLine) setNames(names string) error {
	if !strings.HasPrefix(names, "|") {
		l.names = pattern.Lower(names)
		return nil
	}
	part := strings.Split(names, "|")
	if len(part) != 4 || part[1] != "1" {
		return errors.New("an unknown kind of hashed name")
	}
	var err1, err2 error
	l.salt, err1 = base64.StdEncoding.Strict().DecodeString(part[2])
	l.hash, err2 = base64.StdEncoding.Strict().DecodeString(part[3])
	if err1 != nil || err2 != nil || len(l.salt) != sha1.Size || len(l.hash) != sha1.Size {
		return errors.New("a damaged hashed name")
	}
	return nil
}

// matches reports whether the line is about the name, which is lower-case and
// made by lookupName. A pattern that starts with ! and matches outweighs all
// others of its line.
func (l *knownLine) matches(name string) bool {
	if l.salt != nil {
		mac := hmac.New(sha1.New, l.salt)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), l.hash)
	}
	found := false
	for each := range strings.SplitSeq(l.names, ",") {
		plain, negated := strings.CutPrefix(each, "!")
		if !pattern.Match(plain, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// lookupName is how known_hosts names a server: the host alone on the standard
// port (or port 0), [host]:port on any other.
func lookupName(host string, port int) string {
	host = pattern.Lower(host)
	if port == 0 || port == defaultPort {
		return host
	}
	return fmt.Sprintf("[%s]:%d", host, port)
}

// cutField takes the first word off s, which spaces and tabs end.
func cutField(s string) (word, rest string) {
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		return s, ""
	}
	return s[:end], strings.TrimLeft(s[end:], " \t")
}

// parsePublic reads a public key as TYPE and BASE64 name it in OpenSSH's
// files. Certificates are refused: no file holds one where a key belongs.
func parsePublic(keyType, blob string) (ssh.PublicKey, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(blob)
	if err != nil || strings.ContainsAny(blob, "\r\n") { // which the decoder would pass over
		return nil, errors.New("bad base64 in the key")
	}
	if named := blobType(raw); named != "" && named != keyType {
		return nil, errors.New("the type before the key is not the type in it")
	}
	return ParseHostKey(raw)
}

// ParseHostKey reads a server's public key as it is on the wire (RFC 4253,
// section 6.6). Certificates are refused, and so are types and sizes of keys
// that no login here could do with.
func ParseHostKey(blob []byte) (ssh.PublicKey, error) {
	keyType := blobType(blob)
	switch {
	case keyType == "":
		return nil, errors.New("a damaged key")
	case strings.HasSuffix(keyType, certSuffix):
		return nil, errors.New("a certificate where a key belongs")
	case !slices.Contains(keyTypes(), keyType):
		return nil, errors.New("an unknown key type")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, errors.New("a damaged key, or one of an unusual size")
	}
	return key, nil
}

// certSuffix ends the type names of OpenSSH certificates.
const certSuffix = "-cert-v01@openssh.com"

// blobType returns the type name that a public key starts with, as RFC 4253
// section 6.6 lays it out, or "".
func blobType(raw []byte) string {
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(raw, &head) != nil {
		return ""
	}
	return head.Type
}

// bareError drops the operation and path that the os package puts before a
// cause: our message has them.
func bareError(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
