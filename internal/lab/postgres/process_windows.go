package postgres

import (
	"testing"

	"linehaul/internal/lab"
)

// freeze does nothing: the lab starts nothing on Windows.
func freeze(*lab.Process) {}

// thaw does nothing.
func thaw(*lab.Process) {}

// guard ends the test: the lab starts nothing on Windows.
func (s *Server) guard(t testing.TB) {
	t.Helper()
	lab.Missing(t, "the lab cannot start postgres on Windows")
}
