//go:build unix

package port

// systemState has nothing to add: the errors of these systems have the names
// that errnoState knows.
func systemState(error, State) State { return "" }
