//go:build unix && !linux && !darwin && !freebsd && !openbsd

package winsvc

import "runtime"

func system() manager { return unsupported(runtime.GOOS) }
