package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// localPath makes the absolute path on this machine that a path in the file
// stands for. A separator at its end is dropped.
func localPath(path, dir string) (string, error) {
	switch {
	case strings.TrimSpace(path) == "":
		return "", errors.New("the path is empty")
	case strings.ContainsRune(path, 0):
		return "", errors.New("the path holds a zero byte")
	}
	base, rest, err := anchor(path, dir)
	if err != nil {
		return "", err
	}
	if base == "" {
		return filepath.Clean(rest), nil
	}
	return filepath.Join(base, rest), nil
}

// anchor splits a local path into the absolute folder that it starts from and
// the rest. The folder is empty if the path is absolute.
func anchor(path, dir string) (base, rest string, err error) {
	const windows = runtime.GOOS == "windows"
	if err := foreign(path, windows); err != nil {
		return "", "", err
	}
	switch {
	case path == "~" || path[0] == '~' && os.IsPathSeparator(path[1]):
		home, err := os.UserHomeDir()
		if err != nil || !filepath.IsAbs(home) {
			return "", "", errors.New("~ is a home folder, and the user that this runs as has none: write the path in full")
		}
		return home, strings.TrimLeftFunc(path[1:], isSeparator), nil
	case path[0] == '~':
		return "", "", errors.New("~ stands for your own home folder only: write the path in full")
	case filepath.IsAbs(path):
		return "", path, nil
	case os.IsPathSeparator(path[0]): // on Windows: from the root of the drive that the file is on
		return filepath.VolumeName(dir) + string(filepath.Separator), path[1:], nil
	}
	return dir, path, nil
}

func isSeparator(c rune) bool { return c < 0x80 && os.IsPathSeparator(byte(c)) }

// foreign refuses paths that mean nothing on this system, or not what they
// seem to mean.
func foreign(path string, windows bool) error {
	drive := len(path) >= 2 && path[1] == ':' && (path[0]|0x20 >= 'a' && path[0]|0x20 <= 'z')
	rooted := len(path) >= 3 && (path[2] == '\\' || path[2] == '/')
	switch {
	case windows && drive && !rooted:
		return errors.New(`after the drive a \ is missing: without it, the path starts in a folder that only Windows knows`)
	case !windows && drive:
		return errors.New("this is a path of Windows, and this machine runs another system")
	case !windows && strings.HasPrefix(path, `\\`):
		return errors.New("this is a share of Windows: mount it, and write the path where it is mounted")
	}
	return nil
}

// isWindowsDevice reports whether Windows takes a file of this name, whatever
// its extension, for a device.
func isWindowsDevice(name string) bool {
	base, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch base {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	for _, port := range []string{"com", "lpt"} {
		if n, ok := strings.CutPrefix(base, port); ok && len(n) == 1 && n[0] >= '0' && n[0] <= '9' {
			return true
		}
	}
	return false
}
