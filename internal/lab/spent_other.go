//go:build !linux

package lab

import "time"

// Spent reports that it does not know.
func (p *Process) Spent() (time.Duration, bool) { return 0, false }

// Used is not known.
func (p *Process) Used() time.Duration { return 0 }
