package transfer

import (
	"fmt"

	"linehaul/fault"
)

// An againError is a failure after which the file is begun anew.
type againError struct{ err *fault.Error }

func (a *againError) Error() string { return a.err.Error() }
func (a *againError) Unwrap() error { return a.err }

// holdStill is the next step where a file did not.
const holdStill = "take it when its writer is done; a writer that renames the finished file into place is safe at any time"

// changed is the failure of a file that did not hold still.
func changed(kind fault.Kind, path string, was, is int64) error {
	how := fmt.Sprintf("from %d to %d bytes", was, is)
	if was == is {
		how = "to other content of the same size"
	}
	return &againError{fault.New(kind, "%q changed while it was read, %s", path, how).
		WithHint("%s", holdStill)}
}

// removed is the failure of a file that has no name any more. It may come back as
// another one.
func removed(kind fault.Kind, path string) error {
	return &againError{fault.New(kind, "%q was removed while it was read", path).WithHint("%s", holdStill)}
}
