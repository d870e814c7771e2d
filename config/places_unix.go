//go:build !windows

package config

import (
	"os"
	"runtime"
)

func thisSystem() System {
	return System{
		GOOS: runtime.GOOS, Root: os.Geteuid() == 0,
		KnownFolder: func(KnownFolder) string { return "" },
	}
}
