package queue_test

import (
	"os"
	"testing"
)

// hold is for systems with signals.
func hold(t *testing.T, _ *os.Process) { t.Fatal("no process can be held here") }

func release(*testing.T, *os.Process) {}
