//go:build !windows

package puttyhosts

import (
	"io/fs"
	"os"
	"path/filepath"

	"linehaul/fault"
)

// Read reads the cache of the user that runs this, where PuTTY keeps it on this
// system; env is the environment. An error that is fs.ErrNotExist says that
// PuTTY has none.
func Read(env func(string) string) (*Cache, error) {
	path := cacheFile(env)
	if path == "" {
		return nil, fault.New(fault.Usage, "find PuTTY's host keys: HOME is not set: %w", fs.ErrNotExist)
	}
	return ReadFile(path)
}

// cacheFile is the file that PuTTY's own tools read: the variables of its own
// before the folder of XDG, and that before ~/.putty, if it is there.
func cacheFile(env func(string) string) string {
	const name = "sshhostkeys"
	if file := env("PUTTYSSHHOSTKEYS"); file != "" {
		return file
	}
	if dir := env("PUTTYDIR"); dir != "" {
		return filepath.Join(dir, name)
	}
	home := env("HOME")
	config := env("XDG_CONFIG_HOME")
	if config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	if config != "" {
		dir := filepath.Join(config, "putty")
		if _, err := os.Stat(dir); err == nil || home == "" {
			return filepath.Join(dir, name)
		}
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".putty", name)
}
