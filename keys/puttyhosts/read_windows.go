package puttyhosts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// registryPath is where PuTTY keeps its host keys, below HKEY_CURRENT_USER.
const registryPath = `Software\SimonTatham\PuTTY\SshHostKeys`

// Read reads the cache of the user that runs this, where PuTTY keeps it on this
// system. An error that is fs.ErrNotExist says that PuTTY has none.
func Read(func(string) string) (*Cache, error) { return readRegistry(registryPath) }

// readRegistry reads the values of a key below HKEY_CURRENT_USER.
func readRegistry(path string) (*Cache, error) {
	c := newCollector(`HKEY_CURRENT_USER\` + path)
	key, err := registry.OpenKey(registry.CURRENT_USER, path, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) { // which is fs.ErrNotExist too
		return nil, c.refuse("%w", err)
	}
	if err != nil {
		return nil, c.unreadable(err)
	}
	defer key.Close()
	info, err := key.Stat()
	if err != nil {
		return nil, c.unreadable(err)
	}
	if info.ValueCount > maxEntries {
		return nil, c.refuse("more than %d entries", maxEntries)
	}
	names, err := key.ReadValueNames(-1)
	if err != nil {
		return nil, c.unreadable(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := c.addValue(key, name); err != nil {
			return nil, err
		}
	}
	return &c.cache, nil
}

// addValue takes in one value of the registry's key.
func (c *collector) addValue(key registry.Key, name string) error {
	// One call with a buffer that is large enough for any key: a value may be
	// as large as memory, and may change between two calls.
	raw := make([]byte, 2*maxNumbers)
	size, kind, err := key.GetValue(name, raw)
	switch {
	case errors.Is(err, registry.ErrShortBuffer):
		return c.leaveOut(valuePlace(name), fmt.Sprintf("longer than %d KiB", maxNumbers>>10))
	case err != nil:
		return c.leaveOut(valuePlace(name), "it cannot be read: "+err.Error())
	case kind != registry.SZ:
		return c.leaveOut(valuePlace(name), "it is not a string (REG_SZ)")
	}
	units := make([]uint16, size/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return c.addEscaped(name, windows.UTF16ToString(units))
}
